//! How much the component may have: memory, and what else of the host it could fill up.

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result};

/// Bytes of a MiB.
pub(crate) const MIB: usize = 1024 * 1024;

/// The most memory that there can be, in MiB: a component of WASI 0.2 has 32-bit addresses.
pub(crate) const MOST_MEMORY: usize = 4096;

/// The most connections that there can be.
pub(crate) const MOST_CONNECTIONS: usize = 1_000_000;

/// The most instances, memories and tables. A component of one program has a handful of each.
pub(crate) const MOST_PARTS: usize = 100;

/// The most elements of a table: they are the functions that a program calls by their address.
pub(crate) const MOST_ELEMENTS: usize = 100_000;

/// How much memory an element takes, on this side.
const BYTES_OF_AN_ELEMENT: usize = 16;

/// How many handles of the host there may be for each connection: it takes five, which are a socket, its two streams and
/// their two pollables. There are always enough for a server that allows itself more connections than this host does.
const HANDLES_PER_CONNECTION: usize = 10;
const LEAST_CONNECTIONS: usize = 20_000;

/// What stands behind a handle is small, but not so for requests and replies, which may take 100 KiB. So a component that
/// sends some has only so many for each of its connections, and a few for what every program has; and no more connections
/// than it has MiB of memory, so that all of this is at worst about twice what its memory may be.
const HANDLES_PER_REQUEST: usize = 20;
const HANDLES_OF_A_PROGRAM: usize = 100;

/// How many bytes one call may hand over to the host, from a component that sends requests: what becomes a part of a
/// request stays on this side.
pub(crate) const MOST_HANDED_OVER: usize = MIB;

/// How many handles of the host there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles {
    pub(crate) most: usize,
    /// The connections that these are for.
    pub(crate) connections: usize,
    /// Whether the component sends requests.
    sends: bool,
}

impl Handles {
    /// For so many connections, of a component that `sends` requests, or does not, and may have so much memory.
    pub(crate) fn new(max_connections: u64, max_memory: usize, sends: bool) -> Self {
        let connections = max_connections as usize;
        if sends {
            let connections = connections.min(max_memory.div_ceil(MIB));
            return Handles { most: connections * HANDLES_PER_REQUEST + HANDLES_OF_A_PROGRAM, connections, sends };
        }
        let connections = connections.max(LEAST_CONNECTIONS);
        Handles { most: connections * HANDLES_PER_CONNECTION, connections, sends }
    }

    /// The table for them. A component that wants more ends with a trap.
    pub(crate) fn table(self) -> ResourceTable {
        let mut table = ResourceTable::new();
        table.set_max_capacity(self.most);
        table
    }

    /// What to do about a component that wants more.
    pub(crate) fn advice(self) -> String {
        let Handles { connections, sends, .. } = self;
        let more = match sends {
            true => format!("; if it does, a --max-connections and a --max-memory above {connections} allow more"),
            false => format!("; if it does, a --max-connections above {connections} allows more"),
        };
        let most = if sends { MOST_MEMORY } else { MOST_CONNECTIONS };
        format!("it probably does not let go of them{}", if connections < most { &more } else { "" })
    }
}

/// Counts the memory of a component, and ends one that wants more.
#[derive(Debug)]
pub(crate) struct Limits {
    max_memory: usize,
    /// The sum over all memories and tables of the component, in bytes.
    memory: usize,
}

/// The component wanted more memory than it may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfMemory {
    /// How much it would have had, in bytes.
    pub(crate) wanted: usize,
}

impl OutOfMemory {
    /// What to do about it.
    pub(crate) fn advice(self) -> String {
        match self.wanted.div_ceil(MIB) {
            wanted @ 0..=MOST_MEMORY => {
                format!("allow it more, such as --max-memory {}", (2 * wanted).min(MOST_MEMORY))
            }
            _ => "no component can have more than that: it probably keeps what it does not need any more".into(),
        }
    }
}

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it needs {} MiB of memory", self.wanted.div_ceil(MIB))
    }
}

impl std::error::Error for OutOfMemory {}

impl Limits {
    /// At most so many bytes of memory.
    pub(crate) fn new(max_memory: usize) -> Self {
        Limits { max_memory, memory: 0 }
    }

    /// So many bytes more.
    fn grow(&mut self, bytes: usize) -> Result<()> {
        let wanted = self.memory + bytes;
        if wanted > self.max_memory {
            // A program that is told "no" gives up without saying why. This says it.
            return Err(OutOfMemory { wanted }.into());
        }
        self.memory = wanted;
        Ok(())
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired - current)?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > MOST_ELEMENTS {
            return Ok(false);
        }
        self.grow((desired - current) * BYTES_OF_AN_ELEMENT)?;
        Ok(true)
    }

    /// The system has no memory, although it would be granted. As for [`Limits::grow`].
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        MOST_PARTS
    }

    fn tables(&self) -> usize {
        MOST_PARTS
    }

    fn memories(&self) -> usize {
        MOST_PARTS
    }
}

/// What may be open besides connections, at the most: standard streams, listeners, what the runtimes wait with.
#[cfg(unix)]
const OTHERS: u64 = 32;

/// What has to be free for accepting: Linux takes a descriptor before it looks for a pending connection.
#[cfg(unix)]
const TO_ACCEPT: u64 = 1;

/// Sees to it that the process may have as many descriptors as `connections` need, as far as the system lets it.
#[cfg(unix)]
pub(crate) fn raise_descriptors(connections: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if current.is_some_and(|limit| limit < connections + OTHERS) {
        // macOS says "no limit", and refuses more than its own: then the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// For how many connections there are descriptors, now that everything else but these `listeners` is open; and how many
/// descriptors there may be. Without a limit, nothing.
#[cfg(unix)]
pub(crate) fn room_for_connections(listeners: usize) -> Option<(u64, u64)> {
    use rustix::process::{Resource, getrlimit};

    let most = getrlimit(Resource::Nofile).current?;
    let listed = ["/proc/self/fd", "/dev/fd"].iter().find_map(|folder| std::fs::read_dir(folder).ok());
    // The folder is open, too, while it is read.
    let open = listed.map_or(OTHERS, |entries| {
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
        // One that was inherited from before the limit was lowered takes no number that can be given out.
        numbers.filter(|&number| number < most).count() as u64 - 1
    });
    Some((most.saturating_sub(open + listeners as u64 + TO_ACCEPT), most))
}

/// Where the system counts descriptors otherwise, there is nothing to raise.
#[cfg(not(unix))]
pub(crate) fn raise_descriptors(_connections: u64) {}

/// Where the system counts descriptors otherwise, there is no limit.
#[cfg(not(unix))]
pub(crate) fn room_for_connections(_listeners: usize) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_together_count() {
        let mut limits = Limits::new(3 * MIB);
        assert!(limits.memory_growing(0, MIB, None).expect("enough"));
        assert!(limits.memory_growing(0, MIB, None).expect("enough"));
        assert!(limits.memory_growing(MIB, 2 * MIB, None).expect("just enough"));
        let error = limits.memory_growing(MIB, MIB + 1, None).expect_err("too much");
        assert_eq!(error.to_string(), "it needs 4 MiB of memory");
    }

    #[test]
    fn more_is_advised_as_long_as_there_can_be_more() {
        for (wanted, advice) in [
            (MIB, Some("--max-memory 2")),
            (3000 * MIB, Some("--max-memory 4096")),
            (4096 * MIB, Some("--max-memory 4096")),
            (4096 * MIB + 1, None),
        ] {
            let advised = OutOfMemory { wanted }.advice();
            assert_eq!(advised.strip_prefix("allow it more, such as "), advice, "{advised}");
        }
        for (handles, advice) in [
            (Handles::new(100, MIB, false), Some("a --max-connections above 20000 allows more")),
            (Handles::new(1_000_000, MIB, false), None),
            (
                Handles::new(10_000, 633 * MIB, true),
                Some("a --max-connections and a --max-memory above 633 allow more"),
            ),
            (Handles::new(10_000, 4096 * MIB, true), None),
        ] {
            let advised = handles.advice();
            assert_eq!(advised.strip_prefix("it probably does not let go of them; if it does, "), advice, "{advised}");
        }
    }

    #[test]
    fn tables_are_memory_too() {
        let mut limits = Limits::new(MIB);
        assert!(limits.table_growing(0, MIB / 32, None).expect("enough"));
        assert!(!limits.table_growing(0, MOST_ELEMENTS + 1, None).expect("it is for the component to see"));
        let error = limits.table_growing(0, MIB / 32 + 1, None).expect_err("too much");
        assert_eq!(error.to_string(), "it needs 2 MiB of memory");
    }

    #[test]
    fn the_maximum_that_a_memory_declares_is_reported() {
        let mut limits = Limits::new(3 * MIB);
        assert!(!limits.memory_growing(0, 2 * MIB, Some(MIB)).expect("it is for the component to see"));
        assert!(limits.memory_growing(0, 3 * MIB, None).expect("nothing was counted"));
    }
}
