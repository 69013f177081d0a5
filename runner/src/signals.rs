//! The requests to stop that come from outside: signals, as each system has them, and the end of standard input.

use std::task::{Context, Poll};

/// A request to the component to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A signal, with this number.
    Signal(i32),
    /// The end of standard input, or of an instance.
    Other,
}

impl Request {
    /// The number of the signal, if a second such signal ends the component at once: a person in a hurry sends it. A terminal
    /// that closes sends SIGHUP more than once, and some programs send SIGTERM to the processes in it.
    pub(crate) fn urgent(self) -> Option<i32> {
        match self {
            Request::Signal(signal) => (signal != SIGHUP).then_some(signal),
            Request::Other => None,
        }
    }
}

/// The signals that ask a program to end.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if this process was started to outlive its terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

/// The events with which a console and Windows ask a program to end, each as the signal that means the same.
#[cfg(windows)]
pub(crate) struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    logoff: tokio::signal::windows::CtrlLogoff,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

/// The exit code of a shell for the end by a signal.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

/// The signals of a terminal that closes, of Ctrl-C, and of an init system.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};

        // Each of these signals would end the process without a handler.
        // * XFSZ: a file has grown as large as files may be (`ulimit -f`). Now writing fails, as on a full disk.
        // * USR1 and USR2: other servers open their log anew, or start anew. Here there is nothing to do.
        for unheeded in [Signal::XFSZ, Signal::USR1, Signal::USR2] {
            let _ = signal(SignalKind::from_raw(unheeded.as_raw()))?;
        }
        let hangup = match ignores_hangup() {
            Some(false) => Some(signal(SignalKind::hangup())?),
            // SIGHUP keeps its action: under nohup the process ignores it, and else it ends the process.
            Some(true) | None => None,
        };
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// The number of the next signal.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<i32> {
        let heard =
            [(SIGINT, Some(&mut self.interrupt)), (SIGTERM, Some(&mut self.terminate)), (SIGHUP, self.hangup.as_mut())];
        let mut heard = heard.into_iter().filter_map(|(number, signal)| Some((number, signal?)));
        let first = heard.find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(number));
        first.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Whether this process was started so that it ignores SIGHUP, as `nohup` starts it. `None` if neither way below finds out.
#[cfg(unix)]
fn ignores_hangup() -> Option<bool> {
    listed_as_ignored().or_else(found_out_by_a_shell)
}

/// Whether SIGHUP is ignored, from the list of Linux: a number in which each signal is a bit.
#[cfg(unix)]
fn listed_as_ignored() -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (SIGHUP - 1) & 1 == 1)
}

/// Whether SIGHUP is ignored, from a shell: a program ignores the signals that the process that starts it ignores. (To ask the
/// system itself takes `unsafe` code.)
#[cfg(unix)]
fn found_out_by_a_shell() -> Option<bool> {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -s HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = shell.status().ok()?;
    match (status.success(), status.signal()) {
        (true, _) => Some(true),
        (_, Some(SIGHUP)) => Some(false),
        _ => None,
    }
}

#[cfg(windows)]
impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

        Ok(Signals {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// The number of the next signal. Windows itself ends this process a few seconds after the last three.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<i32> {
        if self.ctrl_c.poll_recv(context).is_ready() || self.ctrl_break.poll_recv(context).is_ready() {
            Poll::Ready(SIGINT)
        } else if self.close.poll_recv(context).is_ready() || self.logoff.poll_recv(context).is_ready() {
            Poll::Ready(SIGHUP)
        } else {
            self.shutdown.poll_recv(context).map(|_| SIGTERM)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_shell_finds_out_the_same_as_linux_lists() {
        let listed = listed_as_ignored();
        assert!(listed.is_some());
        assert_eq!(listed, found_out_by_a_shell());
    }
}
