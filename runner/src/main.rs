//! A strict sandbox for WebAssembly components that serve a socket: an embedding of wasmtime that grants single
//! addresses and nothing else, at a speed near that of a native program (`bench/` has the figures).
//!
//! | file | what lives there |
//! |---|---|
//! | `options` | the command line |
//! | `grants` | what the component is allowed, and the words for what is not |
//! | `denied` | the doors that are closed for every component: files, UDP, names |
//! | `http` | how a component sends requests: to the addresses that are granted, and nowhere else |
//! | `files` | the one folder that it finds, in which everything is refused |
//! | `cache` | compiled code, kept for the next start |
//! | `limits` | memory, handles, descriptors |
//! | `stdio` | the standard streams; the end of standard input tells the component to stop |
//! | `watch` | signals, and code that never pauses |
//! | `sandbox` | puts it all together and runs the component |

mod cache;
mod denied;
mod files;
mod grants;
mod http;
mod limits;
mod options;
mod sandbox;
mod stdio;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use options::{Command, HELP};
use stdio::Output;

/// The host allocates for every call of the component, and this is quicker at that than what the system has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a component could not be run, or was ended: for the one who started it.
struct Failure {
    /// One line; none when there is nothing to say.
    cause: String,
    /// What to do about it.
    advice: String,
    /// Where in the component's code, if that was asked for.
    place: Option<String>,
    /// The exit code.
    code: u8,
}

impl Failure {
    fn new(cause: impl Into<String>, advice: impl Into<String>) -> Self {
        Failure { cause: cause.into(), advice: advice.into(), place: None, code: 1 }
    }

    /// An end that was asked for.
    fn silent(code: u8) -> Self {
        Failure { cause: String::new(), advice: String::new(), place: None, code }
    }

    /// Says it, and returns the exit code.
    fn tell(&self, stderr: &Output) -> u8 {
        stderr.say(&self.words());
        self.code
    }

    /// What there is to say.
    fn words(&self) -> String {
        if self.cause.is_empty() {
            return String::new();
        }
        let place = self.place.iter().map(|place| format!("{}\n", place.trim_end())).collect::<String>();
        format!("hello-runner: {}\n  {}\n{place}", self.cause, self.advice)
    }
}

/// Prints where nothing else does. Whether anybody reads it changes nothing.
fn print(mut stream: impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// Exit codes: the component's own; 1 when it failed or was ended, 2 for a mistake in the command line, 128 and the
/// number of the signal when one ended it.
fn main() -> ExitCode {
    match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(options)) => ExitCode::from(sandbox::run(&options)),
        Ok(Command::Help) => {
            print(std::io::stdout(), HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            print(std::io::stdout(), concat!("hello-runner ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            print(std::io::stderr(), &format!("hello-runner: {error}; see --help\n"));
            ExitCode::from(2)
        }
    }
}
