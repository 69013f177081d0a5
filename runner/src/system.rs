//! Errors of the system, and the limits of this process behind them.

use std::io::{self, ErrorKind};

use hello_failure::Failure;

/// The address space that wasmtime reserves for the memory of one component, so that no access to it has to be checked: 4 GiB,
/// and 64 MiB around them. It costs nothing, but it counts.
#[cfg(unix)]
const RESERVED: u64 = (4 << 30) + (64 << 20);

/// The address space that is enough for the whole process, in KiB, the unit of shells. 5624 MiB were just enough for a
/// component that was compiled for the first time.
#[cfg(unix)]
const ENOUGH: u64 = 6 << 20;

/// Bytes of a MiB.
#[cfg(unix)]
const MIB: u64 = crate::limits::MIB as u64;

/// Advice if a limit of this process is too low.
pub(crate) const RAISE: &str = "raise that limit before you start this; where the shell may not, an administrator can";

/// A failure of the system without which the sandbox cannot go on.
pub(crate) fn refused(error: &io::Error) -> Failure {
    could_not("the system refuses to help", error, "")
}

/// A failure of the system while `doing` something. `advice` is for the case that no limit of this process is behind it.
pub(crate) fn could_not(doing: &str, error: &io::Error, advice: &str) -> Failure {
    let cause = format!("{doing}: {error}");
    match behind(error) {
        Some(limit) if error.kind() == ErrorKind::WouldBlock => {
            Failure::new(format!("{cause}; {limit}"), format!("end other programs of this user, or {RAISE}"))
        }
        Some(limit) => Failure::new(format!("{cause}; {limit}"), RAISE),
        None if advice.is_empty() => Failure::new(cause, of_the_machine(error)),
        None => Failure::new(cause, advice),
    }
}

/// Advice if the whole machine has run out of a resource.
fn of_the_machine(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::OutOfMemory => {
            "the machine, or the container, has no memory left: end other programs, and try again"
        }
        ErrorKind::WouldBlock => {
            "the machine, or the container, has no threads left: end other programs, and try again"
        }
        _ => "the machine may have run out of something: end other programs, and try again",
    }
}

/// The failure for a panic with these words, which an error of the system has caused: that error, or else the words.
pub(crate) fn panicked(words: &str) -> Failure {
    // Rust writes an error of the system so: `Os { code: 24, kind: Uncategorized, message: "Too many open files" }`.
    let number = words.split_once("Os { code: ").and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
    match number {
        Some(number) => refused(&io::Error::from_raw_os_error(number)),
        None => could_not("the sandbox cannot be set up", &io::Error::other(words.to_owned()), ""),
    }
}

/// The error of the system that is the root cause of `error`, if there is one.
pub(crate) fn cause_of(error: &wasmtime::Error) -> Option<io::Error> {
    let cause = error.root_cause();
    #[cfg(unix)]
    if let Some(&number) = cause.downcast_ref::<rustix::io::Errno>() {
        return Some(number.into());
    }
    let error = cause.downcast_ref::<io::Error>()?;
    Some(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error))
}

/// The limits of this process that may be behind `error`, in half a sentence.
#[cfg(unix)]
pub(crate) fn behind(error: &io::Error) -> Option<String> {
    use rustix::io::Errno;
    use rustix::process::Resource;

    let suspects = match Errno::from_io_error(error) {
        Some(Errno::MFILE) => &[Resource::Nofile][..],
        Some(Errno::FBIG) => &[Resource::Fsize],
        // The stack of a thread is memory, too.
        Some(Errno::AGAIN) => &[Resource::Nproc, Resource::As, Resource::Data],
        Some(Errno::NOMEM) => &[Resource::As, Resource::Data],
        None if error.kind() == ErrorKind::OutOfMemory => &[Resource::As, Resource::Data],
        _ => &[],
    };
    let limits: Vec<String> = suspects.iter().filter_map(|&resource| limit(resource)).collect();
    (!limits.is_empty()).then(|| format!("this process may have {}", crate::grants::join(&limits)))
}

/// `None`: this system has other limits.
#[cfg(not(unix))]
pub(crate) fn behind(_error: &io::Error) -> Option<String> {
    None
}

/// The limit of `resource` for this process, with its name in a shell. `None` if there is no limit.
#[cfg(unix)]
fn limit(resource: rustix::process::Resource) -> Option<String> {
    use rustix::process::{Resource, getrlimit};

    let most = getrlimit(resource).current?;
    Some(match resource {
        Resource::Nofile => format!("{most} file descriptors (ulimit -n)"),
        Resource::Fsize => format!("files of {most} bytes (ulimit -f)"),
        Resource::As => format!("{} MiB of address space (ulimit -v; {ENOUGH} is enough)", most / MIB),
        Resource::Data => format!("{} MiB of memory (ulimit -d)", most / MIB),
        Resource::Nproc => format!("{most} threads, together with its user's other programs (ulimit -u)"),
        _ => return None,
    })
}

/// Checks that this process may have enough address space to run a component. With too little, the first failure may be in a
/// function that cannot report it.
///
/// # Errors
/// The limit of address space is too low.
#[cfg(unix)]
pub(crate) fn has_address_space() -> Result<(), Failure> {
    use rustix::process::{Resource, getrlimit};

    match (getrlimit(Resource::As).current, limit(Resource::As)) {
        (Some(most), Some(limit)) if most < RESERVED => Err(Failure::new(
            format!("the sandbox reserves {} MiB of address space; this process may have {limit}", RESERVED / MIB),
            RAISE,
        )),
        _ => Ok(()),
    }
}

/// Checks nothing: this system has other limits.
#[cfg(not(unix))]
pub(crate) fn has_address_space() -> Result<(), Failure> {
    Ok(())
}
