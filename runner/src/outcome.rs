//! Turns the end of a component into an exit code, or into a cause and an advice.

use hello_failure::Failure;
use std::time::Duration;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limits::{Handles, MIB, MOST_ELEMENTS, MOST_PARTS, OutOfMemory};
use crate::options::Options;
use crate::signals::exit_code;
use crate::system;
use crate::turns::End;
use crate::watch::NO_TURN_LIMIT;

/// The exit code of a component that has returned, or has exited with a code of its own.
///
/// # Errors
/// The component failed: the cause, and advice.
pub(crate) fn returned(
    outcome: wasmtime::Result<Result<(), ()>>,
    options: &Options,
    name: &str,
    handles: Handles,
) -> Result<u8, Failure> {
    match outcome {
        Ok(ended) => Ok(u8::from(ended.is_err())),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(u8::try_from(exit.0).unwrap_or(1)),
            None => Err(failed(&error, options, name, handles)),
        },
    }
}

/// The functions in which a component has failed, if they are known.
pub(crate) fn place(error: &wasmtime::Error) -> Option<String> {
    error.downcast_ref().map(WasmBacktrace::to_string)
}

/// The exit code, as a shell has it, of a component that a signal ended.
///
/// # Errors
/// The sandbox ended the component for another reason.
pub(crate) fn ended(end: End, name: &str, verbose: bool) -> Result<u8, Failure> {
    let (cause, advice) = match end {
        End::Signal(signal) => return Ok(exit_code(signal)),
        End::StuckInTurn => (
            format!("{name} was busy and did not listen, so it was ended"),
            format!("its code is probably in a loop without an end{}", says_where(verbose)),
        ),
        End::Turn(most) => (
            format!("{name} has been busy for {} without a pause, so it was ended", seconds(most)),
            format!(
                "{NO_TURN_LIMIT} would allow it, but it is probably in a loop without an end{}",
                says_where(verbose)
            ),
        ),
        End::Grace(grace) => (
            format!("{name} was asked to stop and did not within {}, so it was ended", seconds(grace)),
            "--grace allows more".into(),
        ),
    };
    Err(Failure::new(cause, advice))
}

/// The end of an advice, which names `--verbose` unless that option is set.
fn says_where(verbose: bool) -> &'static str {
    if verbose { "" } else { "; --verbose says where" }
}

/// A time in words: `1 second`, `2 seconds`.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}

/// The error of a component that could not start, or failed while it ran.
fn failed(error: &wasmtime::Error, options: &Options, name: &str, handles: Handles) -> Failure {
    let in_its_code = error.downcast_ref::<WasmBacktrace>().is_some();
    let trap = error.downcast_ref::<Trap>();
    if let Some(error) = error.downcast_ref::<OutOfMemory>() {
        let wanted = error.wanted.div_ceil(MIB);
        let cause = format!("{name} needs {wanted} MiB of memory, and may have {}", options.max_memory / MIB);
        Failure::new(cause, error.advice())
    } else if let Some(ResourceTableError::Full) = error.root_cause().downcast_ref() {
        let cause = format!("{name} holds more than {} handles of the host, such as sockets and streams", handles.most);
        Failure::new(cause, handles.advice())
    } else if let Some(error) = system::cause_of(error) {
        system::refused(&error)
    } else if !in_its_code && trap.is_none() {
        // None of its code runs yet, and all of its imports are there.
        Failure::new(
            format!("{name} cannot be started: {}", error.root_cause()),
            format!(
                "there may be {MOST_PARTS} instances, memories and tables each, and {MOST_ELEMENTS} elements of a table"
            ),
        )
    } else {
        let advice = format!("{}{}", trap_advice(trap), says_where(options.verbose || !in_its_code));
        Failure::new(format!("{name} failed: {}", error.root_cause()), advice)
    }
}

/// The probable cause of a trap.
fn trap_advice(trap: Option<&Trap>) -> &'static str {
    match trap {
        // A panic of Rust, and `abort` of C.
        Some(Trap::UnreachableCodeReached) => "it gave up by itself: what it said before may tell why",
        Some(Trap::StackOverflow) => "a function probably calls itself without an end",
        // The stack of a program in its own memory lies below everything else.
        Some(Trap::MemoryOutOfBounds) => "a pointer is wrong, or a function calls itself without an end",
        _ => "this is a mistake in the component",
    }
}
