//! The programs that run a component: the sandbox of this project, which asks the component for its needs, and wasmtime.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_failure::Failure;

use crate::cargo::{self, RELEASE_SANDBOX, SANDBOX};
use crate::process::{cannot_start, exit_code};
use crate::{Told, kit, print_error};

/// A host of a component.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// `hello-runner`, the sandbox of this project.
    #[default]
    Sandbox,
    /// `wasmtime run`.
    Wasmtime,
    /// `wasmtime serve`.
    Http,
}

/// The configuration of cargo, which has the one list of flags for `wasmtime run`.
const CARGO_CONFIG: &str = include_str!("../../../.cargo/config.toml");

/// The script that becomes wasmtime: the one on PATH if it is recent enough, else one that the script builds.
const WASMTIME: &str = "runner/wasmtime";

/// The oldest major version of wasmtime that will do.
const OLDEST_WASMTIME: u32 = 48;

/// Whether wasmtime is always the one on PATH: the script, which can build one, is for a checkout on Unix.
fn is_wasmtime_from_path() -> bool {
    cfg!(windows) || kit::folder().is_some()
}

/// A command that runs wasmtime.
pub(crate) fn wasmtime() -> Command {
    if is_wasmtime_from_path() {
        return Command::new("wasmtime");
    }
    let mut command = Command::new("sh");
    // The script builds for this system.
    command.arg(WASMTIME).env_remove("CARGO_BUILD_TARGET");
    command
}

/// Provides a wasmtime that has `subcommand`. To build one may take minutes, and prints its progress.
pub(crate) fn provide_wasmtime(subcommand: &str) -> anyhow::Result<()> {
    if is_wasmtime_from_path() && !has_wasmtime() {
        let cause = format!("there is no wasmtime on PATH of version {OLDEST_WASMTIME} or newer");
        return Err(Failure::new(cause, "install it from https://wasmtime.dev, and open a new terminal").into());
    }
    let mut command = wasmtime();
    let status = command.args([subcommand, "--help"]).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status.map_err(|error| cannot_start(&command, &error))?.success() {
        true => Ok(()),
        // The script has printed why.
        false => Err(Told(1).into()),
    }
}

/// Whether there is a wasmtime on PATH that is recent enough.
pub(crate) fn has_wasmtime() -> bool {
    let version = version_on_path("wasmtime").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= OLDEST_WASMTIME)
}

/// The version of a program on PATH: the word behind its name.
fn version_on_path(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1).map(str::to_owned)
}

/// What these flags grant; the command itself follows.
pub(crate) const SOCKET_GRANTS: &str = "\
The sandbox grants TCP sockets on any address, the clock, standard output and standard error.
It does not grant files, environment variables, UDP or name lookup. The command is:\n  ";

/// The flags of `wasmtime run` for a component with sockets: the words behind the program in `.cargo/config.toml`.
pub(crate) fn socket_flags() -> impl Iterator<Item = &'static str> {
    let list = CARGO_CONFIG.split_once("runner = [").and_then(|(_, rest)| rest.split_once(']'));
    list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).skip(1)
}

/// The sandbox: the one that is built quickly, unless only the optimized one has been built here, or `optimized` is set. If none
/// has been built, one of the same version on PATH will do.
pub(crate) fn sandbox(optimized: bool) -> anyhow::Result<PathBuf> {
    let all = [&SANDBOX, &RELEASE_SANDBOX];
    let wanted = if optimized { &all[1..] } else { &all };
    if kit::folder().is_none() {
        if let Some(built) = wanted.iter().find(|sandbox| cargo::has_built(sandbox)) {
            return cargo::build(built);
        }
        let name = SANDBOX.name;
        if version_on_path(name).is_some_and(|version| version == env!("CARGO_PKG_VERSION")) {
            print_error(&format!("The sandbox is the {name} on PATH, because none has been built here.\n"));
            return Ok(name.into());
        }
    }
    cargo::build(wanted[0])
}

/// Asks the component `name`, in wasmtime (`host`), to check these words. Prints the errors of the component, or of wasmtime,
/// and returns the output of the component.
///
/// # Errors
/// The component reports a mistake, for which the exit code is 2: WASI 0.2 only knows success and failure. Or wasmtime fails.
pub(crate) fn check(mut host: Command, name: &str, component: &Path, words: &[OsString]) -> anyhow::Result<String> {
    host.arg(component).arg("--check-options").args(words).stdin(Stdio::null());
    let output = host.output().map_err(|error| cannot_start(&host, &error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Cannot enable wasi-http") {
        return Err(Failure::new(
            "this wasmtime was built without wasi:http, by which the url client sends requests",
            "put one on PATH that has it (https://wasmtime.dev), or do without --wasmtime",
        )
        .into());
    }
    print_error(&said);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let by_component = said.strip_prefix(name).is_some_and(|rest| rest.starts_with(": "));
    let code = exit_code(output.status);
    Err(Told(if code == 1 && by_component { 2 } else { code }).into())
}

/// Formats `command`, which runs wasmtime, as a person would type it.
pub(crate) fn typed(command: &Command) -> String {
    let words = command.get_args().map(OsStr::to_string_lossy).filter(|word| word != WASMTIME);
    words.fold("wasmtime".to_owned(), |line, word| {
        let is_plain = |character: char| character.is_alphanumeric() || "-_./:,=+@%".contains(character);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => format!("{line} {word}"),
            false => format!("{line} '{}'", word.replace('\'', r"'\''")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_those_of_cargo() {
        let flags: Vec<&str> = socket_flags().collect();
        assert_eq!(flags[..3], ["run", "-S", "inherit-network,udp=n,allow-ip-name-lookup=n,p3=n"]);
    }

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let mut command = Command::new("sh");
        command.args([WASMTIME, "run", "-S", "http,tcp=n", "/it's here/a b.wasm", "--port", "0", ""]);
        assert_eq!(typed(&command), r"wasmtime run -S http,tcp=n '/it'\''s here/a b.wasm' --port 0 ''");
    }
}
