//! The program. `start.rs` does the work; a native build only prints that it is not for native use.

#[cfg(target_family = "wasm")]
mod page;
#[cfg(target_family = "wasm")]
mod start;

/// Starts the server.
#[cfg(target_family = "wasm")]
fn main() -> std::process::ExitCode {
    start::main()
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("hello-server: this is a WebAssembly component, built here as a native program");
    eprintln!("  start it with runner/serve, which builds it for wasm32-wasip2 and launches it");
    std::process::ExitCode::FAILURE
}
