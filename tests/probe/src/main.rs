//! Tries one thing that a host should control, and says in one line what came of it: `probe connect 127.0.0.1:80`.
//! The file `attempts.rs` has the list.

#[cfg(target_family = "wasm")]
mod attempts;
#[cfg(target_family = "wasm")]
mod sockets;

/// Does what the command line says. Exit code: 0 when it was allowed, 1 when it was refused.
#[cfg(target_family = "wasm")]
fn main() -> std::process::ExitCode {
    attempts::main()
}

/// Outside a component there is no host to probe.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("hello-probe: this is a WebAssembly component, built here as a native program");
    eprintln!("  the tests in tests/sandbox/ build it for wasm32-wasip2 and launch it");
    std::process::ExitCode::FAILURE
}
