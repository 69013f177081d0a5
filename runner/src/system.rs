//! What the system refuses, and which limit of this process is behind that.

use std::io::{self, ErrorKind};

use hello_failure::Failure;

/// The address space that wasmtime reserves for the memory of one component, so that no access to it has to be checked: 4 GiB,
/// and 64 MiB around them. It costs nothing, but it counts.
#[cfg(unix)]
const RESERVED: u64 = (4 << 30) + (64 << 20);

/// The address space that is enough for the whole process, in KiB, as shells take it. 5624 MiB were just enough for a component
/// that was compiled for the first time.
#[cfg(unix)]
const ENOUGH: u64 = 6 << 20;

/// Bytes of a MiB.
#[cfg(unix)]
const MIB: u64 = crate::limits::MIB as u64;

/// Advice where a limit of this process is in the way.
pub(crate) const RAISE: &str = "raise that limit before you start this; where the shell may not, an administrator can";

/// Something for which the system is needed, and which it did not do.
pub(crate) fn refused(error: &io::Error) -> Failure {
    could_not("the system refuses to help", error, "")
}

/// The same for `doing`, which could not be done. `advice` is for the case that no limit of this process is behind it.
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

/// Advice where all of the machine has run out of something.
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

/// What a panic with these words comes to, which happened because the system has refused something: its error, or the words.
pub(crate) fn panicked(words: &str) -> Failure {
    // How Rust writes an error of the system: `Os { code: 24, kind: Uncategorized, message: "Too many open files" }`.
    let number = words.split_once("Os { code: ").and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
    match number {
        Some(number) => refused(&io::Error::from_raw_os_error(number)),
        None => could_not("the sandbox cannot be set up", &io::Error::other(words.to_owned()), ""),
    }
}

/// What the system said, if that is at the bottom of `error`.
pub(crate) fn cause_of(error: &wasmtime::Error) -> Option<io::Error> {
    let cause = error.root_cause();
    #[cfg(unix)]
    if let Some(&number) = cause.downcast_ref::<rustix::io::Errno>() {
        return Some(number.into());
    }
    let error = cause.downcast_ref::<io::Error>()?;
    Some(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error))
}

/// Which limits of this process may be behind `error`, in half a sentence.
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

/// Where limits are others, none is named.
#[cfg(not(unix))]
pub(crate) fn behind(_error: &io::Error) -> Option<String> {
    None
}

/// How much of `resource` this process may have, if that is limited, and what shells call the limit.
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

/// Sees to it that this process may have enough address space to run any component at all. Without that, the first thing to fail
/// may be one that cannot say why.
///
/// # Errors
/// It may not.
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

/// Where limits are others, none is looked at.
#[cfg(not(unix))]
pub(crate) fn has_address_space() -> Result<(), Failure> {
    Ok(())
}
