//! The limits of a component: memory, handles, and the descriptors of this process.

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result};

use crate::audit::{Audit, What};
use crate::options::Options;

/// Bytes of a MiB.
pub(crate) const MIB: usize = 1024 * 1024;

/// The most memory of a component, in MiB: WASI 0.2 has 32-bit addresses.
pub(crate) const MOST_MEMORY: usize = 4096;

/// The most instances that the command line can ask for.
pub(crate) const MOST_INSTANCES: u64 = 256;

/// The most connections that the command line can ask for.
pub(crate) const MOST_CONNECTIONS: usize = 1_000_000;

/// The most instances, memories and tables. A component of one program has a handful of each.
pub(crate) const MOST_PARTS: usize = 100;

/// The most elements of a table. The elements are the functions that a program calls by their address.
pub(crate) const MOST_ELEMENTS: usize = 100_000;

/// The memory that an element takes on the host.
const BYTES_OF_AN_ELEMENT: usize = 16;

/// The most handles of the host for each connection: a connection takes five, which are a socket, its two streams and
/// their two pollables.
const HANDLES_PER_CONNECTION: usize = 10;
/// The least connections with handles: enough for a server that allows itself more connections than this host does.
const LEAST_CONNECTIONS: usize = 20_000;

/// The most handles for each connection of a component that sends requests, and for the program itself. Most handles cost
/// little, but requests and responses may take 100 KiB each. Such a component also has no more connections than MiB of
/// memory, so that its handles take at worst about twice as much as its memory limit.
const HANDLES_PER_REQUEST: usize = 20;
const HANDLES_OF_A_PROGRAM: usize = 100;

/// The most bytes that a component that sends requests may pass to the host in one call: the host stores the parts of a
/// request.
pub(crate) const MOST_HANDED_OVER: usize = MIB;

/// The limit of the handles of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles {
    pub(crate) most: usize,
    /// The connections that these handles are for.
    pub(crate) connections: usize,
    /// Whether the component sends requests.
    sends: bool,
}

impl Handles {
    /// The limit for this many connections, for a component that may have `max_memory` bytes, and `sends` requests or does not.
    pub(crate) fn new(max_connections: u64, max_memory: usize, sends: bool) -> Self {
        let connections = max_connections as usize;
        if sends {
            let connections = connections.min(max_memory.div_ceil(MIB));
            return Handles { most: connections * HANDLES_PER_REQUEST + HANDLES_OF_A_PROGRAM, connections, sends };
        }
        let connections = connections.max(LEAST_CONNECTIONS);
        Handles { most: connections * HANDLES_PER_CONNECTION, connections, sends }
    }

    /// The table for the handles. A component that wants more handles ends with a trap.
    pub(crate) fn table(self) -> ResourceTable {
        let mut table = ResourceTable::new();
        table.set_max_capacity(self.most);
        table
    }

    /// Advice for a component that wants more handles.
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

/// Counts the memory of a component, and ends a component that wants more than its limit.
pub(crate) struct Limits {
    max_memory: usize,
    /// The sum over all memories and tables of the component, in bytes.
    memory: usize,
    audit: Audit,
}

/// The component wanted more memory than it may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfMemory {
    /// The memory that the component would have had, in bytes.
    pub(crate) wanted: usize,
}

impl OutOfMemory {
    /// The option that would allow the component as much, and more; `None` if no component can have as much.
    fn option(self) -> Option<String> {
        let wanted = self.wanted.div_ceil(MIB);
        (wanted <= MOST_MEMORY).then(|| format!("--max-memory {}", (2 * wanted).min(MOST_MEMORY)))
    }

    /// Advice for a component that wants more memory.
    pub(crate) fn advice(self) -> String {
        match self.option() {
            Some(option) => format!("allow it more, such as {option}"),
            None => "no component can have more than that: it probably keeps what it does not need any more".into(),
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
    /// A limit of `max_memory` bytes. Lists the memory of the component in `audit`.
    pub(crate) fn new(max_memory: usize, audit: &Audit) -> Self {
        Limits { max_memory, memory: 0, audit: audit.clone() }
    }

    /// Counts `bytes` more, unless the memory or table `is_too_large` by itself. Returns whether it may grow. The audit lists
    /// each refusal, and each growth to another number of MiB.
    fn grow(&mut self, bytes: usize, is_too_large: bool) -> Result<bool> {
        let wanted = self.memory.saturating_add(bytes);
        let mib = wanted.div_ceil(MIB);
        if is_too_large {
            self.audit.asked(What::Memory, &mib, Err(None));
            return Ok(false);
        }
        if wanted > self.max_memory {
            let error = OutOfMemory { wanted };
            self.audit.asked(What::Memory, &mib, Err(error.option().as_deref()));
            // A program whose allocation fails exits without a reason. This error reports the reason.
            return Err(error.into());
        }
        if mib != self.memory.div_ceil(MIB) {
            self.audit.asked(What::Memory, &mib, Ok(()));
        }
        self.memory = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.grow(desired - current, maximum.is_some_and(|maximum| desired > maximum))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        self.grow((desired - current).saturating_mul(BYTES_OF_AN_ELEMENT), desired > MOST_ELEMENTS)
    }

    /// The system has no memory, although the limit allows it. The component ends, as in [`Limits::grow`].
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

/// The most descriptors besides those of connections: standard streams, listeners, and those of the runtimes.
#[cfg(unix)]
const OTHERS: u64 = 32;

/// The descriptors that `accept` needs free: Linux takes one before it looks for a pending connection.
#[cfg(unix)]
const TO_ACCEPT: u64 = 1;

/// How often the open descriptors are counted again if there seem to be too few, and how long after each other.
#[cfg(unix)]
const LOOKS: usize = 5;
#[cfg(unix)]
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(5);

/// The descriptors with which an instance waits: those of the readiness of its sockets.
const OF_AN_INSTANCE: usize = 2;

/// The descriptors that all instances take for their listeners, and that all instances but the first take for waiting.
pub(crate) fn others_to_open(options: &Options) -> usize {
    let listeners = options.grants.listen.len();
    match options.instances {
        1 => listeners,
        // One more of each listener is kept for the next instance.
        several => listeners + several * (listeners + OF_AN_INSTANCE) - OF_AN_INSTANCE,
    }
}

/// Raises the limit of descriptors of this process, as far as the system allows, if its connections need more.
#[cfg(unix)]
pub(crate) fn raise_descriptors(options: &Options) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` means no limit.
    if current.is_some_and(|limit| limit < options.all_connections() + others_to_open(options) as u64 + OTHERS) {
        // macOS reports no limit, but refuses more than its own: then the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// The number of connections for which descriptors are left, once as many `others` are open; and the limit of
/// descriptors. `None` if there is no limit.
#[cfg(unix)]
pub(crate) fn room_for_connections(wanted: u64, others: usize) -> Option<(u64, u64)> {
    use rustix::process::{Resource, getrlimit};

    let most = getrlimit(Resource::Nofile).current?;
    let room = || most.saturating_sub(open_descriptors(most) + others as u64 + TO_ACCEPT);
    let mut found = room();
    // The cache of compiled code has a thread, which opens a file for a moment.
    for _ in 0..LOOKS {
        if found >= wanted {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
        found = found.max(room());
    }
    Some((found, most))
}

/// How many descriptors below the limit are open now.
#[cfg(unix)]
fn open_descriptors(most: u64) -> u64 {
    let listed = ["/proc/self/fd", "/dev/fd"].iter().find_map(|folder| std::fs::read_dir(folder).ok());
    // The folder itself is open, too, while this function reads it.
    listed.map_or(OTHERS, |entries| {
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
        // A descriptor above the limit, inherited from before the limit was lowered, takes no usable number.
        numbers.filter(|&number| number < most).count() as u64 - 1
    })
}

/// Raises nothing: this system has no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_descriptors(_options: &Options) {}

/// `None`: this system has no such limit.
#[cfg(not(unix))]
pub(crate) fn room_for_connections(_wanted: u64, _others: usize) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_together_count() {
        let mut limits = Limits::new(3 * MIB, &Audit::default());
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
        let mut limits = Limits::new(MIB, &Audit::default());
        assert!(limits.table_growing(0, MIB / 32, None).expect("enough"));
        assert!(!limits.table_growing(0, MOST_ELEMENTS + 1, None).expect("it is for the component to see"));
        let error = limits.table_growing(0, MIB / 32 + 1, None).expect_err("too much");
        assert_eq!(error.to_string(), "it needs 2 MiB of memory");
    }

    #[test]
    fn each_refusal_and_each_growth_to_another_mib_is_listed() {
        let lines = crate::audit::tests::lines("memory", |audit| {
            let mut limits = Limits::new(3 * MIB, audit);
            for (current, desired) in [(0, MIB / 2), (MIB / 2, MIB), (MIB, 2 * MIB + 1), (2 * MIB + 1, 2 * MIB + 2)] {
                assert!(limits.memory_growing(current, desired, None).expect("enough"));
            }
            assert!(!limits.memory_growing(0, MIB, Some(1)).expect("it is for the component to see"));
            assert!(!limits.table_growing(0, MOST_ELEMENTS + 1, None).expect("it is for the component to see"));
            limits.memory_growing(0, MIB, None).expect_err("too much");
        });
        let allowed =
            ["1", "3"].map(|mib| format!(r#""what":"memory","detail":"{mib}","allowed":true,"option":null}}"#));
        let refused = [("4", "null"), ("4", "null"), ("4", r#""--max-memory 8""#)]
            .map(|(mib, option)| format!(r#""what":"memory","detail":"{mib}","allowed":false,"option":{option}}}"#));
        assert_eq!(lines, [&allowed[..], &refused].concat());
    }

    #[test]
    fn the_maximum_that_a_memory_declares_is_reported() {
        let mut limits = Limits::new(3 * MIB, &Audit::default());
        assert!(!limits.memory_growing(0, 2 * MIB, Some(MIB)).expect("it is for the component to see"));
        assert!(limits.memory_growing(0, 3 * MIB, None).expect("nothing was counted"));
    }
}
