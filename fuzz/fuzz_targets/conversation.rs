//! See `tests/support/src/properties/conversation.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hello_test_support::properties::conversation::hold(data));
