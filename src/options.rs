//! The command line: what the server may be told, and the words for a mistake.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::observers::log::Format;
use crate::server::Limits;

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To serve, with these options.
    Serve(Options),
    /// To say what serving with these options needs ([`Options::needs`]); nothing, if they only ask for words.
    CheckOptions(Option<Options>),
    /// To print [`HELP`].
    Help,
    /// To print the version.
    Version,
}

/// How to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where to listen.
    pub place: Place,
    /// How many callers wait in line. Default is 1024; the system may keep fewer (`net.core.somaxconn` on Linux).
    pub backlog: u64,
    /// How much the server puts up with.
    pub limits: Limits,
    /// What a line of the log looks like. Default is [`Format::Common`].
    pub log: Format,
    /// Whether what the server does is explained.
    pub explain: bool,
    /// Whether the bytes of the conversations are shown.
    pub show_bytes: bool,
    /// When colours are used for them. Default is [`Color::Auto`].
    pub color: Color,
    /// Whether the end of standard input tells the server to stop. Not by default: services start with an input that is
    /// at its end already.
    pub stop_when_stdin_closes: bool,
    /// How long those who are being served when the server stops may take. Default is 5 seconds.
    pub grace: Duration,
}

impl Options {
    /// What the sandbox has to grant for these options, a line each: `listen ADDR:PORT` once or more, `connections N`
    /// and `grace SECONDS`. `runner/serve` makes the options of the sandbox of it.
    pub fn needs(&self) -> String {
        let addresses = match &self.place {
            Place::Loopback { port } => {
                vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()]
            }
            Place::Addresses(addresses) => addresses.clone(),
        };
        let mut needs: String = addresses.iter().map(|address| format!("listen {address}\n")).collect();
        needs += &format!("connections {}\ngrace {}\n", self.limits.connections, self.grace.as_secs());
        needs
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On both loopback addresses, so that `localhost` works whichever of them a client tries first. A machine
    /// without IPv6 gets the other one only.
    Loopback {
        /// The port of both; 0 takes one that is free on both.
        port: u16,
    },
    /// On these addresses, and all of them.
    Addresses(Vec<SocketAddr>),
}

impl Place {
    /// The default: port 9000, as in the lecture.
    pub const DEFAULT: Place = Place::Loopback { port: 9000 };

    /// What a browser on this machine can open, of a server that listens at `address`: `http://localhost:9000` also where that is
    /// every address of the machine (`0.0.0.0` or `[::]`), which no client can call.
    pub fn url(&self, address: SocketAddr) -> String {
        let is_localhost = matches!(self, Place::Loopback { .. }) || address.ip().is_unspecified();
        match address {
            _ if is_localhost => format!("http://localhost:{}", address.port()),
            // RFC 6874: in a URL, the `%` before the zone of an address is written `%25`.
            _ => format!("http://{}", address.to_string().replace('%', "%25")),
        }
    }

    /// The option that moves a server from `address`, where it cannot listen, to the next port; from the last port, to any that is
    /// free.
    pub fn with_another_port(&self, mut address: SocketAddr) -> String {
        address.set_port(address.port().checked_add(1).unwrap_or(0));
        match self {
            Place::Loopback { .. } => format!("--port {}", address.port()),
            Place::Addresses(_) => format!("--listen {address}"),
        }
    }

    /// What to do when this machine has no such address.
    pub fn advice(&self) -> &'static str {
        match self {
            Place::Loopback { .. } => "give an address of this machine with --listen; 0.0.0.0 stands for all of them",
            Place::Addresses(_) => {
                "leave --listen out for localhost, or give an address of this machine; 0.0.0.0 stands for all of them"
            }
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// If standard output is a terminal, and the environment does not say that it wants none (`NO_COLOR`, or a `TERM` of
    /// `dumb`; see <https://no-color.org>).
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A command line that cannot be followed, in one line for the one who typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        UsageError(error.to_string())
    }
}

/// Reads the command line; `arguments` are those behind the program's name.
pub fn parse<A>(arguments: A) -> Result<Command, UsageError>
where
    A: IntoIterator,
    A::Item: Into<OsString>,
{
    use lexopt::prelude::*;

    let mut listen = Vec::new();
    let mut port = None;
    let mut check = false;
    let mut options = Options {
        place: Place::DEFAULT,
        backlog: 1024,
        limits: Limits::default(),
        log: Format::Common,
        explain: false,
        show_bytes: false,
        color: Color::Auto,
        stop_when_stdin_closes: false,
        grace: Duration::from_secs(5),
    };
    let limits = &mut options.limits;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help" | "version") | Short('h' | 'V') if check => {
                return Ok(Command::CheckOptions(None));
            }
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("check-options") => check = true,
            Long("listen") => {
                let address = address(parser.value()?)?;
                if address.port() != 0 && listen.contains(&address) {
                    return Err(UsageError(format!("--listen {address} is given twice")));
                }
                listen.push(address);
            }
            Long("port") => port = Some(number("--port", parser.value()?, 0, 65_535)? as u16),
            Long("backlog") => options.backlog = number("--backlog", parser.value()?, 1, 65_535)?,
            Long("max-connections") => {
                limits.connections = number("--max-connections", parser.value()?, 1, 1_000_000)? as usize;
            }
            Long("header-timeout") => {
                limits.header_timeout = seconds("--header-timeout", parser.value()?)?;
            }
            Long("idle-timeout") => {
                limits.idle_timeout = seconds("--idle-timeout", parser.value()?)?;
            }
            Long("write-timeout") => {
                limits.write_timeout = seconds("--write-timeout", parser.value()?)?;
            }
            Long("stop-when-stdin-closes") => options.stop_when_stdin_closes = true,
            Long("grace") => options.grace = seconds("--grace", parser.value()?)?,
            Long("log") => options.log = format(parser.value()?)?,
            Long("explain") => options.explain = true,
            Long("show-bytes") => options.show_bytes = true,
            Long("color") => options.color = color(parser.value()?)?,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.log == Format::Json && (options.explain || options.show_bytes) {
        return Err(UsageError("--explain and --show-bytes are for people, and go with --log common or off".into()));
    }
    options.place = match (listen.is_empty(), port) {
        (true, None) => Place::DEFAULT,
        (true, Some(port)) => Place::Loopback { port },
        (false, None) => Place::Addresses(listen),
        (false, Some(_)) => {
            return Err(UsageError("--port and --listen both say where to listen: give one of them".into()));
        }
    };
    Ok(match check {
        true => Command::CheckOptions(Some(options)),
        false => Command::Serve(options),
    })
}

fn address(value: OsString) -> Result<SocketAddr, UsageError> {
    let text = value.to_string_lossy();
    text.parse().map_err(|_| {
        UsageError(format!("--listen takes an address and a port, such as 127.0.0.1:9000 or [::1]:9000, not {text:?}"))
    })
}

fn number(option: &str, value: OsString, least: u64, most: u64) -> Result<u64, UsageError> {
    let text = value.to_string_lossy();
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(UsageError(format!("{option} takes a whole number from {least} to {most}, not {text:?}"))),
    }
}

/// A timeout: whole seconds, up to a day.
fn seconds(option: &str, value: OsString) -> Result<Duration, UsageError> {
    number(option, value, 1, 86_400).map(Duration::from_secs)
}

fn format(value: OsString) -> Result<Format, UsageError> {
    match value.to_str() {
        Some("common") => Ok(Format::Common),
        Some("json") => Ok(Format::Json),
        Some("off") => Ok(Format::Off),
        _ => Err(UsageError(format!("--log takes common, json or off, not {:?}", value.to_string_lossy()))),
    }
}

fn color(value: OsString) -> Result<Color, UsageError> {
    match value.to_str() {
        Some("auto") => Ok(Color::Auto),
        Some("always") => Ok(Color::Always),
        Some("never") => Ok(Color::Never),
        _ => Err(UsageError(format!("--color takes auto, always or never, not {:?}", value.to_string_lossy()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_printed_as_the_url_can_be_opened() {
        let listed = Place::Addresses(vec![]);
        for (place, listens_at, url) in [
            (&Place::DEFAULT, "127.0.0.1:9000", "http://localhost:9000"),
            (&listed, "127.0.0.1:9000", "http://127.0.0.1:9000"),
            (&listed, "0.0.0.0:9000", "http://localhost:9000"),
            (&listed, "[::]:9000", "http://localhost:9000"),
            (&listed, "[::1]:9000", "http://[::1]:9000"),
            (&listed, "[fe80::5%2]:9000", "http://[fe80::5%252]:9000"),
        ] {
            assert_eq!(place.url(address(listens_at)), url);
        }
    }

    #[test]
    fn the_option_for_another_port_can_be_used_as_it_is() {
        let listed = Place::Addresses(vec![]);
        for (place, taken, option) in [
            (&Place::DEFAULT, "127.0.0.1:9000", "--port 9001"),
            (&Place::DEFAULT, "127.0.0.1:65535", "--port 0"),
            (&listed, "0.0.0.0:9000", "--listen 0.0.0.0:9001"),
            (&listed, "[::1]:65535", "--listen [::1]:0"),
            (&listed, "[fe80::5%2]:9000", "--listen [fe80::5%2]:9001"),
        ] {
            let advised = place.with_another_port(address(taken));
            assert_eq!(advised, option);
            assert!(matches!(parse(advised.split(' ')), Ok(Command::Serve(_))), "{advised}");
        }
    }

    #[test]
    fn no_option_is_to_be_left_out_that_was_not_given() {
        assert!(!Place::DEFAULT.advice().contains("leave"));
        assert!(Place::Addresses(vec![]).advice().contains("leave --listen out"));
    }
}
