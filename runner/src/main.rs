//! A strict sandbox for WebAssembly components that serve a socket: an embedding of wasmtime that grants single
//! addresses and nothing else, at a speed near that of a native program (`bench/` has the figures).
//!
//! | file | what lives there |
//! |---|---|
//! | `options` | the command line |
//! | `grants` | what the component is allowed, and the words for what is not |
//! | `denied` | the interfaces that grant nothing to any component: files, UDP, names |
//! | `http` | how a component sends requests: to the addresses that are granted, and nowhere else |
//! | `files` | the one folder that it finds, in which everything is refused |
//! | `cache` | compiled code, kept for the next start |
//! | `limits` | memory, handles, descriptors |
//! | `stdio` | the standard streams; the end of standard input tells the component to stop |
//! | `system` | what the system refuses, and the limit of this process that is behind it |
//! | `watch` | signals, and code that never pauses |
//! | `component` | reads and compiles the component, and finds out what it imports |
//! | `program` | links the component, asks what it needs, and runs it |
//! | `outcome` | how a component ended: its exit code, or cause and advice |
//! | `sandbox` | from the options to the exit code: each of these in its turn |

mod cache;
mod component;
mod denied;
mod files;
mod grants;
mod http;
mod limits;
mod options;
mod outcome;
mod program;
mod sandbox;
mod stdio;
mod system;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use hello_failure::report;

use options::{Command, HELP};
use stdio::NAME;

/// The host allocates for every call of the component, and this is quicker at that than what the system has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints, and ignores an output that was closed.
fn print(mut stream: impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// Exit codes: the component's own; 1 when it failed or was ended, 2 for a mistake in the command line, 128 and the
/// number of the signal when one ended it.
fn main() -> ExitCode {
    let code = run().unwrap_or_else(|error| {
        let report = report(NAME, &error);
        print(std::io::stderr(), &report.text);
        report.code
    });
    ExitCode::from(code)
}

/// Does what the command line asks for. Returns the exit code.
///
/// # Errors
/// What could not be told anywhere else.
fn run() -> anyhow::Result<u8> {
    match options::parse(std::env::args_os().skip(1))? {
        Command::Run(options) => return sandbox::run(&options),
        Command::Help => print(std::io::stdout(), HELP),
        Command::Version => print(std::io::stdout(), concat!("hello-runner ", env!("CARGO_PKG_VERSION"), "\n")),
    }
    Ok(0)
}
