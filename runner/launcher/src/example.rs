//! `serve --one-page` and `serve --step N`: the programs of `docs/steps.md`, which have no option but the port.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use hello_failure::Failure;
use hello_failure::option::{self, number};

use crate::cargo::STEPS;
use crate::host::{self, Host};
use crate::print_error;

/// The number of the lecture's server among the [`STEPS`].
pub(crate) const ONE_PAGE: usize = 0;

/// Reads the value of `--step`.
pub(crate) fn step(value: Option<OsString>) -> Result<usize, Failure> {
    let last = STEPS.len() as u64 - 1;
    Ok(option::parse(&value.unwrap_or_default(), number("--step", 1..=last))? as usize)
}

/// The option that chooses this program.
pub(crate) fn option(step: usize) -> &'static str {
    if step == ONE_PAGE { "--one-page" } else { "--step" }
}

/// The failure for an option that these programs do not have.
pub(crate) fn has_no(option: &str) -> Failure {
    let cause = "does not go with --one-page or --step: --port, --quiet, --wasmtime, --instances, --max-memory, --max-turn and --audit do";
    Failure::see_help(format_args!("{option} {cause}"))
}

/// Reads the words that are not for the launcher: one `--port N`, or nothing. Returns the port.
pub(crate) fn port(words: &[OsString]) -> Result<u16, Failure> {
    use lexopt::prelude::*;

    let mut port = 9000;
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("port") => port = option::parse(&parser.value()?, number("--port", 0..=65_535))? as u16,
            Long(name) => return Err(has_no(&format!("--{name}"))),
            Short(name) => return Err(has_no(&format!("-{name}"))),
            Value(word) => return Err(has_no(&word.to_string_lossy())),
        }
    }
    Ok(port)
}

/// The command that runs `component` on `host`, which lets it listen on this port of this machine.
pub(crate) fn start(
    component: &Path,
    port: u16,
    host: Host,
    quiet: bool,
    options: &[OsString],
) -> anyhow::Result<Command> {
    if host == Host::Sandbox {
        let mut command = Command::new(host::sandbox(false)?);
        command.args(quiet.then_some("--quiet")).args(options);
        command.args(["--allow-listen", &format!("127.0.0.1:{port}")]).arg(component).arg(port.to_string());
        return Ok(command);
    }
    host::provide_wasmtime("run")?;
    let mut command = host::wasmtime();
    command.args(host::socket_flags()).arg(component).arg(port.to_string());
    if !quiet {
        print_error(&format!("{}{}\n", host::SOCKET_GRANTS, host::typed(&command)));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_by_its_number() {
        for (word, name) in [("1", "step_1"), ("10", "step_10")] {
            assert_eq!(STEPS[step(Some(word.into())).expect(word)].name, name);
        }
        assert_eq!(STEPS[ONE_PAGE].name, "one_page");
        for word in ["", "0", "11", "x", "-1"] {
            assert!(step(Some(word.into())).is_err(), "{word}");
        }
        assert!(step(None).is_err());
    }

    #[test]
    fn the_port_is_the_only_option_of_a_step() {
        let port = |words: &[&str]| port(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(port(&[]).expect("no option"), 9000);
        assert_eq!(port(&["--port", "0"]).expect("a port"), 0);
        assert_eq!(port(&["--port=9005"]).expect("a port"), 9005);
        for words in [&["--port", "65536"][..], &["--listen", "127.0.0.1:1"], &["-V"], &["x"], &["--log=off"]] {
            let error = port(words).expect_err("an error").to_string();
            assert!(error.ends_with("; see --help"), "{words:?}: {error}");
        }
    }
}
