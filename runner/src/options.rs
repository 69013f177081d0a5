//! The command line.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use hello_failure::Failure;
use hello_failure::option::{self, address, number, seconds};

use crate::grants::{Grants, NAME_SCOPE, can_be_used, lacks_scope};
use crate::limits::{MIB, MOST_CONNECTIONS, MOST_INSTANCES, MOST_MEMORY};

/// The text of `--help`.
pub(crate) const HELP: &str = "\
hello-runner: runs a WebAssembly component that uses sockets, and grants it nothing else

Usage: hello-runner [options] COMPONENT [arguments of the component]

What it may do
  --allow-listen ADDR:PORT    listen on this address; may be given several times, port 0 is any port
                              (without any --allow option: 127.0.0.1:9000 and [::1]:9000)
  --allow-connect ADDR:PORT   connect to this address; may be given several times
  --grant-needs               grant what the component says that it needs for its arguments (hello-runner asks it with
                              --check-options, and grants nothing meanwhile); other options here count more

  (Sockets that systemd hands over by LISTEN_FDS count as opened by the component; they need the same grants.)

How often
  --instances N               run N instances at once, each in a thread, with the limits below for itself: with as many as
                              there are cores, a component whose answers take long serves as many times more (default 1)

Limits
  --max-connections N         connections, for which file descriptors and memory are provided (default 10000)
  --max-memory MIB            memory (default 8 MiB, and 64 KiB for each connection, at most 4096)
  --max-turn SECS             code that runs without waiting; 0 is no limit (default 10)
  --grace SECS                time to stop after Ctrl-C or SIGTERM (default 6)
  --stop-when-stdin-closes    ask the component to stop at the end of standard input (which is not read otherwise)

What it prints
  --quiet                     do not print the grants at the start, and what the machine has too little of
  --verbose                   print where in its code the component failed (costs about 5 % of the speed)
  --audit FILE                list what the component asks of the sandbox, and the answers, a line of JSON each; FILE is
                              created or emptied, - is standard error
  --audit-to-stdin            also let the component read these lines, in its standard input
  --help, --version
";

/// The error if there is no component.
const WHICH: &str = "which component? Give the path of a .wasm file";

/// The default port of a component.
const DEFAULT_PORT: u16 = 9000;

/// The default memory of a component, in MiB, besides that of its connections.
const MEMORY: usize = 8;

/// The default memory for each connection, in bytes. A peer that does its worst makes hello-server use 42 KiB (see
/// docs/operations.md).
const MEMORY_PER_CONNECTION: usize = 64 * 1024;

/// The command of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run(Options),
    Help,
    Version,
}

/// The options for a run of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The file of the component.
    pub(crate) component: PathBuf,
    /// The arguments of the component, behind its name.
    pub(crate) arguments: Vec<String>,
    /// The addresses on which it may listen, and to which it may connect.
    pub(crate) grants: Grants,
    /// The memory limit of the component, in bytes.
    pub(crate) max_memory: usize,
    /// The number of connections for which the sandbox provides descriptors and memory.
    pub(crate) max_connections: u64,
    /// The time that code of the component may run without waiting; `None` is no limit.
    pub(crate) max_turn: Option<Duration>,
    /// The time that the component may take to end after the sandbox asked it to stop.
    pub(crate) grace: Duration,
    /// Whether the end of standard input asks the component to stop.
    pub(crate) stops_with_input: bool,
    /// The limits of the command line, which override the needs of the component. `None` without `--grant-needs`.
    pub(crate) needs: Option<Given>,
    /// The number of instances that run at once.
    pub(crate) instances: usize,
    /// Whether the sandbox prints nothing at the start.
    pub(crate) quiet: bool,
    /// Whether the sandbox reports a failure with the functions in which it happened.
    pub(crate) verbose: bool,
    /// The file for the list of what the component asks of the sandbox; `-` is standard error.
    pub(crate) audit: Option<PathBuf>,
    /// Whether that list also goes to the standard input of the component, with or without a file.
    pub(crate) audit_to_stdin: bool,
}

/// The limits that the command line sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Given {
    memory: bool,
    connections: bool,
    grace: bool,
}

impl Options {
    /// The number of connections of all instances.
    pub(crate) fn all_connections(&self) -> u64 {
        self.max_connections * self.instances as u64
    }

    /// Whether code of the component can be made to trap at any time: to say where it was, or to end one of several instances.
    pub(crate) fn has_traps(&self) -> bool {
        self.verbose || self.instances > 1
    }

    /// Grants the needs that a component prints: lines such as `listen 127.0.0.1:9000`, `connect 127.0.0.1:9000`,
    /// `connections 10000` and `grace 5`. Limits that are `given` stay as they are.
    ///
    /// # Errors
    /// No component can be granted one of the needs.
    pub(crate) fn grant(&mut self, needs: &str, given: Given) -> Result<(), Failure> {
        for (need, value) in needs.lines().filter_map(|line| line.split_once(' ')) {
            let value = OsString::from(value);
            match need {
                "listen" => add(&mut self.grants.listen, option::parse(&value, grant_to_listen)?),
                "connect" => add(&mut self.grants.connect, grant_to_connect(&value)?),
                "connections" if !given.connections => {
                    self.max_connections = option::parse(&value, number("--max-connections", CONNECTIONS))?;
                }
                // A second more than the component takes, so that it can report what was not done in time.
                "grace" if !given.grace => {
                    self.grace = option::parse(&value, seconds("--grace", 0))? + Duration::from_secs(1);
                }
                _ => {}
            }
        }
        if !given.memory {
            self.max_memory = memory_for(self.max_connections);
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            component: PathBuf::new(),
            arguments: Vec::new(),
            grants: Grants::default(),
            max_memory: 0,
            max_connections: 10_000,
            max_turn: Some(Duration::from_secs(10)),
            grace: Duration::from_secs(6),
            stops_with_input: false,
            needs: None,
            instances: 1,
            quiet: false,
            verbose: false,
            audit: None,
            audit_to_stdin: false,
        }
    }
}

/// The default memory of a component with this many connections, in bytes.
fn memory_for(connections: u64) -> usize {
    let connections = connections as usize * MEMORY_PER_CONNECTION;
    (MEMORY + connections.div_ceil(MIB)).min(MOST_MEMORY) * MIB
}

/// The range of `--instances`.
const INSTANCES: RangeInclusive<u64> = 1..=MOST_INSTANCES;

/// The range of `--max-connections`.
const CONNECTIONS: RangeInclusive<u64> = 1..=MOST_CONNECTIONS as u64;

/// Reads the command line; `arguments` are those behind the name of the program.
pub(crate) fn parse<A>(arguments: A) -> Result<Command, Failure>
where
    A: IntoIterator,
    A::Item: Into<OsString>,
{
    use lexopt::prelude::*;

    let mut options = Options::default();
    let (mut given, mut grants_needs) = (Given::default(), false);
    let mut parser = lexopt::Parser::from_args(arguments);
    loop {
        let argument = parser.next()?.ok_or_else(|| Failure::see_help(WHICH))?;
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("allow-listen") => add(&mut options.grants.listen, option::parse(&parser.value()?, grant_to_listen)?),
            Long("allow-connect") => add(&mut options.grants.connect, grant_to_connect(&parser.value()?)?),
            Long("grant-needs") => grants_needs = true,
            Long("instances") => {
                options.instances = option::parse(&parser.value()?, number("--instances", INSTANCES))? as usize;
            }
            Long("max-memory") => {
                given.memory = true;
                let mib = option::parse(&parser.value()?, number("--max-memory", 1..=MOST_MEMORY as u64))?;
                options.max_memory = mib as usize * MIB;
            }
            Long("max-connections") => {
                given.connections = true;
                options.max_connections = option::parse(&parser.value()?, number("--max-connections", CONNECTIONS))?;
            }
            Long("max-turn") => {
                let most = option::parse(&parser.value()?, seconds("--max-turn", 0))?;
                options.max_turn = Some(most).filter(|most| !most.is_zero());
            }
            Long("grace") => {
                given.grace = true;
                options.grace = option::parse(&parser.value()?, seconds("--grace", 0))?;
            }
            Long("stop-when-stdin-closes") => options.stops_with_input = true,
            Long("quiet") => options.quiet = true,
            Long("verbose") => options.verbose = true,
            Long("audit") => match parser.value()? {
                file if file.is_empty() => return Err(Failure::see_help("--audit takes a file, or -")),
                file => options.audit = Some(file.into()),
            },
            Long("audit-to-stdin") => options.audit_to_stdin = true,
            Value(component) if component.is_empty() => return Err(Failure::see_help(WHICH)),
            Value(component) => {
                options.component = component.into();
                break;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if options.audit_to_stdin && options.instances > 1 {
        return Err(Failure::see_help("--audit-to-stdin needs one instance, which reads the lines"));
    }
    // All arguments behind the component are for the component.
    options.arguments = parser.raw_args()?.map(text).collect::<Result<_, _>>()?;
    options.needs = grants_needs.then_some(given);
    if options.grants == Grants::default() && !grants_needs {
        options.grants.listen =
            vec![(Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(), (Ipv6Addr::LOCALHOST, DEFAULT_PORT).into()];
    }
    if !given.memory {
        options.max_memory = memory_for(options.max_connections);
    }
    Ok(Command::Run(options))
}

/// Reads an argument of the component.
fn text(argument: OsString) -> Result<String, Failure> {
    let no_text =
        |argument| Failure::see_help(format_args!("a component takes text, and this argument is none: {argument:?}"));
    argument.into_string().map_err(no_text)
}

/// Adds an address to `grants`, unless it is there already.
fn add(grants: &mut Vec<SocketAddr>, address: SocketAddr) {
    if !grants.contains(&address) {
        grants.push(address);
    }
}

/// Reads an address on which the component may listen. (A server that is to listen there reports errors of the address itself.)
fn grant_to_listen(text: &str) -> Result<SocketAddr, String> {
    grant("--allow-listen", text)
}

/// Reads an address to which the component may connect.
fn grant_to_connect(value: &OsStr) -> Result<SocketAddr, Failure> {
    const OPTION: &str = "--allow-connect";
    let address = option::parse(value, |text| match grant(OPTION, text)? {
        address if address.port() == 0 => Err(format!("{OPTION} takes a port from 1 to 65535")),
        address => Ok(address),
    })?;
    match lacks_scope(&address) {
        true => Err(Failure::see_help(format_args!("{OPTION} cannot grant {address}: {NAME_SCOPE}"))),
        false => Ok(address),
    }
}

/// Reads an address that `option` can grant.
fn grant(option: &str, text: &str) -> Result<SocketAddr, String> {
    let address = address(option)(text)?;
    match can_be_used(address.ip(), option) {
        true => Ok(address),
        false => Err(format!("{option} takes an address of one machine")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        match parse(arguments) {
            Ok(Command::Run(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_grant_the_pair_of_the_lecture_is_granted() {
        let options = options(&["a.wasm"]);
        let listen = ["127.0.0.1:9000", "[::1]:9000"].map(|address| address.parse().expect("an address"));
        assert_eq!(options.grants, Grants { listen: listen.to_vec(), connect: vec![] });
        assert_eq!(options.component, PathBuf::from("a.wasm"));
    }

    #[test]
    fn memory_is_for_as_many_connections_as_there_may_be() {
        let mib = |arguments: &[&str]| options(arguments).max_memory / MIB;
        assert_eq!(mib(&["a"]), 633);
        assert_eq!(mib(&["--max-connections", "100", "a"]), 15);
        assert_eq!(mib(&["--max-connections", "1000000", "a"]), MOST_MEMORY);
        assert_eq!(mib(&["--max-connections", "100", "--max-memory", "64", "a"]), 64);
    }

    #[test]
    fn a_grant_replaces_the_pair() {
        let address = |text: &str| vec![text.parse().expect("an address")];
        let listening = options(&["--allow-listen", "127.0.0.1:9005", "a.wasm"]);
        assert_eq!(listening.grants, Grants { listen: address("127.0.0.1:9005"), connect: vec![] });
        let calling = options(&["--allow-connect", "192.0.2.1:80", "a.wasm"]);
        assert_eq!(calling.grants, Grants { listen: vec![], connect: address("192.0.2.1:80") });
    }

    #[test]
    fn a_grant_that_is_given_twice_is_one() {
        let place = "127.0.0.1:9005";
        let options = options(&["--allow-listen", place, "--allow-connect", place, "--allow-listen", place, "a.wasm"]);
        assert_eq!(options.grants.words(), ["listen on 127.0.0.1:9005", "connect to 127.0.0.1:9005"]);
    }

    #[test]
    fn needs_are_granted_and_explicit_options_count_more() {
        let needs =
            "listen 127.0.0.1:0\nlisten [::1]:0\nconnect 127.0.0.1:80\nconnections 100\ngrace 9\nsomething new\n";
        let granted = |arguments: &[&str]| {
            let mut options = options(&[&["--grant-needs"], arguments, &["a"]].concat());
            assert_eq!(options.grants.words(), <[&str; 0]>::default());
            let given = options.needs.expect("it was asked for");
            options.grant(needs, given).expect("it can be granted");
            assert_eq!(options.grants.words(), ["listen on 127.0.0.1:0 and [::1]:0", "connect to 127.0.0.1:80"]);
            (options.max_connections, options.max_memory / MIB, options.grace.as_secs())
        };
        assert_eq!(granted(&[]), (100, 15, 10));
        assert_eq!(granted(&["--max-connections", "10"]), (10, 9, 10));
        assert_eq!(granted(&["--max-memory", "64", "--grace", "1"]), (100, 64, 1));
        let mut options = options(&["--grant-needs", "a"]);
        assert!(options.grant("connect 127.0.0.1:0", Given::default()).is_err());
    }

    #[test]
    fn arguments_behind_the_component_belong_to_it() {
        let options = options(&["--quiet", "a.wasm", "--quiet", "--help", "--", "x"]);
        assert_eq!(options.arguments, ["--quiet", "--help", "--", "x"]);
    }

    #[test]
    fn an_option_that_the_component_has_too_counts_for_the_one_that_it_is_given_to() {
        let name = "--stop-when-stdin-closes";
        let [given, passed_on] = [&[name, "a.wasm"], &["a.wasm", name]].map(|arguments| options(arguments));
        assert_eq!((given.stops_with_input, given.arguments.len()), (true, 0));
        assert_eq!((passed_on.stops_with_input, passed_on.arguments), (false, vec![name.to_owned()]));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_unicode_is_told_with_its_option() {
        use std::os::unix::ffi::OsStrExt as _;
        let value = OsStr::from_bytes(b"9\xff");
        for option in
            ["--allow-listen", "--allow-connect", "--max-memory", "--max-connections", "--max-turn", "--grace"]
        {
            let error = parse([OsStr::new(option), value]).expect_err(option).to_string();
            assert!(error.starts_with(&format!("{option} takes ")) && error.contains("not \"9\u{fffd}\""), "{error}");
        }
    }

    #[test]
    fn a_redirect_that_cannot_be_followed_is_reported() {
        for (arguments, words) in [
            (&["--allow-listen", "localhost:9000", "a"][..], "--allow-listen takes an address and a port"),
            (&["--allow-listen", "[::ffff:127.0.0.1]:9000", "a"], "--allow-listen takes an address of one machine"),
            (&["--allow-connect", "224.0.0.1:9000", "a"], "--allow-connect takes an address of one machine"),
            (&["--allow-connect", "0.0.0.0:9000", "a"], "--allow-connect takes an address of one machine"),
            (&["--allow-connect", "127.0.0.1:0", "a"], "--allow-connect takes a port from 1 to 65535"),
            (&["--allow-connect", "[fe80::1]:80", "a"], "--allow-connect cannot grant [fe80::1]:80: an address that"),
            (&["--max-memory", "0", "a"], "--max-memory takes a whole number from 1 to 4096"),
            (&["--instances", "0", "a"], "--instances takes a whole number from 1 to 256"),
            (&["--instances", "2", "--audit-to-stdin", "a"], "--audit-to-stdin needs one instance"),
            (&["--max-turn", "soon", "a"], "--max-turn takes a whole number from 0 to 86400, not \"soon\""),
            (&["--allow-files", "a"], "--allow-files"),
            (&["--audit", "", "a"], "--audit takes a file, or -"),
            (&["--quiet"], "which component?"),
            (&["--quiet", ""], "which component?"),
        ] {
            let error = parse(arguments).expect_err(words).to_string();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}
