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
    for signal in [SIGINT, signal_hook::consts::SIGTERM] {
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

/// What Windows gives as the exit code of a program that Ctrl-C has ended.
#[cfg(windows)]
const STATUS_CONTROL_C_EXIT: u32 = 0xc000_013a;

/// The exit code for the end of another program: its own, or 128 and the number of the signal that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return exit_code_of(signal);
    }
    #[cfg(windows)]
    if status.code() == Some(STATUS_CONTROL_C_EXIT.cast_signed()) {
        return exit_code_of(SIGINT);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The signal that Ctrl-C is.
pub(crate) const SIGINT: i32 = 2;

/// The exit code for the end by this signal, as a shell has it.
pub(crate) fn exit_code_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use std::os::unix::process::ExitStatusExt as _;
    #[cfg(windows)]
    use std::os::windows::process::ExitStatusExt as _;

    #[test]
    fn a_program_that_ctrl_c_has_ended_has_the_exit_code_of_shells() {
        #[cfg(unix)]
        let status = ExitStatus::from_raw(SIGINT);
        #[cfg(windows)]
        let status = ExitStatus::from_raw(STATUS_CONTROL_C_EXIT);
        assert_eq!(exit_code(status), 130);
    }
}
