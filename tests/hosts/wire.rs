//! Differences on the wire: `wasmtime serve` parses some requests otherwise than `hello-server` does. Each difference is a
//! row of the table in `docs/differences.md`. A newer wasmtime that has lost a difference fails here: then the row can go.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::net::{Shutdown, TcpStream};

#[cfg(target_os = "linux")]
use hello_test_support::{HELLO, LAST_GET, Server, component, connect};

use super::serve;

/// The beginning of a row of the table, a request, and the statuses of the responses: of `hello-server`, and of
/// `wasmtime serve`. 0 is no response.
type Difference = (&'static str, String, u16, u16);

/// All differences, except those that only several requests can show.
fn differences() -> Vec<Difference> {
    let host = "Host: localhost\r\nConnection: close\r\n";
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\n{host}{fields}\r\n");
    let post = |fields: &str| format!("POST / HTTP/1.1\r\n{host}{fields}\r\n0\r\n\r\n");
    // The request has two fields already.
    let fields = |number: usize| "X: 1\r\n".repeat(number - 2);
    let no_request = "no request, or a request without an end";
    let host_of_11 = "`Host` missing or malformed in HTTP/1.1";
    let no_host = "no `Host` in HTTP/1.0, or an empty one";
    let too_long = "a head that is too long";
    let coding = "`Content-Length` with a transfer coding, or an unknown transfer coding";
    vec![
        (no_request, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505, 0),
        (no_request, "HELLO\r\n\r\n".into(), 400, 400),
        (too_long, get("/", &format!("X: {}\r\n", "x".repeat(17_000))), 431, 200),
        (too_long, get("/", &fields(100)), 200, 200),
        (too_long, get("/", &fields(101)), 431, 431),
        (too_long, get(&format!("/{}", "x".repeat(9000)), ""), 414, 414),
        (host_of_11, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into(), 400, 500),
        (host_of_11, "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n".into(), 400, 500),
        (host_of_11, get("/", "Host: localhost\r\n"), 400, 200),
        (no_host, "GET / HTTP/1.0\r\n\r\n".into(), 200, 500),
        (no_host, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".into(), 200, 500),
        ("`CONNECT`", format!("CONNECT localhost:80 HTTP/1.1\r\n{host}\r\n"), 405, 500),
        ("`Expect` with an unknown value", get("/", "Expect: tea\r\n"), 417, 200),
        ("`https://` as a target", get("https://localhost/", ""), 421, 200),
        (coding, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400, 200),
        (coding, post("Transfer-Encoding: gzip, chunked\r\n"), 501, 200),
    ]
}

/// The response of the server at `address` to these bytes, until it closes the connection.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("write the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("read the response");
    response
}

/// The status of a response; 0, if the bytes are no response.
fn status(response: &str) -> u16 {
    response.split(' ').nth(1).map_or(0, |status| status.parse().expect("a status"))
}

/// Sends a request and finishes sending in the same packet. Returns the response of the server at `address`.
#[cfg(target_os = "linux")]
pub(crate) fn ask_and_half_close(address: SocketAddr) -> String {
    let mut stream: TcpStream = connect(address);
    socket2::SockRef::from(&stream).set_tcp_cork(true).expect("hold back the packet");
    stream.write_all(LAST_GET).expect("write the request");
    stream.shutdown(Shutdown::Write).expect("half-close the connection");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("read the response");
    response
}

/// `hello-server`, and `hello-http` behind `wasmtime serve`.
fn both_doors() -> [Server; 2] {
    component::http();
    let mut http = serve(component::root(), &["--quiet", "--port", "0"]);
    [Server::start(&["--log", "off"]), Server::launch(http.env("RUST_BACKTRACE", "1"))]
}

/// Asserts that the table in `docs/differences.md` has a row that begins like this.
fn assert_documented(row: &str) {
    let page = fs::read_to_string(component::root().join("docs/differences.md")).expect("a page");
    assert!(page.contains(&format!("\n| {row} | ")), "docs/differences.md has no row {row:?}");
}

#[test]
fn wasmtime_reads_the_wire_otherwise_only_where_the_table_says_so() {
    let [sockets, http] = both_doors();
    for (row, request, by_sockets, by_engine) in differences() {
        assert_documented(row);
        let [ours, theirs] = [&sockets, &http].map(|server| ask(server.address(), &request));
        assert_eq!([status(&ours), status(&theirs)], [by_sockets, by_engine], "{row}: {request:?}: {theirs}");
        // The pages about faults are from this project.
        let explains = |response: &str| response.contains("<!DOCTYPE html>");
        assert_eq!(explains(&ours), by_sockets != 200, "{row}: {ours}");
        assert_eq!(explains(&theirs), by_engine == 414, "{row}: {theirs}");
    }
    // A 500 of the host leaves an error in the log, with a backtrace where the user asks for one.
    let output = http.finish();
    assert!(output.stderr.contains("missing authority") && output.stderr.contains("backtrace"), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn wasmtime_takes_a_half_closed_connection_for_a_closed_one() {
    assert_documented("a client that sends a request and half-closes the connection");
    let [sockets, http] = both_doors();
    assert!(ask_and_half_close(sockets.address()).ends_with(HELLO));
    assert_eq!(ask_and_half_close(http.address()), "");
}
