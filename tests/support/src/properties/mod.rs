//! The rules that hold for all bytes that a peer may send. Each of these functions takes any bytes, and panics if a rule is
//! broken: `fuzz/` looks for bytes that break a rule, and `tests/corpus.rs` tries all bytes that were worth keeping.

pub mod body;
pub mod conversation;
pub mod head;
mod notation;
mod replies;
