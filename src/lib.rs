//! The world's simplest web server, as a WebAssembly component that opens its own sockets through WASI 0.2.
//!
//! Bytes flow one way through the house:
//!
//! `wasi::tcp` -> [`http::head`] -> [`hello`] -> [`http::response`] -> one write -> [`observers::log`]
//!
//! | room | what lives there |
//! |---|---|
//! | [`hello`] | what the server says: the one file to edit to say something else |
//! | [`site`] | what both doors ask: `hello.rs`, and what HTTP itself has an answer to |
//! | [`http`] | the protocol, pure: bytes in, facts out |
//! | [`server`] | the conversation: pick up, listen, answer, hang up |
//! | [`observers`] | who listens to what happens: the access log, and the two that explain |
//! | [`wasi`] | the only room that touches WASI: reactor, executor, sockets, clocks, output |
//! | [`options`] | the command line |
//!
//! The second door, `src/bin/hello-http.rs`, has [`site`] and [`http`], and an engine with `wasi:http` for everything else.

// So that what `hello.rs` shows can stand in that file, too.
extern crate self as hello_server;

pub mod advice;
pub mod events;
pub mod hello;
pub mod http;
pub mod net;
pub mod observers;
pub mod options;
pub mod server;
pub mod site;
