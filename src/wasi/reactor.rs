//! Waits for many things at once.
//!
//! WASI 0.2 has one call for that, `wasi:io/poll.poll`: it takes a list of *pollables*, waits until at least one is
//! ready, and says which are. This reactor keeps a pollable for whatever a task may wait for ([`Source`]), hands the
//! list of those that somebody is waiting for to `poll`, and wakes whoever waited for one that is ready. Deadlines need
//! no pollable each: one rings for the earliest of them.
//!
//! # The budget of the host
//!
//! That would be all, if an answer of `poll` were always whole. Wasmtime runs the component inside a task of tokio, and
//! tokio gives each turn of a task a budget of 128 events that it may learn about; when it is spent, everything pretends
//! to be not ready until the task has yielded to the host. Seen from in here:
//!
//! * `poll` names only some of those that are ready, always those that were made first. A server that takes the answer
//!   for whole serves the same few connections over and over, and starves the others.
//! * `check-write` permits 0 bytes although the peer has room. A server that waits for room then does so for nothing.
//!
//! Neither can be seen from one call. But a timer is subject to the budget too, so one that has rung long ago tells
//! (`Reactor::spent`): it is ready as long as there is budget, and not when there is none. And polling it alone when
//! the budget is spent makes the host turn, after which the budget is fresh ([`Reactor::refresh`]). So:
//!
//! * after an answer that may have used the budget up, ask; when it is spent, ask for the rest again, in pieces that a
//!   fresh budget is enough for, until each answer was whole. Nobody is woken twice in a round, and nobody who is ready
//!   waits for the next one.
//! * when `check-write` says 0, refresh and ask again, once.
//!
//! On a host without such a budget the timer is always ready, and none of this costs more than a call.
//!
//! # Many connections
//!
//! A host without anything like `epoll` is asked about every pollable anew each time: wasmtime makes a future of each, and
//! polls it, which takes about 0.27 microseconds. 5,000 idle connections make every wake-up 1.4 milliseconds long, in which
//! 200 requests could have been answered. So not everybody is asked about each time; `heat.rs` says who is. Measured in
//! `bench/`: 32 active connections beside 5,000 idle ones had 54 % of their speed without this, and have 87 % with it; when
//! nobody is active, nothing is asked, and no time of a processor used.
//!
//! Who is heard when, under any schedule, is held against a model of the host by `schedules.rs`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use super::heat::{Heat, Wait};
use super::host::Host;
use super::timers::{Key, Timers};

/// How many nanoseconds tasks may run before the reactor has a look again: at the clock, and at who is ready.
const TURN: u64 = 20_000_000;

/// How many nanoseconds a pause is at the least, for the host to have its turn in.
const PAUSE: u64 = 1_000;

/// How many pollables are asked about at a time when an answer is completed: so many can be ready, and the host's
/// budget of 128 still suffices for all of them and for asking whether it did.
const PIECE: usize = 96;

/// Waits for many things at once; see [the module](self).
pub struct Reactor<H: Host> {
    host: H,
    sources: RefCell<Sources<H::Pollable>>,
    heat: RefCell<Heat>,
    timers: RefCell<Timers>,
    /// Rings for the earliest deadline, or before it: the deadlines that were earlier may have been cleared.
    alarm: RefCell<Option<(u64, H::Pollable)>>,
    /// Has rung long ago, and is ready as long as the host has budget.
    rung: H::Pollable,
    /// Is ready, budget or not.
    always: H::Pollable,
    /// The time at which the host was asked last, in nanoseconds; and the same in other words, which take a division.
    now: Cell<u64>,
    time: Cell<Duration>,
    /// How often it was.
    round: Cell<u64>,
    /// A task wants the host to have a turn before it is asked the next time.
    turn_wanted: Cell<bool>,
}

/// All that can be waited for.
#[derive(Debug)]
struct Sources<P> {
    slots: Slab<Slot<P>>,
    /// How often a wait has begun.
    waits: u64,
}

#[derive(Debug)]
struct Slot<P> {
    pollable: P,
    /// Who waits for it, if anybody does.
    waker: Option<Waker>,
    /// Which wait that is, or was.
    number: u64,
}

impl<P> Sources<P> {
    /// Whether `wait` is not over.
    fn waits(&self, wait: &Wait) -> bool {
        self.slots.get(wait.key).is_some_and(|slot| slot.number == wait.number && slot.waker.is_some())
    }
}

impl<H: Host> fmt::Debug for Reactor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl<H: Host> Reactor<H> {
    /// A reactor with nothing to wait for.
    pub fn new(host: H) -> Rc<Self> {
        let rung = host.alarm(1);
        host.poll(&[&rung]);
        // The first time that somebody polls an alarm of zero, wasmtime yields; from then on it is ready at once.
        let always = host.alarm(0);
        host.poll(&[&always]);
        let now = host.now();
        Rc::new(Reactor {
            host,
            sources: RefCell::new(Sources { slots: Slab::new(), waits: 0 }),
            heat: RefCell::default(),
            timers: RefCell::default(),
            alarm: RefCell::default(),
            rung,
            always,
            now: Cell::new(now),
            time: Cell::new(Duration::from_nanos(now)),
            round: Cell::new(0),
            turn_wanted: Cell::new(false),
        })
    }

    /// The host that this reactor waits at.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The host's monotonic clock at the last wake-up, in nanoseconds: for all tasks of a turn it is the same moment.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// The same as a duration.
    pub fn time(&self) -> Duration {
        self.time.get()
    }

    /// Looks at the clock.
    fn look(&self) {
        let now = self.host.now();
        self.now.set(now);
        self.time.set(Duration::from_nanos(now));
    }

    /// Which round it is: between two of them the host was asked who has something to do.
    pub fn round(&self) -> u64 {
        self.round.get()
    }

    /// Whether that moment was so long ago that it is time to look who else has something to do.
    pub fn is_late(&self) -> bool {
        self.host.now() > self.now.get() + TURN
    }

    /// The earliest moment that somebody waits for.
    #[cfg(test)]
    pub(crate) fn earliest_deadline(&self) -> Option<u64> {
        self.timers.borrow().earliest()
    }

    /// Waits until the monotonic clock has reached `deadline`, in nanoseconds.
    pub fn sleep_until(self: &Rc<Self>, deadline: u64) -> Sleep<H> {
        Sleep { reactor: Rc::clone(self), deadline, key: None }
    }

    /// Whether the host has no budget left, so that whatever it said last may be less than the truth.
    fn spent(&self) -> bool {
        !self.host.is_ready(&self.rung)
    }

    /// Makes the host turn if its budget is spent, so that it can tell the truth again.
    pub fn refresh(&self) {
        self.host.poll(&[&self.rung]);
    }

    /// Makes the host turn, although there is something to do: it, too, has to look after things now and then, and who
    /// never pauses is taken for a loop without an end.
    pub fn pause(&self) {
        self.host.poll(&[&self.host.alarm(PAUSE)]);
    }

    /// Waits until the host has had a turn, in which it notices everything that has come by then. Without that turn, what it knows
    /// of a socket may be old: a process that was halted (a laptop that slept) wakes up to an alarm that rings, and learns only a
    /// turn later what came meanwhile.
    pub async fn host_turn(&self) {
        let round = self.round();
        poll_fn(|context| {
            if self.round() != round {
                return Poll::Ready(());
            }
            self.turn_wanted.set(true);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Lets time pass until somebody has something to do, and wakes them. With `block` false it only looks.
    ///
    /// # Panics
    /// When it is to block, and nobody waits for anything: that would be for ever.
    pub fn wait(&self, block: bool) {
        self.round.set(self.round.get() + 1);
        if self.turn_wanted.take() {
            // The first poll of an alarm of zero is a turn of wasmtime's: one to notice, one to write what now has room.
            for _ in 0..2 {
                self.host.poll(&[&self.host.alarm(0)]);
            }
        }
        for waker in self.poll(block) {
            waker.wake();
        }
        loop {
            // One at a time, because a waker may be anything, and the timers are borrowed no longer than needed.
            let passed = self.timers.borrow_mut().take_passed(self.now());
            match passed {
                Some(waker) => waker.wake(),
                None => break,
            }
        }
    }

    /// Asks the host about those whom it is time to ask about. Returns who is to be woken.
    fn poll(&self, block: bool) -> Vec<Waker> {
        let sources = &mut *self.sources.borrow_mut();
        let heat = &mut *self.heat.borrow_mut();
        let mut woken = Vec::new();

        // Since the last wake-up everybody has had a turn, and that takes time.
        self.look();
        heat.cool(self.now(), |wait| sources.waits(wait));
        let mut asked = std::mem::take(&mut heat.hot);
        let is_due = heat.sweep(self.now()).filter(|_| !block || !asked.is_empty());
        if let Some(mut sweep) = is_due {
            let mut now = self.now();
            while let Some(mut piece) = sweep.next(heat, now, |wait| sources.waits(wait)) {
                self.ask(sources, &mut piece, Some(&self.always), &mut woken);
                heat.cold.extend(piece);
                now = self.host.now();
            }
            heat.swept(&sweep, now);
        }
        let block = block && woken.is_empty();
        let mut tick = Some(heat.due()).filter(|_| !heat.cold.is_empty());
        if block && (asked.is_empty() || heat.is_quiet()) {
            // Who of them is cold will turn out the next time.
            asked.extend(heat.cold.drain(..).filter(|wait| sources.waits(wait)));
            tick = None;
        }
        if block {
            self.set_alarm(tick);
            let alarm = self.alarm.borrow();
            let alarm = alarm.as_ref().map(|(_, pollable)| pollable);
            let anybody = !asked.is_empty() || alarm.is_some();
            assert!(anybody, "deadlock: every task waits, and none for a source or a deadline");
            self.ask(sources, &mut asked, alarm, &mut woken);
        } else if !asked.is_empty() {
            self.ask(sources, &mut asked, Some(&self.always), &mut woken);
        }
        heat.hot = asked;
        if !woken.is_empty() {
            heat.spoken();
        }
        self.look();
        woken
    }

    /// Sees to it that the alarm rings no later than the earliest deadline, or at `tick`.
    fn set_alarm(&self, tick: Option<u64>) {
        let earliest = self.timers.borrow().earliest().into_iter().chain(tick).min();
        let mut alarm = self.alarm.borrow_mut();
        let rings_at = alarm.as_ref().map_or(u64::MAX, |(at, _)| *at);
        match earliest {
            None => *alarm = None,
            Some(earliest) if earliest < rings_at || rings_at <= self.now() => {
                let left = earliest.saturating_sub(self.now());
                *alarm = Some((earliest, self.host.alarm(left)));
            }
            Some(_) => {}
        }
    }

    /// Asks about `waits`, and with them about `extra`, until the answer is whole. Who is ready is taken out of `waits`, and
    /// its waker put into `woken`. Waits for an answer if neither is ready.
    fn ask(
        &self,
        sources: &mut Sources<H::Pollable>,
        waits: &mut Vec<Wait>,
        extra: Option<&H::Pollable>,
        woken: &mut Vec<Waker>,
    ) {
        self.ask_once(sources, waits, extra, woken);
        if waits.is_empty() || !self.spent() {
            return;
        }
        let mut missing = Vec::with_capacity(waits.len());
        for piece in waits.chunks(PIECE) {
            let mut piece = piece.to_vec();
            // What is left of a budget may not be enough for a piece, a fresh one is.
            for _ in 0..2 {
                self.refresh();
                self.ask_once(sources, &mut piece, Some(&self.always), woken);
                if piece.is_empty() || !self.spent() {
                    break;
                }
            }
            missing.append(&mut piece);
        }
        *waits = missing;
    }

    /// Asks once; the answer may be less than the truth.
    fn ask_once(
        &self,
        sources: &mut Sources<H::Pollable>,
        waits: &mut Vec<Wait>,
        extra: Option<&H::Pollable>,
        woken: &mut Vec<Waker>,
    ) {
        let mut pollables = Vec::with_capacity(waits.len() + 1);
        pollables.extend(waits.iter().map(|wait| &sources.slots[wait.key].pollable));
        pollables.extend(extra);
        let ready = self.host.poll(&pollables);
        if ready.is_empty() {
            return;
        }
        for index in ready {
            if let Some(wait) = waits.get(index as usize) {
                woken.extend(sources.slots[wait.key].waker.take());
            }
        }
        waits.retain(|wait| sources.slots[wait.key].waker.is_some());
    }
}

/// One thing that a task may wait for, again and again. Dropping it drops its pollable: do so before the stream or
/// socket that the pollable belongs to.
#[derive(Debug)]
pub struct Source<H: Host> {
    reactor: Rc<Reactor<H>>,
    key: usize,
}

impl<H: Host> Source<H> {
    /// Makes `pollable` something to wait for.
    pub fn new(reactor: &Rc<Reactor<H>>, pollable: H::Pollable) -> Self {
        let key = reactor.sources.borrow_mut().slots.insert(Slot { pollable, waker: None, number: 0 });
        Source { reactor: Rc::clone(reactor), key }
    }

    /// Waits until the pollable is ready. It may be called ready too often, never too seldom.
    pub fn ready(&self) -> Ready<'_, H> {
        Ready { source: self, waits: false }
    }
}

impl<H: Host> Drop for Source<H> {
    fn drop(&mut self) {
        let slots = &mut self.reactor.sources.borrow_mut().slots;
        slots.remove(self.key);
        if slots.is_empty() {
            slots.shrink_to_fit();
        }
    }
}

/// Waits for a [`Source`].
#[derive(Debug)]
pub struct Ready<'s, H: Host> {
    source: &'s Source<H>,
    waits: bool,
}

impl<H: Host> Future for Ready<'_, H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // The reactor takes the waker out when the pollable is ready; so if it is still there, it is not.
        let reactor = &self.source.reactor;
        let Sources { slots, waits } = &mut *reactor.sources.borrow_mut();
        let slot = &mut slots[self.source.key];
        match &mut slot.waker {
            None if self.waits => {
                self.waits = false;
                return Poll::Ready(());
            }
            Some(waker) => waker.clone_from(context.waker()),
            none => {
                *none = Some(context.waker().clone());
                *waits += 1;
                slot.number = *waits;
                let wait = Wait { key: self.source.key, number: *waits, since: reactor.now() };
                reactor.heat.borrow_mut().begin(wait);
            }
        }
        self.waits = true;
        Poll::Pending
    }
}

impl<H: Host> Drop for Ready<'_, H> {
    fn drop(&mut self) {
        // Nobody waits any more.
        if self.waits {
            self.source.reactor.sources.borrow_mut().slots[self.source.key].waker = None;
        }
    }
}

/// Waits for a moment; see [`Reactor::sleep_until`].
#[derive(Debug)]
pub struct Sleep<H: Host> {
    reactor: Rc<Reactor<H>>,
    deadline: u64,
    key: Option<Key>,
}

impl<H: Host> Sleep<H> {
    fn clear(&mut self) {
        if let Some(key) = self.key.take() {
            self.reactor.timers.borrow_mut().clear(key);
        }
    }
}

impl<H: Host> Future for Sleep<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= self.reactor.now() {
            self.clear();
            return Poll::Ready(());
        }
        let mut timers = self.reactor.timers.borrow_mut();
        let key = match self.key {
            Some(key) => timers.renew(key, context.waker()),
            None => timers.set(self.deadline, context.waker().clone()),
        };
        drop(timers);
        self.key = Some(key);
        Poll::Pending
    }
}

impl<H: Host> Drop for Sleep<H> {
    fn drop(&mut self) {
        self.clear();
    }
}
