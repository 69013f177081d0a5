//! The world's simplest web server, as a WebAssembly component that opens its own sockets through WASI 0.2.
//!
//! Bytes flow one way:
//!
//! `hello_runtime::net` -> [`http::head`] -> [`hello`] -> [`http::response`] -> one write -> [`observers::log`]
//!
//! | module | its job |
//! |---|---|
//! | [`hello`] | makes the response: the one file to edit to change it |
//! | [`app`] | the application of both components: `hello.rs`, and the responses that HTTP itself prescribes |
//! | [`http`] | the protocol, pure: bytes in, facts out |
//! | [`net`] | the traits that the server needs: a listener, a stream, a runtime |
//! | [`events`] | the events, and the trait [`Observer`](events::Observer) |
//! | [`server`] | accepts connections, reads requests, sends responses, closes |
//! | [`observers`] | the access log, `--explain`, `--show-bytes` and `--events`: lines made of events |
//! | [`stream`] | bodies that are made while they are sent |
//! | `live` | the live page, with the feature of that name |
//! | [`options`] | the command line |
//! | [`advice`] | the cause and the advice for each error that keeps the server from listening |
//!
//! Only [`hello_runtime`] uses WASI: an async runtime that does not depend on this server.
//!
//! The second component, `src/bin/hello-http.rs`, has [`app`] and [`http`], and a host with `wasi:http` for everything else.

// Lets the examples in the comments of `hello.rs` also compile as code of that file.
extern crate self as hello_server;

pub mod advice;
pub mod app;
pub mod events;
pub mod hello;
pub mod http;
#[cfg(feature = "live")]
pub mod live;
pub mod net;
pub mod observers;
pub mod options;
pub mod server;
pub mod stream;
