//! The protocol: HTTP/1.1 and HTTP/1.0 by RFC 9110 (the meaning of messages) and RFC 9112 (their form on the wire).
//!
//! This module is pure: bytes in, facts out. It has no socket and no clock, and waits for nothing, so a test can check every
//! rule with a literal, natively and inside the sandbox alike.
//!
//! | file | its job |
//! |---|---|
//! | [`request`] | a request, from the wire or from a host |
//! | [`head`] | parses the head of a request |
//! | [`body`] | finds the end of the body of a request |
//! | [`response`] | a response, and its form on the wire |
//! | [`fault`] | the faults of a request, and the sentences for them |

pub mod body;
pub mod fault;
pub mod head;
pub mod request;
pub mod response;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

pub use body::{Body, Content, Framing};
pub use fault::Fault;
pub use head::{Head, Parsed, Progress, Version, is_silence, parse};
pub use request::{Request, Target};
pub use response::{Persistence, Response, escape_html};

/// The most bytes a request's head (request line and field lines) may have.
/// A longer one is refused with 431. Default is 16 KiB, and there is no option for it.
pub const MAX_HEAD: usize = 16 * 1024;

/// The most field lines a head may have. A head with more is refused with 431. Default is 100.
pub const MAX_FIELDS: usize = 100;

/// The most bytes a request target may have. A longer one is refused with 414 (RFC 9110 section 15.5.15).
/// Default is 8 KiB; RFC 9112 section 3 recommends at least 8000.
pub const MAX_TARGET: usize = 8 * 1024;

/// The most bytes a method may have. A longer one is refused with 501, as RFC 9112 section 3 asks.
/// Default is 32; the longest registered method, `UPDATEREDIRECTREF`, has 17.
pub const MAX_METHOD: usize = 32;

/// The most bytes of content a request may carry, if the server throws the content away. More is refused with 413
/// (RFC 9110 section 15.5.14). Default is 1 MiB. For bodies that `hello.rs` gets, the limit is
/// [`crate::hello::BODY_LIMIT`].
pub const MAX_BODY: u64 = 1024 * 1024;

/// The most bytes of chunk extensions, trailer fields, and digits of a size beyond its 16th that a chunked body may carry around
/// its content. More is refused with 431. Default is 16 KiB, as for a head.
pub const MAX_CHUNK_OVERHEAD: usize = 16 * 1024;

/// The methods in the field `Allow` of the response to OPTIONS, and of a 405 (RFC 9110 section 10.2.1).
/// The server responds to other well-formed methods too, as the lecture's server responds to every request. (A server that names
/// PATCH should list the formats it takes, RFC 5789 section 3.1.)
pub const ALLOW: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/// Whether `byte` may stand in a token, such as a method or a field name (RFC 9110 section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `byte` may stand in a field value: visible characters, blanks, and the obsolete rest above ASCII
/// (RFC 9110 section 5.5).
pub(crate) fn is_field_value(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
