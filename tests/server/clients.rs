//! Real clients: the two of the lecture, curl, an HTTP library, and a plain socket.

use std::io::Write;
use std::net::{Ipv6Addr, Shutdown};
use std::process::Command;

use hello_test_support::{GET, HELLO, Server, connect, has, read_all, read_reply};

#[test]
fn the_lectures_socket_client_reads_head_and_page_until_the_server_closes() {
    let server = Server::start(&[]);
    let request = b"GET http://127.0.0.1/romeo.txt HTTP/1.0\r\n\r\n";
    assert_eq!(request.len(), 43);
    let reply = server.ask(request);
    let (head, page) = reply.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
    assert_eq!(page, HELLO);
    assert_eq!(page.len(), 41);
    let line = server.line();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with(" +0000] \"GET http://127.0.0.1/romeo.txt HTTP/1.0\" 200 41"), "{line}");
}

#[test]
fn the_lectures_url_client_reads_the_page() {
    let server = Server::start(&[]);
    // The request of Python's urllib, byte for byte.
    let request = format!(
        "GET /romeo.txt HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: 127.0.0.1:{}\r\n\
         User-Agent: Python-urllib/3.11\r\nConnection: close\r\n\r\n",
        server.port
    );
    assert!(server.ask(request.as_bytes()).ends_with(HELLO));
    assert!(server.line().ends_with("\"GET /romeo.txt HTTP/1.1\" 200 41"));
}

#[test]
fn python_reads_the_page() {
    if !has("python3") {
        return;
    }
    let server = Server::start(&[]);
    let program = format!(
        "import urllib.request\n\
         for line in urllib.request.urlopen('http://127.0.0.1:{}/romeo.txt'):\n    print(line.decode().strip())",
        server.port
    );
    let output = Command::new("python3").args(["-c", &program]).output().expect("python runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "<html><body>Hello World</body></html>\n\n");
    assert!(server.line().ends_with("\"GET /romeo.txt HTTP/1.1\" 200 41"));
}

#[test]
fn curl_reads_the_page_by_name_and_by_both_addresses() {
    if !has("curl") {
        return;
    }
    let server = Server::start(&[]);
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let url = format!("http://{host}:{}/", server.port);
        let output = Command::new("curl").args(["-sS", "--noproxy", "*", &url]).output();
        let output = output.expect("curl runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), HELLO, "{host}: {output:?}");
    }
}

#[test]
fn curl_uploads_a_file_and_gets_100_continue() {
    if !has("curl") {
        return;
    }
    let server = Server::start(&[]);
    let url = format!("http://127.0.0.1:{}/", server.port);
    // On one connection, one body by length, one in chunks, one after `100 Continue`.
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-o", "-", "--data-binary", "@Cargo.lock", &url])
        .args(["--next", "-sS", "--noproxy", "*", "-H", "Transfer-Encoding: chunked"])
        .args(["--data-binary", "@Cargo.lock", &url])
        .args(["--next", "-sS", "--noproxy", "*", "-H", "Expect: 100-continue", "-T", "Cargo.lock", &url])
        .current_dir(hello_test_support::component::root())
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), HELLO.repeat(3), "{output:?}");
}

#[test]
fn an_http_library_gets_posts_and_heads_on_one_connection() {
    let server = Server::start(&[]);
    let url = format!("http://127.0.0.1:{}/page", server.port);
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    for _ in 0..3 {
        let mut reply = agent.get(&url).call().expect("an answer");
        assert_eq!(reply.body_mut().read_to_string().expect("text"), HELLO);
        let mut reply = agent.post(&url).send("x".repeat(100_000)).expect("an answer");
        assert_eq!(reply.body_mut().read_to_string().expect("text"), HELLO);
        let mut reply = agent.head(&url).call().expect("an answer");
        assert_eq!(reply.headers()["content-length"], "41");
        assert_eq!(reply.body_mut().read_to_string().expect("text"), "");
    }
}

#[test]
fn localhost_is_served_on_both_addresses() {
    let server = Server::start(&[]);
    server.assert_serves();
    let mut stream = connect((Ipv6Addr::LOCALHOST, server.port).into());
    stream.write_all(GET).expect("it reads");
    read_reply(&mut stream);
    server.line();
    assert!(server.line().starts_with("::1 - - ["));
}

#[test]
fn a_request_typed_by_hand_gets_its_response() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    for line in ["GET / HTTP/1.1\n", "Host: localhost\n", "Connection: close\n", "\n"] {
        stream.write_all(line.as_bytes()).expect("it reads");
    }
    assert!(read_all(&mut stream).ends_with(HELLO));
}

#[test]
fn a_mistake_is_explained_as_soon_as_it_can_be_seen() {
    let server = Server::start(&[]);
    // No empty line follows: a client that forgets the version may not know that one has to follow.
    let reply = server.ask(b"GET /\r\n");
    assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
    assert!(reply.contains("GET / HTTP/1.1") && reply.contains("RFC 9112 section 3"), "{reply}");
    assert!(reply.contains("\r\nConnection: close\r\n"), "{reply}");
    // The same is true of every other line.
    let reply = server.ask(b"GET / HTTP/1.1\r\nHost localhost\r\n");
    assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
    assert!(reply.contains("Host: localhost") && reply.contains("RFC 9112 section 5"), "{reply}");
}

#[test]
fn a_client_that_finishes_sending_still_gets_all_responses() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    stream.write_all(&GET.repeat(100)).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(read_all(&mut stream).matches(HELLO).count(), 100);
}

#[test]
fn a_body_that_is_too_long_is_refused_and_the_response_arrives() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    // The client sends the whole body all the same, as simple clients do.
    stream.write_all(&vec![b'x'; 8_000_000]).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 413 Content Too Large\r\n"));
}

#[test]
fn the_log_can_be_json_or_off() {
    let server = Server::start(&["--log", "json"]);
    server.assert_serves();
    let line = server.line();
    assert!(line.starts_with("{\"time\":\"20"), "{line}");
    assert!(line.ends_with("\"request\":\"GET / HTTP/1.1\",\"status\":200,\"bytes\":41}"), "{line}");

    let server = Server::start(&["--log", "off"]);
    server.assert_serves();
    assert_eq!(server.finish().stdout, "");
}

#[test]
fn no_request_forges_a_line_of_the_log() {
    let server = Server::start(&[]);
    server.ask(b"GET /\x1b[2J\"\n127.0.0.1 - - forged\n\n");
    server.assert_serves();
    let first = server.line();
    assert!(first.contains("\"GET /\\x1b[2J\\\"\" 400 "), "{first}");
    assert!(server.line().contains("\"GET / HTTP/1.1\" 200 41"));
}
