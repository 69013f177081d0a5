//! The log under load: each request with a response has its line, whatever its bytes are, and no other line is there.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use hello_test_support::{Server, connect, read_all};

/// The number of clients at a time, and the number of connections of each.
const CLIENTS: usize = 8;
const CALLS: usize = 30;

/// Parts of paths that could break the format of the log. Each path begins with a number of its own.
const PATHS: [&str; 6] = [
    "\"200-41",
    "\\",
    "\\\"\\\\\"",
    "\",\"status\":200,\"bytes\":41}{\"time\":\"",
    "]-[01/Jan/1970:00:00:00+0000]",
    "%0a%23{lost:1}",
];

/// The last bytes of a connection, which are no request; the log shows them up to the first line feed.
const REFUSED: [&[u8]; 10] = [
    b" HTTP/1.1\r127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /forged HTTP/1.1\" 200 41",
    b" HTTP/1.1 \" 200 41\r\n127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /forged HTTP/1.1\" 200 41",
    b"\n{\"time\":\"1970-01-01T00:00:00Z\",\"request\":\"GET /forged HTTP/1.1\",\"status\":200,\"bytes\":41}",
    b"\n# up to 9999 lines lost",
    b"\n{\"lost\":9999}",
    b"\x1b[2J\x1b]0;forged\x07 HTTP/1.1",
    b"\x00 HTTP/1.1",
    b"caf\xc3\xa9\xe2\x80\xa8\xe2\x80\xae HTTP/1.1",
    b"\xff\xfe\x80\x9b31m HTTP/1.1",
    b"\t\x0b\x0c\x7f HTTP/1.1",
];

/// A line as the log shows it: quotes and backslashes behind a backslash, and invisible bytes as numbers.
fn shown(line: &[u8]) -> String {
    let mut text = String::new();
    for &byte in line {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").expect("it is a string"),
        }
    }
    text
}

/// Sends several requests at once on each of many connections, the last of which is no request. Returns the expected facts
/// of the log: the client, the request, the status and the number of bytes of the body.
fn ask(address: SocketAddr, client: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for call in 0..CALLS {
        let mut stream = connect(address);
        let peer = stream.local_addr().expect("an address");
        let mut requests = Vec::new();
        for (number, path) in PATHS.iter().enumerate() {
            let line = format!("GET /{client}-{call}-{number}-{path} HTTP/1.1");
            requests.extend_from_slice(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
            lines.push(format!("{peer} {} 200 41", shown(line.as_bytes())));
        }
        let last = [format!("GET /{client}-{call}-").as_bytes(), REFUSED[call % REFUSED.len()]].concat();
        requests.extend_from_slice(&[&last, &b"\r\nHost: a\r\n\r\n"[..]].concat());
        stream.write_all(&requests).expect("it reads");
        let replies = read_all(&mut stream);
        assert_eq!(replies.matches("HTTP/1.1 200 OK\r\n").count(), PATHS.len(), "{replies}");
        let (_, refusal) = replies.split_once("HTTP/1.1 400 Bad Request\r\n").expect("a refusal");
        let (_, page) = refusal.split_once("\r\n\r\n").expect("a head");
        let line = last.split(|&byte| byte == b'\n').next().expect("one");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        lines.push(format!("{peer} {} 400 {}", shown(line), page.len()));
    }
    lines
}

/// The facts in the log of a server with all clients at once, and the expected facts, both sorted.
fn logged(format: &str, read: impl Fn(&str) -> String, with_port: bool) -> [Vec<String>; 2] {
    let server = Server::start(&["--log", format, "--stop-when-stdin-closes"]);
    let mut expected: Vec<String> = thread::scope(|scope| {
        let address = server.address();
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(address, client))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("it asks")).collect()
    });
    let output = server.stop();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
    let end = format!("Shutting down...\nServed {} requests in {} calls.\n", expected.len(), CLIENTS * CALLS);
    let log = output.stdout.strip_suffix(&end).unwrap_or_else(|| panic!("{}", output.stdout));
    let mut found: Vec<String> = log.lines().map(read).collect();
    if !with_port {
        for line in &mut expected {
            let (address, rest) = line.split_once(' ').expect("an address");
            *line = format!("{} {rest}", address.split(':').next().expect("an address"));
        }
    }
    found.sort();
    expected.sort();
    [found, expected]
}

#[test]
fn each_request_has_one_line_in_the_common_format_whatever_it_contains_and_however_many_come() {
    let read = |line: &str| {
        let (peer, rest) = line.split_once(" - - [").expect("a line");
        let (date, rest) = rest.split_once(" +0000] \"").expect("a date");
        assert_eq!(date.len(), "06/Nov/1994:08:49:37".len(), "{line}");
        let (request, result) = rest.rsplit_once("\" ").expect("a request");
        format!("{peer} {request} {result}")
    };
    let [found, expected] = logged("common", read, false);
    assert!(found == expected, "{found:#?}");
}

#[test]
fn each_request_has_one_line_in_json_whatever_it_contains_and_however_many_come() {
    let read = |line: &str| {
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(object.as_object().map(serde_json::Map::len), Some(5), "{line}");
        assert!(object["time"].as_str().is_some_and(|time| time.len() == "1994-11-06T08:49:37Z".len()), "{line}");
        let [peer, request] = ["peer", "request"].map(|name| object[name].as_str().expect("text"));
        format!("{peer} {request} {} {}", object["status"], object["bytes"])
    };
    let [found, expected] = logged("json", read, true);
    assert!(found == expected, "{found:#?}");
}
