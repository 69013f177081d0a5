//! Clients that stop anywhere in a request: they finish sending, or reset the connection.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use hello_test_support::{LAST_GET, Server, read_all};
use socket2::SockRef;

/// One request of each kind that ends in another way.
const REQUESTS: [&[u8]; 5] = [
    LAST_GET,
    b"GET http://127.0.0.1/romeo.txt HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\nHost: a\nConnection: close\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    b"\r\nPUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// A connection on which a client has sent this beginning.
fn begin(server: &Server, beginning: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(beginning).expect("it reads");
    stream
}

#[test]
fn a_client_that_finishes_anywhere_in_a_request_gets_a_400_and_a_line_in_the_log() {
    let server = Server::start(&["--stop-when-stdin-closes"]);
    let mut expected = String::new();
    for request in REQUESTS {
        for length in 0..request.len() {
            let mut stream = begin(&server, &request[..length]);
            stream.shutdown(Shutdown::Write).expect("it is connected");
            let reply = read_all(&mut stream);
            if request[..length].trim_ascii().is_empty() {
                assert_eq!(reply, "", "{length} bytes of {}", request.escape_ascii());
                continue;
            }
            assert!(reply.starts_with("HTTP/1.1 400 "), "{length} bytes of {}: {reply}", request.escape_ascii());
            expected += "400\n";
        }
        assert!(read_all(&mut begin(&server, request)).starts_with("HTTP/1.1 200 "), "{}", request.escape_ascii());
        expected += "200\n";
        server.assert_serves();
        expected += "200\n";
    }
    let output = server.stop();
    let lines = output.stdout.lines().filter_map(|line| line.split_once("\" "));
    let logged: String = lines.map(|(_, status)| format!("{}\n", &status[..3])).collect();
    assert_eq!(logged, expected);
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn a_reset_anywhere_in_a_request_does_no_harm_and_leaves_no_line_in_the_log() {
    let server = Server::start(&["--stop-when-stdin-closes"]);
    for request in REQUESTS {
        for length in 0..request.len() {
            let stream = begin(&server, &request[..length]);
            // With a linger time of 0, closing is a reset.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        server.assert_serves();
    }
    let output = server.stop();
    assert_eq!(output.stdout.matches("\" 200 41\n").count(), REQUESTS.len(), "{output:?}");
    assert_eq!(output.stdout.matches('"').count(), 2 * REQUESTS.len(), "{output:?}");
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}
