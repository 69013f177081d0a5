//! What holds for whatever a peer sends. Each of these takes any bytes at all, and panics where a rule is broken: `fuzz/`
//! looks for bytes that break one, and `tests/corpus.rs` tries all those that were worth keeping.
#![allow(dead_code, reason = "not everybody looks at everything")]

pub(crate) mod body;
pub(crate) mod conversation;
pub(crate) mod head;
#[path = "../memory.rs"]
mod memory;
mod notation;
mod replies;
