//! Explains the telephone call as it happens: a line for each step of the server, with the function of WASI for it.
//!
//! The verbs are those of the lecture, and of every system that has sockets: create, bind, listen, accept, read, write,
//! close.

use std::fmt::{self, Display, Write as _};
use std::rc::Rc;

use super::lines::Lines;
use super::{count, escape_beginning, wasi, why};
use crate::events::{CloseReason, Event, Observer};
use crate::http::response::reason;

/// How many columns a terminal has at least.
const TERMINAL: usize = 80;

/// The most bytes of a request line that are shown.
const SHOWN: usize = 60;

/// Explains each event in a line.
pub struct Explainer {
    lines: Rc<Lines>,
}

impl Explainer {
    /// An observer that adds to `lines`.
    pub fn new(lines: &Rc<Lines>) -> Self {
        Explainer { lines: Rc::clone(lines) }
    }

    fn tell(&self, verb: &str, wasi: &str, sentence: fmt::Arguments<'_>) {
        let told = format!("{verb:<6}  {sentence}");
        // The function of WASI gets a line of its own if sentence and function do not fit into one.
        let gap = if told.len() + "  []".len() + wasi.len() > TERMINAL { "\n        " } else { "  " };
        self.lines.add(|out| writeln!(out, "{told}{gap}[{wasi}]"));
    }

    fn closed(&self, number: u64, reason: CloseReason, wasi: &str) {
        let sentence = match reason {
            CloseReason::LastResponse => "that was the last answer, and the server hangs up".into(),
            CloseReason::PeerFinished => {
                self.tell("read", "input-stream.read: closed", format_args!("call {number}: the client has hung up"));
                "and so does the server".into()
            }
            CloseReason::Disconnected => "the client is gone without a word".into(),
            _ => format!("{}, so the server hangs up", why(reason)),
        };
        self.tell("close", wasi, format_args!("call {number}: {sentence}"));
    }
}

impl Observer for Explainer {
    fn observe(&self, event: Event<'_>) {
        let wasi = wasi(&event).unwrap_or("the socket is dropped");
        match event {
            Event::SocketCreated(address) => {
                let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
                self.tell("create", wasi, format_args!("a socket, which is a telephone, for {family}"));
            }
            Event::Bound(address) => self.tell("bind", wasi, format_args!("its number is {address}")),
            Event::Listening { backlog, .. } => {
                self.tell("listen", wasi, format_args!("it may ring; up to {backlog} callers are held in line"));
            }
            Event::Accepted(peer) => self.tell(
                "accept",
                wasi,
                format_args!("call {}: picked up {}; the client must speak first", peer.id, peer.address),
            ),
            Event::Received(peer, bytes) => {
                let (number, bytes) = (peer.id, count(bytes.len() as u64, "byte"));
                self.tell("read", wasi, format_args!("call {number}: the client says {bytes}"));
            }
            // The whole response gets one line; see below.
            Event::Sent(..) => {}
            Event::Responded(exchange) => {
                let (number, status) = (exchange.peer.id, exchange.status);
                let (question, reason, bytes) =
                    (Line(exchange.line), reason(status), count(exchange.bytes as u64, "byte"));
                self.tell(
                    "write",
                    "output-stream.write",
                    format_args!("call {number}: to {question} the answer is {status} {reason}, with {bytes} of body"),
                );
            }
            Event::Closed(peer, reason) => self.closed(peer.id, reason, wasi),
            Event::AcceptFailed { cause } => {
                self.tell("accept", "accept: failed", format_args!("no call can be picked up: {cause}"));
            }
        }
    }
}

/// A request line, or the bytes that came instead, in quotes; only the beginning if it is long.
struct Line<'l>(&'l [u8]);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        escape_beginning(&mut text, self.0, SHOWN);
        write!(f, "\"{text}\"")
    }
}
