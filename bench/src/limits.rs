//! How many connections a process may have on this machine.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a program needs file descriptors for besides its connections, generously.
const OTHERS: u64 = 100;

/// Lets this process, and all that it launches, have as many file descriptors as the system permits, and says how many
/// those are.
pub(crate) fn raise_descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Without a limit there is none in the way. If it cannot be raised, the current one is what counts.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX)
}

/// Whether so many connections fit into so many file descriptors.
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
