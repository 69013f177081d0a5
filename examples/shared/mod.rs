//! What both clients need and neither is about: their command line, and the words for what can go wrong.
#![allow(dead_code, reason = "not every client needs everything, and outside a component nobody does")]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

/// What is asked for when nothing is said: the lecture's page, on the lecture's port.
const LECTURE: &str = "http://127.0.0.1:9000/romeo.txt";

/// The port of `http://` when a URL names none.
const DEFAULT_PORT: u16 = 80;

/// Why it did not work: what is wrong, what to do about it, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    cause: String,
    advice: String,
    code: u8,
}

impl Failure {
    /// Something went wrong on the way.
    pub(crate) fn new(cause: impl Into<String>, advice: impl Into<String>) -> Self {
        Failure { cause: cause.into(), advice: advice.into(), code: 1 }
    }

    /// What was typed cannot be followed.
    fn usage(cause: impl Into<String>, advice: impl Into<String>) -> Self {
        Failure { code: 2, ..Failure::new(cause, advice) }
    }

    /// Nothing can be printed any more.
    pub(crate) fn print(error: io::Error) -> Self {
        Failure::new(format!("cannot print what the server said: {error}"), "nobody may be reading it any more")
    }
}

/// A URL that can be called: `http://`, an address or `localhost`, perhaps a port, perhaps a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// All of it, as it was typed.
    pub(crate) text: String,
    /// Who: an address, or `localhost`.
    pub(crate) host: String,
    /// At which number of theirs.
    pub(crate) port: u16,
    /// What is wanted of them.
    pub(crate) path: String,
    /// The addresses that `host` is.
    ips: Vec<IpAddr>,
}

impl Url {
    /// Takes `text` to pieces.
    ///
    /// # Errors
    /// It is none of those that can be called here.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let such = "give one such as http://127.0.0.1:9000/romeo.txt, with http:// in front";
        let no_url = || Failure::usage(format!("{text:?} is not a URL that can be called"), such);
        // A scheme may be written in either case (RFC 3986 section 3.1).
        let scheme = text.split_inclusive("://").next().unwrap_or_default().to_ascii_lowercase();
        if scheme == "https://" {
            return Err(Failure::usage("https:// needs TLS, which is not spoken here", "say http:// instead"));
        }
        let rest = text.get(scheme.len()..).filter(|_| scheme == "http://").ok_or_else(no_url)?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(no_url());
        }
        // What stands behind a # is for the reader, and is not sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // The last colon is the one before the port, unless it stands inside of [::1].
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (authority, ""),
        };
        let port = match port {
            "" if !authority.ends_with(':') => DEFAULT_PORT,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| no_url())?,
            _ => return Err(no_url()),
        };
        let ips = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(ip) => vec![ip.parse::<Ipv6Addr>().map_err(|_| no_url())?.into()],
            // This machine, without asking anybody (RFC 6761 section 6.3).
            None if host.eq_ignore_ascii_case("localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            None if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                vec![host.parse::<Ipv4Addr>().map_err(|_| no_url())?.into()]
            }
            None if host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) => {
                return Err(Failure::usage(
                    format!("{host} is a name, and this client looks up no names"),
                    "give the address instead, such as http://127.0.0.1:9000/",
                ));
            }
            None => return Err(no_url()),
        };
        if port == 0 {
            return Err(no_url());
        }
        Ok(Url { text: text.to_owned(), host: host.to_owned(), port, path, ips })
    }

    /// Whom to call: the first of these that answers.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.ips.iter().map(|&ip| SocketAddr::new(ip, self.port))
    }

    /// The address to call for a client that can call IPv4 only.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn ipv4_address(&self) -> Result<SocketAddr, Failure> {
        self.addresses().find(SocketAddr::is_ipv4).ok_or_else(|| {
            Failure::usage(
                format!("{} is an IPv6 address, which wstd cannot call yet", self.host),
                "give an IPv4 address, such as 127.0.0.1, or take the url client",
            )
        })
    }

    /// The words for a call that came to nothing.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        let place = format!("{}:{}", self.host, self.port);
        let first = SocketAddr::new(self.ips[0], self.port);
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                let advice = match (first.ip().is_loopback(), self.port) {
                    (true, 9000) => "start the server first, in another terminal: runner/serve".into(),
                    (true, port) => {
                        format!("start the server first, in another terminal: runner/serve --port {port}")
                    }
                    (false, _) => "start the server there first, or check the address and the port".into(),
                };
                Failure::new(format!("nothing is listening on {place}"), advice)
            }
            ErrorKind::PermissionDenied => Failure::new(
                format!("the sandbox does not let this program call {place}"),
                format!("grant it: hello-runner --allow-connect {first}, or wasmtime run -S inherit-network,http"),
            ),
            ErrorKind::UnexpectedEof => Failure::new(
                format!("{place} hung up without a whole answer"),
                "it may be busy, ending, or no web server at all: see what it has printed",
            ),
            ErrorKind::TimedOut => {
                Failure::new(format!("{place} does not answer"), "check the address, and whether the server still runs")
            }
            // Some hosts say more than a line.
            _ => Failure::new(
                format!("the call to {place} failed: {}", error.to_string().lines().next().unwrap_or_default()),
                "check whether that machine can be reached, and what its server has printed",
            ),
        }
    }
}

/// What the command line of a client asks for.
enum Command {
    /// To call.
    Call(Url),
    /// To say what calling would need of the sandbox (`--check-options`), as hello-server does.
    Check(Url),
}

/// Reads the command line: one URL, or none.
fn command(arguments: &[String]) -> Result<Command, Failure> {
    let (check, urls) = match arguments {
        [first, rest @ ..] if first == "--check-options" => (true, rest),
        all => (false, all),
    };
    let url = match urls {
        [] => LECTURE,
        [url] => url,
        more => {
            return Err(Failure::usage(
                format!("one URL is enough, and there are {}", more.len()),
                format!("give one such as {LECTURE}, or none, which is that one"),
            ));
        }
    };
    Url::parse(url).map(if check { Command::Check } else { Command::Call })
}

/// Does what the command line says: calls with `call`, or says which of the `addresses` of a URL that would need.
#[cfg(target_family = "wasm")]
pub(crate) fn run<I: IntoIterator<Item = SocketAddr>>(
    name: &str,
    addresses: impl Fn(&Url) -> Result<I, Failure>,
    call: impl AsyncFn(&Url) -> Result<(), Failure>,
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = async {
        match command(&arguments)? {
            Command::Call(url) => {
                addresses(&url)?;
                call(&url).await
            }
            Command::Check(url) => {
                addresses(&url)?.into_iter().for_each(|address| println!("connect {address}"));
                Ok(())
            }
        }
    };
    match wstd::runtime::block_on(result) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { cause, advice, code }) => {
            eprintln!("{name}: {cause}\n  {advice}");
            ExitCode::from(code)
        }
    }
}

/// Outside a component there is no WASI to call with.
pub(crate) fn not_here(client: &str) -> ExitCode {
    eprintln!("{client}_client: this is a WebAssembly component, built here as a native program");
    eprintln!("  start it with runner/client {client}, which builds it for wasm32-wasip2 and launches it");
    ExitCode::FAILURE
}
