//! The number of connections that a process may have on this machine.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of file descriptors that a program needs besides its connections, generously.
const OTHERS: u64 = 100;

/// Raises the limit of file descriptors of this process, and of all that it launches, as far as the system permits, and
/// returns the limit.
pub(crate) fn raise_descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // An unlimited value sets no limit. If the limit cannot be raised, the current one counts.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX)
}

/// Whether this many connections fit into this many file descriptors.
pub(crate) fn fits(connections: u32, descriptors: u64) -> bool {
    u64::from(connections) + OTHERS <= descriptors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_a_descriptor_and_there_are_others() {
        assert!(fits(924, 1024));
        assert!(!fits(925, 1024));
        assert!(fits(10_000, u64::MAX));
    }
}
