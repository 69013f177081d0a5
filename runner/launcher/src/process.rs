//! Becomes another program, and turns the end of one into an exit code.

use std::process::{Command, ExitStatus};

use hello_failure::Failure;

/// Becomes `command`, which so has its own exit code, and receives every signal itself.
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

/// Makes this process outlive the signals that ask a program to end: the signals also reach the program that it waits for, and
/// this process ends after that program.
#[cfg(unix)]
pub(crate) fn outlive_signals() -> anyhow::Result<()> {
    for signal in [SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::default())?;
    }
    Ok(())
}

/// Makes this process outlive Ctrl-C and Ctrl-Break, which also reach the program that it waits for.
#[cfg(windows)]
pub(crate) fn outlive_signals() -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(|| {})?)
}

/// The failure to start a program.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::new(format!("cannot start {program}: {error}"), "see to it that this program is there and can be run")
}

/// The exit code on Windows of a program that Ctrl-C has ended.
#[cfg(windows)]
const STATUS_CONTROL_C_EXIT: u32 = 0xc000_013a;

/// The exit code for the end of another program: its own, or 128 plus the number of the signal that ended it.
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

/// The signal of Ctrl-C.
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
