//! Makes `wasmtime serve` like the other servers here: reads its address, and translates its messages.

use std::ffi::OsString;
use std::io::{self, BufRead as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ChildStdin, Command, Stdio};

use anyhow::Context as _;
use hello_failure::option::{self, address, number};
use hello_failure::{Failure, lines, place};

use crate::process::{cannot_start, outlive_signals};
use crate::serve::does_not_go_with_http;
use crate::{print, print_error};

/// The name of the subcommand.
pub(crate) const NAME: &str = "relay";

/// The text that `wasmtime serve` prints in front of the URL, once it listens.
const SERVING: &str = "Serving HTTP on http://";

/// The one address at which `wasmtime serve` listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddr,
    /// Whether `--port`, or no option at all, gave the address, so that its URL has `localhost`.
    by_port: bool,
}

impl Address {
    /// Reads the words that `hello-server` would get. The host does most of the work that its options are about.
    pub(crate) fn parse(words: &[OsString]) -> Result<Self, Failure> {
        use lexopt::prelude::*;

        let mut found = None;
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(argument) = parser.next()? {
            let address = match argument {
                Long("port") => {
                    let port = option::parse(&parser.value()?, number("--port", 0..=65_535))? as u16;
                    Address { socket: (Ipv4Addr::LOCALHOST, port).into(), by_port: true }
                }
                Long("listen") => {
                    Address { socket: option::parse(&parser.value()?, address("--listen"))?, by_port: false }
                }
                Long(name) => return Err(does_not_go_with_http(&format!("--{name}"))),
                Short(name) => return Err(does_not_go_with_http(&format!("-{name}"))),
                Value(word) => return Err(does_not_go_with_http(&word.to_string_lossy())),
            };
            if found.replace(address).is_some() {
                let cause = "--http takes one --port or --listen: wasmtime serve listens on one address";
                return Err(Failure::see_help(cause));
            }
        }
        Ok(found.unwrap_or(Address { socket: (Ipv4Addr::LOCALHOST, 9000).into(), by_port: true }))
    }

    /// The URL for a browser on this machine, with the port that `wasmtime serve` has taken.
    fn url(self, port: u16) -> String {
        let mut socket = self.socket;
        socket.set_port(port);
        place::url(socket, self.by_port)
    }

    /// Cause and advice, if this line reports that `wasmtime serve` cannot listen here.
    fn failure(self, line: &str) -> Option<(String, String)> {
        let (ip, port) = (self.socket.ip(), self.socket.port());
        let error = line.strip_prefix("Error: ")?;
        let failures = [
            (
                "Address already in use",
                format!("port {port} is already in use"),
                format!(
                    "end the other program that listens there, or take another port with {}",
                    place::another_port(self.socket, self.by_port)
                ),
            ),
            (
                "Cannot assign requested address",
                format!("{ip} is not an address of this machine"),
                place::another_address(self.by_port).into(),
            ),
            (
                "Permission denied",
                format!("the system does not let this program listen on port {port}"),
                place::PRIVILEGED.into(),
            ),
        ];
        failures.into_iter().find(|(said, ..)| error.starts_with(said)).map(|(_, cause, advice)| (cause, advice))
    }
}

/// Starts the program that translates the messages of `wasmtime serve`, and returns its standard input. It is a program, and not
/// a thread, because this process becomes `wasmtime serve`. It ends with the last program that can write to that input.
pub(crate) fn start(address: Address) -> anyhow::Result<ChildStdin> {
    let mut command = Command::new(std::env::current_exe().context("where is this program?")?);
    let option = if address.by_port { "--port" } else { "--listen" };
    let value = if address.by_port { address.socket.port().to_string() } else { address.socket.to_string() };
    command.args([NAME, option, &value]).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    Ok(child.stdin.take().expect("it is piped"))
}

/// Translates the lines of standard input, until its end.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let address = Address::parse(&words)?;
    // Ctrl-C reaches this program, too, and `wasmtime serve` still prints a message about it.
    outlive_signals()?;
    let mut has_failed = false;
    // The component may print any bytes, not only text.
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if let Some(port) = line.strip_prefix(SERVING).and_then(port) {
            print(&format!("Access {}\n", address.url(port)));
        } else if let Some((cause, advice)) = address.failure(&line) {
            // The following lines report the same to the programmers of wasmtime.
            has_failed = true;
            print_error(&lines("hello-http", &cause, &advice));
        } else if !has_failed {
            print_error(&format!("{line}\n"));
        }
    }
    Ok(0)
}

/// The port in the rest of `Serving HTTP on http://127.0.0.1:9000/`.
fn port(rest: &str) -> Option<u16> {
    rest.trim_end_matches('/').rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(words: &[&str]) -> Address {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Address::parse(&words).expect("an address")
    }

    #[test]
    fn wasmtime_serve_listens_where_the_words_say_and_is_called_localhost_unless_they_name_an_address() {
        for (words, socket, by_port) in [
            (&[][..], "127.0.0.1:9000", true),
            (&["--port", "0"], "127.0.0.1:0", true),
            (&["--listen=127.0.0.1:0"], "127.0.0.1:0", false),
            (&["--listen", "[fe80::5%2]:9000"], "[fe80::5%2]:9000", false),
        ] {
            let address = address(words);
            assert_eq!(address, Address { socket: socket.parse().expect("an address"), by_port }, "{words:?}");
            // The port is the one that `wasmtime serve` has taken.
            let mut taken = address.socket;
            taken.set_port(9005);
            assert_eq!(address.url(port("127.0.0.1:9005/").expect("a port")), place::url(taken, by_port), "{words:?}");
        }
    }

    /// The tests of `hello_failure::place` check the words of the option.
    #[test]
    fn the_option_for_another_port_can_be_used_as_it_is() {
        for words in [
            &[][..],
            &["--port", "65535"],
            &["--listen", "0.0.0.0:9000"],
            &["--listen", "[::1]:65535"],
            &["--listen", "[fe80::5%2]:9000"],
        ] {
            let Address { socket, by_port } = address(words);
            let advised = place::another_port(socket, by_port);
            let moved = address(&advised.split(' ').collect::<Vec<_>>());
            assert_eq!((moved.socket.ip(), moved.by_port), (socket.ip(), by_port), "{advised}");
            assert_ne!(moved.socket.port(), socket.port(), "{advised}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_unicode_is_told_with_its_option() {
        use std::os::unix::ffi::OsStringExt as _;
        for option in ["--port", "--listen"] {
            let words = [option.into(), OsString::from_vec(b"9\xff".to_vec())];
            let error = Address::parse(&words).expect_err(option).to_string();
            assert!(error.starts_with(&format!("{option} takes ")) && error.contains("not \"9\u{fffd}\""), "{error}");
        }
    }

    #[test]
    fn the_message_of_wasmtime_about_a_port_becomes_cause_and_advice() {
        let address = address(&["--port", "80"]);
        for (line, cause) in [
            ("Error: Address already in use (os error 98)", "port 80 is already in use"),
            ("Error: Cannot assign requested address (os error 99)", "127.0.0.1 is not an address of this machine"),
            ("Error: Permission denied (os error 13)", "the system does not let this program listen on port 80"),
        ] {
            assert_eq!(address.failure(line).expect(line).0, cause);
        }
        assert_eq!(address.failure("Error: something else"), None);
    }
}
