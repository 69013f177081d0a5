//! What `fuzz/` calls: see `net/sequences/`.
#![cfg(feature = "fuzzing")]
#![allow(dead_code, reason = "the program uses the rest")]

mod audit;
mod grants;
mod limits;
mod net;
mod options;
mod stdio;
mod system;
mod turns;

/// Runs the sequence of calls that `data` describes.
///
/// # Panics
/// The host breaks a rule.
#[cfg(target_os = "linux")]
pub fn hold(data: &[u8]) {
    net::sequences::hold(data);
}
