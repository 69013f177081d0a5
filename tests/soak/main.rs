//! The soak test: the component under a real host, with honest clients beside hundreds of hostile ones, at the limits and
//! with floods.
//!
//! The short form takes half a minute, and is one of the tests: `cargo test --test soak`. The full form has 1,000 hostile
//! peers at a time, runs for the given number of minutes, and prints its measurements. Only an idle machine can measure
//! latencies:
//!
//! ```console
//! $ HELLO_SOAK_MINUTES=20 cargo test --release --locked --test soak nothing_that -- --nocapture
//! ```
//!
//! `HELLO_HOST=wasmtime` runs either form under plain `wasmtime run`.
//!
//! | file | content |
//! |---|---|
//! | `run` | the course of the test, and its checks |
//! | `honest` | clients that check every byte they get |
//! | `hostile` | hostile peers, and the end of the connection for each kind |
//! | `log` | a reader of the access log that knows the expected lines |
//! | `watch` | the resources of the server |
//! | `figures` | latencies, slopes |
//! | `floods` | more connections than permits, descriptors, or backlog |
#![cfg(all(unix, not(target_family = "wasm")))]

mod figures;
mod floods;
mod honest;
mod hostile;
mod log;
mod run;
mod watch;
