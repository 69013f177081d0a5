//! The launcher from outside: `runner/serve` and `runner/client` on machines where something is set, missing or named in an odd
//! way, and `--watch`. Where it would take minutes to build, or a broken machine, a cargo takes part that only pretends.
#![cfg(all(unix, not(target_family = "wasm")))]

mod counting;
mod kit;
mod machines;
mod pretended;
mod surroundings;
mod watching;
