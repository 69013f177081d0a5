//! The world's simplest web server, as a WebAssembly component that opens its own sockets through WASI 0.2.

pub mod hello;
pub mod http;
pub mod options;
pub mod server;
