//! The calls of `wasi:io/poll`, and the subscriptions.

use super::lines::Fault;
use super::sockets::Stage;
use super::streams::{Stream, own};
use super::{Choices, MOST, World};
use crate::net::Pollable;
use crate::net::bindings::wasi::clocks::monotonic_clock::Host as _;
use crate::net::bindings::wasi::io::poll::{Host as _, HostPollable};
use crate::net::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};
use crate::net::bindings::wasi::sockets::tcp::HostTcpSocket;

/// A pollable.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    this: u32,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// A time that has passed, or one that will not.
    Time(bool),
    Stream(u32),
    Socket(u32),
}

impl World {
    pub(super) fn subscribe(&mut self, choice: u8, choices: &mut Choices<'_>) {
        if self.waiting.len() == MOST {
            return;
        }
        let (pollable, what) = match choice % 8 {
            0 if choice == 0xa0 => (self.view().subscribe_instant(0), What::Time(true)),
            0 => (self.view().subscribe_duration(u64::MAX), What::Time(false)),
            1..=5 => {
                let Some(at) = choices.of(self.streams.len()) else { return };
                self.streams[at].children += 1;
                let Stream { this, is_input, .. } = self.streams[at];
                let mut view = self.view();
                let pollable = match is_input {
                    true => HostInputStream::subscribe(&mut view, own(this)),
                    false => HostOutputStream::subscribe(&mut view, own(this)),
                };
                (pollable, What::Stream(this))
            }
            _ => {
                let Some(at) = choices.of(self.sockets.len()) else { return };
                self.sockets[at].children += 1;
                let this = self.sockets[at].this;
                (HostTcpSocket::subscribe(&mut self.view(), own(this)), What::Socket(this))
            }
        };
        let this = pollable.expect("the table has room").rep();
        self.waiting.push(Waiting { this, what });
    }

    pub(super) fn drop_waiting(&mut self, at: usize) {
        let Waiting { this, what } = self.waiting.swap_remove(at);
        HostPollable::drop(&mut self.view(), own(this)).expect("it has no children");
        match what {
            What::Time(_) => {}
            What::Stream(this) => {
                self.streams.iter_mut().find(|stream| stream.this == this).expect("it stays").children -= 1;
            }
            What::Socket(this) => {
                self.sockets.iter_mut().find(|socket| socket.this == this).expect("it stays").children -= 1;
            }
        }
    }

    /// Whether this pollable will be ready without another step; `None` if that depends on the peers.
    fn will_be_ready(&self, at: usize) -> Option<bool> {
        match self.waiting[at].what {
            What::Time(is_over) => Some(is_over),
            What::Stream(this) => {
                let stream = self.streams.iter().find(|stream| stream.this == this).expect("it stays");
                let line = &self.lines[stream.line];
                let will = if stream.is_input { line.will_be_readable() } else { line.will_be_writable() };
                will.then_some(true)
            }
            What::Socket(this) => {
                let socket = self.sockets.iter().find(|socket| socket.this == this).expect("it stays");
                match (socket.stage, socket.pending) {
                    (Stage::Listening(address), None) => (self.queue(address) > 0).then_some(true),
                    _ => Some(true),
                }
            }
        }
    }

    pub(super) fn is_ready(&mut self, at: usize) -> bool {
        let Waiting { this, what } = self.waiting[at];
        let is_ready = self.view().ready(own::<Pollable>(this)).expect("it is there");
        if let What::Time(is_over) = what {
            assert_eq!(is_ready, is_over);
        }
        // A component that is told that it may write, and may not, would ask for ever.
        if let (true, What::Stream(this)) = (is_ready, what) {
            let stream = self.streams.iter().find(|stream| stream.this == this).expect("it stays");
            if !stream.is_input {
                let line = stream.line;
                assert_ne!(self.check_write(line, this), Some(0), "it was ready");
            }
        }
        is_ready
    }

    pub(super) fn block(&mut self, at: usize) {
        if self.will_be_ready(at) == Some(true) {
            let this = self.waiting[at].this;
            self.view().block(own::<Pollable>(this)).expect("nothing has ended the component");
            assert!(self.is_ready(at), "{:?} was ready", self.waiting[at].what);
        } else if let What::Stream(this) = self.waiting[at].what {
            // Nothing is there. A report that came late is over after one read.
            let stream = self.streams.iter().find(|stream| stream.this == this).expect("it stays");
            if stream.is_input && !self.lines[stream.line].broken {
                self.is_ready(at);
                let read = Fault::of(HostInputStream::read(&mut self.view(), own(this), 1));
                assert_eq!(read, Ok(Vec::new()));
                assert!(!self.is_ready(at), "the component would ask for ever");
            }
        }
    }

    pub(super) fn poll(&mut self, choices: &mut Choices<'_>) {
        let count = usize::from(choices.number() % 5);
        let mut list: Vec<usize> = (0..count).filter_map(|_| choices.of(self.waiting.len())).collect();
        if list.is_empty() {
            self.view().poll(Vec::new()).expect_err("it would wait for ever");
            return;
        }
        let will_end = list.iter().any(|&at| self.will_be_ready(at) == Some(true));
        let alarm = (!will_end).then(|| self.view().subscribe_duration(1000).expect("the table has room").rep());
        if let Some(this) = alarm {
            list.push(self.waiting.len());
            self.waiting.push(Waiting { this, what: What::Time(true) });
        }
        let handles = list.iter().map(|&at| own::<Pollable>(self.waiting[at].this)).collect();
        let ready = self.view().poll(handles).expect("nothing has ended the component");
        assert!(!ready.is_empty() && ready.is_sorted_by(|one, other| one < other), "{ready:?}");
        for (place, &at) in list.iter().enumerate() {
            let is_in = ready.contains(&(place as u32));
            let is_over = matches!(self.waiting[at].what, What::Time(true)) && Some(self.waiting[at].this) != alarm;
            assert!(is_in || !is_over, "a time that is over");
            assert!(!is_in || self.is_ready(at), "{:?} was ready", self.waiting[at].what);
        }
        if alarm.is_some() {
            self.drop_waiting(self.waiting.len() - 1);
        }
    }
}
