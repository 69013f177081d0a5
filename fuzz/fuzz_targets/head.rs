//! See `tests/support/src/properties/head.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hello_test_support::properties::head::hold(data));
