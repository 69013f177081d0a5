//! Writes each event as a line of JSON, for programs. `docs/events.md` describes the lines, and `docs/events.schema.json` is their
//! schema: within version 1, members may be added, and none may be changed.

use std::cell::RefCell;
use std::fmt::{Display, Write as _};
use std::rc::Rc;
use std::time::Duration;

use super::bytes::add_visibly;
use super::lines::Lines;
use super::secrets::Masker;
use super::{escape_beginning, escape_json, wasi};
#[cfg(feature = "live")]
use crate::events::Peer;
use crate::events::{CloseReason, Event, Exchange, Observer};
use crate::http::response::reason;
use crate::net::Runtime;

/// The most bytes of a read, a write or a request line that a line shows.
const SHOWN: usize = 2048;

/// The masks of what the client and the server send on a connection; `None` if bytes were missed.
type Sides = [Option<Masker>; 2];

fn sides() -> Sides {
    [Some(Masker::default()), Some(Masker::default())]
}

/// Writes a line of JSON for each event.
pub struct EventLog<R> {
    lines: Rc<Lines>,
    clock: Clock<R>,
    /// The secrets in what the client and the server send, for each open connection, by number. Numbers grow, so the connections
    /// stay in order.
    connections: RefCell<Vec<(u64, Sides)>>,
}

/// Makes the line that gives the number of lost lines, with the time since now by the clock of `runtime`.
pub fn loss<R: Runtime>(runtime: R) -> impl Fn(u64) -> String {
    let clock = Clock::new(runtime);
    move |count| {
        let mut line = clock.line("dropped");
        line.add("count", count);
        line.end()
    }
}

impl<R: Runtime> EventLog<R> {
    /// An observer that adds to `lines`. Their time counts from now, by the clock of `runtime`.
    pub fn new(lines: &Rc<Lines>, runtime: R) -> Self {
        EventLog { lines: Rc::clone(lines), clock: Clock::new(runtime), connections: RefCell::default() }
    }

    /// Takes note of `event` without a line. A mask has to see all bytes of its side, so from now on no bytes of that side are shown.
    #[cfg(feature = "live")]
    pub(crate) fn skip(&self, event: &Event<'_>) {
        let mut connections = self.connections.borrow_mut();
        let mut lose = |peer: &Peer, side: usize| {
            if let Ok(index) = connections.binary_search_by_key(&peer.id, |(number, _)| *number) {
                connections[index].1[side] = None;
            }
        };
        match event {
            Event::Received(peer, _) => lose(peer, 0),
            Event::Sent(peer, _) => lose(peer, 1),
            Event::Accepted(peer) => connections.push((peer.id, sides())),
            Event::Closed(peer, _) => connections.retain(|(number, _)| *number != peer.id),
            _ => {}
        }
    }

    /// The time since the start, in seconds, as a line has it.
    #[cfg(feature = "live")]
    pub(crate) fn time(&self) -> String {
        self.clock.time()
    }

    /// Adds how many bytes the client (0) or the server (1) has sent, and their beginning as text without secrets.
    fn add_bytes(&self, line: &mut Line, number: u64, side: usize, bytes: &[u8]) {
        let mut connections = self.connections.borrow_mut();
        let Ok(index) = connections.binary_search_by_key(&number, |(number, _)| *number) else {
            return;
        };
        let (mut text, mut shown) = (String::new(), 0);
        if let Some(masker) = &mut connections[index].1[side] {
            masker.pause();
            shown = bytes.len().min(SHOWN);
            for (index, &byte) in bytes.iter().enumerate() {
                let part = masker.next(byte);
                if index < SHOWN {
                    add_visibly(&mut text, byte, part);
                }
            }
        }
        line.add("bytes", bytes.len() as u64);
        line.add_text("text", &text);
        if bytes.len() > shown {
            line.add("cut", (bytes.len() - shown) as u64);
        }
    }
}

impl<R: Runtime> Observer for EventLog<R> {
    fn observe(&self, event: Event<'_>) {
        let mut line = self.clock.line(kind(&event));
        match event {
            Event::Accepted(peer)
            | Event::Received(peer, _)
            | Event::Sent(peer, _)
            | Event::Responded(Exchange { peer, .. })
            | Event::Closed(peer, _) => {
                line.add("connection", peer.id);
                line.add_text("peer", &peer.address);
            }
            Event::SocketCreated(address) | Event::Bound(address) | Event::Listening { address, .. } => {
                line.add_text("address", &address);
            }
            Event::AcceptFailed { .. } => {}
        }
        if let Event::Listening { backlog, .. } = event {
            line.add("backlog", backlog.into());
        }
        if let Some(function) = wasi(&event) {
            line.add_text("wasi", &function);
        }
        match event {
            Event::Accepted(peer) => self.connections.borrow_mut().push((peer.id, sides())),
            Event::Received(peer, bytes) => self.add_bytes(&mut line, peer.id, 0, bytes),
            Event::Sent(peer, bytes) => self.add_bytes(&mut line, peer.id, 1, bytes),
            Event::Responded(exchange) => line.add_exchange(&exchange),
            Event::Closed(peer, reason) => {
                self.connections.borrow_mut().retain(|(number, _)| *number != peer.id);
                line.add_text("reason", &name(reason));
            }
            Event::AcceptFailed { cause } => line.add_text("cause", &cause),
            _ => {}
        }
        // The line is whole by now, because the masks must not depend on a reader that takes it.
        let line = line.end();
        self.lines.add(|out| {
            out.push_str(&line);
            Ok(())
        });
    }
}

/// The time since the start.
struct Clock<R> {
    runtime: R,
    start: Duration,
}

impl<R: Runtime> Clock<R> {
    fn new(runtime: R) -> Self {
        Clock { start: runtime.now(), runtime }
    }

    /// The beginning of a line about an event that has just happened.
    fn line(&self, kind: &str) -> Line {
        Line(format!("{{\"v\":1,\"time\":{},\"event\":\"{kind}\"", self.time()))
    }

    fn time(&self) -> String {
        let time = self.runtime.now().saturating_sub(self.start);
        format!("{}.{:06}", time.as_secs(), time.subsec_micros())
    }
}

/// A line that is not whole yet. Writing to it does not fail. (The functions are not inlined for each member: that keeps the
/// component small.)
struct Line(String);

impl Line {
    #[inline(never)]
    fn add(&mut self, member: &str, number: u64) {
        let _ = write!(self.0, ",\"{member}\":{number}");
    }

    #[inline(never)]
    fn add_text(&mut self, member: &str, text: &dyn Display) {
        let _ = write!(self.0, ",\"{member}\":\"");
        escape_json(&mut self.0, &text.to_string());
        self.0.push('"');
    }

    fn add_exchange(&mut self, exchange: &Exchange<'_>) {
        let mut line = String::new();
        escape_beginning(&mut line, exchange.line, SHOWN);
        self.add_text("line", &line);
        self.add("request_bytes", exchange.request_bytes as u64);
        self.add("status", exchange.status.into());
        self.add_text("reason", &reason(exchange.status));
        self.add("body_bytes", exchange.bytes as u64);
        if let Some(fault) = exchange.fault {
            let (sentence, section) = fault.explain();
            // The only markup is `<code>`, and each tag becomes a backquote.
            let mut is_tag = false;
            let plain = sentence.chars().filter(|&c| {
                is_tag |= c == '<';
                let is_shown = !is_tag || c == '<';
                is_tag &= c != '>';
                is_shown
            });
            let plain: String = plain.map(|c| if c == '<' { '`' } else { c }).collect();
            self.add_text("fault", &plain);
            self.add_text("section", &section);
        }
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

/// The name of the kind of an event.
fn kind(event: &Event<'_>) -> &'static str {
    match event {
        Event::SocketCreated(_) => "socket-created",
        Event::Bound(_) => "bound",
        Event::Listening { .. } => "listening",
        Event::Accepted(_) => "accepted",
        Event::Received(..) => "received",
        Event::Sent(..) => "sent",
        Event::Responded(_) => "responded",
        Event::Closed(..) => "closed",
        Event::AcceptFailed { .. } => "accept-failed",
    }
}

/// The name of the reason why a connection was closed.
fn name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::LastResponse => "last-response",
        CloseReason::PeerFinished => "peer-finished",
        CloseReason::IdleTimeout => "idle-timeout",
        CloseReason::WriteTimeout => "write-timeout",
        CloseReason::Evicted => "evicted",
        CloseReason::Stopping => "stopping",
        CloseReason::Disconnected => "disconnected",
    }
}
