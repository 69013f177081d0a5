//! A request (RFC 9110), from the wire or from a host. [`head`](super::head) parses its form on the wire.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use super::{Fault, MAX_METHOD, MAX_TARGET, is_token};

/// A request, the argument of [`crate::hello::answer`]. It borrows from the bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'b> {
    /// The method, such as `GET`. Methods are case-sensitive (RFC 9110 section 9.1).
    pub method: &'b str,
    /// The request target.
    pub target: Target<'b>,
    /// The whole content of the body, without the framing of chunks; empty, unless `hello.rs` asks for bodies
    /// ([`crate::hello::BODY_LIMIT`]).
    pub body: &'b [u8],
    /// The field lines as they came, checked line by line; empty if the request came as pairs.
    lines: &'b [u8],
    /// The fields as a host has read them; empty if the request came as lines.
    pairs: &'b [(&'b str, &'b [u8])],
}

/// The target of a request, in the forms of RFC 9112 section 3.2 that this server supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/romeo.txt?act=2`: a path and perhaps a query, as clients send it to the server itself.
    Origin(&'b str),
    /// `http://127.0.0.1/romeo.txt`: a whole address, as clients send it to a proxy, and the lecture's client to us.
    Absolute(&'b str),
    /// `*`: the server itself, with OPTIONS.
    Asterisk,
}

impl<'b> Request<'b> {
    /// A request that a host with `wasi:http` has read: `fields` are names and values, as
    /// [`fields`](Request::fields) says. It has no body yet. [`parse`](super::parse) reads one from the wire.
    ///
    /// # Errors
    /// The fault of its method or its target, as for a request from the wire. The host has checked everything else.
    ///
    /// ```
    /// use hello_server::http::{Fault, Request};
    ///
    /// let request = Request::new("GET", "/romeo.txt?act=2", &[("host", b"localhost")])?;
    /// assert_eq!((request.path(), request.field("Host")), ("/romeo.txt", Some(&b"localhost"[..])));
    /// assert_eq!(Request::new("TRACE", "/", &[]), Err(Fault::MethodNotAllowed));
    /// # Ok::<(), Fault>(())
    /// ```
    pub fn new(method: &'b str, target: &'b str, fields: &'b [(&'b str, &'b [u8])]) -> Result<Self, Fault> {
        check_method(method.as_bytes())?;
        let target = parse_target(method, target.as_bytes())?;
        Ok(Request { method, target, body: b"", lines: b"", pairs: fields })
    }

    /// A request from the wire, whose body has not come yet.
    pub(super) fn from_lines(method: &'b str, target: Target<'b>, lines: &'b [u8]) -> Self {
        Request { method, target, body: b"", lines, pairs: &[] }
    }

    /// The same request with its body.
    #[must_use]
    pub fn with_body<'s>(self, body: &'s [u8]) -> Request<'s>
    where
        'b: 's,
    {
        Request { body, ..self }
    }

    /// The path of the target, without its query: `/romeo.txt`. For `OPTIONS *` it is `*`. The path is not decoded: `%C3%A9` from
    /// the client is `%C3%A9` here, and `é` in [`decoded_path`](Request::decoded_path).
    pub fn path(&self) -> &'b str {
        let (Target::Origin(target) | Target::Absolute(target)) = self.target else { return "*" };
        let path = target.split('?').next().unwrap_or(target);
        match self.target {
            // The third slash ends scheme and authority. Without it the path is `/`.
            Target::Absolute(_) => path.match_indices('/').nth(2).map_or("/", |(start, _)| &path[start..]),
            _ => path,
        }
    }

    /// The path as people read it: `/hello/José`, if [`path`](Request::path) is `/hello/Jos%C3%A9` (RFC 3986 section 2.1).
    ///
    /// A `%` without two hexadecimal digits behind it stays as it is, and bytes that are not UTF-8 become `\u{FFFD}`, so decoding
    /// never fails. The text may have any character in it, also a control character or `<`: use
    /// [`escape_html`](super::escape_html) for pages.
    ///
    /// `%2F` becomes `/`, and `%2E%2E` becomes `..`. If a part of the path names a file, or decides about access, split
    /// [`path`](Request::path) first, and decode the parts.
    ///
    /// ```
    /// # use hello_server::http::{Fault, Request};
    /// let request = Request::new("GET", "/hello/Jos%C3%A9?a=b", &[])?;
    /// assert_eq!((request.path(), &*request.decoded_path()), ("/hello/Jos%C3%A9", "/hello/José"));
    /// assert_eq!(Request::new("GET", "/100%/%41%FF", &[])?.decoded_path(), "/100%/A\u{FFFD}");
    /// # Ok::<(), Fault>(())
    /// ```
    pub fn decoded_path(&self) -> Cow<'b, str> {
        percent_decode_str(self.path()).decode_utf8_lossy()
    }

    /// The fields, in the order in which they came: each a name, in the case in which the client (or the host) wrote it, and a
    /// value without the blanks around it. A value is bytes, and need not be text.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b> {
        let lines = self.lines.split(|&byte| byte == b'\n').filter_map(split_field);
        lines.chain(self.pairs.iter().copied())
    }

    /// The value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The name and the value of a field line without a mistake; `None` if the line is empty.
pub(super) fn split_field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    Some((name, line[colon + 1..].trim_ascii()))
}

/// Checks that `method`, or its beginning, is a token, and not too long.
pub(super) fn check_method(method: &[u8]) -> Result<(), Fault> {
    let beginning = &method[..method.len().min(MAX_METHOD + 1)];
    match beginning {
        // RFC 8446 section 5.1: a TLS record of type 22, handshake.
        [0x16, ..] => Err(Fault::Tls),
        [] => Err(Fault::Method),
        _ if !beginning.iter().copied().all(is_token) => Err(Fault::Method),
        _ if method.len() > MAX_METHOD => Err(Fault::MethodTooLong),
        _ => Ok(()),
    }
}

/// Parses `target` as one of the forms of RFC 9112 section 3.2, if a request with this method may have it.
pub(super) fn parse_target<'b>(method: &str, target: &'b [u8]) -> Result<Target<'b>, Fault> {
    if target.len() > MAX_TARGET {
        return Err(Fault::TargetTooLong);
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(Fault::TargetByte);
    }
    let target = std::str::from_utf8(target).map_err(|_| Fault::TargetByte)?;
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Fault::MethodNotAllowed);
    }
    if target.contains('#') {
        return Err(Fault::TargetFragment);
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target::Asterisk);
    }
    if target.starts_with('/') {
        return Ok(Target::Origin(target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Fault::TargetForm)?;
    if !scheme.eq_ignore_ascii_case("http") {
        // RFC 9110 section 7.4: an https target must not be served without TLS. And this server is no proxy.
        return match is_scheme(scheme) {
            true => Err(Fault::Misdirected),
            false => Err(Fault::TargetForm),
        };
    }
    // RFC 9110 section 4.2: an http address has a host that is not empty, and no user before it.
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match is_authority(authority) {
        true => Ok(Target::Absolute(target)),
        false => Err(Fault::TargetForm),
    }
}

/// Whether `name` is a scheme (RFC 3986 section 3.1): a letter, then letters, digits and three signs.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether `authority` is `uri-host [ ":" port ]`, as it stands in an `http` address and in `Host` (RFC 9110 sections 4.2.1 and
/// 7.2; RFC 3986 section 3.2). The host is not empty, and the port is one of TCP, or empty.
pub(super) fn is_authority(authority: &str) -> bool {
    let (host_fits, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            // IPvFuture ("v1.x") is not supported: it has no use, and no client sends it.
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => (false, ""),
        },
        None => {
            let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (is_registered_name(name), port)
        }
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
        None => port.is_empty(),
    };
    host_fits && port_fits
}

/// Whether `name` is a registered name that is not empty, or an IPv4 address: as far as characters go, there is no difference.
fn is_registered_name(name: &str) -> bool {
    let escapes_fit = name
        .split('%')
        .skip(1)
        .all(|rest| matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    !name.is_empty() && name.bytes().all(fits) && escapes_fit
}
