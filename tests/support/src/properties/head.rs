//! The head of a request.

use std::net::Ipv6Addr;
use std::rc::Rc;

use hello_server::events::{CloseReason, Event, Exchange, Observer, Peer};
use hello_server::http::{
    Fault, Framing, Head, MAX_FIELDS, MAX_HEAD, MAX_METHOD, MAX_TARGET, Parsed, Persistence, Progress, Target, Version,
    is_silence, parse,
};
use hello_server::observers::bytes::ShowBytes;
use hello_server::observers::events::EventLog;
use hello_server::observers::explain::Explainer;
use hello_server::observers::lines::Lines;
use hello_server::observers::log::{AccessLog, Format};

use super::notation;
use crate::events;
use crate::memory::Handle;

/// A head in pieces is the same as at once; and is accepted if, and only if, a simple reader agrees.
pub fn hold(data: &[u8]) {
    let pieces = notation::pieces(data, MAX_HEAD + 1024);
    let bytes = pieces.concat();
    let whole = parse(&bytes);

    let is_short = bytes.len() <= 1024;
    assert_eq!(in_pieces(&bytes, pieces.iter().map(Vec::len), is_short || pieces.len() < 16), whole);
    if is_short {
        assert_eq!(in_pieces(&bytes, bytes.iter().map(|_| 1), false), whole);
        lines_stay_lines(&pieces, bytes.split(|&byte| byte == b'\n').next().unwrap_or_default());
    }

    let reading = read(&bytes);
    match (whole, reading.filter(Reading::is_whole)) {
        (Ok(Parsed::Complete(head, length)), Some(reading)) => {
            assert_eq!(parse(&bytes[..length]), whole, "what follows does not count");
            assert_eq!(parse(&bytes[..length - 1]), Ok(Parsed::Incomplete), "and no byte less would do");
            reading.check(&head, length, &bytes);
        }
        (Ok(Parsed::Complete(head, _)), None) => panic!("this is no request: {head:?}"),
        (found, Some(_)) => panic!("{found:?}, but it is a request"),
        (Ok(Parsed::Incomplete), None) => {
            assert!(may_become_one(&bytes), "faults are told as soon as they can be seen")
        }
        (Err(fault), None) => {
            assert!((400..600).contains(&fault.status()));
            assert!(!matches!(fault, Fault::Timeout | Fault::Incomplete), "bytes alone are neither");
        }
    }
}

/// The result of parsing `bytes` in pieces of these lengths: the bytes that complete the head, or make it a fault, do so
/// whatever follows. With `again`, incomplete bytes are also parsed once more.
fn in_pieces(bytes: &[u8], lengths: impl Iterator<Item = usize>, again: bool) -> Result<Parsed<'_>, Fault> {
    let (mut progress, mut length) = (Progress::default(), 0);
    for piece in lengths {
        length += piece;
        let before = progress;
        let found = progress.parse(&bytes[..length]);
        if again {
            assert_eq!(found, parse(&bytes[..length]), "the same as from the beginning: {length}, {before:?}");
        }
        if found != Ok(Parsed::Incomplete) {
            return found;
        }
    }
    Ok(Parsed::Incomplete)
}

/// The head, according to those of its lines that have ended.
struct Reading<'b> {
    /// The beginning of the head, behind an empty line, and its end, if it has ended.
    start: usize,
    end: Option<usize>,
    line: &'b [u8],
    method: &'b [u8],
    target: &'b [u8],
    version: Version,
    fields: Vec<(&'b [u8], &'b [u8])>,
}

/// Reads the lines of a head that have ended, the first one at least; none if anything is odd.
fn read(bytes: &[u8]) -> Option<Reading<'_>> {
    let mut rest = bytes;
    let mut next_line = move || {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some((line.strip_suffix(b"\r").unwrap_or(line), bytes.len() - rest.len()))
    };
    let (mut line, behind) = next_line()?;
    let mut start = 0;
    if line.is_empty() {
        start = behind;
        (line, _) = next_line()?;
    }
    let (method, target, version) = read_request_line(line)?;
    let mut fields = Vec::new();
    let mut end = None;
    while let (None, Some((line, behind))) = (end, next_line()) {
        if behind - start > MAX_HEAD {
            break;
        }
        if line.is_empty() {
            end = Some(behind);
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) || !value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            return None;
        }
        fields.push((name, value.trim_ascii()));
    }
    let reading = Reading { start, end, line, method, target, version, fields };
    reading.is_sound().then_some(reading)
}

fn read_request_line(line: &[u8]) -> Option<(&[u8], &[u8], Version)> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else { return None };
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::Http11,
        _ => return None,
    };
    let is_sound = is_method(method) && method != b"CONNECT" && method != b"TRACE" && is_target(target, method);
    is_sound.then_some((method, target, version))
}

/// Whether an incomplete head may become a complete one, as far as a client should not have to send the rest first: nothing
/// is wrong with the lines that have ended, or with the method, the request line is not ended by a carriage return alone,
/// and nothing is too long.
fn may_become_one(bytes: &[u8]) -> bool {
    if is_silence(bytes) {
        return true;
    }
    let head = bytes.strip_prefix(b"\r\n").or(bytes.strip_prefix(b"\n")).unwrap_or(bytes);
    if !head.contains(&b'\n') {
        let line = head.strip_suffix(b"\r").unwrap_or(head);
        let method = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let is_short = line.len() <= MAX_METHOD + MAX_TARGET + "  HTTP/1.1".len();
        return is_short && !line.contains(&b'\r') && (line.is_empty() || is_method(method));
    }
    head.len() <= MAX_HEAD && read(bytes).is_some_and(|reading| reading.end.is_none())
}

impl<'b> Reading<'b> {
    /// All values of the fields with this name.
    fn values(&self, name: &str) -> Vec<&'b [u8]> {
        let fields = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        fields.map(|(_, value)| *value).collect()
    }

    /// The elements of the lists of all fields with this name, in small letters.
    fn list(&self, name: &str) -> Vec<Vec<u8>> {
        let elements = self.values(name).join(&b',').to_ascii_lowercase();
        let elements = elements.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        elements.filter(|element| !element.is_empty()).map(<[u8]>::to_vec).collect()
    }

    /// The values of Content-Length, if all are numbers.
    fn lengths(&self) -> Option<Vec<u64>> {
        let number = |text: &[u8]| {
            let text = std::str::from_utf8(text).ok()?;
            text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)?.parse().ok()
        };
        self.values("Content-Length").into_iter().map(number).collect()
    }

    /// Whether the fields do not contradict each other, and this server understands them all, as far as they have come.
    fn is_sound(&self) -> bool {
        let is_http_11 = self.version == Version::Http11;
        let hosts = self.values("Host");
        let (codings, coded) = (self.list("Transfer-Encoding"), !self.values("Transfer-Encoding").is_empty());
        let Some(lengths) = self.lengths() else { return false };
        self.fields.len() <= MAX_FIELDS
            && hosts.len() <= 1
            && hosts.iter().all(|host| host.is_empty() || is_authority(host))
            && lengths.len() <= 1
            && (!coded || (is_http_11 && lengths.is_empty()))
            && codings.iter().position(|coding| coding == b"chunked").is_none_or(|at| at + 1 == codings.len())
            && (!is_http_11 || self.list("Expect").iter().all(|what| what == b"100-continue"))
    }

    /// Whether the head has ended, and nothing is missing.
    fn is_whole(&self) -> bool {
        let has_host = self.version == Version::Http10 || !self.values("Host").is_empty();
        let coded = !self.values("Transfer-Encoding").is_empty();
        self.end.is_some() && has_host && (!coded || self.list("Transfer-Encoding") == [b"chunked"])
    }

    /// Asserts that `head` has exactly the content of these lines.
    fn check(&self, head: &Head<'_>, length: usize, bytes: &[u8]) {
        let request = head.request;
        assert_eq!(Some(length), self.end);
        assert_eq!(head.line.as_ptr(), bytes[self.start..].as_ptr(), "it is borrowed");
        assert_eq!(head.line, self.line);
        assert_eq!(request.method.as_bytes(), self.method);
        assert_eq!(head.version, self.version);
        let target = match request.target {
            Target::Origin(target) => {
                assert!(target.starts_with('/'));
                target
            }
            Target::Absolute(target) => target,
            Target::Asterisk => "*",
        };
        assert_eq!(target.as_bytes(), self.target);
        let path = request.path();
        assert!(path == "*" || (path.starts_with('/') && !path.contains('?')), "{path}");
        assert!(path == "/" || target.contains(path), "{path}");
        assert!(path.contains('%') || request.decoded_path() == path, "{path}");
        let fields: Vec<_> = request.fields().map(|(name, value)| (name.as_bytes(), value)).collect();
        assert_eq!(fields, self.fields);
        assert_eq!(request.field("HOST"), self.values("host").first().copied());

        let coded = !self.values("Transfer-Encoding").is_empty();
        let lengths = self.lengths().expect("numbers");
        let framing = if coded { Framing::Chunked } else { Framing::Length(lengths.first().copied().unwrap_or(0)) };
        assert_eq!(head.framing, framing);
        let is_http_11 = self.version == Version::Http11;
        assert_eq!(head.expects_continue, is_http_11 && !self.list("Expect").is_empty());
        let connection = self.list("Connection");
        let says = |what: &[u8]| connection.iter().any(|option| option == what);
        let persistence = match (says(b"close"), is_http_11) {
            (true, _) => Persistence::Close,
            (false, true) => Persistence::Keep,
            (false, false) if says(b"keep-alive") => Persistence::KeepAndSay,
            (false, false) => Persistence::Close,
        };
        assert_eq!(head.persistence, persistence);
    }
}

fn is_token(bytes: &[u8]) -> bool {
    const SIGNS: &[u8] = b"!#$%&'*+-.^_`|~";
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || SIGNS.contains(byte))
}

fn is_method(bytes: &[u8]) -> bool {
    is_token(bytes) && bytes.len() <= MAX_METHOD
}

fn is_target(target: &[u8], method: &[u8]) -> bool {
    if target.len() > MAX_TARGET || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return false;
    }
    match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => {
            let Some((scheme, rest)) = target.split_at_checked(7) else { return false };
            let authority = rest.split(|byte| b"/?".contains(byte)).next().unwrap_or_default();
            scheme.eq_ignore_ascii_case(b"http://") && is_authority(authority)
        }
    }
}

/// A host, and perhaps a port.
fn is_authority(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => (&authority[..colon], &authority[colon + 1..]),
        _ => (authority, ""),
    };
    // Leading zeros are no digits of the port.
    let port = port.trim_start_matches('0');
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.len() > 5 || (port.len() == 5 && port > "65535") {
        return false;
    }
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    !host.is_empty()
}

/// No bytes of a peer can forge a line of the output about them, or end one of its strings.
fn lines_stay_lines(pieces: &[Vec<u8>], line: &[u8]) {
    let peer = Peer { id: 1, address: ([127, 0, 0, 1], 50_000).into() };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let answered =
        Event::Responded(Exchange { peer, date, line, request_bytes: line.len(), fault: None, status: 200, bytes: 41 });
    let lines = Rc::new(Lines::new(Format::Common.loss()));
    let told = || {
        let text = lines.take();
        let text = text.strip_suffix('\n').expect("whole lines").to_owned();
        assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text:?}");
        text
    };
    for (format, ending, strings) in
        [(Format::Common, "\" 200 41", 1), (Format::Json, "\",\"status\":200,\"bytes\":41}", 8)]
    {
        AccessLog::new(format, &lines).observe(answered);
        let line = told();
        assert!(line.ends_with(ending) && !line.contains('\n') && quotes(&line) == 2 * strings, "{line}");
    }
    Explainer::new(&lines).observe(answered);
    // The function of WASI may be on a line of its own.
    let told_lines = told();
    let (sentence, function) = told_lines.split_once('\n').unwrap_or((&told_lines, "        [output-stream.write]"));
    assert!(
        sentence.starts_with("write   call 1: to \"") && function == "        [output-stream.write]",
        "{told_lines}"
    );

    let shown = ShowBytes::new(&lines, Handle::default(), false);
    shown.observe(Event::Accepted(peer));
    for (index, piece) in pieces.iter().enumerate() {
        shown.observe(Event::Received(peer, piece));
        // The server may send bytes at any time.
        if index % 3 == 2 {
            shown.observe(Event::Sent(peer, b"HTTP/1.1 200 OK\r\n"));
        }
    }
    shown.observe(Event::Closed(peer, CloseReason::Disconnected));
    assert!(told().lines().all(|line| line.starts_with("call 1  0.000 s ")));

    let log = EventLog::new(&lines, Handle::default());
    log.observe(Event::Accepted(peer));
    pieces.iter().for_each(|piece| log.observe(Event::Received(peer, piece)));
    log.observe(answered);
    told().lines().for_each(|line| drop(events::event(line)));
    // A secret is masked behind any bytes, and wherever the reads are cut.
    let field = b"\nCookie: 53cr37\n";
    let (begin, end) = field.split_at(line.len() % field.len());
    let reads = [begin, end].into_iter().filter(|read| !read.is_empty());
    reads.for_each(|read| log.observe(Event::Received(peer, read)));
    log.observe(Event::Closed(peer, CloseReason::Disconnected));
    let told_of_secret = told();
    assert!(!["53", "cr", "37"].iter().any(|part| texts(&told_of_secret).contains(part)), "{told_of_secret}");
}

/// The texts of the events in `lines`.
fn texts(lines: &str) -> String {
    lines.lines().filter_map(|line| Some(events::event(line).get("text")?.to_string())).collect()
}

/// The number of quotes that begin or end a string: those without a backslash before them.
fn quotes(text: &str) -> usize {
    let mut bytes = text.bytes();
    let mut quotes = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quotes += 1,
            _ => {}
        }
    }
    quotes
}
