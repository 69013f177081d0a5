//! What holds for whatever a peer sends. Each of these takes any bytes at all, and panics where a rule is broken: `fuzz/`
//! looks for bytes that break one, and `tests/corpus.rs` tries all those that were worth keeping.

pub mod body;
pub mod conversation;
pub mod head;
mod notation;
mod replies;
