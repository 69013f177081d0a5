//! Other programs: to become one, and to start one that can be ended.

use std::process::{Command, ExitStatus};

use hello_failure::Failure;

/// Becomes `command`, so that its exit code, and every signal, are its own.
#[cfg(unix)]
pub(crate) fn become_program(mut command: Command) -> anyhow::Result<u8> {
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    Err(cannot_start(&command, &error).into())
}

/// Runs `command` to its end: this system has no way to become another program.
#[cfg(windows)]
pub(crate) fn become_program(mut command: Command) -> anyhow::Result<u8> {
    outlive_signals()?;
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    Ok(exit_code(status))
}

/// Keeps the signals that ask a program to end from ending this one: they reach the program that it waits for as well, and this one
/// ends after that.
#[cfg(unix)]
pub(crate) fn outlive_signals() -> anyhow::Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::default())?;
    }
    Ok(())
}

/// The same for Ctrl-C and Ctrl-Break.
#[cfg(windows)]
pub(crate) fn outlive_signals() -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(|| {})?)
}

/// Why a program cannot be started.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::new(format!("cannot start {program}: {error}"), "see to it that this program is there and can be run")
}

/// The exit code for the end of another program: its own, or 128 and the number of the signal that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return exit_code_of(signal);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The exit code for the end by this signal, as a shell has it.
pub(crate) fn exit_code_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}
