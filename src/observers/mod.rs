//! Observers: they turn the events that the server reports into output. The server depends on none of them.
//!
//! | file | its job |
//! |---|---|
//! | [`log`] | the access log: a line for each request |
//! | [`explain`] | the telephone call as it happens, and the function of WASI for each step |
//! | [`bytes`] | the bytes, in both directions |
//! | [`events`] | a line of JSON for each event, for programs |
//! | [`notes`] | notes for the operator, on standard error; and the numbers of requests and connections |
//! | `secrets` | masks the values that no observer shows |
//! | [`lines`] | collects the lines of all observers, and passes them on |
//!
//! A new observer is a file here, and a line in `start.rs`.

use std::fmt::Write as _;

use secrets::{Masker, Part};

use crate::events::{CloseReason, Event};

pub mod bytes;
pub mod events;
pub mod explain;
pub mod lines;
pub mod log;
pub mod notes;
mod secrets;
#[cfg(test)]
mod tests;

/// Writes the line of a request, without secrets, so that it stays within one line, one field and ASCII, and can be read back:
/// quotes and backslashes get a backslash, everything that is not visible ASCII or a space becomes `\xhh`, as in the logs of
/// other servers.
fn escape_line(out: &mut String, line: &[u8]) {
    let mut masker = Masker::default();
    for &byte in line {
        match (masker.next(byte), byte) {
            (Part::Masked, _) => {}
            (Part::Mask, _) => out.push_str(" ***"),
            (Part::Shown, b'"' | b'\\') => {
                out.push('\\');
                out.push(char::from(byte));
            }
            (Part::Shown, _) => escape_invisible(out, byte),
        }
    }
}

/// Writes the line of a request in the same way, but not more than this many bytes of it.
fn escape_beginning(out: &mut String, line: &[u8], most: usize) {
    escape_line(out, &line[..line.len().min(most)]);
    if line.len() > most {
        out.push_str("...");
    }
}

/// Writes `byte` as it is if it is visible ASCII or a space, and as `\xhh` if not.
fn escape_invisible(out: &mut String, byte: u8) {
    match byte {
        b' '..=b'~' => out.push(char::from(byte)),
        // Writing to a string does not fail.
        _ => _ = write!(out, "\\x{byte:02x}"),
    }
}

/// Writes `text` as the content of a string of JSON (RFC 8259 section 7).
fn escape_json(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
            continue;
        }
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// The functions of WASI that make `event` happen. A response is made without them, and so is the end of a connection whose socket
/// is dropped.
fn wasi(event: &Event<'_>) -> Option<&'static str> {
    match event {
        Event::SocketCreated(_) => Some("create-tcp-socket"),
        Event::Bound(_) => Some("start-bind, finish-bind"),
        Event::Listening { .. } => Some("set-listen-backlog-size, start-listen, finish-listen"),
        Event::Accepted(_) | Event::AcceptFailed { .. } => Some("accept"),
        Event::Received(..) => Some("input-stream.read"),
        Event::Sent(..) => Some("output-stream.write"),
        Event::Closed(_, CloseReason::LastResponse | CloseReason::PeerFinished) => Some("shutdown"),
        Event::Closed(..) | Event::Responded(_) => None,
    }
}

/// The reason why the server closed a connection, as the end of a sentence.
fn why(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::IdleTimeout => "the client has said nothing for too long",
        CloseReason::WriteTimeout => "the client does not read its answers",
        CloseReason::Evicted => "another client needs the place",
        CloseReason::Stopping => "the server stops",
        CloseReason::LastResponse | CloseReason::PeerFinished | CloseReason::Disconnected => "the call is over",
    }
}

/// `1 byte`, `2 bytes`.
pub fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
