//! Requests as literals, and what becomes of them: status, and connection. Each goes through the whole connection in
//! memory in one piece. `tests/conversation.rs` splits each of them everywhere, and the responses are the same.

use std::cell::RefCell;
use std::rc::Rc;

use super::cases::{CASES, Case};
use super::{Content, Fault, Head, MAX_BODY, MAX_TARGET, Parsed, Persistence, Progress, Request, Response, parse};
use crate::app::App;
use crate::server::Limits;
use crate::server::tests::play_with;

/// What the server says to these pieces: its replies, and whether it hangs up.
fn serve_connection(pieces: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, bool) {
    converse_with(App::HELLO, pieces)
}

/// The same for a server that says something else.
fn converse_with(app: App, pieces: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, bool) {
    let outcome = Rc::<RefCell<_>>::default();
    let (pieces, found) = (pieces.into_iter().collect::<Vec<_>>(), Rc::clone(&outcome));
    play_with(app, Limits::default(), |scene| async move {
        let (peer, mut replies) = (scene.call(), Vec::new());
        for piece in pieces {
            peer.send(&piece);
            scene.pause().await;
            replies.extend(peer.received());
        }
        found.replace((replies, peer.is_closed()));
    });
    outcome.take()
}

/// The replies in short: their status codes, which fault the page of a refusal is about, and `open` or `closed` for the
/// connection behind them.
fn summary(replies: &[u8], closed: bool, request: &[u8]) -> String {
    let mut words = Vec::new();
    let mut rest = replies;
    while !rest.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut reply = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = reply.parse(rest) else {
            panic!("not a reply: {}", rest.escape_ascii());
        };
        let status = reply.code.expect("complete");
        words.push(status.to_string());
        let field = |name: &str| {
            let found = reply.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.map(|field| String::from_utf8_lossy(field.value).into_owned())
        };
        rest = &rest[head..];
        if status == 100 {
            continue;
        }
        if let Some(fault) = Fault::ALL.iter().find(|fault| rest == fault.response().body()) {
            words.push(format!("{fault:?}"));
        }
        assert!(field("date").is_some(), "every final reply has a date");
        let length: usize = field("content-length").expect("a length").parse().expect("a number");
        // A reply to HEAD has the fields and not the body.
        if !request.starts_with(b"HEAD ") {
            rest = &rest[length..];
        }
        let last = rest.is_empty();
        let says_close = field("connection").is_some_and(|value| value == "close");
        assert_eq!(says_close, last && closed, "the last reply, and no other, says that it is the last");
        if status == 405 {
            assert!(field("allow").is_some(), "RFC 9110 section 15.5.6");
        }
    }
    words.push(if closed { "closed" } else { "open" }.into());
    words.join(" ")
}

fn check(case: &Case, pieces: impl IntoIterator<Item = Vec<u8>>, how: &str) {
    let Case { section, request, outcome } = case;
    let (replies, closed) = serve_connection(pieces);
    let found = summary(&replies, closed, request);
    assert_eq!(&found, outcome, "{section}, {how}: {}", request.get(..200).unwrap_or(request).escape_ascii());
}

#[test]
fn every_fault_has_a_page_of_its_own_that_names_its_status_and_section() {
    let pages: Vec<Vec<u8>> = Fault::ALL.iter().map(|fault| fault.response().body().to_vec()).collect();
    for (fault, page) in Fault::ALL.iter().zip(&pages) {
        assert_eq!(pages.iter().filter(|other| *other == page).count(), 1, "{fault:?}");
        let text = String::from_utf8_lossy(page);
        assert!(text.contains(&format!("<h1>{} ", fault.status())), "{text}");
        assert!(text.contains("<small>RFC ") && text.contains(" section "), "{text}");
    }
}

#[test]
fn the_page_about_a_head_that_is_too_long_says_what_fills_heads_on_localhost() {
    // RFC 6265 section 8.5: a cookie does not know the port of the server that set it.
    let page = String::from_utf8_lossy(Fault::HeadTooLong.response().body()).into_owned();
    assert!(page.contains("delete its cookies") && page.contains("every port"), "{page}");
    assert!(page.len() < 700, "the page is small: {}", page.len());
}

#[test]
fn there_are_at_least_150_cases() {
    assert!(CASES.len() >= 150, "{}", CASES.len());
}

#[test]
fn every_request_has_its_outcome() {
    for case in CASES {
        check(case, [case.request.to_vec()], "in one piece");
    }
}

#[test]
fn the_bytes_behind_a_request_are_the_next_one() {
    // Whatever leaves the connection open has ended where the server thinks it has: the next request is found.
    const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    for case in CASES {
        if case.whole() && !case.request.starts_with(b"HEAD ") {
            let both = [case.request, NEXT].concat();
            let (replies, closed) = serve_connection([both]);
            let found = summary(&replies, closed, case.request);
            let outcome = case.outcome.replace("open", "200 open");
            // A client that has begun to send its body gets no `100 Continue`.
            let outcome = outcome.replace("100 ", "");
            assert_eq!(found.replace("100 ", ""), outcome, "{}", case.request.escape_ascii());
        }
    }
}

/// What comes of a head that comes in these pieces.
fn parse_pieces<'b>(head: &'b [u8], ends: impl IntoIterator<Item = usize>) -> (Result<Parsed<'b>, Fault>, usize) {
    let mut progress = Progress::default();
    for end in ends {
        let found = progress.parse(&head[..end]);
        if found != Ok(Parsed::Incomplete) {
            return (found, end);
        }
    }
    (Ok(Parsed::Incomplete), head.len())
}

/// Field lines with a mistake that their end shows, whatever comes behind them; the last ones need a line before.
const MISTAKES: [(&str, Fault); 19] = [
    (" X: y", Fault::ObsoleteFold),
    ("\tX: y", Fault::ObsoleteFold),
    ("Host", Fault::FieldName),
    (": y", Fault::FieldName),
    ("X(: y", Fault::FieldName),
    ("\u{e9}: y", Fault::FieldName),
    ("X : y", Fault::BlankBeforeColon),
    ("X: \u{1}", Fault::FieldValue),
    ("X: a\rb", Fault::BareCarriageReturn),
    ("\r\r", Fault::BareCarriageReturn),
    ("Host: a b", Fault::HostMalformed),
    ("Content-Length: 5, 5", Fault::ContentLength),
    ("Expect: much", Fault::Expectation),
    ("Transfer-Encoding: chunked, gzip", Fault::ChunkedNotLast),
    ("Host: a\r\nhost: a", Fault::HostRepeated),
    ("Content-Length: 5\r\nContent-Length: 5", Fault::ContentLengthRepeated),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked", Fault::LengthAndCoding),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5", Fault::LengthAndCoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", Fault::ChunkedNotLast),
];

#[test]
fn a_mistake_in_a_field_line_is_found_at_the_end_of_that_line() {
    for line_end in ["\r\n", "\n"] {
        for (lines, fault) in MISTAKES {
            let head = format!("POST / HTTP/1.1\r\nX: y\r\n{lines}{line_end}");
            let pieces = [vec![head.len()], (1..=head.len()).collect(), vec![20, head.len() - 1, head.len()]];
            for ends in pieces {
                assert_eq!(
                    parse_pieces(head.as_bytes(), ends.clone()),
                    (Err(fault), head.len()),
                    "{lines:?} in {ends:?}"
                );
            }
        }
    }
    // In HTTP/1.0 a coding is a mistake by itself, and an expectation is none.
    assert_eq!(parse(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"), Err(Fault::CodingInHttp10));
    assert_eq!(parse(b"GET / HTTP/1.0\r\nExpect: much\r\n"), Ok(Parsed::Incomplete));
}

#[test]
fn of_two_mistakes_the_first_counts_however_the_head_comes() {
    const RIGHT: [&str; 4] = ["X: y", "Accept: */*", "Connection: close", "X:"];
    let mut random = fastrand::Rng::with_seed(14);
    for _ in 0..3_000 {
        let mut head = "POST / HTTP/1.1\r\n".to_owned();
        let mut first = None;
        for _ in 0..random.usize(1..6) {
            let (lines, fault) = match random.bool() {
                true => (RIGHT[random.usize(..RIGHT.len())], None),
                false => {
                    let (lines, fault) = MISTAKES[random.usize(..MISTAKES.len())];
                    (lines, Some(fault))
                }
            };
            head += &format!("{lines}\r\n");
            first = first.or(fault);
        }
        head += "\r\nwhat comes next";
        let expected = Err(first.unwrap_or(Fault::HostMissing));
        assert_eq!(parse(head.as_bytes()), expected, "{head}");
        assert_eq!(parse_pieces(head.as_bytes(), 1..=head.len()).0, expected, "{head}, byte by byte");
        let cut = random.usize(1..head.len());
        assert_eq!(parse_pieces(head.as_bytes(), [cut, head.len()]).0, expected, "{head}, cut at {cut}");
    }
}

#[test]
fn no_byte_of_a_head_that_comes_byte_by_byte_is_looked_at_again_before_its_line_ends() {
    let head = format!(
        "\r\nPOST /{} HTTP/1.1\r\nHost: a\r\n{}Content-Length: 5\r\n\r\n",
        "a".repeat(500),
        format!("X: {}\r\n", "y".repeat(500)).repeat(5)
    );
    let head = head.as_bytes();
    // All that was there before becomes the end of a head, or a mistake, for a parser that looks at it again.
    for spoiler in [b'\n', b'\r'] {
        let (mut progress, mut line) = (Progress::default(), 0);
        for end in 1..head.len() {
            let ends_line = head[end - 1] == b'\n';
            let seen = if ends_line { line } else { end.saturating_sub(2) };
            let mut spoilt = head[..end].to_vec();
            // The first bytes, of which there are few, say each time whether the request has a method.
            spoilt[8.min(seen)..seen].fill(spoiler);
            assert_eq!(progress.parse(&spoilt), Ok(Parsed::Incomplete), "at {end}");
            if ends_line {
                line = end;
            }
        }
        // At the end it is read once more, as a whole.
        assert_eq!(progress.parse(head), parse(head));
    }
    assert!(matches!(parse(head), Ok(Parsed::Complete(_, length)) if length == head.len()));
}

/// Says what it has seen of the body, of which it wants to see so much.
fn echo(most: usize) -> App {
    App { answer: &|request| Response::new(200, "application/octet-stream", request.body.to_vec()), body_limit: most }
}

/// `Wikipedia` in two chunks, with an extension, a trailer, and line ends in the content.
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;a=\"b;\"\r\nWi\r\nk\r\n006\r\nipedia\r\n0\r\nX-Sum: 11\r\n\r\n";
const COUNTED: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nWi\r\nkipedia";

#[test]
fn hello_rs_gets_the_content_of_a_body_wherever_that_is_split() {
    for request in [CHUNKED, COUNTED] {
        // What follows is no part of it, and is the next request.
        let both = [request, COUNTED].concat();
        let whole = converse_with(echo(11), [both.clone()]);
        let told = String::from_utf8_lossy(&whole.0).into_owned();
        assert_eq!((told.matches("\r\n\r\nWi\r\nkipedia").count(), whole.1), (2, false), "{told}");
        let bytes = both.iter().map(|&byte| vec![byte]);
        assert_eq!(converse_with(echo(11), bytes), whole, "byte by byte");
        for at in 1..both.len() {
            let (first, second) = both.split_at(at);
            assert_eq!(converse_with(echo(11), [first.to_vec(), second.to_vec()]), whole, "split at {at}");
        }
    }
}

#[test]
fn a_body_beyond_the_body_limit_is_refused() {
    for request in [CHUNKED, COUNTED] {
        assert_eq!(summary(&converse_with(echo(11), [request.to_vec()]).0, false, request), "200 open");
        let (replies, closed) = converse_with(echo(10), [request.to_vec()]);
        assert_eq!(summary(&replies, closed, request), "413 BodyTooLong closed");
    }
    // The body is refused before the client sends it. And a larger limit than that for discarded bodies works.
    for (most, outcome) in [(10, "413 BodyTooLong closed"), (MAX_BODY as usize + 1, "100 open")] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
        let (replies, closed) = converse_with(echo(most), [request.clone().into_bytes()]);
        assert_eq!(summary(&replies, closed, request.as_bytes()), outcome);
    }
}

#[test]
fn an_unwanted_body_is_not_kept_and_a_wanted_one_takes_no_more_memory_than_its_limit() {
    for (wanted, kept) in [(0, 0), (3000, 3000), (usize::MAX, 3000)] {
        let mut content = Content::new(wanted);
        for _ in 0..30 {
            content.announce(100).expect("few");
            content.add(&[1; 100]);
        }
        let bytes = content.into_bytes();
        assert_eq!(bytes.len(), kept);
        assert!(bytes.capacity() <= wanted.min(2 * kept), "{}", bytes.capacity());
    }
}

#[test]
fn with_a_body_limit_of_0_hello_rs_gets_no_body() {
    assert_eq!(App::HELLO.body_limit, 0);
    let (replies, _) = converse_with(echo(0), [CHUNKED.to_vec()]);
    assert!(replies.ends_with(b"\r\n\r\n"), "{}", replies.escape_ascii());
}

#[test]
fn a_request_from_wasi_http_is_like_one_from_the_wire() {
    let bytes = b"OPTIONS /a?b HTTP/1.1\r\nHost: localhost\r\nx:\t1 \r\nX: 2\r\n\r\n";
    let Ok(Parsed::Complete(Head { request: read, .. }, _)) = parse(bytes) else { panic!("complete") };
    let pairs: &[(&str, &[u8])] = &[("Host", b"localhost"), ("x", b"1"), ("X", b"2")];
    let given = Request::new("OPTIONS", "/a?b", pairs).expect("a request").with_body(b"body");
    assert_eq!((given.method, given.target, given.path()), (read.method, read.target, read.path()));
    assert!(given.fields().eq(read.fields()), "{given:?}");
    assert_eq!(given.decoded_path(), read.decoded_path());
    assert_eq!((given.field("X"), given.field("y")), (read.field("X"), None));
    assert_eq!(given.body, b"body");
    assert_eq!(App::HELLO.answer(&given), App::HELLO.answer(&read));
}

#[test]
fn a_method_or_target_that_the_wire_refuses_is_refused_behind_wasi_http_too() {
    let long = format!("/{}", "a".repeat(MAX_TARGET));
    for (method, target, fault) in [
        ("", "/", Fault::Method),
        ("GE T", "/", Fault::Method),
        (&"M".repeat(33), "/", Fault::MethodTooLong),
        ("CONNECT", "/", Fault::MethodNotAllowed),
        ("TRACE", "/", Fault::MethodNotAllowed),
        ("GET", "", Fault::TargetForm),
        ("GET", "*", Fault::TargetForm),
        ("GET", "/#a", Fault::TargetFragment),
        ("GET", "/\u{e9}", Fault::TargetByte),
        ("GET", &long, Fault::TargetTooLong),
    ] {
        assert_eq!(Request::new(method, target, &[]), Err(fault), "{method} {target}");
        let line = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        if !target.is_empty() && method != "GE T" {
            assert_eq!(parse(line.as_bytes()), Err(fault), "{line}");
        }
    }
    assert_eq!(Request::new("OPTIONS", "*", &[]).map(|request| request.path()), Ok("*"));
}

#[test]
fn a_path_is_decoded_once_and_whatever_is_in_it() {
    for (path, decoded) in [
        ("/hello/Jos%C3%A9", "/hello/Jos\u{e9}"),
        ("/hello/Jos%c3%a9?name=%41", "/hello/Jos\u{e9}"),
        ("http://a/%E2%82%AC", "/\u{20ac}"),
        ("*", "*"),
        ("/a+b", "/a+b"),
        // What is no escape stays.
        ("/100%", "/100%"),
        ("/%4", "/%4"),
        ("/%zz%%41", "/%zz%A"),
        // What was decoded is not decoded again.
        ("/%2541", "/%41"),
        // Bytes that are not UTF-8: one alone, a character that breaks off, an overlong slash, half of a pair.
        ("/%FF", "/\u{fffd}"),
        ("/%E2%82", "/\u{fffd}"),
        ("/%C3/%A9", "/\u{fffd}/\u{fffd}"),
        ("/%C0%AF", "/\u{fffd}\u{fffd}"),
        ("/%ED%A0%80", "/\u{fffd}\u{fffd}\u{fffd}"),
        // Characters that mean something elsewhere.
        ("/a%2F..%2f%3Cb%3E%00%0D%0A", "/a/../<b>\0\r\n"),
    ] {
        let bytes = format!("OPTIONS {path} HTTP/1.0\r\n\r\n");
        let Ok(Parsed::Complete(Head { request, .. }, _)) = parse(bytes.as_bytes()) else { panic!("{path}") };
        assert_eq!(request.decoded_path(), decoded, "{path}");
    }
}

/// A reply on the wire, as text.
fn encoded(response: &Response, to_head: bool) -> String {
    let mut bytes = Vec::new();
    response.encode(&mut bytes, to_head, Persistence::Keep, crate::http::Version::Http11, "now");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_response_has_its_content_length() {
    let text = Response::new(201, "text/plain", &b"made"[..]);
    assert_eq!(
        encoded(&text, false),
        "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nDate: now\r\n\r\nmade"
    );
    assert!(encoded(&text, true).ends_with("Content-Length: 4\r\nDate: now\r\n\r\n"));
    let nothing = encoded(&Response::empty(204), false);
    assert_eq!(nothing, "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n");
}

#[test]
fn no_field_from_hello_rs_ends_its_line_or_frames_the_response() {
    let answer = Response::empty(200)
        .with_field("X-Path", "/a\r\nSet-Cookie: b\n".to_owned())
        .with_field("content-length", "1000")
        .with_field("Transfer-Encoding", "chunked")
        .with_field("upgrade", "h2c")
        .with_field("X: 1\r\nY", "2")
        .with_field("", "3");
    assert_eq!(
        encoded(&answer, false),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: now\r\nX-Path: /a  Set-Cookie: b \r\n\r\n"
    );
}

#[test]
fn a_path_is_a_target_without_scheme_authority_and_query() {
    for (target, path) in [
        ("/", "/"),
        ("/romeo.txt?act=2&scene=2", "/romeo.txt"),
        ("/a//b?", "/a//b"),
        ("http://127.0.0.1/romeo.txt", "/romeo.txt"),
        ("http://127.0.0.1:9000/a?b=http://c/d", "/a"),
        ("http://a", "/"),
        ("http://a?b/c", "/"),
        ("*", "*"),
    ] {
        let bytes = format!("OPTIONS {target} HTTP/1.0\r\nX: 1\r\nx: 2\r\n\r\n");
        let Ok(Parsed::Complete(Head { request, .. }, length)) = parse(bytes.as_bytes()) else {
            panic!("{target}");
        };
        assert_eq!((request.path(), length), (path, bytes.len()));
        assert_eq!(request.field("x"), Some(&b"1"[..]), "the first one");
        assert_eq!(request.fields().count(), 2);
    }
}
