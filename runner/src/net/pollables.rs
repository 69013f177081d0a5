//! `wasi:io/poll`: the only place in which the component waits.

use std::time::{Duration, Instant};

use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::wasi::io::poll;
use super::readiness::Key;
use super::sockets::TcpSocket;
use super::{Ended, Net, View};

/// What a component can wait for.
#[derive(Debug, Clone, Copy)]
pub enum Pollable {
    /// Bytes, an error or the end of a connection.
    Input(Key),
    /// Room for bytes, or the end of a connection.
    Output(Key),
    /// The end of what the socket with this number is doing: a connection is made, or can be accepted.
    Socket(u32),
    /// A time; `None` if it is too far away for any clock.
    Time(Option<Instant>),
    /// Standard input has a line, or ends.
    Stdin,
    /// Standard output has room.
    Stdout,
    /// Standard error has room.
    Stderr,
}

impl poll::Host for View<'_> {
    fn poll(&mut self, list: Vec<Resource<Pollable>>) -> Result<Vec<u32>> {
        if list.is_empty() {
            return Err(wasmtime::format_err!("the list of poll is empty, so it would wait for ever"));
        }
        let mut asked = std::mem::take(&mut self.net.asked);
        asked.clear();
        for pollable in &list {
            asked.push(*self.table.get(pollable)?);
        }
        let ready = self.wait(&asked);
        self.net.asked = asked;
        ready
    }
}

impl poll::HostPollable for View<'_> {
    fn ready(&mut self, pollable: Resource<Pollable>) -> Result<bool> {
        let pollable = *self.table.get(&pollable)?;
        // A component may ask this in a loop and nothing else, so the system is asked each time, except about a time. Such a loop is
        // no pause.
        if !matches!(pollable, Pollable::Time(_)) {
            self.net.readiness.wait(Some(Duration::ZERO))?;
        }
        Ok(self.is_ready(pollable, Instant::now()))
    }

    fn block(&mut self, pollable: Resource<Pollable>) -> Result<()> {
        let pollable = *self.table.get(&pollable)?;
        self.wait(&[pollable]).map(drop)
    }

    fn drop(&mut self, pollable: Resource<Pollable>) -> Result<()> {
        self.table.delete(pollable)?;
        Ok(())
    }
}

impl View<'_> {
    /// Waits until one of `list` is ready. Returns the places of all that are.
    pub(super) fn wait(&mut self, list: &[Pollable]) -> Result<Vec<u32>> {
        loop {
            // What is known to be ready does not keep what has become ready meanwhile from being told: the system is always asked.
            let timeout = self.timeout(list);
            self.pause(timeout, list)?;
            let now = Instant::now();
            let ready = (0..).zip(list).filter(|&(_, &pollable)| self.is_ready(pollable, now));
            let ready: Vec<u32> = ready.map(|(place, _)| place).collect();
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
    }

    /// The time that the system may wait: none if one of `list` is ready, `None` if there is no end.
    fn timeout(&mut self, list: &[Pollable]) -> Option<Duration> {
        let mut first: Option<Instant> = None;
        for &pollable in list {
            match pollable {
                Pollable::Time(Some(time)) => first = Some(first.map_or(time, |first| first.min(time))),
                Pollable::Time(None) => {}
                // The time is looked at below, once for all.
                other if self.is_ready_without_time(other) => return Some(Duration::ZERO),
                _ => {}
            }
        }
        first.map(|first| first.saturating_duration_since(Instant::now()))
    }

    /// Asks the system about all sockets, and lets it wait. A turn of the component ends here, and another begins, unless nothing
    /// has happened: a component that asks again and again about what is always ready is in a loop. If it asks about a time,
    /// it only gives others a turn.
    ///
    /// # Errors
    /// The sandbox has ended the component meanwhile, or the system cannot report.
    fn pause(&mut self, timeout: Option<Duration>, list: &[Pollable]) -> Result<()> {
        let Net { turns, readiness, .. } = self.net;
        let waits =
            timeout != Some(Duration::ZERO) || list.iter().any(|pollable| matches!(pollable, Pollable::Time(_)));
        let happened = match waits {
            true => turns.pause(|| readiness.wait(timeout))?,
            false => readiness.wait(timeout)?,
        };
        if happened && !waits {
            turns.pause(|| ());
        }
        match turns.has_ended() {
            true => Err(Ended.into()),
            false => Ok(()),
        }
    }

    fn is_ready(&mut self, pollable: Pollable, now: Instant) -> bool {
        match pollable {
            Pollable::Time(time) => time.is_some_and(|time| time <= now),
            other => self.is_ready_without_time(other),
        }
    }

    fn is_ready_without_time(&mut self, pollable: Pollable) -> bool {
        let readiness = &mut self.net.readiness;
        match pollable {
            Pollable::Input(key) => readiness.connection(key).is_none_or(|connection| connection.can_be_read()),
            Pollable::Output(key) => readiness.connection(key).is_none_or(|connection| connection.can_be_written()),
            Pollable::Socket(number) => {
                let socket = self.table.get(&Resource::<TcpSocket>::new_borrow(number));
                socket.is_ok_and(|socket| socket.is_ready(readiness))
            }
            Pollable::Time(_) => false,
            Pollable::Stdin => self.net.stdin.is_ready(readiness.waker()),
            Pollable::Stdout => self.net.stdout.is_ready(readiness.waker()),
            Pollable::Stderr => self.net.stderr.is_ready(readiness.waker()),
        }
    }
}
