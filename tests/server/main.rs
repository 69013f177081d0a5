//! The component from outside: the real .wasm under a real host, with real clients, on free ports. The host is
//! `hello-runner`, or plain `wasmtime run` with `HELLO_HOST=wasmtime`.
#![cfg(not(target_family = "wasm"))]

mod beginnings;
mod clients;
mod events;
mod killed;
mod log;
mod output;
mod peers;
mod readme;
mod restart;
mod start;
mod told;
