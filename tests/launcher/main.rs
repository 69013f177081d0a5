//! The launcher from outside: `runner/serve` and `runner/client` on machines where something is set, missing or named in an
//! odd way, and `--watch`. A stand-in for cargo replaces builds of minutes and broken machines.
#![cfg(all(unix, not(target_family = "wasm")))]

mod counting;
mod kit;
mod machines;
mod pretended;
mod surroundings;
mod watching;
