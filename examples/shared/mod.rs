//! The parts that the programs of this folder share and none of them is about: the command line, URLs, the end of a
//! response, the screen, and the error messages.
#![allow(dead_code, reason = "not every program needs everything")]

pub(crate) mod arguments;
pub(crate) mod response;
pub(crate) mod screen;
pub(crate) mod url;

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use hello_failure::{Failure, report};

use arguments::Arguments;
use url::Url;

/// Calls the URL of the command line with `call`; with `--check-options`, prints the grants that this call needs.
pub(crate) fn run(name: &str, call: impl FnOnce(&Url) -> anyhow::Result<()>) -> ExitCode {
    exit(name, || {
        let arguments = Arguments::parse(std::env::args_os().skip(1))?;
        let url = arguments.url()?;
        if !arguments.check {
            return call(&url);
        }
        for address in &url.addresses {
            writeln!(io::stdout(), "connect {address}")?;
        }
        Ok(())
    })
}

/// Runs `main`, prints its error once, and returns the exit code.
///
/// An I/O error without a message of ours is one of printing. A closed pipe is no failure: the program that reads the output
/// of this one, such as `head -1`, has read enough.
pub(crate) fn exit(name: &str, main: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    let Err(error) = main() else {
        return ExitCode::SUCCESS;
    };
    let error = match error.downcast::<io::Error>() {
        Ok(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Ok(error) => {
            Failure::new(format!("cannot print: {error}"), "standard output takes no more: is the disk full?").into()
        }
        Err(error) => error,
    };
    let report = report(name, &error);
    eprint!("{}", report.text);
    ExitCode::from(report.code)
}
