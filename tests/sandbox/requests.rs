//! Requests by `wasi:http` go to the granted addresses, and to no other. The sandbox looks up no name and follows no
//! redirect, and no request waits longer than its time limit.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{JoinHandle, spawn};

use hello_test_support::{Output, free_address};

use super::{request_probe, run};

/// A listener on a free port, and its address.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Accepts a connection, and reads the head of a request: a response before that would come too early.
fn pick_up(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().expect("a caller");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.extend(byte);
    }
    (stream, String::from_utf8(head).expect("text"))
}

/// Accepts this many connections, one after the other, and responds to each request with `reply`. Closes a connection after
/// its client has. Returns the heads of the requests.
fn answer(listener: TcpListener, times: usize, reply: &'static str) -> JoinHandle<Vec<String>> {
    spawn(move || {
        let mut heads = Vec::new();
        for _ in 0..times {
            let (mut stream, head) = pick_up(&listener);
            heads.push(head);
            stream.write_all(reply.as_bytes()).expect("it reads");
            // The client may close the connection without having read to the end.
            let _ = stream.read_to_end(&mut Vec::new());
        }
        heads
    })
}

/// A whole response.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Asserts that no client has connected to this listener.
fn assert_not_called(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("a listener");
    let called = listener.accept().expect_err("no connection was made");
    assert_eq!(called.kind(), ErrorKind::WouldBlock);
}

/// Asserts that the request was refused, in two lines.
fn assert_refused(output: &Output, url: &str, code: &str, tried: &str, advice: &str) {
    assert_eq!(output.stdout, format!("send {url}: {code}\n").repeat(2));
    let told = format!("hello-runner: refused: hello-request-probe.wasm may not {tried}\n  {advice}\n");
    assert_eq!((output.stderr.as_str(), output.status.code()), (told.as_str(), Some(1)));
}

/// The options of a sandbox that grants connections to `address`.
fn granting<'a>(address: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--allow-connect", address], more].concat()
}

#[test]
fn a_request_goes_to_an_address_that_was_granted() {
    let (listener, address) = listener();
    let server = answer(listener, 1, OK);
    let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&format!("http://{address}/a?b")]));
    assert_eq!(output.stdout, format!("send http://{address}/a?b: ok\n"), "{output:?}");
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
    let head = server.join().expect("a request").remove(0);
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head:?}");
    assert!(head.to_lowercase().contains(&format!("\r\nhost: {address}\r\n")), "{head:?}");
}

#[test]
fn a_request_to_another_address_is_refused_reported_once_and_not_sent() {
    let (listener, address) = listener();
    let url = format!("http://{address}/");
    for grant in [["--allow-connect", "127.0.0.1:1"], ["--allow-listen", &address.to_string()]] {
        // The component tries twice, and the sandbox reports it once.
        let output = run(&mut request_probe(&grant, &[&url, &url]));
        let advice = format!("--allow-connect {address} would allow it");
        assert_refused(&output, &url, "HttpRequestDenied", &format!("connect to {address}"), &advice);
    }
    assert_not_called(&listener);
}

#[test]
fn localhost_is_the_loopback_address_that_was_granted() {
    let (listener, address) = listener();
    let url = format!("http://localhost:{}/", address.port());
    let output = run(&mut request_probe(&["--allow-connect", "127.0.0.1:1"], &[&url, &url]));
    let advice = format!("--allow-connect {address} would allow it");
    assert_refused(&output, &url, "HttpRequestDenied", &format!("connect to {address}"), &advice);
    assert_not_called(&listener);

    listener.set_nonblocking(false).expect("a listener");
    let server = answer(listener, 1, OK);
    // No program listens on the other address.
    let other = format!("[::1]:{}", address.port());
    let granted = address.to_string();
    let output = run(&mut request_probe(&granting(&other, &["--allow-connect", &granted]), &[&url]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (format!("send {url}: ok\n").as_str(), ""));
    server.join().expect("a request");
}

#[test]
fn no_name_is_looked_up_for_a_request() {
    let (listener, address) = listener();
    let url = format!("http://one.example:{}/", address.port());
    let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&url, &url]));
    let advice = "there is no option that would allow it";
    assert_refused(&output, &url, "DnsError", "look up the name \"one.example\"", advice);
    assert_not_called(&listener);
}

#[test]
fn https_is_refused_even_to_an_address_that_was_granted() {
    let (listener, address) = listener();
    let url = format!("https://{address}/");
    let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&url, &url]));
    let advice = "this sandbox does not speak TLS: http:// is all that it can send";
    let tried = format!("send a request to \"https://{address}\"");
    assert_refused(&output, &url, "HttpRequestDenied", &tried, advice);
    assert_not_called(&listener);
}

#[test]
fn no_redirect_is_followed() {
    let (elsewhere, address_of_elsewhere) = listener();
    let (listener, address) = listener();
    let reply = format!("HTTP/1.1 302 Found\r\nLocation: http://{address_of_elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let server = answer(listener, 1, reply.leak());
    let (granted, granted_too) = (address.to_string(), address_of_elsewhere.to_string());
    let options = granting(&granted, &["--allow-connect", &granted_too]);
    let output = run(&mut request_probe(&options, &[&format!("http://{address}/")]));
    assert_eq!(output.stdout, format!("send http://{address}/: 302\n"), "{output:?}");
    server.join().expect("a request");
    assert_not_called(&elsewhere);
}

#[test]
fn a_connection_that_cannot_be_made_has_an_exit_code_of_its_own() {
    let (_socket, address) = free_address();
    let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&format!("http://{address}/")]));
    assert_eq!(output.stdout, format!("send http://{address}/: ConnectionRefused\n"), "{output:?}");
}

#[test]
fn an_incomplete_response_has_an_exit_code_of_its_own() {
    for (reply, code) in [
        ("", "HttpResponseIncomplete"),
        ("HTTP/1.1 200 OK\r\n", "HttpResponseIncomplete"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "HttpResponseIncomplete"),
        ("SSH-2.0-OpenSSH\r\n", "HttpProtocolError"),
    ] {
        let (listener, address) = listener();
        let server = spawn(move || {
            let (mut stream, _) = pick_up(&listener);
            stream.write_all(reply.as_bytes()).expect("it reads");
            stream.shutdown(std::net::Shutdown::Write).expect("it is there");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&format!("http://{address}/")]));
        assert_eq!(output.stdout, format!("send http://{address}/: {code}\n"), "{reply:?}: {output:?}");
        server.join().expect("a request");
    }
}

#[test]
fn a_head_that_never_ends_does_not_fill_the_memory_of_the_host() {
    let (listener, address) = listener();
    let server = spawn(move || {
        let (mut stream, _) = pick_up(&listener);
        // The server sends until the client closes the connection.
        let started = stream.write_all(b"HTTP/1.1 200 OK\r\nField: ");
        while started.is_ok() && stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&format!("http://{address}/")]));
    assert_eq!(output.stdout, format!("send http://{address}/: HttpResponseHeaderSectionSize\n"), "{output:?}");
    server.join().expect("it hung up");
}

#[test]
fn the_time_limit_of_a_client_holds() {
    // The client waits for the first byte, and for the next one.
    for reply in ["", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"] {
        let (listener, address) = listener();
        let server = answer(listener, 1, reply);
        let arguments = ["--patience", "200", &format!("http://{address}/")];
        let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &arguments));
        assert_eq!(output.stdout, format!("send http://{address}/: ConnectionReadTimeout\n"), "{reply:?}: {output:?}");
        server.join().expect("a request");
    }
}

/// Linux leaves a connection attempt at a full backlog without a response.
#[cfg(target_os = "linux")]
#[test]
fn the_time_limit_of_a_client_holds_for_connecting() {
    use std::time::Duration;

    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().expect("an address").into()).expect("an address");
    socket.listen(0).expect("a listener");
    let address = socket.local_addr().expect("an address").as_socket().expect("an address");
    let call = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let _line: Vec<TcpStream> = std::iter::from_fn(|| call().ok()).take(100).collect();
    assert!(call().is_err(), "the line is not full");
    let arguments = ["--patience", "200", &format!("http://{address}/")];
    let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &arguments));
    assert_eq!(output.stdout, format!("send http://{address}/: ConnectionTimeout\n"), "{output:?}");
}

#[test]
fn there_are_not_more_connections_at_a_time_than_granted_and_each_is_given_back() {
    let (listener, address) = listener();
    let (place, url) = (address.to_string(), format!("http://{address}/"));
    let options = granting(&place, &["--max-connections", "1"]);
    let server = answer(listener.try_clone().expect("a listener"), 3, OK);
    let output = run(&mut request_probe(&options, &[&url, &url, &url]));
    assert_eq!(output.stdout, format!("send {url}: ok\n").repeat(3), "{output:?}");
    server.join().expect("three requests");

    // The first request gets its response in small pieces, and the second one has to wait meanwhile.
    let server = spawn(move || {
        let (mut stream, _) = pick_up(&listener);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no").expect("it reads");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let _ = stream.write_all(b"k");
        let _ = stream.read_to_end(&mut Vec::new());
        assert_not_called(&listener);
    });
    let output = run(&mut request_probe(&options, &["--patience", "400", "--together", &url, &url]));
    let told = format!("send {url}: ConnectionReadTimeout\nsend {url}: ConnectionLimitReached\n");
    assert_eq!(output.stdout, told, "{output:?}");
    server.join().expect("a request");
}

#[test]
fn no_connection_is_made_to_an_authority_that_is_none() {
    let (listener, address) = listener();
    for (authority, code) in
        [(format!("you@{address}"), "HttpRequestUriInvalid"), ("127.0.0.1:0".into(), "HttpRequestUriInvalid")]
    {
        let output = run(&mut request_probe(&granting(&address.to_string(), &[]), &[&format!("http://{authority}/")]));
        assert_eq!(output.stdout, format!("send http://{authority}/: {code}\n"), "{output:?}");
    }
    assert_not_called(&listener);
}

#[test]
fn the_memory_of_the_host_for_a_component_is_limited() {
    // `--max-memory` does not count this memory. Two requests at a time are 40 handles, besides those of every program.
    for (what, allowed, too_much, cause) in [
        ("fields", "10000", "20000", "failed: "),
        ("method", "10000", "20000", "failed: "),
        ("method", "10000", "2000000", "failed: "),
        ("handles", "40", "2000", "holds more than 140 handles of the host"),
    ] {
        let attempt = |number| run(&mut request_probe(&["--max-connections", "2"], &[what, number]));
        let output = attempt(allowed);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (format!("{what} {allowed}: ok\n").as_str(), ""));
        let output = attempt(too_much);
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
        assert!(output.stderr.contains(&format!("hello-runner: hello-request-probe.wasm {cause}")), "{output:?}");
    }
}
