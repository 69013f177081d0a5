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

    /// Takes out all hot waits that are not over, to ask about them. Waits that are no longer hot become cold.
    pub(crate) fn take_hot(&mut self, now: u64, is_waiting: impl Fn(&Interest) -> bool) -> Vec<Interest> {
        let mut hot = std::mem::take(&mut self.hot);
        hot.retain(|interest| {
            let is_hot = interest.since + HOT_FOR > now;
            if !is_hot && is_waiting(interest) {
                self.cold.push_back(*interest);
            }
            is_hot && is_waiting(interest)
        });
        hot
    }

    /// Puts back those that were taken out and are not ready.
    pub(crate) fn restore_hot(&mut self, hot: Vec<Interest>) {
        self.hot = hot;
    }

    /// Takes out all cold waits that are not over.
    pub(crate) fn take_cold(&mut self, is_waiting: impl Fn(&Interest) -> bool) -> impl Iterator<Item = Interest> {
        self.cold.drain(..).filter(move |interest| is_waiting(interest))
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

    /// A sweep, if one is due.
    pub(crate) fn sweep(&self, now: u64) -> Option<Sweep> {
        self.next_sweep().filter(|&due_at| now >= due_at)?;
        Some(Sweep { left: self.cold.len(), began_at: now, most: now.saturating_sub(self.swept_at) / SWEEP_SHARE })
    }
}

/// One sweep: as many pieces as fit into a tenth of the time since the last one, and no wait twice.
pub(crate) struct Sweep {
    /// How many cold waits this sweep has not come to.
    left: usize,
    began_at: u64,
    /// How many nanoseconds it may take.
    most: u64,
}

impl Sweep {
    /// Takes the next piece out of the cold waits: the first one in any case, others as long as there is time left at `now`.
    pub(crate) fn next(
        &mut self,
        set: &mut PollSet,
        now: u64,
        is_waiting: impl Fn(&Interest) -> bool,
    ) -> Option<Vec<Interest>> {
        if self.left == 0 || now.saturating_sub(self.began_at) > self.most {
            return None;
        }
        let mut piece = Vec::with_capacity(self.left.min(SWEEP_PIECE));
        while self.left > 0 && piece.len() < SWEEP_PIECE {
            self.left -= 1;
            piece.extend(set.cold.pop_front().filter(&is_waiting));
        }
        set.quiet += piece.len();
        Some(piece)
    }

    /// Puts those of a piece that are not ready behind the other cold waits.
    pub(crate) fn restore(&self, set: &mut PollSet, piece: Vec<Interest>) {
        set.cold.extend(piece);
    }

    /// Ends the sweep. The longer it took, the later the next one is due.
    pub(crate) fn end(self, set: &mut PollSet, now: u64) {
        let took = now.saturating_sub(self.began_at);
        set.swept_at = now;
        set.due_at = now + (took * (SWEEP_SHARE - 1)).clamp(LEAST_PAUSE, LONGEST_PAUSE);
    }
}
