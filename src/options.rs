//! The command line: the options of the server, and the messages for mistakes.

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use hello_failure::Failure;
use hello_failure::option::{self, address};
use lexopt::{Parser, ValueExt as _};

use crate::observers::log::Format;
use crate::server::Limits;

/// The text that `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// How many may watch the live page at a time, unless `--live=N` says so.
const WATCHERS: usize = 8;

/// The command on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve with these options.
    Serve(Options),
    /// Print the needs of these options ([`Options::needs`]); print nothing if the command line only asks for a text.
    CheckOptions(Option<Options>),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// The options of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where to listen.
    pub listen_on: ListenOn,
    /// How many connections may be pending. Default is 1024; the system may keep fewer (`net.core.somaxconn` on Linux).
    pub backlog: u32,
    /// The limits and timeouts.
    pub limits: Limits,
    /// The format of the access log. Default is [`Format::Common`], and [`Format::Off`] with `events`.
    pub log: Format,
    /// Whether to write each event as a line of JSON.
    pub events: bool,
    /// How many may watch the live page at a time; `None` without the page.
    pub live: Option<usize>,
    /// Whether to explain each step of the server.
    pub explain: bool,
    /// Whether to show the bytes of the connections.
    pub show_bytes: bool,
    /// When to use colours for these bytes. Default is [`Color::Auto`].
    pub color: Color,
    /// Whether the server stops at the end of standard input. Default is no: services start with an input at its end.
    pub stop_when_stdin_closes: bool,
    /// The time for responses in progress when the server stops. Default is 5 seconds.
    pub grace: Duration,
}

impl Options {
    /// The grants that these options need from the sandbox, a line each: `listen ADDR:PORT` once or more, `connections N`
    /// and `grace SECONDS`. `runner/serve` turns these lines into options of the sandbox.
    pub fn needs(&self) -> String {
        let addresses = match &self.listen_on {
            ListenOn::Loopback { port } => {
                vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()]
            }
            ListenOn::Addresses(addresses) => addresses.clone(),
        };
        let live = self.live_addresses().into_iter().flatten();
        let mut needs: String =
            addresses.iter().copied().chain(live).map(|address| format!("listen {address}\n")).collect();
        let connections = self.limits.connections + self.live.map_or(0, live_connections);
        needs += &format!("connections {connections}\ngrace {}\n", self.grace.as_secs());
        needs
    }

    /// The addresses of the live page, if there is one: the next port of both loopback addresses.
    pub fn live_addresses(&self) -> Option<[SocketAddr; 2]> {
        let port = match &self.listen_on {
            ListenOn::Loopback { port } => *port,
            ListenOn::Addresses(addresses) => addresses.first()?.port(),
        };
        let next = if port == 0 { 0 } else { port.checked_add(1).unwrap_or(0) };
        self.live.map(|_| [(Ipv4Addr::LOCALHOST, next).into(), (Ipv6Addr::LOCALHOST, next).into()])
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenOn {
    /// On both loopback addresses, so that `localhost` works whichever a client tries first. Without IPv6, only on that of IPv4.
    Loopback {
        /// The port on both addresses; 0 takes a port that is free on both.
        port: u16,
    },
    /// On all of these addresses.
    Addresses(Vec<SocketAddr>),
}

impl ListenOn {
    /// The default: port 9000, as in the lecture.
    pub const DEFAULT: ListenOn = ListenOn::Loopback { port: 9000 };

    /// Whether the options give a port only, so that the name of the server is `localhost`.
    pub fn by_port(&self) -> bool {
        matches!(self, ListenOn::Loopback { .. })
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// If standard output is a terminal, and the environment does not forbid colours (`NO_COLOR`, or a `TERM` of `dumb`; see
    /// <https://no-color.org>).
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen_on: ListenOn::DEFAULT,
            backlog: 1024,
            limits: Limits::default(),
            log: Format::Common,
            events: false,
            live: None,
            explain: false,
            show_bytes: false,
            color: Color::Auto,
            stop_when_stdin_closes: false,
            grace: Duration::from_secs(5),
        }
    }
}

/// Reads the command line; `arguments` are those behind the program's name.
///
/// # Errors
/// The command line has a mistake.
pub fn parse(arguments: impl IntoIterator<Item: Into<OsString>>) -> Result<Command, Failure> {
    Ok(read(Parser::from_args(arguments))?)
}

/// Reads the command line, with errors of lexopt, which [`parse`] turns into a failure.
fn read(mut parser: Parser) -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;

    let (mut listen, mut port, mut log, mut check) = (Vec::new(), None, None, false);
    let mut options = Options::default();
    let limits = &mut options.limits;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help" | "version") | Short('h' | 'V') if check => return Ok(Command::CheckOptions(None)),
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("check-options") => check = true,
            Long("listen") => {
                let address = parser.value()?.parse_with(address("--listen"))?;
                if address.port() != 0 && listen.contains(&address) {
                    return Err(format!("--listen {address} is given twice").into());
                }
                listen.push(address);
            }
            Long("port") => port = Some(number(&mut parser, "--port", 0..=65_535)? as u16),
            Long("backlog") => options.backlog = number(&mut parser, "--backlog", 1..=65_535)? as u32,
            Long("max-connections") => {
                limits.connections = number(&mut parser, "--max-connections", 1..=1_000_000)? as usize;
            }
            Long("header-timeout") => limits.header_timeout = seconds(&mut parser, "--header-timeout")?,
            Long("idle-timeout") => limits.idle_timeout = seconds(&mut parser, "--idle-timeout")?,
            Long("write-timeout") => limits.write_timeout = seconds(&mut parser, "--write-timeout")?,
            Long("stop-when-stdin-closes") => options.stop_when_stdin_closes = true,
            Long("grace") => options.grace = seconds(&mut parser, "--grace")?,
            Long("log") => log = Some(parser.value()?.parse_with(format)?),
            Long("events") => options.events = true,
            Long("live") => options.live = Some(watchers(&mut parser)?),
            Long("explain") => options.explain = true,
            Long("show-bytes") => options.show_bytes = true,
            Long("color") => options.color = parser.value()?.parse_with(color)?,
            other => return Err(other.unexpected()),
        }
    }
    options.log = log.unwrap_or(if options.events { Format::Off } else { Format::Common });
    if options.log == Format::Json && (options.explain || options.show_bytes) {
        return Err("--explain and --show-bytes are for people, and go with --log common or off".into());
    }
    if options.log == Format::Json && options.events {
        return Err("--events has JSON of its own, and goes with --log common or off".into());
    }
    options.listen_on = listen_on(listen, port)?;
    Ok(if check { Command::CheckOptions(Some(options)) } else { Command::Serve(options) })
}

/// Where to listen, from every `--listen` and the `--port`.
fn listen_on(listen: Vec<SocketAddr>, port: Option<u16>) -> Result<ListenOn, lexopt::Error> {
    match (listen.is_empty(), port) {
        (true, None) => Ok(ListenOn::DEFAULT),
        (true, Some(port)) => Ok(ListenOn::Loopback { port }),
        (false, None) => Ok(ListenOn::Addresses(listen)),
        (false, Some(_)) => Err("--port and --listen both say where to listen: give one of them".into()),
    }
}

/// Reads a number as the next value. (The function is not inlined for each option: that keeps the component small.)
#[inline(never)]
fn number(parser: &mut Parser, option: &str, range: RangeInclusive<u64>) -> Result<u64, lexopt::Error> {
    parser.value()?.parse_with(option::number(option, range))
}

/// How many connections the live page may have: a browser opens up to six, and only one of them watches.
pub fn live_connections(watchers: usize) -> usize {
    watchers + 16
}

/// Reads how many may watch the live page: `--live` or `--live=N`.
fn watchers(parser: &mut Parser) -> Result<usize, lexopt::Error> {
    if !cfg!(feature = "live") {
        return Err("--live is for another build of this server: runner/serve --live builds that one".into());
    }
    match parser.optional_value() {
        Some(value) => Ok(value.parse_with(option::number("--live", 1..=100))? as usize),
        None => Ok(WATCHERS),
    }
}

/// Reads a timeout as the next value: whole seconds, up to a day.
fn seconds(parser: &mut Parser, option: &str) -> Result<Duration, lexopt::Error> {
    number(parser, option, 1..=86_400).map(Duration::from_secs)
}

fn format(text: &str) -> Result<Format, &'static str> {
    match text {
        "common" => Ok(Format::Common),
        "json" => Ok(Format::Json),
        "off" => Ok(Format::Off),
        _ => Err("--log takes common, json or off"),
    }
}

fn color(text: &str) -> Result<Color, &'static str> {
    match text {
        "auto" => Ok(Color::Auto),
        "always" => Ok(Color::Always),
        "never" => Ok(Color::Never),
        _ => Err("--color takes auto, always or never"),
    }
}

#[cfg(test)]
mod tests {
    use hello_failure::place;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// `hello_failure::place` has the tests of each message.
    #[test]
    fn a_server_that_was_given_a_port_only_is_called_by_port_and_any_other_by_its_address() {
        assert!(ListenOn::DEFAULT.by_port());
        assert!(!ListenOn::Addresses(vec![address("127.0.0.1:9000")]).by_port());
    }

    #[test]
    fn with_events_there_is_an_access_log_only_if_it_is_asked_for_and_it_is_no_json() {
        for (words, log) in [
            (&["--events"][..], Some(Format::Off)),
            (&["--events", "--log", "common"], Some(Format::Common)),
            (&["--log=common", "--events"], Some(Format::Common)),
            (&["--events", "--log", "json"], None),
            (&["--log", "json"], Some(Format::Json)),
            (&[], Some(Format::Common)),
        ] {
            let options = match parse(words) {
                Ok(Command::Serve(options)) => Some((options.log, options.events)),
                _ => None,
            };
            assert_eq!(options, log.map(|log| (log, words.contains(&"--events"))), "{words:?}");
        }
    }

    #[test]
    fn the_option_for_another_port_can_be_used_as_it_is() {
        let listed = ListenOn::Addresses(vec![]);
        for (listen_on, taken) in [
            (&ListenOn::DEFAULT, "127.0.0.1:9000"),
            (&ListenOn::DEFAULT, "127.0.0.1:65535"),
            (&listed, "0.0.0.0:9000"),
            (&listed, "[::1]:65535"),
            (&listed, "[fe80::5%2]:9000"),
        ] {
            let advised = place::another_port(address(taken), listen_on.by_port());
            assert!(matches!(parse(advised.split(' ')), Ok(Command::Serve(_))), "{advised}");
        }
    }
}
