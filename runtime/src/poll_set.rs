//! Which pollables the host is asked about, and when: the active ones at every wake-up, the idle ones in turn.
//!
//! To ask about one pollable costs about 0.27 microseconds, ready or not, because the host keeps nothing between two
//! calls of `poll`. With 10,000 idle connections in every call, a program would do little else. So there are two lists:
//!
//! * **Hot**: waits that began less than [`HOT_FOR`] ago. A client that has just been answered will probably send its next
//!   request soon. Every call asks about all hot waits.
//! * **Cold**: older waits. The reactor asks about them in pieces of [`SWEEP_PIECE`], without blocking, and so seldom that
//!   this takes a tenth of the time: a *sweep*. A cold connection that becomes ready starts a new wait, which is hot.
//!
//! So a wake-up costs what the active connections cost, plus a tenth. A cold connection is noticed after one lap of the
//! sweeps at the latest: about 30 milliseconds with 10,000 of them. When no wait is hot, or no source became ready during a
//! whole lap, one blocking call asks about all of them: then nothing is swept, and an idle program uses no processor time.

use std::collections::VecDeque;

/// For how many nanoseconds a wait is hot: half a second. This has to be long against one round under load, in which each of
/// thousands of busy connections is served once: a busy connection that is taken for idle is noticed late.
const HOT_FOR: u64 = 500_000_000;

/// How many cold waits are asked about in one call. That takes about 70 microseconds.
const SWEEP_PIECE: usize = 256;

/// Sweeps take one part in so many of the time.
const SWEEP_SHARE: u64 = 10;

/// The least pause between two sweeps, in nanoseconds: with few connections they would come at every wake-up.
const LEAST_PAUSE: u64 = 1_000_000;

/// The longest pause between two sweeps, in nanoseconds: a sweep during which the machine was halted says nothing about the
/// next one.
const LONGEST_PAUSE: u64 = 20_000_000;

/// One wait of one task for one source.
#[derive(Clone, Copy)]
pub(crate) struct Interest {
    /// The source.
    pub(crate) key: usize,
    /// Which wait this is, of all waits there have been. A source that is waited for again is another wait, and so is another
    /// source in the same slot.
    pub(crate) number: u64,
    /// When the wait began, in nanoseconds.
    pub(crate) since: u64,
}

/// The hot and the cold waits. A wait that is over stays in its list until the list is next looked through.
#[derive(Default)]
pub(crate) struct PollSet {
    /// In the order in which they began.
    hot: Vec<Interest>,
    /// In the order in which they will be asked about.
    cold: VecDeque<Interest>,
    /// When the last sweep ended, in nanoseconds.
    swept_at: u64,
    /// When the next sweep is due, in nanoseconds.
    due_at: u64,
    /// How many cold waits were asked about since a source last became ready.
    quiet: usize,
}

impl PollSet {
    /// Adds a wait that has just begun.
    pub(crate) fn insert(&mut self, interest: Interest) {
        self.hot.push(interest);
    }

    /// Forgets the hot waits that are over. Waits that are no longer hot become cold.
    pub(crate) fn cool_down(&mut self, now: u64, is_waiting: impl Fn(&Interest) -> bool) {
        self.hot.retain(|interest| {
            let is_hot = interest.since + HOT_FOR > now;
            if !is_hot && is_waiting(interest) {
                self.cold.push_back(*interest);
            }
            is_hot && is_waiting(interest)
        });
    }

    /// Makes all cold waits that are not over hot, to ask about all waits. Which of them are cold will turn out the next time.
    pub(crate) fn warm_up(&mut self, is_waiting: impl Fn(&Interest) -> bool) {
        self.hot.extend(self.cold.drain(..).filter(is_waiting));
    }

    /// The hot waits, to ask about them. Those that are ready are to be taken out.
    pub(crate) fn hot(&mut self) -> &mut Vec<Interest> {
        &mut self.hot
    }

    /// A source has become ready.
    pub(crate) fn note_activity(&mut self) {
        self.quiet = 0;
    }

    /// Whether no source became ready during a whole lap: then one call that asks about all waits costs no more than a tenth of
    /// the time that has passed since.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet >= self.cold.len()
    }

    /// When the next sweep is due, in nanoseconds; none while no wait is cold.
    pub(crate) fn next_sweep(&self) -> Option<u64> {
        Some(self.due_at).filter(|_| !self.cold.is_empty())
    }

    /// Sweeps, if that is due: takes as many pieces out of the cold waits as fit into a tenth of the time since the last sweep, at least
    /// one, and no wait twice. `ask` takes those that are ready out of a piece, and returns the time; the others go behind the
    /// cold waits that are left.
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
        let most = began_at.saturating_sub(self.swept_at) / SWEEP_SHARE;
        let (mut left, mut now) = (self.cold.len(), began_at);
        while left > 0 && now.saturating_sub(began_at) <= most {
            let mut piece = Vec::with_capacity(left.min(SWEEP_PIECE));
            while left > 0 && piece.len() < SWEEP_PIECE {
                left -= 1;
                piece.extend(self.cold.pop_front().filter(|interest| is_waiting(sources, interest)));
            }
            self.quiet += piece.len();
            now = ask(sources, &mut piece);
            self.cold.extend(piece);
        }
        // The longer it took, the later the next one is due.
        let took = now.saturating_sub(began_at);
        self.swept_at = now;
        self.due_at = now + (took * (SWEEP_SHARE - 1)).clamp(LEAST_PAUSE, LONGEST_PAUSE);
    }
}
