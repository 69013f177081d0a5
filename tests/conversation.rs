//! One conversation in memory, from every side: how what a peer says is cut into pieces, and where it stops, changes nothing
//! but what it must.
#![cfg(not(target_family = "wasm"))]

#[path = "support/memory.rs"]
mod memory;

use hello_server::server::{Ending, Limits};
use memory::{Step, play};

#[test]
fn who_finishes_in_the_middle_of_a_request_is_told_so() {
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for length in 1..request.len() {
        let outcome = play([Step::Bytes(request[..length].to_vec()), Step::Finish], &Limits::default());
        assert_eq!(outcome.ending, Some(Ending::Answered), "{length}");
        assert_eq!(outcome.answered[0].status, 400, "{length}");
        assert!(outcome.said.starts_with(b"HTTP/1.1 400 "), "{length}");
    }
}
