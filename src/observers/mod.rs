//! Observers: what is made of the events that the server reports. The server knows none of them.
//!
//! | file | what it tells |
//! |---|---|
//! | [`log`] | a line a request: the access log |
//! | [`explain`] | the telephone call as it happens, and which function of WASI did it |
//! | [`bytes`] | the bytes, in both directions |
//! | [`notes`] | what the operator should know, on standard error; and how much was served |
//! | `secrets` | nothing: it knows what is not to be shown |
//! | [`lines`] | nothing: it collects the lines of all of them, and passes them on |
//!
//! A new one is a file here, and a line in `start.rs`.

use std::fmt::Write as _;

use secrets::secret;

use crate::events::CloseReason;

pub mod bytes;
pub mod explain;
pub mod lines;
pub mod log;
pub mod notes;
mod secrets;
#[cfg(test)]
mod tests;

/// Writes `bytes` so that they stay within one line, one field and ASCII, and can be read back: quotes and backslashes
/// get a backslash, everything that is not visible ASCII or a space becomes `\xhh`, as in the logs of other servers.
fn escape(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            _ => escape_invisible(out, byte),
        }
    }
}

/// Writes the line of a request in the same way, without secrets.
fn escape_line(out: &mut String, line: &[u8]) {
    let secret = secret(line);
    escape(out, &line[..secret.unwrap_or(line.len())]);
    if secret.is_some() {
        out.push_str(" ***");
    }
}

/// Writes `byte` as it is if that is visible ASCII or a space, and as `\xhh` if not.
fn escape_invisible(out: &mut String, byte: u8) {
    match byte {
        b' '..=b'~' => out.push(char::from(byte)),
        // Writing to a string does not fail.
        _ => _ = write!(out, "\\x{byte:02x}"),
    }
}

/// Why the server does not wait for a client any longer.
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
