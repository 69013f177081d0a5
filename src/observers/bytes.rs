//! Shows the bytes of each connection, in both directions: `>` marks those from the client, `<` those to the client.
//!
//! ```text
//! call 1  0.000 s   127.0.0.1:50000 is on the line
//! call 1  0.001 s > GET / HTTP/1.1\r\n
//! call 1  0.001 s > Authorization: ***\r\n
//! call 1  0.001 s > \r\n
//! call 1  0.002 s < HTTP/1.1 200 OK\r\n
//! ```
//!
//! The time counts from the accept. Invisible bytes are written as `\r`, `\n` or `\xhh`. A line is shown when it is whole, when
//! the other side sends something, or when the connection is closed. Values of secret fields are masked; long lines and long
//! messages are cut.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use super::lines::Lines;
use super::secrets::{Masker, Part};
use super::{escape_invisible, why};
use crate::events::{CloseReason, Event, Observer, Peer};
use crate::net::Runtime;

/// How many bytes of a line are shown, of which a secret is one.
const SHOWN_OF_LINE: usize = 512;

/// How many bytes of one side are shown until the other side sends something: more than the longest head.
const SHOWN: usize = 16 * 1024;

/// Shows the bytes of every connection.
pub struct ShowBytes<R> {
    lines: Rc<Lines>,
    runtime: R,
    /// Whether the terminal shows colors.
    color: bool,
    /// The open connections, by number. Numbers grow, so the connections stay in order.
    connections: RefCell<Vec<(u64, Connection)>>,
}

/// An open connection, and how much of it was shown.
struct Connection {
    accepted: Duration,
    client: Side,
    server: Side,
}

/// One direction of a connection.
struct Side {
    /// `>` or `<`.
    mark: char,
    /// The color of the terminal behind the mark (ECMA-48 section 8.3.117, select graphic rendition: 7 is negative image). The text
    /// keeps its color, so that it can be read on any background.
    color: u8,
    masker: Masker,
    /// The text of the current line, since its beginning or the last pause; how many bytes it shows, and how many are beyond it.
    text: String,
    size: usize,
    beyond: usize,
    /// How many bytes were shown, and how many were not, since the other side sent something.
    shown: usize,
    hidden: usize,
}

impl<R: Runtime> ShowBytes<R> {
    /// An observer that adds to `lines`, with `color` if the terminal shows colors. `runtime` has the clock.
    pub fn new(lines: &Rc<Lines>, runtime: R, color: bool) -> Self {
        ShowBytes { lines: Rc::clone(lines), runtime, color, connections: RefCell::default() }
    }

    /// Calls `act` for the connection of `peer`, if it is open, and adds each text that `act` shows as a line.
    fn show(&self, peer: Peer, act: impl FnOnce(&mut Connection, Show<'_>)) {
        let mut connections = self.connections.borrow_mut();
        let Ok(index) = connections.binary_search_by_key(&peer.id, |(number, _)| *number) else {
            return;
        };
        let connection = &mut connections[index].1;
        let time = self.runtime.now().saturating_sub(connection.accepted);
        act(connection, &mut |side, text| {
            self.lines.add(|out| {
                write!(out, "call {} {:>2}.{:03} s ", peer.id, time.as_secs(), time.subsec_millis())?;
                match side {
                    Some((mark, color)) if self.color => writeln!(out, "\x1b[7;{color}m{mark}\x1b[0m {text}"),
                    Some((mark, _)) => writeln!(out, "{mark} {text}"),
                    None => writeln!(out, "  {text}"),
                }
            });
        });
    }
}

impl<R: Runtime> Observer for ShowBytes<R> {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Accepted(peer) => {
                let accepted = self.runtime.now();
                let connection = Connection { accepted, client: Side::new('>', 36), server: Side::new('<', 32) };
                self.connections.borrow_mut().push((peer.id, connection));
                self.show(peer, |_, show| show(None, &format!("{} is on the line", peer.address)));
            }
            Event::Received(peer, bytes) => self.show(peer, |connection, show| {
                connection.server.pause(show);
                connection.client.add(bytes, show);
            }),
            Event::Sent(peer, bytes) => self.show(peer, |connection, show| {
                connection.client.pause(show);
                connection.server.add(bytes, show);
            }),
            Event::Closed(peer, reason) => {
                self.show(peer, |connection, show| {
                    connection.client.pause(show);
                    connection.server.pause(show);
                    match reason {
                        CloseReason::LastResponse => show(None, "the server has hung up, after the last answer"),
                        CloseReason::PeerFinished => show(None, "the client has hung up"),
                        CloseReason::Disconnected => show(None, "the client is gone without a word"),
                        _ => show(None, &format!("the server has hung up, because {}", why(reason))),
                    }
                });
                self.connections.borrow_mut().retain(|(number, _)| *number != peer.id);
            }
            _ => {}
        }
    }
}

/// A function that shows a line of one side, or a sentence about the connection.
type Show<'s> = &'s mut dyn FnMut(Option<(char, u8)>, &str);

impl Side {
    fn new(mark: char, color: u8) -> Self {
        let (masker, text) = (Masker::default(), String::new());
        Side { mark, color, masker, text, size: 0, beyond: 0, shown: 0, hidden: 0 }
    }

    /// Shows the lines that `bytes` complete, and keeps the rest.
    fn add(&mut self, bytes: &[u8], show: Show<'_>) {
        for &byte in bytes {
            match self.masker.next(byte) {
                Part::Masked => {}
                part if self.size < SHOWN_OF_LINE => {
                    self.size += 1;
                    add_visibly(&mut self.text, byte, part);
                }
                _ => self.beyond += 1,
            }
            if byte == b'\n' {
                self.show_line(show);
            }
        }
    }

    /// Shows the part of the current line that has come, and how many bytes were not shown: the other side sends something now,
    /// or the connection is closed.
    fn pause(&mut self, show: Show<'_>) {
        self.show_line(show);
        self.masker.pause();
        if self.hidden > 0 {
            show(Some((self.mark, self.color)), &format!("... and {} more bytes", self.hidden));
        }
        (self.shown, self.hidden) = (0, 0);
    }

    /// Shows the text of the current line, or counts its bytes if enough was shown.
    fn show_line(&mut self, show: Show<'_>) {
        let size = self.size + self.beyond;
        if self.shown >= SHOWN {
            self.hidden += size;
        } else if size > 0 {
            self.shown += size;
            if self.beyond > 0 {
                // Writing to a string does not fail.
                let _ = write!(self.text, " ... and {} more bytes", self.beyond);
            }
            show(Some((self.mark, self.color)), &self.text);
        }
        (self.size, self.beyond) = (0, 0);
        self.text.clear();
    }
}

/// Adds `byte` to `text`, escaped if it is invisible; or the mask, if a secret begins with it.
pub(super) fn add_visibly(text: &mut String, byte: u8, part: Part) {
    text.push_str(match (part, byte) {
        (Part::Masked, _) => "",
        (Part::Mask, _) if text.is_empty() => "***",
        (Part::Mask, _) => " ***",
        (Part::Shown, b'\r') => "\\r",
        (Part::Shown, b'\n') => "\\n",
        (Part::Shown, b'\t') => "\\t",
        (Part::Shown, b'\\') => "\\\\",
        (Part::Shown, _) => return escape_invisible(text, byte),
    });
}
