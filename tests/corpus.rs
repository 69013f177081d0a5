//! Checks every file that `fuzz/` has kept, without a fuzzer, so that a fixed fault stays fixed. See `fuzz/README.md`.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use hello_test_support::properties;

/// Runs `check` on each file in the corpus of `target`.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut tried = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("it can be read");
        assert!(catch_unwind(|| check(&bytes)).is_ok(), "{} breaks a rule: see above", path.display());
        tried += 1;
    }
    assert!(tried > 0, "{} is empty", folder.display());
    println!("{tried} files");
}

#[test]
fn a_head_is_the_same_in_pieces_and_as_strict_as_it_should_be() {
    replay("head", properties::head::hold);
}

#[test]
fn a_body_ends_where_it_should_however_it_comes() {
    replay("body", properties::body::hold);
}

#[test]
fn a_conversation_is_in_order_whatever_the_peer_does() {
    replay("conversation", properties::conversation::hold);
}
