//! Parses the head of a request (RFC 9112 sections 2 to 6).
//!
//! This module takes the request line apart itself, because each mistake in it has its own sentence for the learner; `httparse`
//! tokenises the field lines. If the two RFCs leave a choice between lenient and strict, the choice is strict whenever two
//! readers could disagree about the end of a message: such a disagreement is request smuggling.

use super::request::{check_method, is_authority, parse_target, split_field};
use super::{Fault, Framing, MAX_FIELDS, MAX_HEAD, MAX_METHOD, MAX_TARGET, Persistence, Request, Target, is_token};

/// The head of a request: the request, and the facts about its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'b> {
    /// The request. Its body is empty: the body comes behind the head.
    pub request: Request<'b>,
    /// The version of the request.
    pub version: Version,
    /// The request line as it came, without its line end, for the log.
    pub line: &'b [u8],
    /// How the end of the body is marked.
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Whether the connection stays open after the response.
    pub persistence: Persistence,
}

impl<'b> Head<'b> {
    /// The head of `request`, from its request line and its fields.
    fn new(request: Request<'b>, line: &'b [u8], fields: &Fields) -> Result<Self, Fault> {
        Ok(Head {
            request,
            version: fields.version,
            line,
            framing: fields.framing()?,
            expects_continue: fields.expects_continue,
            persistence: fields.persistence(),
        })
    }
}

/// The version of a request. A higher minor version is handled as 1.1 (RFC 9110 section 2.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: one request a connection, unless the client asks for more.
    Http10,
    #[default]
    /// HTTP/1.1: the connection stays open, unless one side asks to close it.
    Http11,
}

/// The result of [`parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// A whole head, and its length in bytes. The body, if any, and the next request come behind it.
    Complete(Head<'b>, usize),
    /// The head is not complete: read more, and parse again.
    Incomplete,
}

/// Takes the head of one request from the beginning of `bytes`. [`Progress::parse`] is for a head that comes in pieces.
///
/// # Errors
/// A fault, as early as possible: a mistake in a line when this line has ended, and a mistake that only the whole head shows (no
/// `Host`, no end of the body) when the head has ended. Of two mistakes the one that shows first counts.
///
/// ```
/// use hello_server::http::{Fault, Parsed, parse};
///
/// let bytes = b"GET /romeo.txt?act=2 HTTP/1.1\r\nHost: localhost\r\n\r\nwhat comes next";
/// let Ok(Parsed::Complete(head, length)) = parse(bytes) else { unreachable!() };
/// assert_eq!((head.request.method, head.request.path()), ("GET", "/romeo.txt"));
/// assert_eq!(head.request.field("host"), Some(&b"localhost"[..]));
/// assert_eq!(&bytes[length..], b"what comes next");
///
/// assert_eq!(parse(b"GET / HT"), Ok(Parsed::Incomplete));
/// assert_eq!(parse(b"GET /\r\n"), Err(Fault::VersionMissing));
/// assert_eq!(parse(b"GET / HTTP/1.1\r\nHost : localhost\r\n"), Err(Fault::BlankBeforeColon));
/// ```
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Fault> {
    Progress::default().parse(bytes)
}

/// The progress of parsing a head that comes in pieces. No byte is looked at again before its line has ended, so the work grows
/// with the length of the head, even if the head comes byte by byte.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// How many bytes of the head were searched for the end of a line.
    searched: usize,
    /// Where the current line begins, which has not ended. The lines before it have been read.
    line: usize,
    /// Where the field lines begin, and the fields so far; `None` if the request line has not ended.
    fields: Option<(usize, Fields)>,
}

impl Progress {
    /// Takes the head of one request from the beginning of `bytes`: the incomplete bytes of the last call, and more behind them.
    ///
    /// # Errors
    /// A fault, as with [`parse`]. It does not depend on the pieces in which the head came.
    pub fn parse<'b>(&mut self, bytes: &'b [u8]) -> Result<Parsed<'b>, Fault> {
        // RFC 9112 section 2.2: a server ignores at least one empty line before a request. This one ignores exactly one.
        let start = match bytes {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [b'\r'] => return Ok(Parsed::Incomplete),
            _ => 0,
        };
        let head = &bytes[start..];
        // Most heads come whole and have no mistake. All others are read line by line, so that the first mistake is found.
        let whole = if self.searched == 0 { read_at_once(head) } else { None };
        let read = if whole.is_some() { whole } else { self.read_lines(head)? };
        Ok(read.map_or(Parsed::Incomplete, |(head, length)| Parsed::Complete(head, start + length)))
    }

    /// Reads the lines that have ended since the last call. Returns the head and its length, if the head has ended. A client that
    /// sends a TLS handshake, a line that is too long, or a line with a mistake gets a response before the head has ended.
    fn read_lines<'b>(&mut self, head: &'b [u8]) -> Result<Option<(Head<'b>, usize)>, Fault> {
        let within = &head[..head.len().min(MAX_HEAD)];
        while let Some(length) = position(&within[self.searched..], b'\n') {
            let end = self.searched + length + 1;
            let line = &within[self.line..end];
            let is_empty = without_line_end(line).is_empty();
            match &mut self.fields {
                None => {
                    let (_, _, version) = request_line(without_line_end(line))?;
                    self.fields = Some((end, Fields::new(version)));
                }
                Some((lines, fields)) if is_empty => {
                    let line = without_line_end(&head[..*lines]);
                    let (method, target, _) = request_line(line)?;
                    let request = Request::from_lines(method, target, &head[*lines..end]);
                    return Ok(Some((Head::new(request, line, fields)?, end)));
                }
                Some((_, fields)) => fields.add_line(line)?,
            }
            (self.line, self.searched) = (end, end);
        }
        if self.fields.is_none() {
            check_beginning(within, self.searched)?;
        }
        self.searched = within.len();
        if head.len() > MAX_HEAD { Err(Fault::HeadTooLong) } else { Ok(None) }
    }
}

/// The most fields of a usual request: a browser sends 15.
const FEW_FIELDS: usize = 16;

/// Reads a whole head without a mistake, and returns its length, too. `httparse` takes less time for all field lines together
/// than for one after another, but does not report which mistake is the first.
fn read_at_once(head: &[u8]) -> Option<(Head<'_>, usize)> {
    let line_end = position(head, b'\n')? + 1;
    let line = without_line_end(&head[..line_end]);
    let (method, target, version) = request_line(line).ok()?;
    let lines = &head[line_end..];
    // To clear an array for the most fields would take longer than to read the usual ones.
    let (mut few, mut many);
    few = [httparse::EMPTY_HEADER; FEW_FIELDS];
    let mut parsed = httparse::parse_headers(lines, &mut few);
    if let Err(httparse::Error::TooManyHeaders) = parsed {
        many = [httparse::EMPTY_HEADER; MAX_FIELDS];
        parsed = httparse::parse_headers(lines, &mut many);
    }
    let Ok(httparse::Status::Complete((length, found))) = parsed else { return None };
    let mut fields = Fields::new(version);
    for field in found {
        fields.add(field.name, field.value).ok()?;
    }
    let request = Request::from_lines(method, target, &lines[..length]);
    let length = line_end + length;
    let head = Head::new(request, line, &fields).ok()?;
    (length <= MAX_HEAD).then_some((head, length))
}

/// Whether no request has begun: `bytes` are empty, or the one empty line that is ignored, or a part of this line.
pub fn is_silence(bytes: &[u8]) -> bool {
    matches!(bytes, b"" | b"\r" | b"\n" | b"\r\n")
}

/// Checks a request line that has not ended for faults. The first `searched` bytes have been checked.
fn check_beginning(line: &[u8], searched: usize) -> Result<(), Fault> {
    // Whether a carriage return at the end is a fault depends on the next byte.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match position(line, b' ') {
        None if line.is_empty() => {}
        None => check_method(line)?,
        Some(end) => check_method(&line[..end])?,
    }
    check_line(line, searched.saturating_sub(1))
}

/// Takes the request line apart: method SP request-target SP HTTP-version (RFC 9112 section 3).
fn request_line(line: &[u8]) -> Result<(&str, Target<'_>, Version), Fault> {
    if line.is_empty() {
        return Err(Fault::EmptyRequestLine);
    }
    let method_end = position(line, b' ').unwrap_or(line.len());
    check_method(&line[..method_end])?;
    check_line(line, method_end)?;
    let method = std::str::from_utf8(&line[..method_end]).map_err(|_| Fault::Method)?;
    let rest = line.get(method_end + 1..).ok_or(Fault::RequestLine)?;
    let mut parts = rest.split(|&byte| byte == b' ');
    let (target, version) = match (parts.next(), parts.next(), parts.next()) {
        (Some(b""), ..) | (_, _, Some(_)) => return Err(Fault::RequestLine),
        (Some(part), None, None) if part.starts_with(b"HTTP/") => return Err(Fault::TargetMissing),
        (Some(_), None, None) => return Err(Fault::VersionMissing),
        (target, version, None) => (target.unwrap_or_default(), version.unwrap_or_default()),
    };
    let version = parse_version(version)?;
    Ok((method, parse_target(method, target)?, version))
}

/// The most bytes of a request line: the longest method, and the longest target and `HTTP/1.1` with a space before each.
const MAX_LINE: usize = MAX_METHOD + MAX_TARGET + 10;

/// Checks that a request line, or its beginning, is not too long, and has no carriage return from `start` on: only a line feed
/// may follow that, and a client that ends lines without a line feed would wait for ever. The first of both mistakes counts.
fn check_line(line: &[u8], start: usize) -> Result<(), Fault> {
    let end = line.len().min(MAX_LINE);
    if line[start.min(end)..end].contains(&b'\r') {
        return Err(Fault::BareCarriageReturn);
    }
    if line.len() > MAX_LINE { Err(Fault::TargetTooLong) } else { Ok(()) }
}

/// Parses the version (RFC 9112 section 2.3): `HTTP/`, a digit, a dot, a digit.
fn parse_version(version: &[u8]) -> Result<Version, Fault> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            match (major, minor) {
                (b'1', b'0') => Ok(Version::Http10),
                (b'1', _) => Ok(Version::Http11),
                _ => Err(Fault::VersionNotSupported),
            }
        }
        b"" => Err(Fault::VersionMissing),
        _ => Err(Fault::Version),
    }
}

/// The facts from the field lines so far: the end of the body, whether the connection stays open, whether the client waits for
/// `100 Continue`.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    version: Version,
    /// How many fields there are.
    count: usize,
    has_host: bool,
    length: Option<u64>,
    codings: Option<Codings>,
    expects_continue: bool,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    /// No fields yet, in a message of this version.
    fn new(version: Version) -> Self {
        Fields { version, ..Fields::default() }
    }

    /// Reads one line, which has ended.
    fn add_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        // For `httparse`, a line without a mistake is the beginning of a head.
        httparse::parse_headers(line, &mut [httparse::EMPTY_HEADER]).map_err(|_| field_fault(line))?;
        let (name, value) = split_field(line).ok_or(Fault::FieldName)?;
        self.add(name, value)
    }

    /// Adds a field.
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Fault> {
        self.count += 1;
        if self.count > MAX_FIELDS {
            return Err(Fault::TooManyFields);
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // Compare lengths first: most fields are none of these.
        match name.len() {
            4 if is("host") => {
                if self.has_host {
                    return Err(Fault::HostRepeated);
                }
                self.has_host = true;
                // The bytes of a malformed `Host` need not be text. An empty `Host` is for an address without a host.
                let host = std::str::from_utf8(value).map_err(|_| Fault::HostMalformed)?;
                if !host.is_empty() && !is_authority(host) {
                    return Err(Fault::HostMalformed);
                }
            }
            // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
            6 if is("expect") && self.version == Version::Http11 => {
                for expectation in list(value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Fault::Expectation);
                    }
                    self.expects_continue = true;
                }
            }
            10 if is("connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is("content-length") => {
                if self.length.replace(content_length(value)?).is_some() {
                    return Err(Fault::ContentLengthRepeated);
                }
            }
            17 if is("transfer-encoding") => {
                if self.version == Version::Http10 {
                    return Err(Fault::CodingInHttp10);
                }
                let codings = self.codings.get_or_insert_default();
                list(value).try_for_each(|coding| codings.add(coding))?;
            }
            _ => return Ok(()),
        }
        match (self.codings, self.length) {
            (Some(_), Some(_)) => Err(Fault::LengthAndCoding),
            _ => Ok(()),
        }
    }

    /// How the end of the body is marked, once there are no more fields.
    fn framing(&self) -> Result<Framing, Fault> {
        match (self.version, self.has_host, self.codings) {
            (Version::Http11, false, _) => Err(Fault::HostMissing),
            (_, _, Some(codings)) => codings.framing(),
            _ => Ok(Framing::Length(self.length.unwrap_or(0))),
        }
    }

    /// Whether the connection stays open, once there are no more fields.
    fn persistence(&self) -> Persistence {
        match (self.version, self.close, self.keep_alive) {
            (_, true, _) | (Version::Http10, _, false) => Persistence::Close,
            (Version::Http11, ..) => Persistence::Keep,
            (Version::Http10, _, true) => Persistence::KeepAndSay,
        }
    }
}

/// The transfer codings of all `Transfer-Encoding` lines of a request (RFC 9112 section 6.1).
#[derive(Debug, Clone, Copy, Default)]
struct Codings {
    /// Whether the last coding is `chunked`.
    chunked: bool,
    /// Whether there are other codings.
    others: bool,
}

impl Codings {
    /// Adds a coding. RFC 9112 section 6.1: `chunked` comes last, and once.
    fn add(&mut self, coding: &[u8]) -> Result<(), Fault> {
        if self.chunked {
            return Err(Fault::ChunkedNotLast);
        }
        self.chunked = coding.eq_ignore_ascii_case(b"chunked");
        self.others |= !self.chunked;
        Ok(())
    }

    /// How the end of the body is marked. RFC 9112 section 6.3, item 4: without `chunked` as the last coding, the end is unknown.
    fn framing(self) -> Result<Framing, Fault> {
        match (self.chunked, self.others) {
            (false, _) => Err(Fault::ChunkedNotLast),
            (true, true) => Err(Fault::CodingUnknown),
            (true, false) => Ok(Framing::Chunked),
        }
    }
}

/// The elements of a comma-separated list, without the empty ones (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Parses a `Content-Length` (RFC 9110 section 8.6): `1*DIGIT`, without a sign or a blank, and no more than fits.
fn content_length(value: &[u8]) -> Result<u64, Fault> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let length = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    length.ok_or(Fault::ContentLength)
}

/// The mistake for which `httparse` refused this field line: its error names only the place.
fn field_fault(line: &[u8]) -> Fault {
    let line = without_line_end(line);
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Fault::ObsoleteFold;
    }
    if line.contains(&b'\r') {
        return Fault::BareCarriageReturn;
    }
    let name_end = position(line, b':').unwrap_or(line.len());
    let (name, value) = line.split_at(name_end);
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return Fault::BlankBeforeColon;
    }
    let is_field = !value.is_empty() && !name.is_empty() && name.iter().copied().all(is_token);
    if is_field { Fault::FieldValue } else { Fault::FieldName }
}

/// `line` without the line feed at its end, and the carriage return before it.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte == wanted)
}
