//! The program behind `runner/serve`, `runner/client` and `runner/test`, and behind `cargo serve`, `cargo client` and
//! `cargo test-all`: builds the programs that are needed, and becomes one of them. Without wasmtime in it, it builds in seconds.
//!
//! | file | contents |
//! |---|---|
//! | `serve`, `client`, `check`, `test`, `kit`, `tab` | one subcommand each |
//! | `example` | `serve --one-page` and `serve --step N` |
//! | `cargo` | the programs of this project, and how cargo builds them |
//! | `host` | the programs that run a component, their grants and their arguments |
//! | `relay` | the messages of `wasmtime serve`, in the words of this project |
//! | `watch` | `--watch`: builds and replaces the server when the source changes |
//! | `process` | becomes another program, and turns the end of one into an exit code |

mod cargo;
mod check;
mod client;
mod example;
mod host;
mod kit;
mod process;
mod relay;
mod serve;
mod tab;
mod test;
mod watch;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use hello_failure::{Failure, report};

/// A subcommand: its name, the label of its messages, and its function, which takes the words behind the name.
type Subcommand = (&'static str, &'static str, fn(Vec<OsString>) -> anyhow::Result<u8>);

const SUBCOMMANDS: [Subcommand; 7] = [
    ("serve", "runner/serve", serve::run),
    ("client", "runner/client", client::run),
    ("check", "runner/check", check::run),
    ("test", "runner/test", test::run),
    ("kit", "runner/kit", kit::run),
    ("tab", "runner/tab", tab::run),
    // The program that `serve --http` starts beside `wasmtime serve`.
    (relay::NAME, "runner/serve", relay::run),
];

/// An end with this exit code, whose reason another program has printed.
#[derive(Debug)]
struct Told(u8);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Told {}

/// Prints to standard output. A closed pipe is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints to standard error. A closed pipe is no error.
fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Runs a subcommand. Exit codes: those of the program that this one becomes; 1 when it cannot, 2 for a mistake in the command
/// line.
fn main() -> ExitCode {
    let mut words: VecDeque<OsString> = std::env::args_os().skip(1).collect();
    // In a kit the name of this program is the subcommand. Elsewhere, and when it starts itself, the first word is.
    let name = kit::name().filter(|_| words.front().is_none_or(|word| word != relay::NAME));
    let name = name.unwrap_or_else(|| words.pop_front().unwrap_or_default());
    let Some((_, label, run)) = SUBCOMMANDS.into_iter().find(|(known, ..)| name == *known) else {
        print_error(
            "hello-launcher: start it with runner/serve, runner/client, runner/check, runner/test, runner/kit or runner/tab\n",
        );
        return ExitCode::from(2);
    };
    let code = enter_project().and_then(|()| run(words.into())).unwrap_or_else(|error| {
        if let Some(&Told(code)) = error.downcast_ref() {
            return code;
        }
        let report = report(label, &error);
        print_error(&report.text);
        report.code
    });
    ExitCode::from(code)
}

/// Changes to the top folder of the project, which is the current folder or one above. A kit needs no folder.
fn enter_project() -> anyhow::Result<()> {
    if kit::folder().is_some() {
        return Ok(());
    }
    let here = std::env::current_dir().context("there is no current folder")?;
    let is_top = |folder: &&std::path::Path| folder.join("runner/launcher/Cargo.toml").is_file();
    let top = here.ancestors().find(is_top);
    let top = top.ok_or_else(|| Failure::new("this is not the folder of the project", "go there, and try again"))?;
    std::env::set_current_dir(top).with_context(|| top.display().to_string())
}
