//! The component from outside: the real .wasm under the real wasmtime, with real clients, on free ports.
#![cfg(not(target_family = "wasm"))]

mod clients;
mod component;
mod peers;
mod readme;
mod start;
mod support;
