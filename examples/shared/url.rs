//! A URL that a client can call, and the messages for a call that fails.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hello_failure::Failure;
use url::{Host, ParseError, Position};

use super::arguments::PORT;

/// The most bytes that a URL may have. `wasi:http` takes no more, in wasmtime and in wstd.
const MOST: usize = 65_534;

/// The cause for an invalid port.
const NO_PORT: &str = "its port is no number from 1 to 65535";

/// The advice for a URL that cannot be called.
const SUCH: &str = "give one such as http://127.0.0.1:9000/romeo.txt";

/// A URL that can be called: `http://`, an address or `localhost`, perhaps a port, perhaps a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    url: url::Url,
    /// The addresses of the host, in the order in which to try them.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Url {
    /// Reads `text` as the address bar of a browser does: `http://` may be left out, and characters that a URL cannot have are
    /// encoded.
    ///
    /// # Errors
    /// `text` is no URL, or none that can be called here.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Url::read(text)?)
    }

    fn read(text: &str) -> Result<Self, Failure> {
        let no_url = |why: &str| Failure::usage(format!("\"{text}\" is not a URL that can be called: {why}"), SUCH);
        let mut url = url::Url::parse(&with_scheme(text)).map_err(|error| match error {
            ParseError::InvalidPort => no_url(NO_PORT),
            ParseError::IdnaError => no_url("its host is neither an address nor localhost"),
            other => no_url(&other.to_string()),
        })?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(Failure::usage("https:// needs TLS, which is not spoken here", "say http:// instead"));
            }
            scheme => return Err(no_url(&format!("it begins with {scheme}:, not with http://"))),
        }
        if !url.username().is_empty() || url.password().is_some() {
            let cause = format!("\"{text}\" has a user name in it, which this client cannot send");
            return Err(Failure::usage(cause, "leave out the user name, the password, and the @ behind them"));
        }
        let port = url.port_or_known_default().filter(|&port| port > 0).ok_or_else(|| no_url(NO_PORT))?;
        let ips = ips(url.host())?;
        // The sandbox knows each address in one spelling.
        let host = match ips[..] {
            [IpAddr::V4(ip)] => ip.to_string(),
            [IpAddr::V6(ip)] => format!("[{ip}]"),
            _ => "localhost".into(),
        };
        url.set_host(Some(&host)).map_err(|error| no_url(&error.to_string()))?;
        // The text behind a # is for the browser, and is not sent.
        url.set_fragment(None);
        if url.as_str().len() > MOST {
            let cause = format!("a URL may have {MOST} bytes, and this one has more");
            return Err(Failure::usage(cause, "send long data in the body of a request, as curl --data does"));
        }
        Ok(Url { url, addresses: ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect() })
    }

    /// The whole URL, encoded.
    pub(crate) fn text(&self) -> &str {
        self.url.as_str()
    }

    /// The host: an address, or `localhost`.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The path, and the query behind a question mark.
    pub(crate) fn path(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The host and the port.
    fn place(&self) -> String {
        format!("{}:{}", self.host(), self.port())
    }

    fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// The advice if nothing listens on a port of this machine.
    fn start(&self) -> String {
        let start = "start the server first, in another terminal: runner/serve";
        let address = self.addresses[0];
        let of_the_lecture = address.ip() == Ipv4Addr::LOCALHOST || address.ip() == Ipv6Addr::LOCALHOST;
        match address.port() {
            80 => {
                let (host, path) = (self.host(), self.path());
                format!("without a port, http:// means port 80; did you mean http://{host}:{PORT}{path}?")
            }
            PORT if of_the_lecture => start.into(),
            port if of_the_lecture => format!("{start} --port {port}"),
            _ => format!("{start} --listen {address}"),
        }
    }

    /// The failure for a connection that could not be made.
    pub(crate) fn no_connection(&self, error: &io::Error) -> Failure {
        use ErrorKind::{
            AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, PermissionDenied, TimedOut,
            Unsupported,
        };
        let place = self.place();
        let first = self.addresses[0];
        match error.kind() {
            PermissionDenied => Failure::new(
                format!("the sandbox does not let this program call {place}"),
                format!("grant it: hello-runner --allow-connect {first}, or wasmtime run -S inherit-network,http"),
            ),
            TimedOut => {
                Failure::new(format!("{place} does not answer"), "check the address, and whether the server still runs")
            }
            // `localhost` may have an address that this machine has not, and then nothing listens there either.
            ConnectionRefused | AddrNotAvailable | HostUnreachable | NetworkUnreachable | Unsupported
                if first.ip().is_loopback() =>
            {
                Failure::new(format!("nothing is listening on {place}"), self.start())
            }
            ConnectionRefused => Failure::new(
                format!("nothing is listening on {place}"),
                "start the server there first, or check the address and the port",
            ),
            AddrNotAvailable | HostUnreachable | NetworkUnreachable | Unsupported => Failure::new(
                format!("{place} cannot be reached from here"),
                "check the address, and whether this machine is connected to the network of that one",
            ),
            // Some hosts report more than a line.
            _ => Failure::new(
                format!("the call to {place} failed: {}", error.to_string().lines().next().unwrap_or_default()),
                "check the address, and what its server has printed",
            ),
        }
    }

    /// Checks that a response with this status, such as 404 and `404 Not Found`, and this field `Location` has the page that was
    /// requested.
    ///
    /// # Errors
    /// The response has another page, such as an error or a redirect.
    pub(crate) fn judge(&self, code: u16, status: &str, location: Option<&str>) -> Result<(), Failure> {
        // The location may be relative, such as `/there` (RFC 9110 section 10.2.2).
        let location = location.and_then(|location| self.url.join(location).ok());
        match (code, location) {
            (200..=299, _) => Ok(()),
            (300..=399, Some(location)) => Err(Failure::new(
                format!("the server answered {status}: the page is at {location}"),
                "this client does not go there by itself: give it that URL",
            )),
            _ => Err(Failure::new(
                format!("the server answered {status}"),
                "it is not the page that was asked for: what was printed, if anything, says more",
            )),
        }
    }

    /// The failure for a response that is not whole. `what` names the missing part, and is empty if that is not known.
    pub(crate) fn not_whole(&self, what: &str) -> Failure {
        let colon = if what.is_empty() { "" } else { ": " };
        Failure::new(
            format!("{} did not send a whole HTTP response{colon}{what}", self.place()),
            "see what the server there has printed; if it is no web server, check the port",
        )
    }
}

/// `text` with its scheme, or else with `http://`. In `localhost:9000` the word before the colon is no scheme.
fn with_scheme(text: &str) -> String {
    let text = text.trim();
    let begins_with = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if begins_with("http:")
        || begins_with("https:")
        || text.split_once("://").is_some_and(|(start, _)| is_scheme(start))
    {
        text.into()
    } else {
        format!("http://{text}")
    }
}

/// The addresses of `host`. `localhost` is this machine by definition, so no name has to be looked up (RFC 6761
/// section 6.3).
fn ips(host: Option<Host<&str>>) -> Result<Vec<IpAddr>, Failure> {
    Ok(match host {
        Some(Host::Ipv4(ip)) => vec![machine(ip.into())?],
        Some(Host::Ipv6(ip)) => vec![machine(ip.into())?],
        Some(Host::Domain("localhost" | "localhost.")) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        name => {
            let name = name.map(|name| name.to_string()).unwrap_or_default();
            return Err(Failure::usage(
                format!("{name} is a name, and this client looks up no names"),
                "give the address instead, such as http://127.0.0.1:9000/",
            ));
        }
    })
}

/// The address of one machine that `ip` stands for.
fn machine(ip: IpAddr) -> Result<IpAddr, Failure> {
    match ip.to_canonical() {
        // A server that listens on all addresses of this machine prints this address, or the next one.
        ip if ip == Ipv4Addr::UNSPECIFIED => Ok(Ipv4Addr::LOCALHOST.into()),
        ip if ip == Ipv6Addr::UNSPECIFIED => Ok(Ipv6Addr::LOCALHOST.into()),
        ip if ip.is_multicast() || ip == Ipv4Addr::BROADCAST => Err(Failure::usage(
            format!("{ip} is the address of many machines, and a client calls one"),
            "give the address of the server, such as http://127.0.0.1:9000/",
        )),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Err(Failure::usage(
            format!("{ip} is an address within one network, and a URL cannot say which network"),
            "give another address of that machine",
        )),
        ip => Ok(ip),
    }
}
