//! See `runner/src/net/sequences/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hello_runner_fuzzing::hold(data));
