//! Few numbers for many measurements.

use std::fmt;
use std::time::Duration;

/// The number of parts of a power of two in a [`Latencies`]: the resulting numbers are 6 % too large at the most.
const PARTS: u32 = 16;

/// Latencies, counted by their length, so that their number does not matter.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    longest: Duration,
}

impl Latencies {
    /// Adds one latency.
    pub(crate) fn add(&mut self, latency: Duration) {
        let place = place(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.longest = self.longest.max(latency);
    }

    /// Adds all latencies of `other`.
    pub(crate) fn add_all(&mut self, other: &Latencies) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.longest = self.longest.max(other.longest);
    }

    /// The number of latencies.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest latency.
    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }

    /// The latency that this percentage of all latencies did not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let mut left = (self.count() as f64 * percent / 100.0).ceil() as u64;
        let place = self.counts.iter().position(|&count| {
            left = left.saturating_sub(count);
            left == 0
        });
        place.map_or(self.longest, |place| Duration::from_micros(least(place + 1).into()).min(self.longest))
    }

    /// The number of latencies between each power of two of microseconds and the next.
    pub(crate) fn histogram(&self) -> String {
        let mut text = String::new();
        for (power, counts) in self.counts.chunks(PARTS as usize).enumerate() {
            let count: u64 = counts.iter().sum();
            if count > 0 {
                let most = least((power + 1) * PARTS as usize);
                text +=
                    &format!("    < {:>9} {count:>9}\n", Milliseconds(Duration::from_micros(most.into())).to_string());
            }
        }
        text
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| Milliseconds(self.percentile(percent)));
        write!(f, "{} replies: p50 {p50}, p99 {p99}, p99.9 {p999}, max {}", self.count(), Milliseconds(self.longest))
    }
}

/// The index of the count for a number of microseconds: below [`PARTS`] the number itself, and from there on by its first
/// five binary digits.
fn place(micros: u32) -> usize {
    match micros.checked_ilog2().and_then(|log| log.checked_sub(PARTS.ilog2())) {
        None => micros as usize,
        Some(shift) => (PARTS * (shift + 1) + (micros >> shift) - PARTS) as usize,
    }
}

/// The least number of microseconds at this index.
fn least(place: usize) -> u32 {
    let place = place as u32;
    match (place / PARTS).checked_sub(1) {
        None => place,
        Some(shift) => (PARTS + place % PARTS).checked_shl(shift).unwrap_or(u32::MAX),
    }
}

/// A time in milliseconds, for printing.
pub(crate) struct Milliseconds(pub(crate) Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.0.as_secs_f64() * 1000.0)
    }
}

/// The growth in each unit of time: the slope of the line that fits best, by least squares. `points` are times, and the
/// values at these times.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x).powi(2))
    });
    if below == 0.0 { 0.0 } else { above / below }
}

#[test]
fn each_number_is_counted_where_it_is_found_again() {
    for micros in (0..5000).chain([1_000_000, u32::MAX / 2, u32::MAX]) {
        let place = place(micros);
        assert!(least(place) <= micros, "{micros}");
        assert!(micros == u32::MAX || micros < least(place + 1), "{micros}");
    }
    let mut latencies = Latencies::default();
    (1..=1000).for_each(|micros| latencies.add(Duration::from_micros(micros)));
    let p99 = latencies.percentile(99.0).as_micros();
    assert!((990..=990 * 17 / 16).contains(&p99), "{p99}");
    assert_eq!(latencies.percentile(100.0), latencies.longest());
}

#[test]
fn the_slope_is_that_of_the_line_that_fits_best() {
    assert_eq!(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), 2.0);
    assert_eq!(slope(&[(0.0, 5.0), (1.0, 9.0), (2.0, 5.0)]), 0.0);
    assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
}
