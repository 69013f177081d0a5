//! Random sequences of calls and of what peers do, against a model of the sockets. A fuzzer and a test read the sequences from bytes.
//!
//! | file | contents |
//! |---|---|
//! | `mod` | runs a sequence: each handle, source and descriptor is gone at its end |
//! | `world` | the host and its component, and what they do in a step |
//! | `sockets` | how far each socket has come, and so the error of each call |
//! | `connections` | connect, accept, shut down |
//! | `streams`, `pollables` | the calls of `wasi:io` |
//! | `lines` | the bytes of a connection, and its peer, a socket of the system |
//!
//! The model allows more than one result where the time decides: whether a byte has come, for example. A call that may wait is
//! made only if the model knows that the wait ends. A watchdog ends the process, and prints the sequence, if it does not.

mod connections;
mod lines;
mod pollables;
mod sockets;
mod streams;
mod world;

use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use world::{Choices, MOST, SMALL, World};

/// The time that one sequence may take, which is far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the sequence that `data` describes.
///
/// # Panics
/// The host breaks a rule.
pub(crate) fn hold(data: &[u8]) {
    watchdog(Some(data));
    let before = descriptors();
    let mut choices = Choices(data.iter());
    let kind = choices.number();
    let is_cut_off = kind.is_multiple_of(8);
    let mut world = World::new(kind > 64);
    while let Some(choice) = choices.next() {
        world.step(choice, &mut choices);
    }
    match is_cut_off {
        // A trap ends a component like this.
        true => drop(world),
        false => world.end(),
    }
    assert_eq!(descriptors(), before, "the host has kept a descriptor, or closed one of another");
    watchdog(None);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("the list of Linux").count()
}

/// Watches over this sequence from now on.
fn watchdog(sequence: Option<&[u8]>) {
    static WATCHED: Mutex<Option<(Instant, Vec<u8>)>> = Mutex::new(None);
    static START: Once = Once::new();
    let watched = || WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let watch = move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if let Some((begin, sequence)) = &*watched()
                && begin.elapsed() > PATIENCE
            {
                // A test keeps what `eprintln!` prints, and this is its end.
                let _ = writeln!(std::io::stderr(), "this sequence does not end: {sequence:?}");
                std::process::abort();
            }
        }
    };
    START.call_once(|| _ = std::thread::spawn(watch));
    *watched() = sequence.map(|sequence| (Instant::now(), sequence.to_vec()));
}

/// The name of the test below.
#[cfg(test)]
const ALONE: &str = "net::sequences::in_a_process_of_its_own";

/// Descriptors are counted, so no other test may run beside this one.
#[test]
#[ignore = "the next test runs it"]
fn in_a_process_of_its_own() {
    let mut state = 22_u64;
    // The generator SplitMix64.
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for _ in 0..3000 {
        let length = random() % 600;
        let sequence: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        let held = std::panic::catch_unwind(|| hold(&sequence));
        assert!(held.is_ok(), "this sequence breaks a rule: {sequence:?}");
    }
}

#[test]
fn random_sequences_of_calls_keep_to_the_model() {
    let mut test = std::process::Command::new(std::env::current_exe().expect("the path of the tests"));
    let output = test.args(["--exact", ALONE, "--ignored"]).output().expect("run the test");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
