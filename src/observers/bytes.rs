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
use super::{escape_invisible, secret, why};
use crate::events::{CloseReason, Event, Observer, Peer};
use crate::net::Runtime;

/// How many bytes of a line are shown.
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
    /// The visible part of the current line, which is not whole yet, and the number of bytes beyond that part.
    line: Vec<u8>,
    beyond: usize,
    /// How many bytes of the current line were shown already.
    shown_of_line: usize,
    /// Whether the last line was a secret. A line that begins with a blank continues the secret (RFC 9112 section 5.2).
    after_secret: bool,
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
        let line = Vec::new();
        Side { mark, color, line, beyond: 0, shown_of_line: 0, after_secret: false, shown: 0, hidden: 0 }
    }

    /// Shows the lines that `bytes` complete, and keeps the rest.
    fn add(&mut self, bytes: &[u8], show: Show<'_>) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (kept, beyond) = piece.split_at(piece.len().min(SHOWN_OF_LINE.saturating_sub(self.line.len())));
            self.line.extend_from_slice(kept);
            self.beyond += beyond.len();
            if piece.ends_with(b"\n") {
                self.after_secret = self.show_line(show);
                (self.beyond, self.shown_of_line) = (0, 0);
                self.line.clear();
            }
        }
    }

    /// Shows the part of the current line that has come, and how many bytes were not shown: the other side sends something now,
    /// or the connection is closed.
    fn pause(&mut self, show: Show<'_>) {
        self.show_line(show);
        self.shown_of_line = self.line.len();
        if self.hidden > 0 {
            show(Some((self.mark, self.color)), &format!("... and {} more bytes", self.hidden));
        }
        if self.line.len() == SHOWN_OF_LINE {
            // The line is longer than any name of a secret, so the bytes that follow are shown as a line of their own.
            self.line.clear();
            self.shown_of_line = 0;
        }
        (self.beyond, self.shown, self.hidden) = (0, 0, 0);
    }

    /// Shows the rest of the current line. Returns whether the line is a secret.
    fn show_line(&mut self, show: Show<'_>) -> bool {
        let rest = &self.line[self.shown_of_line..];
        let size = rest.len() + self.beyond;
        let is_fold = self.after_secret && matches!(self.line.first(), Some(b' ' | b'\t'));
        let secret_from = match (is_fold, secret(&self.line)) {
            (true, _) => Some(0),
            (false, Some(from)) => Some(from.saturating_sub(self.shown_of_line)),
            // The bytes after a pause may be a line of their own.
            (false, None) => secret(rest),
        };
        if size > 0 && self.shown >= SHOWN {
            self.hidden += size;
        } else if size > 0 {
            self.shown += size;
            show(Some((self.mark, self.color)), &visibly(rest, secret_from, self.beyond));
        }
        secret_from.is_some()
    }
}

/// A line, or a part of one, with invisible bytes escaped, secrets masked, and a note if bytes are `beyond` it.
fn visibly(line: &[u8], secret_from: Option<usize>, beyond: usize) -> String {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let (content, end) = line.split_at(end);
    let mut text = String::new();
    let mut add = |bytes: &[u8]| {
        for &byte in bytes {
            match byte {
                b'\r' => text.push_str("\\r"),
                b'\n' => text.push_str("\\n"),
                b'\t' => text.push_str("\\t"),
                b'\\' => text.push_str("\\\\"),
                _ => escape_invisible(&mut text, byte),
            }
        }
    };
    match secret_from.map(|from| from.min(content.len())) {
        None => add(content),
        Some(0) => add(b"***"),
        Some(from) => {
            add(&content[..from]);
            add(b" ***");
        }
    }
    add(end);
    if beyond > 0 && secret_from.is_none() {
        // Writing to a string does not fail.
        let _ = write!(text, " ... and {beyond} more bytes");
    }
    text
}
