//! The world's simplest web server, as a WebAssembly component that opens its own sockets through WASI 0.2.
//!
//! Bytes flow one way:
//!
//! `hello_runtime::net` -> [`http::head`] -> [`hello`] -> [`http::response`] -> one write -> [`observers::log`]
//!
//! | module | what it has |
//! |---|---|
//! | [`hello`] | what the server says: the one file to edit to say something else |
//! | [`app`] | what both components answer: `hello.rs`, and what HTTP itself prescribes |
//! | [`http`] | the protocol, pure: bytes in, facts out |
//! | [`net`] | the traits that the server needs: a listener, a stream, a runtime |
//! | [`events`] | the events, and the trait [`Observer`](events::Observer) |
//! | [`server`] | accepts connections, reads requests, sends responses, closes |
//! | [`observers`] | the access log, `--explain` and `--show-bytes`: lines made of events |
//! | [`options`] | the command line |
//! | [`advice`] | why the server cannot listen, and what helps |
//!
//! WASI is touched in [`hello_runtime`] only, an async runtime that does not know this server.
//!
//! The second component, `src/bin/hello-http.rs`, has [`app`] and [`http`], and a host with `wasi:http` for everything else.

// So that what `hello.rs` shows can stand in that file, too.
extern crate self as hello_server;

pub mod advice;
pub mod app;
pub mod events;
pub mod hello;
pub mod http;
pub mod net;
pub mod observers;
pub mod options;
pub mod server;
