//! What the server holds and uses, second by second.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hello_test_support::PATIENCE;
use hello_test_support::process::{cpu_time, holdings};

use super::figures::slope;
use super::run::{Load, Phase};

/// What the server held at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) minutes: f64,
    pub(crate) descriptors: usize,
    pub(crate) resident: u64,
}

/// Looks every second at the memory and the descriptors of the server.
pub(crate) struct Watch {
    pid: u32,
    load: Arc<Load>,
    begun: Instant,
    next: Instant,
    /// What was seen while all were there.
    pub(crate) steady: Vec<Sample>,
}

impl Watch {
    /// Begins to look at this process.
    pub(crate) fn new(pid: u32, load: &Arc<Load>) -> Self {
        let now = Instant::now();
        Watch { pid, load: Arc::clone(load), begun: now, next: now, steady: Vec::new() }
    }

    /// What it holds now.
    pub(crate) fn look(&self) -> Sample {
        // Where nothing is told, nothing grows.
        let (descriptors, resident) = holdings(self.pid).unwrap_or_default();
        Sample { minutes: self.begun.elapsed().as_secs_f64() / 60.0, descriptors, resident }
    }

    /// Waits until it has no more descriptors than it had then.
    pub(crate) fn until_back(&mut self, then: Sample) {
        let pid = self.pid;
        let are_back = |_: &Load| holdings(pid).is_none_or(|(descriptors, _)| descriptors <= then.descriptors);
        self.until("all descriptors are back", are_back);
    }

    /// Waits until it is so.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&Load) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.load) {
            assert!(!self.load.has_failed(), "a thread has panicked above");
            assert!(begun.elapsed() < 2 * PATIENCE, "it never came that {what}: {:?}", self.look());
            let now = Instant::now();
            if now >= self.next {
                self.next = now + Duration::from_secs(1);
                if self.load.phase() == Phase::Steady {
                    self.steady.push(self.look());
                }
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Lets this time pass. Returns which part of it the server had a processor.
    pub(crate) fn pass(&mut self, time: Duration) -> f64 {
        let pid = self.pid;
        let used = || cpu_time(pid).unwrap_or_default();
        let (begun, before) = (Instant::now(), used());
        self.until("time passes", |_| begun.elapsed() >= time);
        (used() - before).as_secs_f64() / begun.elapsed().as_secs_f64()
    }
}

/// By how much memory (KiB) and descriptors grow in a minute.
pub(crate) fn growth(samples: &[Sample]) -> String {
    let by =
        |of: fn(&Sample) -> f64| slope(&samples.iter().map(|sample| (sample.minutes, of(sample))).collect::<Vec<_>>());
    let (resident, descriptors) = (by(|sample| sample.resident as f64), by(|sample| sample.descriptors as f64));
    format!("{resident:+.1} KiB/min, {descriptors:+.2} descriptors/min ({} samples)", samples.len())
}
