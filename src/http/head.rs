//! The head of a request: where it ends, and what it says (RFC 9112 sections 2 to 6).
//!
//! The request line is taken apart here, because each way of getting it wrong has its own words for the learner; the
//! field lines are tokenised by `httparse`. Where the two RFCs leave a choice between lenient and strict, the choice is
//! strict whenever two readers could disagree about where a message ends: that disagreement is request smuggling.

use super::request::{check_method, is_authority, parse_target};
use super::{Fault, Framing, MAX_FIELDS, MAX_HEAD, MAX_METHOD, MAX_TARGET, Persistence, Request, Target};
use super::{is_field_value, is_token};

/// The head of a request: what is asked, and what is about the message and not about the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'b> {
    /// What is asked. Its body is empty: it comes behind the head.
    pub request: Request<'b>,
    /// The version that the client speaks, of those that this server speaks.
    pub version: Version,
    /// The request line as it came, without its line end: what the log shows.
    pub line: &'b [u8],
    /// How long the body is.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// What becomes of the connection after the reply.
    pub persistence: Persistence,
}

/// The version of a request. A higher minor version is handled as 1.1 (RFC 9110 section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: one request a connection, unless the client asks for more.
    Http10,
    /// HTTP/1.1: the connection stays open, unless somebody asks otherwise.
    Http11,
}

/// What [`parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// A whole head, and how many bytes it took. The body, if any, and the next request come behind it.
    Complete(Head<'b>, usize),
    /// The head goes on: read more and ask again.
    Incomplete,
}

/// Takes the head of one request from the beginning of `bytes`.
///
/// `seen` is how many of these bytes an earlier call has already called incomplete, so that a head that comes byte by
/// byte is not searched and checked from its beginning each time; 0 is always right.
///
/// # Errors
/// What is wrong: a mistake in the request line as soon as that line has ended, the others when the head has.
///
/// ```
/// use hello_server::http::{Fault, Parsed, parse};
///
/// let bytes = b"GET /romeo.txt?act=2 HTTP/1.1\r\nHost: localhost\r\n\r\nwhat comes next";
/// let Ok(Parsed::Complete(head, length)) = parse(bytes, 0) else { unreachable!() };
/// assert_eq!((head.request.method, head.request.path()), ("GET", "/romeo.txt"));
/// assert_eq!(head.request.field("host"), Some(&b"localhost"[..]));
/// assert_eq!(&bytes[length..], b"what comes next");
///
/// assert_eq!(parse(b"GET / HT", 0), Ok(Parsed::Incomplete));
/// assert_eq!(parse(b"GET /\r\n", 0), Err(Fault::VersionMissing));
/// ```
pub fn parse(bytes: &[u8], seen: usize) -> Result<Parsed<'_>, Fault> {
    // RFC 9112 section 2.2: at least one empty line before a request is ignored. Exactly one is, here.
    let start = match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        [b'\r'] => return Ok(Parsed::Incomplete),
        _ => 0,
    };
    let Some(end) = end_of_head(bytes, start, seen) else {
        check_incomplete(&bytes[start..], seen.saturating_sub(start))?;
        return Ok(Parsed::Incomplete);
    };
    if end - start > MAX_HEAD {
        check_incomplete(&bytes[start..end], 0)?;
    }
    let head = &bytes[start..end];
    let line_end = position(head, b'\n').unwrap_or(head.len() - 1);
    let line = without_line_end(&head[..=line_end]);
    let (method, target, version) = request_line(line)?;

    let lines = &head[line_end + 1..];
    let mut head = Head {
        request: Request::from_lines(method, target, lines),
        version,
        line,
        framing: Framing::Length(0),
        expects_continue: false,
        persistence: Persistence::Keep,
    };
    read_fields(&mut head, lines)?;
    Ok(Parsed::Complete(head, end))
}

/// Whether `bytes` are no request yet: nothing at all, or the one empty line before a request that is ignored, or a part
/// of that.
pub fn is_silence(bytes: &[u8]) -> bool {
    matches!(bytes, b"" | b"\r" | b"\n" | b"\r\n")
}

/// Where the head ends: behind the first empty line. Only lines that end at or behind `seen` are looked at.
fn end_of_head(bytes: &[u8], start: usize, seen: usize) -> Option<usize> {
    // An empty line is at most three bytes with the line feed before it; all but the last may have been seen.
    let mut at = start.max(seen.saturating_sub(3));
    if bytes.get(start) == Some(&b'\n') || bytes[start..].starts_with(b"\r\n") {
        return Some(start + position(&bytes[start..], b'\n')? + 1);
    }
    loop {
        let line_end = at + position(&bytes[at..], b'\n')?;
        match &bytes[line_end + 1..] {
            [b'\n', ..] => return Some(line_end + 2),
            [b'\r', b'\n', ..] => return Some(line_end + 3),
            _ => at = line_end + 1,
        }
    }
}

/// What is already wrong with a head that has not ended, or is too long: nobody has to wait for the end of a TLS
/// handshake, or of a line that is too long. A request line that ended before `seen` has been checked.
fn check_incomplete(head: &[u8], seen: usize) -> Result<(), Fault> {
    let Some(line_end) = position(head, b'\n') else {
        let line = head.strip_suffix(b"\r").unwrap_or(head);
        return match position(line, b' ') {
            None if line.is_empty() => Ok(()),
            None => check_method(line),
            Some(end) => check_method(&line[..end]),
        }
        // The last byte that was seen may have been a carriage return of which nothing could be said.
        .and(check_line(line, seen.saturating_sub(1)));
    };
    if line_end >= seen {
        request_line(without_line_end(&head[..=line_end]))?;
    }
    match head.len() {
        length if length > MAX_HEAD => Err(Fault::HeadTooLong),
        _ => Ok(()),
    }
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

/// A request line that fits its limits has at most the longest method, the longest target and ` HTTP/1.1` with a
/// space before each.
const MAX_LINE: usize = MAX_METHOD + MAX_TARGET + 10;

/// Whether a request line, or as much of it as has come, is not too long, and has no carriage return from `start` on: only a
/// line feed may follow that, and who ends lines without one would wait for ever. Of both mistakes the first counts.
fn check_line(line: &[u8], start: usize) -> Result<(), Fault> {
    let end = line.len().min(MAX_LINE);
    if line[start.min(end)..end].contains(&b'\r') {
        return Err(Fault::BareCarriageReturn);
    }
    if line.len() > MAX_LINE { Err(Fault::TargetTooLong) } else { Ok(()) }
}

/// RFC 9112 section 2.3: `HTTP/`, a digit, a dot, a digit.
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

/// How many fields most requests have at the most: a browser sends 15.
const FEW_FIELDS: usize = 16;

/// Reads the field lines and fills in what they say about this message: how long the body is, whether the connection
/// stays open, whether the client waits for a word before it sends the body.
fn read_fields(head: &mut Head<'_>, lines: &[u8]) -> Result<(), Fault> {
    // To clear room for all the fields that there may be would take longer than to read those that there mostly are.
    let (mut few, mut many);
    few = [httparse::EMPTY_HEADER; FEW_FIELDS];
    let mut parsed = httparse::parse_headers(lines, &mut few);
    if let Err(httparse::Error::TooManyHeaders) = parsed {
        many = [httparse::EMPTY_HEADER; MAX_FIELDS];
        parsed = httparse::parse_headers(lines, &mut many);
    }
    let fields = match parsed {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooManyFields),
        Ok(httparse::Status::Partial) | Err(_) => return Err(field_fault(lines)),
    };
    let mut host = None;
    let mut length: Option<u64> = None;
    let mut codings: Option<Codings> = None;
    let (mut close, mut keep_alive) = (false, false);
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // By length first: most fields are none of these.
        match field.name.len() {
            4 if is("host") => {
                let repeated = host.replace(field.value).is_some();
                if repeated {
                    return Err(Fault::HostRepeated);
                }
            }
            // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
            6 if is("expect") && head.version == Version::Http11 => {
                for expectation in list(field.value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Fault::Expectation);
                    }
                    head.expects_continue = true;
                }
            }
            10 if is("connection") => {
                for option in list(field.value) {
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is("content-length") => {
                let repeated = length.replace(content_length(field.value)?).is_some();
                if repeated {
                    return Err(Fault::ContentLengthRepeated);
                }
            }
            17 if is("transfer-encoding") => {
                let codings = codings.get_or_insert_default();
                list(field.value).for_each(|coding| codings.add(coding));
            }
            _ => {}
        }
    }
    match host {
        Some(value) => {
            // The bytes of a malformed one need not be text.
            let value = std::str::from_utf8(value).map_err(|_| Fault::HostMalformed)?;
            // An empty one is for an address without a host.
            if !value.is_empty() && !is_authority(value) {
                return Err(Fault::HostMalformed);
            }
        }
        None if head.version == Version::Http11 => return Err(Fault::HostMissing),
        None => {}
    }
    head.framing = match (codings, length) {
        (Some(_), _) if head.version == Version::Http10 => return Err(Fault::CodingInHttp10),
        (Some(_), Some(_)) => return Err(Fault::LengthAndCoding),
        (Some(codings), None) => codings.framing()?,
        (None, length) => Framing::Length(length.unwrap_or(0)),
    };
    head.persistence = match (head.version, close, keep_alive) {
        (_, true, _) | (Version::Http10, _, false) => Persistence::Close,
        (Version::Http11, ..) => Persistence::Keep,
        (Version::Http10, _, true) => Persistence::KeepAndSay,
    };
    Ok(())
}

/// What the `Transfer-Encoding` lines of a request say, all together (RFC 9112 section 6.1).
#[derive(Default)]
struct Codings {
    chunked: usize,
    chunked_is_last: bool,
    others: usize,
}

impl Codings {
    fn add(&mut self, coding: &[u8]) {
        self.chunked_is_last = coding.eq_ignore_ascii_case(b"chunked");
        match self.chunked_is_last {
            true => self.chunked += 1,
            false => self.others += 1,
        }
    }

    /// RFC 9112 section 6.3, item 4: a request that does not end in `chunked` has no end that can be known.
    fn framing(&self) -> Result<Framing, Fault> {
        match self {
            Codings { chunked_is_last: false, .. } => Err(Fault::ChunkedNotLast),
            Codings { chunked: 2.., .. } => Err(Fault::ChunkedNotLast),
            Codings { others: 1.., .. } => Err(Fault::CodingUnknown),
            _ => Ok(Framing::Chunked),
        }
    }
}

/// The elements of a comma-separated list, without the empty ones (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// RFC 9110 section 8.6: `1*DIGIT`, and nothing else: no sign, no blank, and no more than can be counted.
fn content_length(value: &[u8]) -> Result<u64, Fault> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::ContentLength);
    }
    value.iter().try_fold(0u64, |number, digit| {
        number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .ok_or(Fault::ContentLength)
    })
}

/// Which mistake made `httparse` refuse these field lines: it tells where, the learner needs to know what.
fn field_fault(fields: &[u8]) -> Fault {
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
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
        if !line.is_empty() && (name.is_empty() || value.is_empty()) {
            return Fault::FieldName;
        }
        if !name.iter().copied().all(is_token) {
            return Fault::FieldName;
        }
        if !value.iter().copied().all(is_field_value) {
            return Fault::FieldValue;
        }
    }
    Fault::FieldName
}

/// `line` without the line feed at its end, and the carriage return before it.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte == wanted)
}
