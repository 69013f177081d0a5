//! Nothing brings it down: the component under a real host, with honest clients beside hundreds of hostile ones, full
//! tables and floods.
//!
//! The short form takes half a minute, and is one of the tests: `cargo test --test soak`. The full one has 1,000 hostile
//! peers at a time, goes on for as many minutes as it is told to, and prints what it has measured. It takes an idle machine
//! to measure latencies:
//!
//! ```console
//! $ HELLO_SOAK_MINUTES=20 cargo test --release --locked --test soak nothing_that -- --nocapture
//! ```
//!
//! `HELLO_HOST=wasmtime` has either of them under plain `wasmtime run`.
//!
//! | file | what is there |
//! |---|---|
//! | `run` | the course of it, and what has to be true |
//! | `honest` | clients that check every byte they get |
//! | `hostile` | peers that one would rather not have, and how the server gets rid of each kind |
//! | `log` | who reads the access log, and knows what must stand there |
//! | `watch` | what the server holds and uses |
//! | `figures` | latencies, slopes |
//! | `floods` | more callers than places, descriptors, or room in line |
#![cfg(all(unix, not(target_family = "wasm")))]

mod figures;
mod floods;
mod honest;
mod hostile;
mod log;
mod run;
mod watch;
