//! The bytes of each connection, in both directions: `>` is what the client sends, `<` is what it gets.
//!
//! ```text
//! call 1  0.000 s   127.0.0.1:50000 is on the line
//! call 1  0.001 s > GET / HTTP/1.1\r\n
//! call 1  0.001 s > Authorization: ***\r\n
//! call 1  0.001 s > \r\n
//! call 1  0.002 s < HTTP/1.1 200 OK\r\n
//! ```
//!
//! The time is that since the connection was accepted. What is not visible is written as `\r`, `\n` or `\xhh`. A line is shown when it
//! is whole, or when the other side sends something or the connection is closed. Values of fields that are secret are masked; long
//! lines, and long messages, are cut.

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

/// How many bytes one side is shown to send until the other one sends something: more than the longest head.
const SHOWN: usize = 16 * 1024;

/// Shows the bytes of every connection.
pub struct ShowBytes<R> {
    lines: Rc<Lines>,
    runtime: R,
    /// Whether the terminal shows colors.
    color: bool,
    /// Connections that are open, by number. A number is larger than those before it, so they stay in order.
    connections: RefCell<Vec<(u64, Connection)>>,
}

/// A connection, as far as it was shown.
struct Connection {
    accepted: Duration,
    client: Side,
    server: Side,
}

/// One direction of it.
struct Side {
    /// `>` or `<`.
    mark: char,
    /// The color of the terminal behind the mark (ECMA-48 section 8.3.117, select graphic rendition: 7 is negative image). The text
    /// keeps its color, so that it can be read on any background.
    color: u8,
    /// The line that has begun, as much of it as can be shown, and the number of bytes beyond that.
    line: Vec<u8>,
    beyond: usize,
    /// How much of the line was shown before it was whole.
    shown_of_line: usize,
    /// The line before was a secret, which a line that begins with a blank goes on with (RFC 9112 section 5.2).
    after_secret: bool,
    /// How many bytes were shown since the other side has sent something, and how many were not.
    shown: usize,
    hidden: usize,
}

impl<R: Runtime> ShowBytes<R> {
    /// Adds to `lines`, in colors if the terminal has some. `runtime` has the time.
    pub fn new(lines: &Rc<Lines>, runtime: R, color: bool) -> Self {
        ShowBytes { lines: Rc::clone(lines), runtime, color, connections: RefCell::default() }
    }

    /// Does something about a connection, if it is known, and shows what comes of it: each piece a line.
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

/// Shows a line of one side, or a sentence about the connection.
type Show<'s> = &'s mut dyn FnMut(Option<(char, u8)>, &str);

impl Side {
    fn new(mark: char, color: u8) -> Self {
        let line = Vec::new();
        Side { mark, color, line, beyond: 0, shown_of_line: 0, after_secret: false, shown: 0, hidden: 0 }
    }

    /// Shows the lines that are whole with `bytes`, and keeps the rest.
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

    /// Shows what there is of a line that is not whole, and what was not shown: the other side sends something now, or the connection
    /// is closed.
    fn pause(&mut self, show: Show<'_>) {
        self.show_line(show);
        self.shown_of_line = self.line.len();
        if self.hidden > 0 {
            show(Some((self.mark, self.color)), &format!("... and {} more bytes", self.hidden));
        }
        if self.line.len() == SHOWN_OF_LINE {
            // Longer than any name of a secret: what follows is shown as a line of its own.
            self.line.clear();
            self.shown_of_line = 0;
        }
        (self.beyond, self.shown, self.hidden) = (0, 0, 0);
    }

    /// Shows what was not shown of the line. Returns whether it is a secret.
    fn show_line(&mut self, show: Show<'_>) -> bool {
        let rest = &self.line[self.shown_of_line..];
        let size = rest.len() + self.beyond;
        let is_fold = self.after_secret && matches!(self.line.first(), Some(b' ' | b'\t'));
        let secret_from = match (is_fold, secret(&self.line)) {
            (true, _) => Some(0),
            (false, Some(from)) => Some(from.saturating_sub(self.shown_of_line)),
            // What follows a pause may be a line of its own.
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

/// A line, or a part of one, in which everything can be seen but what is secret, and a note on how many bytes are `beyond` it.
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
