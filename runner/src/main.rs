//! A strict sandbox for WebAssembly components that serve a socket: an embedding of wasmtime that grants single
//! addresses and nothing else, at a speed near that of a native program (`bench/` has the figures).
//!
//! | file | contents |
//! |---|---|
//! | `options` | the command line |
//! | `grants` | the addresses that are granted, and the messages about refusals |
//! | `denied` | the interfaces that grant nothing to any component: files, UDP, names |
//! | `http` | sends requests of a component, to the addresses that are granted only |
//! | `files` | the one folder of a component, in which every use is refused |
//! | `cache` | compiled code, kept for the next start |
//! | `net` | sockets, streams, and everything that a component waits for |
//! | `refused` | the interfaces that grant nothing, beside `net` |
//! | `limits` | memory, handles, descriptors |
//! | `audit` | `--audit`: the list of what the component asks of the sandbox |
//! | `stdio` | the standard streams; the end of standard input asks the component to stop |
//! | `system` | errors of the system, and the limits of this process behind them |
//! | `watch` | signals, and code that never pauses |
//! | `component` | reads and compiles the component, and lists its imports |
//! | `program` | links the component, asks for its needs, and runs it |
//! | `outcome` | the exit code of a component, or cause and advice |
//! | `sandbox` | runs all of these in order, from the options to the exit code |

mod audit;
mod cache;
mod component;
mod grants;
mod host;
mod http;
mod instances;
mod limits;
mod net;
mod options;
mod outcome;
mod program;
mod refused;
mod sandbox;
mod signals;
mod stdio;
mod system;
mod turns;
mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use hello_failure::report;

use options::{Command, HELP};
use stdio::NAME;

/// The allocator. The host allocates for every call of the component, and mimalloc is faster than the allocator of the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints `text`, and ignores an output that was closed.
fn print(mut stream: impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// Runs the command line. Exit codes: that of the component; 1 when it failed or was ended, 2 for a mistake in the command
/// line, 128 plus the number of the signal when a signal ended it.
fn main() -> ExitCode {
    let started = Instant::now();
    let code = run(started).unwrap_or_else(|error| {
        let report = report(NAME, &error);
        print(std::io::stderr(), &report.text);
        report.code
    });
    ExitCode::from(code)
}

/// Runs the command of the command line; this process has `started` then. Returns the exit code.
///
/// # Errors
/// The command line is wrong, or the process has too little address space, or no thread that could print an error.
fn run(started: Instant) -> anyhow::Result<u8> {
    match options::parse(std::env::args_os().skip(1))? {
        Command::Run(options) => return sandbox::run(&options, started),
        Command::Help => print(std::io::stdout(), HELP),
        Command::Version => print(std::io::stdout(), concat!("hello-runner ", env!("CARGO_PKG_VERSION"), "\n")),
    }
    Ok(0)
}
