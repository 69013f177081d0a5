//! Chooses the pollables that the reactor asks the host about: the active ones at every wake-up, the idle ones in turn.
//!
//! To ask wasmtime about one pollable costs about 0.27 microseconds, ready or not, because the host keeps nothing between two
//! calls of `poll`. With 10,000 idle connections in every call, a program would do little else. So there are two lists:
//!
//! * **Hot**: waits that began less than [`HOT_FOR`] ago. A client that has just got a response will probably send its next
//!   request soon. Every call asks about all hot waits.
//! * **Cold**: older waits. The reactor *sweeps* them: it asks about [`SWEEP_PIECE`] of them at a time, without blocking, and so
//!   seldom that this takes a tenth of the time at most, and less on a host that answers faster: no more than one piece a
//!   millisecond. A cold connection that becomes ready starts a new wait, which is hot.
//!
//! So the cost of a wake-up depends on the active connections, plus a tenth. The reactor notices a ready cold connection after
//! one lap of the sweeps at the latest: about 40 milliseconds with 10,000 connections. If no wait is hot, or no source became
//! ready during a whole lap, one blocking call asks about all waits, without sweeps: an idle program uses no processor time.

use std::collections::VecDeque;

/// How many nanoseconds a wait is hot: half a second. This time must be long against one round under load, in which the server
/// serves each of thousands of busy connections once: it would notice a busy connection late that it takes for idle.
const HOT_FOR: u64 = 500_000_000;

/// How many cold waits one call asks about. Such a call takes about 70 microseconds.
const SWEEP_PIECE: usize = 256;

/// The share of the time for sweeps: one part in this number.
const SWEEP_SHARE: u64 = 10;

/// The least pause between two sweeps, in nanoseconds, for each piece: without it, few connections would be swept at every wake-up.
const LEAST_PAUSE: u64 = 1_000_000;

/// The longest pause between two sweeps, in nanoseconds: a sweep during which the machine was halted says nothing about the
/// next one.
const LONGEST_PAUSE: u64 = 20_000_000;

/// One wait of one task for one source.
#[derive(Clone, Copy)]
pub(crate) struct Interest {
    /// The source.
    pub(crate) key: usize,
    /// The number of this wait, among all waits so far. Another wait for the same source has another number, and so has a wait
    /// for another source in the same slot.
    pub(crate) number: u64,
    /// When the wait began, in nanoseconds.
    pub(crate) since: u64,
}

/// The hot and the cold waits. A wait that is over stays in its list until the next pass through the list.
#[derive(Default)]
pub(crate) struct PollSet {
    /// The hot waits, in the order in which they began.
    hot: Vec<Interest>,
    /// The cold waits, in the order in which they will be swept.
    cold: VecDeque<Interest>,
    /// When the last sweep ended, in nanoseconds.
    swept_at: u64,
    /// When the next sweep is due, in nanoseconds.
    due_at: u64,
    /// How many cold waits were swept since a source last became ready.
    quiet: usize,
}

impl PollSet {
    /// Adds a wait that has just begun.
    pub(crate) fn insert(&mut self, interest: Interest) {
        self.hot.push(interest);
    }

    /// Removes the hot waits that are over. Older hot waits become cold.
    pub(crate) fn cool_down(&mut self, now: u64, is_waiting: impl Fn(&Interest) -> bool) {
        self.hot.retain(|interest| {
            let is_hot = interest.since + HOT_FOR > now;
            if !is_hot && is_waiting(interest) {
                self.cold.push_back(*interest);
            }
            is_hot && is_waiting(interest)
        });
    }

    /// Makes all cold waits hot, if they are not over, to ask about all waits. [`cool_down`](PollSet::cool_down) undoes this.
    pub(crate) fn warm_up(&mut self, is_waiting: impl Fn(&Interest) -> bool) {
        self.hot.extend(self.cold.drain(..).filter(is_waiting));
    }

    /// The hot waits, to ask about them. The caller removes the ready ones.
    pub(crate) fn hot(&mut self) -> &mut Vec<Interest> {
        &mut self.hot
    }

    /// Notes that a source has become ready.
    pub(crate) fn note_activity(&mut self) {
        self.quiet = 0;
    }

    /// Whether no source became ready during a whole lap: then one call about all waits costs no more than a tenth of the time
    /// that the lap took.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet >= self.cold.len()
    }

    /// When the next sweep is due, in nanoseconds; `None` while no wait is cold.
    pub(crate) fn next_sweep(&self) -> Option<u64> {
        Some(self.due_at).filter(|_| !self.cold.is_empty())
    }

    /// Sweeps, if a sweep is due: asks about as many pieces of the cold waits as fit into a tenth of the time since the last
    /// sweep, at least one and at most one a millisecond, and about no wait twice. `ask` removes the ready waits from a piece, and
    /// returns the time; the others go behind the other cold waits.
    pub(crate) fn sweep<S>(
        &mut self,
        began_at: u64,
        sources: &mut S,
        is_waiting: impl Fn(&S, &Interest) -> bool,
        ask: impl Fn(&mut S, &mut Vec<Interest>) -> u64,
    ) {
        if self.next_sweep().is_none_or(|due_at| began_at < due_at) {
            return;
        }
        let since = began_at.saturating_sub(self.swept_at);
        let (mut left, mut pieces, mut now) = (self.cold.len(), 1, began_at);
        while left > 0 && now.saturating_sub(began_at) <= since / SWEEP_SHARE && pieces * LEAST_PAUSE <= since {
            let mut piece = Vec::with_capacity(left.min(SWEEP_PIECE));
            while left > 0 && piece.len() < SWEEP_PIECE {
                left -= 1;
                piece.extend(self.cold.pop_front().filter(|interest| is_waiting(sources, interest)));
            }
            pieces += 1;
            self.quiet += piece.len();
            now = ask(sources, &mut piece);
            self.cold.extend(piece);
        }
        // The longer this sweep took, the later the next one is due.
        let took = now.saturating_sub(began_at);
        self.swept_at = now;
        self.due_at = now + (took * (SWEEP_SHARE - 1)).clamp(LEAST_PAUSE, LONGEST_PAUSE);
    }
}
