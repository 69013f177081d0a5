//! What a process holds and uses, as Linux tells it.

use std::fs;
use std::time::Duration;

/// How much of a second `/proc` counts as one tick.
const TICK: Duration = Duration::from_millis(10);

/// How many descriptors a process has open, and how much memory it holds, in KiB.
pub fn holdings(pid: u32) -> Option<(usize, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = resident.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some((descriptors, kib))
}

/// For how long it has used a processor so far.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may be anything, stands in parentheses; the first field behind it is the third.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((ticks()? + ticks()?) * TICK)
}
