//! The table: requests as they come over the wire, the section that speaks about them, and their outcome.

/// One row.
pub(crate) struct Case {
    /// Where it is written.
    pub(crate) section: &'static str,
    /// What the client sends before it waits.
    pub(crate) request: &'static [u8],
    /// The status codes of the replies, with the name of the fault behind that of a refusal, and what becomes of the
    /// connection: `open` or `closed`.
    pub(crate) outcome: &'static str,
}

impl Case {
    /// Whether the request has ended, so that the next one may follow: a reply has come and the connection is open.
    pub(crate) fn whole(&self) -> bool {
        self.outcome.ends_with(" open") && !self.outcome.ends_with("100 open")
    }
}

const fn case(section: &'static str, request: &'static [u8], outcome: &'static str) -> Case {
    Case { section, request, outcome }
}

/// A request at or beyond a limit: `head`, then `part` over and over, then `tail`, together `N` bytes.
const fn long<const N: usize>(head: &[u8], part: &[u8], tail: &[u8]) -> [u8; N] {
    let end = N - tail.len();
    // The compiler gives up on a loop over a mebibyte: a part of one byte needs none.
    let mut bytes = [part[0]; N];
    let mut at = if part.len() == 1 { end } else { head.len() };
    while at < end {
        bytes[at] = part[(at - head.len()) % part.len()];
        at += 1;
    }
    bytes.split_at_mut(head.len()).0.copy_from_slice(head);
    bytes.split_at_mut(end).1.copy_from_slice(tail);
    bytes
}

/// What stands behind a target that is put together.
const AFTER_TARGET: &[u8] = b" HTTP/1.1\r\nHost: a\r\n\r\n";
/// What stands before a field, or a field's value, that is put together.
const BEFORE_FIELDS: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";
const BEFORE_VALUE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX: ";
/// What stands before a chunked body that is put together.
const BEFORE_MEBIBYTE: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
const BEFORE_CHUNKS: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const BEFORE_LAST_CHUNKS: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n";

static METHOD_32: [u8; 32 + 24] = long(b"", b"M", b" / HTTP/1.1\r\nHost: a\r\n\r\n");
static METHOD_33: [u8; 33 + 24] = long(b"", b"M", b" / HTTP/1.1\r\nHost: a\r\n\r\n");

static TARGET_8192: [u8; 4 + 8192 + AFTER_TARGET.len()] = long(b"GET /", b"a", AFTER_TARGET);
static TARGET_8193: [u8; 4 + 8193 + AFTER_TARGET.len()] = long(b"GET /", b"a", AFTER_TARGET);
static TARGET_UNENDING: [u8; 9000] = long(b"GET /", b"a", b"");
static METHOD_32_TARGET_8192: [u8; 32 + 1 + 8192 + AFTER_TARGET.len()] =
    long(b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF /", b"a", AFTER_TARGET);

static HEAD_16384: [u8; 16384] = long(BEFORE_VALUE, b"v", b"\r\n\r\n");
static HEAD_16385: [u8; 16385] = long(BEFORE_VALUE, b"v", b"\r\n\r\n");
static HEAD_UNENDING: [u8; 16385] = long(BEFORE_VALUE, b"v", b"");
static FIELDS_100: [u8; BEFORE_FIELDS.len() + 99 * 6 + 2] = long(BEFORE_FIELDS, b"X: y\r\n", b"\r\n");
static FIELDS_101_SO_FAR: [u8; BEFORE_FIELDS.len() + 100 * 6] = long(BEFORE_FIELDS, b"X: y\r\n", b"");
// A line with a mistake that ends with the last byte that a head may have, and with one behind it.
static FIELD_WITHIN_16384: [u8; 16385] = long(BEFORE_VALUE, b"v", b"\r\nX\n\n");
static FIELD_BEHIND_16384: [u8; 16386] = long(BEFORE_VALUE, b"v", b"\r\nX\n\n");
static FIELDS_101: [u8; BEFORE_FIELDS.len() + 100 * 6 + 2] = long(BEFORE_FIELDS, b"X: y\r\n", b"\r\n");

static BODY_MEBIBYTE: [u8; BEFORE_MEBIBYTE.len() + 1_048_576] = long(BEFORE_MEBIBYTE, b"\n", b"");
static CHUNK_65536: [u8; BEFORE_LAST_CHUNKS.len() + 65_536 + 7] =
    long(BEFORE_LAST_CHUNKS, b"0\r\n\r\n", b"\r\n0\r\n\r\n");
// 16 digits of a size come for nothing.
static ZEROS_BEFORE_SIZE: [u8; BEFORE_CHUNKS.len() + 16 + 16384 + 14] =
    long(BEFORE_CHUNKS, b"0", b"5\r\nhello\r\n0\r\n\r\n");
static ONE_ZERO_MORE_BEFORE_SIZE: [u8; ZEROS_BEFORE_SIZE.len() + 1] =
    long(BEFORE_CHUNKS, b"0", b"5\r\nhello\r\n0\r\n\r\n");
static ZEROS_OF_LAST_CHUNK: [u8; BEFORE_CHUNKS.len() + 16 + 16384 + 4] = long(BEFORE_CHUNKS, b"0", b"\r\n\r\n");
static ZEROS_UNENDING: [u8; 20_000] = long(BEFORE_CHUNKS, b"0", b"");
static EXTENSION_UNENDING: [u8; 20_000] =
    long(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x", b"");
static TRAILERS_UNENDING: [u8; 30_000] =
    long(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", b"");

/// All rows, by section.
pub(crate) const CASES: &[Case] = &[
    // RFC 9112 section 3: a request line is a method, a target and a version, with one space between them.
    case("RFC 9112 section 3", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 RequestLine closed"),
    case("RFC 9112 section 3", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400 RequestLine closed"),
    case("RFC 9112 section 3", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method closed"),
    case("RFC 9112 section 3", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method closed"),
    case("RFC 9112 section 3", b"GET / HTTP/1.1 now\r\nHost: a\r\n\r\n", "400 RequestLine closed"),
    // The version is missing: HTTP/0.9 asked like this (RFC 1945 section 4.1).
    case("RFC 9112 section 3", b"GET /\r\n", "400 VersionMissing closed"),
    case("RFC 9112 section 3", b"GET HTTP/1.1\r\n", "400 TargetMissing closed"),
    // RFC 9112 section 8: as long as nothing is wrong with what has come, the server waits for the rest.
    case("RFC 9112 section 8", b"\r", "open"),
    case("RFC 9112 section 8", b"\r\n", "open"),
    case("RFC 9112 section 8", b"GET / HTTP/1.1\r\nHos", "open"),
    case("RFC 9112 section 8", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", "open"),
    case(
        "RFC 9112 section 8",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n",
        "open",
    ),
    // RFC 9112 section 2.2: one empty line before a request is a left-over of the one before it. More are not.
    case("RFC 9112 section 2.2", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 2.2", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", "200 open"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n", "200 400 EmptyRequestLine closed"),
    case("RFC 9112 section 2.2", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 EmptyRequestLine closed"),
    case("RFC 9112 section 2.2", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method closed"),
    // A line feed alone ends a line of the head, as in a request that is typed by hand.
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\nHost: a\n\n", "200 open"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n", "200 open"),
    case(
        "RFC 9112 section 2.2",
        b"POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhelloGET / HTTP/1.1\nHost: a\n\n",
        "200 200 open",
    ),
    // A carriage return alone ends nothing and belongs nowhere.
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n", "400 BareCarriageReturn closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400 BareCarriageReturn closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400 BareCarriageReturn closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", "400 BareCarriageReturn closed"),
    // Without any line feed not even the request line has ended.
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\rHost: a\r\r", "400 BareCarriageReturn closed"),
    // A blank before the first field could hide the field from another reader.
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 ObsoleteFold closed"),
    // RFC 9112 section 2.3 and RFC 9110 section 2.5: a higher minor version is read as the highest known one.
    case("RFC 9110 section 2.5", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 2.5", b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 2.5", b"GET / HTTP/1.2\r\n\r\n", "400 HostMissing closed"),
    case("RFC 9110 section 2.5", b"GET / HTTP/1.0\r\n\r\n", "200 closed"),
    // A well-formed version with another major number is one this server does not speak.
    case("RFC 9110 section 15.6.6", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 VersionNotSupported closed"),
    case("RFC 9110 section 15.6.6", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 VersionNotSupported closed"),
    case("RFC 9110 section 15.6.6", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 VersionNotSupported closed"),
    // The connection preface of HTTP/2 was made to be refused.
    case("RFC 9113 section 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 VersionNotSupported closed"),
    // The name of the protocol is case-sensitive, and each number is one digit.
    case("RFC 9112 section 2.3", b"GET / http/1.1\r\nHost: a\r\n\r\n", "400 Version closed"),
    case("RFC 9112 section 2.3", b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n", "400 Version closed"),
    case("RFC 9112 section 2.3", b"GET / HTTP/1\r\nHost: a\r\n\r\n", "400 Version closed"),
    case("RFC 9112 section 2.3", b"GET / HTTP/11\r\nHost: a\r\n\r\n", "400 Version closed"),
    case("RFC 9112 section 2.3", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 Version closed"),
    case("RFC 9112 section 2.3", b"GET / HTTP/1.a\r\nHost: a\r\n\r\n", "400 Version closed"),
    // RFC 9110 section 9: what a client wants. The lecture's server answers whatever it is asked.
    case("RFC 9110 section 9.3.3", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 9.3.4", b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 9.3.5", b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 9.3.7", b"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 5789 section 2", b"PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "200 open"),
    case("RFC 9110 section 9.1", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    // Methods are case-sensitive: this is not GET, but a method all the same.
    case("RFC 9110 section 9.1", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 9.1", b"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    // A reply to HEAD ends with its head, whatever it says about a length, and a refusal too.
    case("RFC 9110 section 9.3.2", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case(
        "RFC 9110 section 9.3.2",
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 200 open",
    ),
    case("RFC 9110 section 9.3.2", b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "200 open"),
    case("RFC 9110 section 9.3.2", b"HEAD / HTTP/1.1\r\n\r\n", "400 closed"),
    // A tunnel and an echo are not to be had.
    case("RFC 9110 section 15.5.6", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "405 MethodNotAllowed closed"),
    case("RFC 9110 section 15.5.6", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "405 MethodNotAllowed closed"),
    // What is not a token is not a method, and it is refused before its line has ended.
    case("RFC 9110 section 5.6.2", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method closed"),
    case("RFC 9110 section 5.6.2", b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method closed"),
    case("RFC 9112 section 3", &METHOD_32, "200 open"),
    case("RFC 9112 section 3", &METHOD_33, "501 MethodTooLong closed"),
    // RFC 9112 section 3.2.1: a path and perhaps a query. Any visible character may come, as browsers send many that
    // RFC 3986 does not have; nothing else may.
    case("RFC 9112 section 3.2.1", b"GET /romeo.txt HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.1", b"GET /a/b;c=d?e=f&g=/h?i HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.1", b"GET /%C3%A9%20%2F%00 HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.1", b"GET /[]{}|\\^`<>\" HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    // A percent sign without its two digits is only odd: nothing here decodes it.
    case("RFC 9112 section 3.2.1", b"GET /100% HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2", b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetByte closed"),
    case("RFC 9112 section 3.2", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetByte closed"),
    case("RFC 9112 section 3.2", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetByte closed"),
    case("RFC 9112 section 3.2", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400 RequestLine closed"),
    // A fragment stays with the client.
    case("RFC 9110 section 7.1", b"GET /#act-2 HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetFragment closed"),
    case("RFC 9112 section 3.2", b"GET romeo.txt HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    // RFC 9112 section 3.2.2: a whole address, which every server has to take. The lecture's client sends nothing else.
    case("RFC 9112 section 3.2.2", b"GET http://127.0.0.1/romeo.txt HTTP/1.0\r\n\r\n", "200 closed"),
    case("RFC 9112 section 3.2.2", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.2", b"GET HTTP://A HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.2", b"GET http://[::1]:8080/b HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.2", b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "421 Misdirected closed"),
    case("RFC 9112 section 3.2.2", b"GET ftp://u:p@b/c HTTP/1.1\r\nHost: a\r\n\r\n", "421 Misdirected closed"),
    case("RFC 9112 section 3.2.2", b"GET urn:isbn:0451450523 HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    // The address counts, and the field is ignored; but it has to be there, once, and well-formed.
    case("RFC 9112 section 3.2.2", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.2", b"GET http://a/ HTTP/1.1\r\n\r\n", "400 HostMissing closed"),
    case("RFC 9112 section 3.2.2", b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 HostRepeated closed"),
    // An http address has a host, and no user before it.
    case("RFC 9110 section 4.2.1", b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    case("RFC 9110 section 4.2.1", b"GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    case("RFC 9110 section 4.2.4", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    case("RFC 3986 section 3", b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    // Its port is one that TCP has: the number counts, and not how many digits it has. It may be empty.
    case("RFC 9110 section 4.2.1", b"GET http://a:65535/ HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 4.2.1", b"GET http://a:0000065535/ HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 4.2.1", b"GET http://a:/ HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9110 section 4.2.1", b"GET http://a:65536/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    case("RFC 9110 section 4.2.1", b"GET http://[::1]:99999/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    case("RFC 9110 section 4.2.1", b"GET http://:/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    // A host and a port alone go with CONNECT only.
    case("RFC 9112 section 3.2.3", b"GET localhost:9000 HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    // RFC 9112 section 3.2.4: the server itself, with OPTIONS only.
    case("RFC 9112 section 3.2.4", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    case("RFC 9112 section 3.2.4", b"OPTIONS * HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\nhello", "200 open"),
    case("RFC 9112 section 3.2.4", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm closed"),
    // RFC 9112 section 3.2 and RFC 9110 section 7.2: Host, exactly once.
    case("RFC 9112 section 3.2", b"GET / HTTP/1.1\r\n\r\n", "400 HostMissing closed"),
    case("RFC 9112 section 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 HostRepeated closed"),
    case("RFC 9112 section 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", "400 HostRepeated closed"),
    case("RFC 9112 section 3.2", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 HostRepeated closed"),
    case("RFC 9112 section 3.2", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: localhost:9000\r\n\r\n", "200 open"),
    // One rule for Host and for an http address: a host that is not empty, and a port that TCP has.
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: :\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a:65535\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a:0000065535\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: [::1]:99999\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]:80\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a/\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9110 section 7.2", b"GET / HTTP/1.1\r\nHost: [::1%25lo]\r\n\r\n", "400 HostMalformed closed"),
    // RFC 9112 section 5: a field line is a name, a colon and a value.
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09aZ: any token\r\n\r\n", "200 open"),
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nhOsT:a\r\n\r\n", "200 open"),
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", "200 open"),
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", "200 open"),
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\nX: a\r\nx: b\r\n\r\n", "200 open"),
    case("RFC 9110 section 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\x80\xff\r\n\r\n", "200 open"),
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "400 FieldName closed"),
    case("RFC 9112 section 5", b"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", "400 FieldName closed"),
    // A blank before the colon has been read both as part of the name and as none of it.
    case("RFC 9112 section 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400 BlankBeforeColon closed"),
    case("RFC 9112 section 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n", "400 BlankBeforeColon closed"),
    case("RFC 9112 section 5.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "400 ObsoleteFold closed"),
    case("RFC 9110 section 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "400 FieldValue closed"),
    case("RFC 9110 section 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", "400 FieldValue closed"),
    // RFC 9112 section 2.2: what does not match the grammar gets a 400, at the end of the line that has the mistake. Of two
    // mistakes the one in the earlier line counts.
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost localhost\r\n", "400 FieldName closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost localhost\r", "open"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\nHost : localhost\n", "400 BlankBeforeColon closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n", "400 ObsoleteFold closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n", "400 FieldValue closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n", "400 BareCarriageReturn closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", "400 HostRepeated closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a b\r\n", "400 HostMalformed closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost: a b\r\nHost: a\r\n\r\n", "400 HostMalformed closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nContent-Length: 5x\r\nHost\r\n\r\n", "400 ContentLength closed"),
    case("RFC 9112 section 2.2", b"GET / HTTP/1.1\r\nHost\r\nContent-Length: 5x\r\n\r\n", "400 FieldName closed"),
    // Fields that ask for something this server need not do.
    case(
        "RFC 9110 section 7.8",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
          Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "200 open",
    ),
    // RFC 9112 section 9.3: in HTTP/1.1 the connection stays open until one side says `close`.
    case("RFC 9112 section 9.3", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 200 open"),
    case("RFC 9112 section 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200 closed"),
    case("RFC 9112 section 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", "200 closed"),
    case("RFC 9112 section 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close ,y\r\n\r\n", "200 closed"),
    case("RFC 9112 section 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", "200 closed"),
    case(
        "RFC 9112 section 9.3",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
        "200 closed",
    ),
    case("RFC 9110 section 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n\r\n", "200 open"),
    case("RFC 9110 section 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "200 open"),
    // In HTTP/1.0 it is the other way round.
    case("RFC 9112 section 9.3", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 open"),
    case(
        "RFC 9112 section 9.3",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "200 200 closed",
    ),
    case("RFC 9112 section 9.3", b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "200 closed"),
    case("RFC 9112 section 9.3", b"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", "200 closed"),
    // What comes behind the last request is not read as one (section 9.6).
    case(
        "RFC 9112 section 9.6",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
          GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 closed",
    ),
    // RFC 9112 section 9.3.2: answers come in the order of the questions.
    case(
        "RFC 9112 section 9.3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\
          POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\
          helloDELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 200 200 open",
    ),
    case(
        "RFC 9112 section 9.3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nTRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 405 MethodNotAllowed closed",
    ),
    case(
        "RFC 9112 section 9.3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n{",
        "200 200 400 Method closed",
    ),
    // RFC 9110 section 8.6 and RFC 9112 section 6.3: a body has as many bytes as its head says, whatever the method.
    case("RFC 9110 section 8.6", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "200 open"),
    case("RFC 9110 section 8.6", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "200 open"),
    case("RFC 9110 section 8.6", b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length:005\t\r\n\r\nhello", "200 open"),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        "200 open",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n\
          GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 open",
    ),
    // Without a length there is no body, and what follows is the next request (section 6.3, item 7).
    case("RFC 9112 section 6.3", b"POST / HTTP/1.1\r\nHost: a\r\n\r\nhello, world\r\n", "200 400 Method closed"),
    // There is one length, in one line. The same once more, or a list of it, could be taken for one (RFC 9110 section 8.6 leaves
    // that open), but nearly every server refuses both.
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n\
          hello",
        "400 ContentLengthRepeated closed",
    ),
    case(
        "RFC 9112 section 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n\
          hello",
        "400 ContentLengthRepeated closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9112 section 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n\
          hello",
        "400 ContentLength closed",
    ),
    case(
        "RFC 9110 section 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 184467440737095516150\r\n\r\n\
          hello",
        "400 ContentLength closed",
    ),
    // A body is at most 1 MiB. A longer body is refused before the client sends it.
    case("RFC 9110 section 15.5.14", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n", "open"),
    case("RFC 9110 section 15.5.14", &BODY_MEBIBYTE, "200 open"),
    case(
        "RFC 9110 section 15.5.14",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n",
        "413 BodyTooLong closed",
    ),
    // RFC 9112 section 7.1: a body in chunks.
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0000000000000005\r\nhello\r\n0000\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
        "200 open",
    ),
    case("RFC 9112 section 7.1", &CHUNK_65536, "200 open"),
    // The framing is read to the letter, because whatever two readers read differently serves to smuggle.
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          \r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0x5\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          +5\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5 \r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          ;a=b\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
        "400 Trailer closed",
    ),
    // The number counts, and not how many digits it has: zeros before it may be as many as there may be bytes of extensions.
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          00000000000000005\r\nhello\r\n000000000000000000000000000000000;last\r\n\r\n",
        "200 open",
    ),
    case("RFC 9112 section 7.1", &ZEROS_BEFORE_SIZE, "200 open"),
    case("RFC 9112 section 7.1", &ONE_ZERO_MORE_BEFORE_SIZE, "431 ChunkOverheadTooLong closed"),
    case("RFC 9112 section 7.1", &ZEROS_OF_LAST_CHUNK, "200 open"),
    case("RFC 9112 section 7.1", &ZEROS_UNENDING, "431 ChunkOverheadTooLong closed"),
    // A number that does not fit into 64 bits is no other number.
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          10000000000000005\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          000000010000000000000005\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0000000fffffffffffffffff",
        "400 Chunk closed",
    ),
    case(
        "RFC 9110 section 15.5.14",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          ffffffffffffffff\r\n",
        "413 BodyTooLong closed",
    ),
    case(
        "RFC 9110 section 15.5.14",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
        "open",
    ),
    case(
        "RFC 9110 section 15.5.14",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n",
        "413 BodyTooLong closed",
    ),
    case(
        "RFC 9110 section 15.5.14",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\nffffc\r\n",
        "413 BodyTooLong closed",
    ),
    // Nor may the sizes together be more than can be counted.
    case(
        "RFC 9110 section 15.5.14",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\nffffffffffffffff\r\n",
        "413 BodyTooLong closed",
    ),
    // RFC 9112 section 7.1.1: extensions are skipped, because this server knows none.
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a\r\nhello\r\n0;last\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5; a = b ;c\r\nhello\r\n0;last\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5 ;a\r\nhello\r\n0;last\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a=\"b;c\\\"d\"\r\nhello\r\n0;last\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;;a\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5; \r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;bad[=x\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a=\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a=b c\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a=\"b\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a=\"b\"c\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a \r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a\rb\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case(
        "RFC 9112 section 7.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a\x00\r\nhello\r\n0\r\n\r\n",
        "400 Chunk closed",
    ),
    case("RFC 9112 section 7.1.1", &EXTENSION_UNENDING, "431 ChunkOverheadTooLong closed"),
    // RFC 9112 section 7.1.2: so are trailers, and what they say about this message does not count.
    case(
        "RFC 9112 section 7.1.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: b\r\n\
          Connection: close\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 7.1.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\nX\r\n\r\n",
        "400 Trailer closed",
    ),
    case(
        "RFC 9112 section 7.1.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\nX : y\r\n\r\n",
        "400 Trailer closed",
    ),
    case(
        "RFC 9112 section 7.1.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\nX: y\r\n z\r\n\r\n",
        "400 Trailer closed",
    ),
    case(
        "RFC 9112 section 7.1.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\nX: y\n\r\n",
        "400 Trailer closed",
    ),
    case("RFC 9112 section 7.1.2", &TRAILERS_UNENDING, "431 ChunkOverheadTooLong closed"),
    // RFC 9112 sections 6.1 and 6.3: which coding ends where is known if chunked is the last one, once, in HTTP/1.1.
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked,\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "501 CodingUnknown closed",
    ),
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\
          Transfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "501 CodingUnknown closed",
    ),
    case(
        "RFC 9112 section 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
          Transfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 7",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ChunkedNotLast closed",
    ),
    case(
        "RFC 9112 section 6.1",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 CodingInHttp10 closed",
    ),
    // RFC 9112 section 11.2: requests made so that two readers see different ends.
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\
          Transfer-Encoding: chunked\r\n\r\n\
          0\r\n\r\nG",
        "400 LengthAndCoding closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
          Content-Length: 4\r\n\r\n\
          1d\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        "400 LengthAndCoding closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 BlankBeforeColon closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 FieldValue closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x00\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 FieldValue closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 ObsoleteFold closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 BareCarriageReturn closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
        "400 FieldName closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
          Content-Length: 5\rContent-Length: 6\r\n\r\n\
          hello",
        "400 BareCarriageReturn closed",
    ),
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n 6\r\n\r\n\
          hello",
        "400 ObsoleteFold closed",
    ),
    // A name with an underscore is another name, even if some gateways write the same variable for both.
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
          Transfer_Encoding: chunked\r\nContent_Length: 9\r\n\r\n\
          hello",
        "200 open",
    ),
    // A line feed alone begins a line here, as everywhere in a head: this coding counts.
    case(
        "RFC 9112 section 11.2",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\n\r\n",
        "200 open",
    ),
    // RFC 9110 section 10.1.1: a client may wait for a word before it sends its body.
    case(
        "RFC 9110 section 10.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "100 open",
    ),
    case(
        "RFC 9110 section 10.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
        "100 open",
    ),
    case(
        "RFC 9110 section 10.1.1",
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
          Expect: 100-continue\r\n\r\n",
        "100 open",
    ),
    // Expect is a list (section 5.6.1), so the same once more, and nothing at all, expect nothing else.
    case(
        "RFC 9110 section 10.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, 100-continue\r\n\
          Content-Length: 5\r\n\r\n",
        "100 open",
    ),
    case("RFC 9110 section 10.1.1", b"GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", "200 open"),
    // Where no body comes, no word is needed.
    case("RFC 9110 section 10.1.1", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "200 open"),
    case(
        "RFC 9110 section 10.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        "200 open",
    ),
    case(
        "RFC 9110 section 10.1.1",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
          Content-Length: 1048577\r\n\r\n",
        "413 BodyTooLong closed",
    ),
    // HTTP/1.0 has no interim replies.
    case("RFC 9110 section 10.1.1", b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "open"),
    case(
        "RFC 9110 section 10.1.1",
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        "200 closed",
    ),
    // Nothing else can be expected.
    case(
        "RFC 9110 section 15.5.18",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\n",
        "417 Expectation closed",
    ),
    case(
        "RFC 9110 section 15.5.18",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, 200-ok\r\n\
          Content-Length: 5\r\n\r\n",
        "417 Expectation closed",
    ),
    case(
        "RFC 9110 section 15.5.18",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: x\r\n\
          Content-Length: 5\r\n\r\n",
        "417 Expectation closed",
    ),
    // RFC 9110 section 15.5.15: a target of 8 KiB, and one byte more.
    case("RFC 9110 section 15.5.15", &TARGET_8192, "200 open"),
    case("RFC 9110 section 15.5.15", &TARGET_8193, "414 TargetTooLong closed"),
    case("RFC 9110 section 15.5.15", &TARGET_UNENDING, "414 TargetTooLong closed"),
    case("RFC 9110 section 15.5.15", &METHOD_32_TARGET_8192, "200 open"),
    // RFC 6585 section 5: a head of 16 KiB and one of 100 fields, and one more.
    case("RFC 6585 section 5", &HEAD_16384, "200 open"),
    case("RFC 6585 section 5", &HEAD_16385, "431 HeadTooLong closed"),
    case("RFC 6585 section 5", &HEAD_UNENDING, "431 HeadTooLong closed"),
    case("RFC 6585 section 5", &FIELDS_100, "200 open"),
    case("RFC 6585 section 5", &FIELDS_101, "431 TooManyFields closed"),
    case("RFC 6585 section 5", &FIELDS_101_SO_FAR, "431 TooManyFields closed"),
    case("RFC 6585 section 5", &FIELD_BEHIND_16384, "431 HeadTooLong closed"),
    case("RFC 6585 section 5", &FIELD_WITHIN_16384, "400 FieldName closed"),
    // RFC 8446 section 5.1: `https://` typed by mistake. A TLS handshake has no end of a line, so its first byte decides.
    case("RFC 8446 section 5.1", b"\x16", "400 Tls closed"),
    case("RFC 8446 section 5.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 Tls closed"),
    case("RFC 8446 section 5.1", b"\r\n\x16\x03\x01", "400 Tls closed"),
];
