//! The reactor: waits for many events at once.
//!
//! WASI 0.2 has one call for this, `wasi:io/poll.poll`: it takes a list of *pollables*, waits until at least one of them is
//! ready, and returns the ready ones. The reactor keeps a pollable for each event that a task may wait for ([`Source`]), passes
//! the pollables that tasks are waiting for to `poll`, and wakes the tasks whose pollable is ready. All deadlines share one
//! alarm, which is set for the earliest.
//!
//! # The budget of the host
//!
//! An answer of `poll` may be incomplete. Wasmtime runs the component inside one task of tokio, and tokio gives each turn of a
//! task a budget: the task may learn about 128 events. When the budget is spent, all events are "not ready" until the task has
//! yielded to the host. The component observes two effects:
//!
//! * `poll` names only some of the ready pollables, always those that were made first. A server that takes the answer for
//!   complete serves the same few connections over and over, and starves the others.
//! * `check-write` permits 0 bytes although the peer has room. A server that then waits for room waits without a reason.
//!
//! A single call shows neither effect. But a timer is subject to the budget, too, so the reactor checks a timer that expired long
//! ago (`is_budget_spent`): it is ready while there is budget, and not ready when there is none. To poll this timer alone makes
//! the host take a turn if the budget is spent; after the turn the budget is fresh ([`Reactor::refresh`]). So:
//!
//! * After an answer that may have spent the budget, the reactor checks the timer. If the budget is spent, the reactor asks for
//!   the rest again, in pieces for which a fresh budget is enough, until each answer is complete. No task is woken twice in a
//!   round, and no ready task waits for the next round.
//! * When `check-write` returns 0, a stream refreshes the budget and asks again, once.
//!
//! On a host without such a budget the timer is always ready, and the check costs one call more.
//!
//! # Many connections
//!
//! A host without a mechanism like `epoll` checks each pollable anew in every call: wasmtime makes a future of each, and polls
//! the future, which takes about 0.27 microseconds. 5,000 idle connections make each wake-up 1.4 milliseconds longer, enough time
//! for 200 requests. So not every call asks about every pollable; `poll_set.rs` chooses them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::host::Host;
use crate::poll_set::{Interest, PollSet};
use crate::task::yield_now;
use crate::timers::{Key, Timers};

/// How many nanoseconds tasks may run until the reactor reads the clock, and asks the host.
const LONGEST_TURN: u64 = 20_000_000;

/// How many nanoseconds the host gets for its own turn.
const HOST_PAUSE: u64 = 1_000;

/// How many pollables the reactor asks about at a time to complete an answer: if all of them are ready, the host's budget of 128
/// is still enough for them, and for the check of the timer after them.
const BUDGETED_PIECE: usize = 96;

/// Waits for many events at once; see [the module](self).
pub(crate) struct Reactor<H: Host> {
    host: H,
    sources: RefCell<Sources<H::Pollable>>,
    set: RefCell<PollSet>,
    timers: RefCell<Timers>,
    /// The alarm for the earliest deadline. It may ring earlier, because earlier deadlines may have been cleared.
    alarm: RefCell<Option<(u64, H::Pollable)>>,
    /// A timer that expired long ago: ready while the host has budget.
    budget_probe: H::Pollable,
    /// A pollable that is ready, with or without budget.
    always_ready: H::Pollable,
    /// When the host was last asked, in nanoseconds.
    now: Cell<u64>,
    /// The number of the round: how often the host was asked.
    round: Cell<u64>,
    /// Whether a task wants the host to have a turn before the next call.
    is_host_turn_wanted: Cell<bool>,
}

/// All sources, and their waits.
struct Sources<P> {
    slots: Slab<Slot<P>>,
    /// How many waits have begun.
    waits: u64,
    /// The wakers of the waits that this call found to be over.
    woken: Vec<Waker>,
}

struct Slot<P> {
    pollable: P,
    /// The task that waits, if one does.
    waker: Option<Waker>,
    /// The number of this wait, or of the last one.
    number: u64,
}

impl<P> Sources<P> {
    /// Whether a wait is not over.
    fn is_waiting(&self, interest: &Interest) -> bool {
        self.slots.get(interest.key).is_some_and(|slot| slot.number == interest.number && slot.waker.is_some())
    }
}

impl<H: Host> Reactor<H> {
    /// A reactor without sources.
    pub(crate) fn new(host: H) -> Self {
        let budget_probe = host.alarm(1);
        host.poll(&[&budget_probe]);
        // The first poll of an alarm of zero makes wasmtime yield; from then on it is ready at once.
        let always_ready = host.alarm(0);
        host.poll(&[&always_ready]);
        Reactor {
            now: Cell::new(host.now()),
            host,
            sources: RefCell::new(Sources { slots: Slab::new(), waits: 0, woken: Vec::new() }),
            set: RefCell::default(),
            timers: RefCell::default(),
            alarm: RefCell::default(),
            budget_probe,
            always_ready,
            round: Cell::new(0),
            is_host_turn_wanted: Cell::new(false),
        }
    }

    /// The host.
    pub(crate) fn host(&self) -> &H {
        &self.host
    }

    /// The monotonic clock at the last wake-up, in nanoseconds: the same moment for all tasks of a round.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// The number of the round. Each round begins with a question to the host.
    pub(crate) fn round(&self) -> u64 {
        self.round.get()
    }

    /// Whether the last wake-up was so long ago that it is time to ask the host again.
    pub(crate) fn is_late(&self) -> bool {
        self.host.now() > self.now.get() + LONGEST_TURN
    }

    /// The earliest deadline.
    pub(crate) fn earliest_deadline(&self) -> Option<u64> {
        self.timers.borrow().earliest()
    }

    /// Whether the host has no budget left, so that its last answer may be incomplete.
    fn is_budget_spent(&self) -> bool {
        !self.host.is_ready(&self.budget_probe)
    }

    /// Makes the host take a turn if its budget is spent.
    pub(crate) fn refresh(&self) {
        self.host.poll(&[&self.budget_probe]);
    }

    /// Waits until the clock has reached `deadline`, in nanoseconds.
    pub(crate) async fn sleep_until(&self, deadline: u64) {
        let key = Cell::new(None);
        let _clear = OnDrop(|| key.get().into_iter().for_each(|key| self.clear_deadline(key)));
        poll_fn(|context| {
            let mut current = key.get();
            let poll = self.poll_deadline(deadline, &mut current, context);
            key.set(current);
            poll
        })
        .await;
    }

    /// Ready when the clock has reached `deadline`, in nanoseconds. Until then the deadline is set, with `key`, for the task of
    /// `context`.
    pub(crate) fn poll_deadline(&self, deadline: u64, key: &mut Option<Key>, context: &mut Context<'_>) -> Poll<()> {
        if deadline <= self.now() {
            return Poll::Ready(());
        }
        let mut timers = self.timers.borrow_mut();
        *key = Some(match *key {
            Some(key) => timers.renew(key, context.waker()),
            None => timers.set(deadline, context.waker().clone()),
        });
        Poll::Pending
    }

    /// Clears a deadline, if it has not passed.
    pub(crate) fn clear_deadline(&self, key: Key) {
        self.timers.borrow_mut().clear(key);
    }

    /// Waits until the host has had a turn, in which it notices everything that has come by then. Before that turn the state of a
    /// socket in the host may be old: an alarm wakes a process that was halted (a laptop that slept), and only a turn later the
    /// process learns about the bytes that came meanwhile.
    pub(crate) async fn host_turn(&self) {
        let round = self.round();
        while self.round() == round {
            self.is_host_turn_wanted.set(true);
            yield_now().await;
        }
    }

    /// Asks the host for ready sources and passed deadlines, and wakes their tasks. With `block`, waits until there is one.
    ///
    /// # Panics
    /// With `block`, if no task waits for a source or a deadline: the wait would never end.
    pub(crate) fn wait(&self, block: bool) {
        if !block && self.is_late() {
            // Tasks could run, but the host has other work, too, and may take a component that never pauses for an endless loop.
            self.host.poll(&[&self.host.alarm(HOST_PAUSE)]);
        }
        self.round.set(self.round.get() + 1);
        if self.is_host_turn_wanted.take() {
            // The first poll of an alarm of zero is a turn of wasmtime: one turn to notice bytes, one to write bytes.
            for _ in 0..2 {
                self.host.poll(&[&self.host.alarm(0)]);
            }
        }
        for waker in self.poll(block) {
            waker.wake();
        }
        // One at a time: a waker may do anything, so the timers must not be borrowed while it is called.
        let take_passed = || self.timers.borrow_mut().take_passed(self.now());
        while let Some(waker) = take_passed() {
            waker.wake();
        }
    }

    /// Asks the host about the hot waits, and about cold ones if a sweep is due. Returns the wakers of the waits that are over.
    fn poll(&self, block: bool) -> Vec<Waker> {
        let sources = &mut *self.sources.borrow_mut();
        let set = &mut *self.set.borrow_mut();

        // Since the last wake-up all tasks have had a turn, which takes time.
        self.now.set(self.host.now());
        set.cool_down(self.now(), |interest| sources.is_waiting(interest));
        if block && (set.hot().is_empty() || set.is_quiet()) {
            set.warm_up(|interest| sources.is_waiting(interest));
        } else {
            set.sweep(self.now(), sources, Sources::is_waiting, |sources, piece| {
                self.ask(sources, piece, Some(&self.always_ready));
                self.host.now()
            });
        }
        if block && sources.woken.is_empty() {
            self.set_alarm(set.next_sweep());
            let alarm = self.alarm.borrow();
            let alarm = alarm.as_ref().map(|(_, pollable)| pollable);
            assert!(!set.hot().is_empty() || alarm.is_some(), "deadlock: no task waits for a source or a deadline");
            self.ask(sources, set.hot(), alarm);
        } else if !set.hot().is_empty() {
            self.ask(sources, set.hot(), Some(&self.always_ready));
        }
        if !sources.woken.is_empty() {
            set.note_activity();
        }
        self.now.set(self.host.now());
        mem::take(&mut sources.woken)
    }

    /// Sets the alarm so that it rings at the earliest deadline, or at `wake_at`, at the latest.
    fn set_alarm(&self, wake_at: Option<u64>) {
        let earliest = self.earliest_deadline().into_iter().chain(wake_at).min();
        let mut alarm = self.alarm.borrow_mut();
        // Drop an alarm that has rung, or would ring too late.
        alarm.take_if(|(rings_at, _)| *rings_at <= self.now() || earliest.is_none_or(|earliest| earliest < *rings_at));
        if let (Some(earliest), None) = (earliest, &*alarm) {
            *alarm = Some((earliest, self.host.alarm(earliest.saturating_sub(self.now()))));
        }
    }

    /// Asks about `waits`, and `extra`, until the answer is complete; blocks until one of them is ready. The waits that are over
    /// leave `waits`, and their wakers go to `sources.woken`.
    fn ask(&self, sources: &mut Sources<H::Pollable>, waits: &mut Vec<Interest>, extra: Option<&H::Pollable>) {
        self.ask_once(sources, waits, extra);
        if waits.is_empty() || !self.is_budget_spent() {
            return;
        }
        let mut missing = Vec::with_capacity(waits.len());
        for piece in waits.chunks(BUDGETED_PIECE) {
            let mut piece = piece.to_vec();
            // The rest of a budget may not be enough for a piece, but a fresh budget is.
            for _ in 0..2 {
                self.refresh();
                self.ask_once(sources, &mut piece, Some(&self.always_ready));
                if piece.is_empty() || !self.is_budget_spent() {
                    break;
                }
            }
            missing.append(&mut piece);
        }
        *waits = missing;
    }

    /// Asks once; the answer may be incomplete.
    fn ask_once(&self, sources: &mut Sources<H::Pollable>, waits: &mut Vec<Interest>, extra: Option<&H::Pollable>) {
        let mut pollables = Vec::with_capacity(waits.len() + 1);
        pollables.extend(waits.iter().map(|interest| &sources.slots[interest.key].pollable));
        pollables.extend(extra);
        let ready = self.host.poll(&pollables);
        for &index in &ready {
            if let Some(interest) = waits.get(index as usize) {
                sources.woken.extend(sources.slots[interest.key].waker.take());
            }
        }
        if !ready.is_empty() {
            waits.retain(|interest| sources.slots[interest.key].waker.is_some());
        }
    }
}

/// An event that a task may wait for, again and again. Its drop drops the pollable, and must come before the drop of the stream
/// or socket that the pollable belongs to.
pub(crate) struct Source<H: Host> {
    reactor: &'static Reactor<H>,
    key: usize,
}

impl<H: Host> Source<H> {
    /// A source for `pollable`.
    pub(crate) fn new(reactor: &'static Reactor<H>, pollable: H::Pollable) -> Self {
        let key = reactor.sources.borrow_mut().slots.insert(Slot { pollable, waker: None, number: 0 });
        Source { reactor, key }
    }

    /// Waits until the pollable is ready. The wait may end too early, but never too late.
    pub(crate) async fn ready(&self) {
        let mut is_waiting = false;
        let _cancel = OnDrop(|| self.reactor.sources.borrow_mut().slots[self.key].waker = None);
        poll_fn(|context| self.poll_ready(context, mem::replace(&mut is_waiting, true))).await;
    }

    /// Begins a wait, or goes on with one that `is_waiting`: the reactor wakes the task of `context` once the pollable is ready.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>, is_waiting: bool) -> Poll<()> {
        // The reactor takes the waker out when the pollable is ready. If the waker is still there, the pollable is not ready.
        let Sources { slots, waits, .. } = &mut *self.reactor.sources.borrow_mut();
        let slot = &mut slots[self.key];
        match &mut slot.waker {
            None if is_waiting => return Poll::Ready(()),
            Some(waker) => waker.clone_from(context.waker()),
            none => {
                *none = Some(context.waker().clone());
                *waits += 1;
                slot.number = *waits;
                let interest = Interest { key: self.key, number: *waits, since: self.reactor.now() };
                self.reactor.set.borrow_mut().insert(interest);
            }
        }
        Poll::Pending
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

/// Calls a function when it is dropped: at the end of a wait, or when the future that waits is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
