//! See `tests/support/src/properties/body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hello_test_support::properties::body::hold(data));
