//! Whom the host is asked about, and when: who was active lately, at every wake-up; all others in turn.
//!
//! To ask costs about 0.27 microseconds for each pollable in the list, whether it is ready or not, because the host has
//! nothing that it keeps from one question to the next. Asked about 10,000 idle connections at every wake-up, it spends
//! nearly all of its time on them. So there are two lists:
//!
//! * **Hot** is who has begun to wait less than [`WARM`] ago. A client that has just been answered will probably speak
//!   again; and if it does, it is heard at the next wake-up.
//! * **Cold** is who waits for longer. They are asked about in pieces of [`PIECE`], without waiting, each piece so long
//!   after the one before that this takes a tenth of the time: a *sweep*. Who speaks becomes hot by that.
//!
//! So a wake-up costs what the active connections cost, and a tenth more. Who is cold waits, at worst, for a lap of the
//! sweeps: 10,000 of them take about 30 milliseconds. When nobody is hot, or nobody has spoken during a whole lap, all of
//! them are asked about in one question that waits for an answer: then nothing is swept, and no time of a processor is used.

use std::collections::VecDeque;

/// For how many nanoseconds one that waits is hot. It has to be long against a round under load, in which each of thousands
/// of busy connections is served once: who has been busy and is taken for idle is heard late. Half a second.
const WARM: u64 = 500_000_000;

/// How many of the cold ones are asked about at a time: that many take 70 microseconds, which delays nobody.
const PIECE: usize = 256;

/// Sweeps take one part of the time in so many.
const SHARE: u64 = 10;

/// How many nanoseconds there are between two sweeps at the least: with few connections they would come at every wake-up.
const LEAST_PAUSE: u64 = 1_000_000;

/// And at the most: a sweep during which the machine was halted says nothing of what the next one will take.
const MOST_PAUSE: u64 = 20_000_000;

/// Somebody waits for a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// Which source.
    pub(super) key: usize,
    /// Which of all waits there have been: a source that is waited for again is another wait, and so is another source
    /// in the same slot.
    pub(super) number: u64,
    /// When it began, in nanoseconds.
    pub(super) since: u64,
}

/// The two lists. A wait that is over stays where it is until it is come across.
#[derive(Debug, Default)]
pub(super) struct Heat {
    /// In the order in which they began.
    pub(super) hot: Vec<Wait>,
    /// In the order in which they will be asked about.
    pub(super) cold: VecDeque<Wait>,
    /// When the last sweep ended, and when the next one is due.
    swept: u64,
    due: u64,
    /// How many cold ones were asked about since somebody has spoken.
    quiet: usize,
}

impl Heat {
    /// A wait has begun.
    pub(super) fn begin(&mut self, wait: Wait) {
        self.hot.push(wait);
    }

    /// Leaves out of the hot ones who does not wait any more, and makes cold who has waited for long enough.
    pub(super) fn cool(&mut self, now: u64, waits: impl Fn(&Wait) -> bool) {
        let Heat { hot, cold, .. } = self;
        hot.retain(|wait| {
            let is_hot = wait.since + WARM > now;
            if !is_hot && waits(wait) {
                cold.push_back(*wait);
            }
            is_hot && waits(wait)
        });
    }

    /// Somebody has spoken.
    pub(super) fn spoken(&mut self) {
        self.quiet = 0;
    }

    /// Whether nobody has spoken for so long that it costs no more than a tenth of that time to ask about everybody.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet >= self.cold.len()
    }

    /// When the next sweep is due.
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// A sweep, if it is time for one: [pieces](Sweep::next) of the cold ones to ask about.
    pub(super) fn sweep(&self, now: u64) -> Option<Sweep> {
        let is_due = now >= self.due && !self.cold.is_empty();
        is_due.then(|| Sweep { left: self.cold.len(), begun: now, most: now.saturating_sub(self.swept) / SHARE })
    }

    /// The sweep is over.
    pub(super) fn swept(&mut self, sweep: &Sweep, now: u64) {
        let took = now.saturating_sub(sweep.begun);
        self.swept = now;
        self.due = now + (took * (SHARE - 1)).clamp(LEAST_PAUSE, MOST_PAUSE);
    }
}

/// One sweep: as many pieces as a tenth of the time since the last one is enough for, but nobody twice.
#[derive(Debug)]
pub(super) struct Sweep {
    left: usize,
    begun: u64,
    most: u64,
}

impl Sweep {
    /// The next piece, taken out of the cold ones: at least one, and then as long as there is time left at `now`.
    pub(super) fn next(&mut self, heat: &mut Heat, now: u64, waits: impl Fn(&Wait) -> bool) -> Option<Vec<Wait>> {
        if self.left == 0 || now.saturating_sub(self.begun) > self.most {
            return None;
        }
        let mut piece = Vec::with_capacity(self.left.min(PIECE));
        while self.left > 0 && piece.len() < PIECE {
            self.left -= 1;
            piece.extend(heat.cold.pop_front().filter(&waits));
        }
        heat.quiet += piece.len();
        Some(piece)
    }
}
