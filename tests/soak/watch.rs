//! The resources of the server, second by second.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hello_test_support::PATIENCE;
use hello_test_support::process::{cpu_time, holdings};

use super::figures::slope;
use super::run::{Load, Phase};

/// The resources of the server at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) minutes: f64,
    pub(crate) descriptors: usize,
    pub(crate) resident: u64,
}

/// An observer that samples the memory and the descriptors of the server every second.
pub(crate) struct Watch {
    pid: u32,
    load: Arc<Load>,
    begun: Instant,
    next: Instant,
    /// The samples of the steady phases.
    pub(crate) steady: Vec<Sample>,
}

impl Watch {
    /// Begins to observe this process.
    pub(crate) fn new(pid: u32, load: &Arc<Load>) -> Self {
        let now = Instant::now();
        Watch { pid, load: Arc::clone(load), begun: now, next: now, steady: Vec::new() }
    }

    /// The current resources.
    pub(crate) fn look(&self) -> Sample {
        // If the system reports nothing, nothing grows.
        let (descriptors, resident) = holdings(self.pid).unwrap_or_default();
        Sample { minutes: self.begun.elapsed().as_secs_f64() / 60.0, descriptors, resident }
    }

    /// Waits until the server has no more descriptors than at the time of `then`.
    pub(crate) fn until_back(&mut self, then: Sample) {
        let pid = self.pid;
        let are_back = |_: &Load| holdings(pid).is_none_or(|(descriptors, _)| descriptors <= then.descriptors);
        self.until("all descriptors are back", are_back);
    }

    /// Waits until the condition is true.
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

    /// Waits for this time. Returns the part of the time in which the server used a processor.
    pub(crate) fn pass(&mut self, time: Duration) -> f64 {
        let pid = self.pid;
        let used = || cpu_time(pid).unwrap_or_default();
        let (begun, before) = (Instant::now(), used());
        self.until("time passes", |_| begun.elapsed() >= time);
        (used() - before).as_secs_f64() / begun.elapsed().as_secs_f64()
    }
}

/// The growth of memory (KiB) and descriptors in a minute.
pub(crate) fn growth(samples: &[Sample]) -> String {
    let by =
        |of: fn(&Sample) -> f64| slope(&samples.iter().map(|sample| (sample.minutes, of(sample))).collect::<Vec<_>>());
    let (resident, descriptors) = (by(|sample| sample.resident as f64), by(|sample| sample.descriptors as f64));
    format!("{resident:+.1} KiB/min, {descriptors:+.2} descriptors/min ({} samples)", samples.len())
}
