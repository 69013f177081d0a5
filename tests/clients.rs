//! The clients of `examples/` from outside: the real components in the sandbox, against the real server and against
//! peers that misbehave. With HELLO_HOST=wasmtime, the same under plain `wasmtime run`.
#![cfg(all(unix, not(target_family = "wasm")))]

#[path = "../examples/shared/mod.rs"]
mod shared;

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use hello_failure::{Failure, Report, report};
use hello_test_support::{
    HELLO, Output, PATIENCE, Process, Server, component, free_address, is_wasmtime, launcher, not_tested, run, runner,
    without_building,
};
use shared::arguments::Arguments;
use shared::response::Response;
use shared::url::Url;

/// The two clients.
const CLIENTS: [&str; 2] = ["socket", "url"];

/// The command that runs this program of `examples/` with these arguments, in a sandbox that grants connections to
/// `granted`.
fn program(name: &str, granted: &[String], arguments: &[&str]) -> Command {
    let component = component::example(name);
    let mut command;
    if is_wasmtime() {
        let launcher = match name {
            "url_client" => ["runner/wasmtime", "run", "-S", "http,tcp=n,udp=n"].map(str::to_owned).to_vec(),
            _ => launcher(),
        };
        command = Command::new(component::root().join(&launcher[0]));
        command.args(&launcher[1..]);
    } else {
        command = Command::new(runner());
        command.args(["--quiet", "--max-connections", "10", "--max-memory", "64"]);
        granted.iter().for_each(|address| _ = command.args(["--allow-connect", address]));
    }
    command.arg(component).args(arguments).stdin(Stdio::null());
    command
}

/// The command that runs the client `name` with these arguments, in a sandbox that grants connections to `granted`.
fn client(name: &str, granted: &[String], arguments: &[&str]) -> Command {
    program(&format!("{name}_client"), granted, arguments)
}

/// The command that runs the client `name` with these arguments, in a sandbox with the grants that the client asks for.
fn granted(name: &str, arguments: &[&str]) -> Command {
    let check = run(&mut client(name, &[], &[&["--check-options"], arguments].concat()));
    assert!(check.status.success() && check.stderr.is_empty(), "{arguments:?}: {check:?}");
    let needs = check.stdout.lines().map(|line| line.strip_prefix("connect ").expect("an address").to_owned());
    client(name, &needs.collect::<Vec<_>>(), arguments)
}

/// Runs the client `name` for `url`, with a grant to connect to `address`.
fn call(name: &str, address: SocketAddr, url: &str) -> Output {
    run(&mut client(name, &[address.to_string()], &[url]))
}

/// The clients that this machine can run.
fn clients() -> impl Iterator<Item = &'static str> {
    CLIENTS.into_iter().filter(|name| *name == "socket" || has_requests())
}

/// Whether the host to test with has `wasi:http`. Not every build of wasmtime has it.
fn has_requests() -> bool {
    let there = !is_wasmtime() || run(&mut client("url", &[], &["--check-options"])).status.success();
    if !there {
        not_tested("this wasmtime was built without wasi:http", "take it from PATH, so that one is built");
    }
    there
}

/// A listener on a free port, and its address.
fn listener() -> (TcpListener, SocketAddr) {
    listener_on("127.0.0.1")
}

/// A listener on a free port of `ip`, and its address.
fn listener_on(ip: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).expect("a listener");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// The way in which a server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// By finishing its side, and reading to the end.
    Gently,
    /// By a reset.
    Reset,
}

/// A server that accepts one connection, reads the head of a request, sends `reply` piece by piece, and closes the
/// connection like this. Returns all bytes read until the client has closed the connection.
fn server(listener: TcpListener, reply: Vec<Vec<u8>>, close: Close) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            heard.extend(byte);
        }
        for piece in reply {
            // A client that cannot print any more closes the connection.
            if stream.write_all(&piece).is_err() {
                return heard;
            }
        }
        match close {
            Close::Reset => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a reset"),
            // The client may have closed the connection already, with bytes unread.
            Close::Gently => _ = stream.shutdown(Shutdown::Write).and_then(|()| stream.read_to_end(&mut heard)),
        }
        heard
    })
}

/// A server that sends this reply, and closes the connection gently.
fn peer(listener: TcpListener, reply: Vec<Vec<u8>>) -> JoinHandle<Vec<u8>> {
    server(listener, reply, Close::Gently)
}

/// The target of the request that a server has read.
fn target(request: Vec<u8>) -> String {
    let request = String::from_utf8(request).expect("text");
    request.split(' ').nth(1).expect("a target").to_owned()
}

/// Asserts that the client failed, with exactly these two lines.
fn assert_fails_with(output: &Output, client: &str, cause: &str, advice: &str) {
    assert_eq!(output.stderr, format!("{client}_client: {cause}\n  {advice}\n"), "{output:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn the_socket_client_sends_the_request_of_the_lecture_to_the_byte() {
    let (listener, address) = listener();
    let peer = peer(listener, vec![b"HTTP/1.0 200 OK\r\n\r\nhello".to_vec()]);
    let output = call("socket", address, &format!("http://{address}/romeo.txt"));
    assert!(output.status.success(), "{output:?}");
    let heard = peer.join().expect("a request");
    assert_eq!(String::from_utf8_lossy(&heard), "GET http://127.0.0.1/romeo.txt HTTP/1.0\r\n\r\n");
    assert_eq!(heard.len(), 43);
}

#[test]
fn without_arguments_the_url_is_the_page_of_the_lecture() {
    for name in clients() {
        let output = run(&mut client(name, &[], &["--check-options"]));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("connect 127.0.0.1:9000\n", ""));
    }
    for (arguments, text) in [
        (&[][..], "http://127.0.0.1:9000/romeo.txt"),
        (&["--port", "9005"], "http://127.0.0.1:9005/romeo.txt"),
        (&["--port=9005", "--check-options"], "http://127.0.0.1:9005/romeo.txt"),
        (&["http://127.0.0.1:9005/"], "http://127.0.0.1:9005/"),
    ] {
        assert_eq!(url_of(arguments).expect("a URL").text(), text, "{arguments:?}");
    }
}

/// The URL that a client requests with these arguments.
fn url_of(arguments: &[&str]) -> anyhow::Result<Url> {
    Arguments::parse(arguments.iter().map(Into::into))?.url()
}

#[test]
fn another_port_is_the_page_of_the_lecture_there() {
    for name in clients() {
        let (listener, address) = listener();
        let peer = peer(listener, vec![b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()]);
        let output = run(&mut granted(name, &["--port", &address.port().to_string()]));
        assert!(output.stdout.ends_with("hello") && output.status.success(), "{output:?}");
        assert!(target(peer.join().expect("a request")).ends_with("/romeo.txt"));
    }
}

#[test]
fn the_socket_client_prints_head_and_body() {
    let server = Server::start(&[]);
    let output = call("socket", server.address(), &format!("http://{}/romeo.txt", server.address()));
    assert!(output.stdout.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"), "{output:?}");
    assert!(output.stdout.ends_with(&format!("\r\n\r\n{HELLO}")), "{output:?}");
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
    assert!(server.line().contains("\"GET http://127.0.0.1/romeo.txt HTTP/1.0\" 200"));
}

#[test]
fn the_url_client_prints_the_body_only() {
    if !has_requests() {
        return;
    }
    let server = Server::start(&[]);
    let output = call("url", server.address(), &format!("http://{}/romeo.txt", server.address()));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (HELLO, ""));
    assert_eq!(output.status.code(), Some(0));
    assert!(server.line().contains("\"GET /romeo.txt HTTP/1.1\" 200"));
}

#[test]
fn the_client_prints_a_response_byte_for_byte() {
    let body: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    for name in clients() {
        let (listener, address) = listener();
        let pieces = [vec![head.clone()], body.chunks(7001).map(<[u8]>::to_vec).collect()].concat();
        let peer = peer(listener, pieces);
        let url = format!("http://{address}/");
        let output = client(name, &[address.to_string()], &[&url]).output().expect("it can be started");
        let expected = if name == "socket" { [head.clone(), body.clone()].concat() } else { body.clone() };
        assert!(output.stdout == expected, "{name}: {} bytes, not {}", output.stdout.len(), expected.len());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        peer.join().expect("a request");
    }
}

#[test]
fn without_a_server_the_clients_print_how_to_start_one() {
    for name in clients() {
        let (_socket, address) = free_address();
        let output = call(name, address, &format!("http://{address}/romeo.txt"));
        let advice = format!("start the server first, in another terminal: runner/serve --port {}", address.port());
        assert_fails_with(&output, name, &format!("nothing is listening on {address}"), &advice);
        assert_eq!(output.stdout, "");
    }
    // A program may be listening on the port of the lecture here. Further URLs have other meanings.
    for (url, cause, advice) in [
        (
            "http://127.0.0.1:9000/romeo.txt",
            "nothing is listening on 127.0.0.1:9000",
            "start the server first, in another terminal: runner/serve",
        ),
        (
            "http://localhost:9005/",
            "nothing is listening on localhost:9005",
            "start the server first, in another terminal: runner/serve --port 9005",
        ),
        (
            "http://[::]:9000",
            "nothing is listening on [::1]:9000",
            "start the server first, in another terminal: runner/serve",
        ),
        (
            "http://127.0.0.2:9000",
            "nothing is listening on 127.0.0.2:9000",
            "start the server first, in another terminal: runner/serve --listen 127.0.0.2:9000",
        ),
        (
            "localhost/a?b",
            "nothing is listening on localhost:80",
            "without a port, http:// means port 80; did you mean http://localhost:9000/a?b?",
        ),
        (
            "http://192.0.2.1:9000/",
            "nothing is listening on 192.0.2.1:9000",
            "start the server there first, or check the address and the port",
        ),
    ] {
        let failure = Url::parse(url).expect("a URL").no_connection(&ErrorKind::ConnectionRefused.into());
        assert_eq!(failure, Failure::new(cause, advice), "{url}");
    }
}

#[test]
fn the_reason_why_a_connection_cannot_be_made_is_reported() {
    let localhost = "http://localhost:9000/";
    let elsewhere = "http://192.0.2.1:9000/";
    for (url, kind, cause) in [
        // On a system without IPv6, the second address fails like this.
        (localhost, ErrorKind::AddrNotAvailable, "nothing is listening on localhost:9000"),
        (localhost, ErrorKind::Unsupported, "nothing is listening on localhost:9000"),
        (localhost, ErrorKind::TimedOut, "localhost:9000 does not answer"),
        (localhost, ErrorKind::PermissionDenied, "the sandbox does not let this program call localhost:9000"),
        (elsewhere, ErrorKind::ConnectionRefused, "nothing is listening on 192.0.2.1:9000"),
        (elsewhere, ErrorKind::HostUnreachable, "192.0.2.1:9000 cannot be reached from here"),
        (elsewhere, ErrorKind::NetworkUnreachable, "192.0.2.1:9000 cannot be reached from here"),
    ] {
        let failure = Url::parse(url).expect("a URL").no_connection(&kind.into());
        assert_eq!(failure.to_string(), cause, "{kind:?}");
    }
    let other = std::io::Error::other("one line\nand another");
    let failure = Url::parse(localhost).expect("a URL").no_connection(&other);
    assert_eq!(failure.to_string(), "the call to localhost:9000 failed: one line");
}

/// The advice if a response is incomplete.
const NOT_WHOLE: &str = "see what the server there has printed; if it is no web server, check the port";

#[test]
fn a_response_that_breaks_off_is_printed_as_far_as_it_came_and_the_failure_reported() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let half = "x".repeat(500);
    let too_early = ": it closed the connection too early";
    for (reply, close, body, of_socket, of_url) in [
        ("", Close::Gently, "", ": it sent nothing", too_early),
        ("", Close::Reset, "", ": it sent nothing", too_early),
        ("HTTP/1.1 200 OK\r\nContent-Le", Close::Gently, "", ": it stopped in the head", too_early),
        ("HTTP/1.1 200 OK\r\nContent-Le", Close::Reset, "", ": it stopped in the head", too_early),
        (
            &format!("{length}{half}"),
            Close::Gently,
            &half,
            ": it stopped after 500 of 1000 bytes of the body",
            ": it stopped in the body",
        ),
        (
            &format!("{length}{half}"),
            Close::Reset,
            &half,
            ": it stopped after 500 of 1000 bytes of the body",
            ": it stopped in the body",
        ),
        (
            &format!("{chunked}3e8\r\n{half}"),
            Close::Gently,
            &half,
            ": it stopped before the last chunk of the body",
            ": it stopped in the body",
        ),
        (
            &format!("{chunked}1f4\r\n{half}\r\n"),
            Close::Reset,
            &half,
            ": it stopped before the last chunk of the body",
            ": it stopped in the body",
        ),
        // The end of the connection is the end of the body here, but a reset is neither.
        (
            &format!("HTTP/1.0 200 OK\r\n\r\n{half}"),
            Close::Reset,
            &half,
            ": the connection broke",
            ": it stopped in the body",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", Close::Gently, "", ": it sent something that is not valid HTTP", ""),
    ] {
        for name in clients() {
            let (listener, address) = listener();
            let server = server(listener, vec![reply.into()], close);
            let output = call(name, address, &format!("http://{address}/"));
            let (printed, missing) = match name {
                "socket" => (reply, of_socket),
                // Plain wasmtime has one code for all faults of a head.
                _ if is_wasmtime() && body.is_empty() => (body, ""),
                _ => (body, of_url),
            };
            let cause = format!("{address} did not send a whole HTTP response{missing}");
            assert_fails_with(&output, name, &cause, NOT_WHOLE);
            assert_eq!(output.stdout, printed, "{name}: {reply:?}");
            server.join().expect("a request");
        }
    }
}

#[test]
fn a_connection_that_is_closed_before_the_request_is_a_failure() {
    for name in clients() {
        let (listener, address) = listener();
        let server = spawn(move || drop(listener.accept().expect("a client")));
        let output = call(name, address, &format!("http://{address}/"));
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
        assert!(output.stderr.contains(&format!("{address} did not send a whole HTTP response")), "{output:?}");
        server.join().expect("a client");
    }
}

#[test]
fn the_missing_part_of_a_response_is_known_wherever_it_is_cut() {
    let nothing = "it sent nothing";
    let head = "it stopped in the head";
    let chunks = "it stopped before the last chunk of the body";
    let wrong = "it sent something that is not valid HTTP";
    for (response, missing) in [
        ("", Some(nothing)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Some(head)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Some("it stopped after 0 of 3 bytes of the body")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Some("it stopped after 2 of 3 bytes of the body")),
        ("HTTP/1.1 200 OK\r\nCONTENT-LENGTH:3\r\n\r\nabc", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\nabc", Some(wrong)),
        ("HTTP/1.0 200 OK\r\n\r\n", None),
        ("HTTP/1.0 200\n\nabc", None),
        ("HTTP/1.1 204 No Content\r\n\r\n", None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", None),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", Some(nothing)),
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Some(chunks)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Some(chunks)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", Some(chunks)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nthree\r\nabc\r\n", Some(wrong)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", None),
        ("<html></html>", Some(wrong)),
        ("HTTP/2.0 200 OK\r\n\r\n", Some(wrong)),
    ] {
        for cut in 0..=response.len() {
            let mut whole = Response::default();
            whole.follow(&response.as_bytes()[..cut]);
            whole.follow(&response.as_bytes()[cut..]);
            assert_eq!(whole.missing(true).as_deref(), missing, "{response:?} cut at {cut}");
        }
    }
    // The end of the connection ends only a body without a length, for which a reset is a fault.
    for (response, missing) in [
        ("HTTP/1.0 200 OK\r\n\r\nabc", Some("the connection broke")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", None),
    ] {
        let mut whole = Response::default();
        whole.follow(response.as_bytes());
        assert_eq!(whole.missing(false).as_deref(), missing, "{response:?}");
    }
}

#[test]
fn a_page_that_is_larger_than_the_memory_of_the_client_is_printed() {
    if !has_requests() {
        return;
    }
    let (listener, address) = listener();
    let piece = vec![b'x'; 1 << 20];
    let length = 80 * piece.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let peer = peer(listener, [vec![head], vec![piece; 80]].concat());
    let mut command = client("url", &[address.to_string()], &[&format!("http://{address}/")]);
    let mut client = Process::start_unread(command.stdout(Stdio::piped()));
    let mut printed = client.child.stdout.take().expect("piped");
    let printed = std::io::copy(&mut printed, &mut std::io::sink()).expect("a page");
    assert_eq!(printed, length as u64);
    assert!(client.wait().status.success());
    peer.join().expect("a request");
}

/// A response of a megabyte, which is more than a pipe holds.
fn long_response() -> Vec<Vec<u8>> {
    vec![b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n".to_vec(), b"0123456789abcde\n".repeat(1 << 16)]
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    for name in clients() {
        let (listener, address) = listener();
        let peer = peer(listener, long_response());
        let mut command = client(name, &[address.to_string()], &[&format!("http://{address}/")]);
        let mut client = Process::start_unread(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(client.child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        client.read();
        let output = client.wait();
        assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)), "{line}");
        peer.join().expect("a request");
    }
}

#[test]
fn a_full_disk_is_reported_as_a_failure() {
    let full = || File::options().write(true).open("/dev/full");
    if full().is_err() {
        return not_tested("this system has no /dev/full", "run it on Linux");
    }
    for name in clients() {
        for response in [vec![b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec()], long_response()] {
            let (listener, address) = listener();
            let peer = peer(listener, response);
            let mut command = client(name, &[address.to_string()], &[&format!("http://{address}/")]);
            let output = command.stdout(full().expect("a device")).output().expect("it can be started");
            let stderr = String::from_utf8(output.stderr).expect("text");
            let cause = format!("{name}_client: cannot print: ");
            assert!(stderr.starts_with(&cause) && stderr.contains("\n  standard output takes no more"), "{stderr}");
            assert_eq!((stderr.lines().count(), output.status.code()), (2, Some(1)), "{stderr}");
            peer.join().expect("a request");
        }
    }
}

#[test]
fn a_terminal_is_shown_control_characters_and_not_sent_any() {
    // `script` is a terminal for the program that it starts.
    let is_there = Command::new("script").args(["-qec", "true", "/dev/null"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        return not_tested("there is no `script` that makes a terminal", "install it (on Debian: bsdutils)");
    }
    // A title, an empty screen, red by a control character of one byte and by one of Unicode; then harmless text, cut in
    // the middle of a character; and a character without its end.
    let hostile = b"\x1b]0;title\x07\x1b[2J\x9b31m\xc2\x9b31m\0\x7f\r\n\tG\xc3\xbc\xe2\x82".to_vec();
    let shown = "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\x9b31m\\u{9b}31m\\u{0}\\u{7f}\n\tGü€\\xe6\\x97\n";
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    for name in clients() {
        let (listener, address) = listener();
        let peer = peer(listener, vec![head.into(), hostile.clone(), b"\xac\xe6\x97".to_vec()]);
        let command = client(name, &[address.to_string()], &[&format!("http://{address}/")]);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &words.join(" "), "/dev/null"]).stdin(Stdio::null());
        let output = run(&mut script);
        // The terminal turns each line feed into a carriage return and a line feed.
        let printed = output.stdout.replace('\r', "");
        let head = if name == "socket" { head.replace('\r', "") } else { String::new() };
        assert_eq!((printed, output.status.code()), (format!("{head}{shown}"), Some(0)), "{name}");
        peer.join().expect("a request");
    }
}

#[test]
fn the_url_client_reports_a_status_that_is_no_success_and_the_socket_client_prints_it() {
    for name in clients() {
        let (listener, address) = listener();
        let reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nwhere";
        let peer = peer(listener, vec![reply.into()]);
        let output = call(name, address, &format!("http://{address}/"));
        match name {
            "socket" => assert_eq!((output.stdout.as_str(), output.status.code()), (reply, Some(0))),
            _ => {
                let advice = "it is not the page that was asked for: what was printed, if anything, says more";
                assert_fails_with(&output, name, "the server answered 404 Not Found", advice);
                assert_eq!(output.stdout, "where");
            }
        }
        peer.join().expect("a request");
    }
}

#[test]
fn a_redirect_is_reported_with_its_location_and_not_followed() {
    for (location, leads) in [
        ("/there?a=b", "http://127.0.0.1:PORT/there?a=b"),
        ("there", "http://127.0.0.1:PORT/deep/there"),
        ("//127.0.0.2/", "http://127.0.0.2/"),
        ("https://one.example/ü", "https://one.example/%C3%BC"),
    ] {
        for name in clients() {
            let (listener, address) = listener();
            let reply = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\nmoved");
            let peer = peer(listener, vec![reply.clone().into()]);
            let output = call(name, address, &format!("http://{address}/deep/page"));
            match name {
                "socket" => assert_eq!((output.stdout, output.status.code()), (reply, Some(0))),
                _ => {
                    let leads = leads.replace("PORT", &address.port().to_string());
                    let advice = "this client does not go there by itself: give it that URL";
                    let cause = format!("the server answered 302 Found: the page is at {leads}");
                    assert_fails_with(&output, name, &cause, advice);
                    assert_eq!(output.stdout, "moved");
                }
            }
            peer.join().expect("a request");
        }
    }
}

#[test]
fn localhost_is_the_address_on_which_something_listens() {
    let (listener, address) = listener_on("::1");
    for name in clients() {
        // Plain wasmtime asks the system for the addresses of `localhost` there, and some systems name one address only.
        if is_wasmtime() && name == "url" {
            continue;
        }
        let peer = peer(listener.try_clone().expect("a listener"), vec![b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec()]);
        let output = run(&mut granted(name, &[&format!("http://localhost:{}/", address.port())]));
        assert!(output.stdout.ends_with("hello"), "{output:?}");
        assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
        peer.join().expect("a request");
    }
}

#[test]
fn localhost_is_this_machine() {
    let server = Server::start(&[]);
    let granted = [format!("127.0.0.1:{}", server.port), format!("[::1]:{}", server.port)];
    for name in clients() {
        let output = run(&mut client(name, &granted, &[&format!("http://localhost:{}/", server.port)]));
        assert!(output.stdout.ends_with(HELLO), "{output:?}");
        assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
    }
}

#[test]
fn another_address_than_the_granted_one_is_refused_and_reported_with_the_option() {
    // Plain wasmtime has no such grants.
    if is_wasmtime() {
        return;
    }
    let (granted, other) = (listener(), listener());
    for name in CLIENTS {
        let output = call(name, granted.1, &format!("http://{}/", other.1));
        let told = format!(
            "hello-runner: refused: {name}_client.wasm may not connect to {0}\n  --allow-connect {0} would allow it\n\
             {name}_client: the sandbox does not let this program call {0}\n  \
             grant it: hello-runner --allow-connect {0}, or wasmtime run -S inherit-network,http\n",
            other.1
        );
        assert_eq!((output.stderr.as_str(), output.status.code()), (told.as_str(), Some(1)));
    }
    for (listener, _) in [granted, other] {
        listener.set_nonblocking(true).expect("a listener");
        assert_eq!(listener.accept().expect_err("no connection was made").kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn the_script_grants_a_client_one_address_and_nothing_else() {
    let (_socket, address) = free_address();
    for name in CLIENTS {
        let output = script(&[name, &format!("http://{address}/")]);
        let may = if name == "socket" {
            "print, and read the clock"
        } else {
            "print, read the clock, and draw random numbers"
        };
        let sentence = format!(
            "The sandbox lets {name}_client.wasm connect to {address}, {may}.\n\
             It can do nothing else: no files, no environment, no other connections, no name lookup, and at most \
             64 MiB of memory.\n"
        );
        assert!(output.stderr.replace("\n  ", " ").contains(&sentence), "{output:?}");
        assert!(output.stderr.contains(&format!("nothing is listening on {address}\n")), "{output:?}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Runs `runner/client` with these arguments, without its lines about building.
fn script(arguments: &[&str]) -> Output {
    let mut output = run(Command::new(component::root().join("runner/client")).args(arguments).stdin(Stdio::null()));
    output.stderr = without_building(&output.stderr);
    output
}

#[test]
fn the_script_calls_with_each_client() {
    let server = Server::start(&[]);
    let url = format!("http://localhost:{}/romeo.txt", server.port);
    for name in CLIENTS {
        let output = script(&["--quiet", name, &url]);
        assert!(output.stdout.ends_with(HELLO) && output.status.success(), "{output:?}");
        assert!(!output.stderr.contains("The sandbox lets"), "{output:?}");
    }
}

#[test]
fn the_script_calls_under_plain_wasmtime() {
    let server = Server::start(&[]);
    let url = format!("http://{}/romeo.txt", server.address());
    let output = script(&["--wasmtime", "socket", &url]);
    assert!(output.stdout.ends_with(HELLO) && output.status.success(), "{output:?}");
    assert!(output.stderr.contains("grants TCP sockets on any address"), "{output:?}");
    let output = script(&["--wasmtime", "url", &url]);
    match output.status.code() {
        Some(0) => assert_eq!(output.stdout, HELLO),
        // Not every build of wasmtime has `wasi:http`.
        code => {
            assert!(output.stderr.contains("this wasmtime was built without wasi:http"), "{output:?}");
            assert_eq!((code, output.stderr.lines().count()), (Some(1), 2), "{output:?}");
        }
    }
}

#[test]
fn the_script_makes_a_mistake_exit_with_2() {
    for (arguments, words) in [
        (&[][..], "which client?"),
        (&["telephone"], "there is no client called telephone"),
        (&["socket", "ftp://127.0.0.1/"], "is not a URL that can be called"),
        (&["socket", "http://127.0.0.1/", "again"], "one URL is enough, and there are 2"),
        (&["url", "https://127.0.0.1/"], "say http:// instead"),
        (&["url", "http://one.example/"], "one.example is a name, and this client looks up no names"),
        (&["--wasmtime", "socket", "http://127.0.0.1:x/"], "is not a URL that can be called"),
    ] {
        let output = script(arguments);
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(2)), "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(words), "{arguments:?}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 2, "{arguments:?}: {output:?}");
    }
    let help = script(&["--help"]);
    assert!(help.status.success() && help.stdout.contains("runner/client [--wasmtime]"), "{help:?}");
}

#[test]
fn a_url_is_what_the_address_bar_of_a_browser_takes() {
    let lookalikes = "http://127.0.0.1:9005/a`b^c\\d|e{f}\"g'h";
    for (text, url, addresses) in [
        ("http://127.0.0.1:9005/romeo.txt", "http://127.0.0.1:9005/romeo.txt", &["127.0.0.1:9005"][..]),
        ("http://127.0.0.1", "http://127.0.0.1/", &["127.0.0.1:80"]),
        ("http://127.0.0.1:/", "http://127.0.0.1/", &["127.0.0.1:80"]),
        ("http://192.0.2.1/a?b=c#d", "http://192.0.2.1/a?b=c", &["192.0.2.1:80"]),
        ("http://192.0.2.1?b", "http://192.0.2.1/?b", &["192.0.2.1:80"]),
        ("http://[::1]:9000/", "http://[::1]:9000/", &["[::1]:9000"]),
        ("http://[::1]/a:1", "http://[::1]/a:1", &["[::1]:80"]),
        ("http://LOCALHOST:1/", "http://localhost:1/", &["127.0.0.1:1", "[::1]:1"]),
        ("HTTP://localhost.:1/", "http://localhost:1/", &["127.0.0.1:1", "[::1]:1"]),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", &["127.0.0.1:9000"]),
        ("localhost:9000/x", "http://localhost:9000/x", &["127.0.0.1:9000", "[::1]:9000"]),
        ("[::1]:9000/x", "http://[::1]:9000/x", &["[::1]:9000"]),
        ("127.0.0.1/?to=http://a/", "http://127.0.0.1/?to=http://a/", &["127.0.0.1:80"]),
        ("http:127.0.0.1:9000", "http://127.0.0.1:9000/", &["127.0.0.1:9000"]),
        ("http://127.1:9000/", "http://127.0.0.1:9000/", &["127.0.0.1:9000"]),
        // The URL of a server that listens on all addresses; and one address in another spelling.
        ("http://0.0.0.0:9000", "http://127.0.0.1:9000/", &["127.0.0.1:9000"]),
        ("http://[::]:9000", "http://[::1]:9000/", &["[::1]:9000"]),
        ("http://[::ffff:127.0.0.1]:9000/", "http://127.0.0.1:9000/", &["127.0.0.1:9000"]),
        ("http://[::ffff:0.0.0.0]:9000/", "http://127.0.0.1:9000/", &["127.0.0.1:9000"]),
        // Characters that a URL cannot have are encoded.
        ("http://127.0.0.1/hello/<b>you</b>", "http://127.0.0.1/hello/%3Cb%3Eyou%3C/b%3E", &["127.0.0.1:80"]),
        (lookalikes, "http://127.0.0.1:9005/a%60b^c/d|e%7Bf%7D%22g'h", &["127.0.0.1:9005"]),
        ("http://127.0.0.1/José 1?é 2", "http://127.0.0.1/Jos%C3%A9%201?%C3%A9%202", &["127.0.0.1:80"]),
        ("http://127.0.0.1/%zz%", "http://127.0.0.1/%zz%", &["127.0.0.1:80"]),
        ("  http://127.0.0.1/a\tb\r\nHost: x\n", "http://127.0.0.1/abHost:%20x", &["127.0.0.1:80"]),
    ] {
        let read = Url::parse(text).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
        assert_eq!(read.text(), url, "{text}");
        assert_eq!(read.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>(), addresses, "{text}");
    }
}

#[test]
fn the_options_of_a_client_become_grants_of_the_sandbox_and_reach_the_server() {
    for (listens, host, path, sent) in [
        ("127.0.0.1", "127.0.0.1", "/hello/<b>you</b>", "/hello/%3Cb%3Eyou%3C/b%3E"),
        ("127.0.0.1", "0.0.0.0", "/a`b^c\\d|e{f}\"g'h", "/a%60b^c/d|e%7Bf%7D%22g'h"),
        ("127.0.0.1", "[::ffff:127.0.0.1]", "/?a^b`{|}\\<>\"é", "/?a^b`{|}\\%3C%3E%22%C3%A9"),
        ("::1", "[::]", "/José", "/Jos%C3%A9"),
    ] {
        for name in clients() {
            let (listener, address) = listener_on(listens);
            let peer = peer(listener, vec![b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec()]);
            let output = run(&mut granted(name, &[&format!("{host}:{}{path}", address.port())]));
            assert!(output.stdout.ends_with("hello") && output.status.success(), "{host}: {output:?}");
            let target = target(peer.join().expect("a request"));
            assert!(target.ends_with(sent), "{host} {path}: {target}");
        }
    }
}

#[test]
fn the_longest_url_that_a_client_takes_is_sent() {
    for name in clients() {
        let (listener, address) = listener();
        let peer = peer(listener, vec![b"HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n".to_vec()]);
        let url = format!("http://{address}/");
        let longest = url.clone() + &"x".repeat(65_534 - url.len());
        let output = run(&mut granted(name, &[&longest]));
        // If a URL is too long for a server, the server reports that.
        assert!((output.stdout + &output.stderr).contains("414 URI Too Long"));
        assert!(target(peer.join().expect("a request")).ends_with(&longest[url.len()..]), "{name}");
        assert!(Url::parse(&(longest + "x")).is_err());
    }
}

#[test]
fn a_url_that_no_client_can_open_is_a_usage_error_with_its_reason() {
    let no_port = "its port is no number from 1 to 65535";
    let many = "is the address of many machines, and a client calls one";
    let too_long = "a URL may have 65534 bytes, and this one has more";
    for (arguments, words) in [
        (&[""][..], "\"\" is not a URL that can be called: empty host"),
        (&["http://"], "empty host"),
        (&["http://:9000/"], "empty host"),
        (&["romeo.txt"], "romeo.txt is a name, and this client looks up no names"),
        (&["http:///romeo.txt"], "romeo.txt is a name"),
        (&["http://one.example/"], "one.example is a name"),
        (&["http://bücher.example/"], "its host is neither an address nor localhost"),
        (&["http://exa mple/"], "its host is neither an address nor localhost"),
        (&["ftp://127.0.0.1/"], "it begins with ftp:, not with http://"),
        (&["file:///etc/passwd"], "it begins with file:, not with http://"),
        (&["https://127.0.0.1/"], "https:// needs TLS"),
        (&["HTTPS:127.0.0.1"], "https:// needs TLS"),
        (&["http://127.0.0.1:0/"], no_port),
        (&["http://127.0.0.1:65536/"], no_port),
        (&["http://127.0.0.1:+80/"], no_port),
        (&["http://127.0.0.1:x/"], no_port),
        (&["http://300.0.0.1/"], "invalid IPv4 address"),
        (&["http://[::1/"], "invalid IPv6 address"),
        (&["http://::1/"], "is not a URL that can be called"),
        (&["http://you@127.0.0.1/"], "has a user name in it"),
        (&["http://:secret@127.0.0.1/"], "has a user name in it"),
        (&["http://224.0.0.1/"], many),
        (&["http://[ff02::1]/"], many),
        (&["http://255.255.255.255/"], many),
        (&["http://[::ffff:224.0.0.1]/"], many),
        (&["http://[fe80::1]:9000/"], "is an address within one network"),
        (&[&format!("http://127.0.0.1/{}", "x".repeat(65_535))], too_long),
        // Each of these takes three bytes when it is encoded.
        (&[&format!("http://127.0.0.1/{}", " x".repeat(20_000))], too_long),
        (&["http://127.0.0.1/", "http://127.0.0.1/"], "one URL is enough, and there are 2"),
        (&["--port", "0"], "--port takes a number from 1 to 65535, not \"0\""),
        (&["--port", "65536"], "--port takes a number from 1 to 65535, not \"65536\""),
        (&["--port"], "missing argument for option '--port'"),
        (&["--port", "9005", "http://127.0.0.1/"], "there is a URL, and --port, too"),
        (&["--grace", "5"], "invalid option '--grace'"),
    ] {
        let error = url_of(arguments).expect_err(words);
        let Report { text, code } = report("client", &error);
        assert!(text.contains(words) && !text.contains("allow-connect"), "{arguments:.80?}: {text:.200}");
        assert_eq!((text.lines().count(), code), (2, 2), "{arguments:.80?}: {text:.200}");
    }
}

#[test]
fn the_intruder_tells_a_full_disk_from_a_reader_that_has_read_enough() {
    let printing_to = |stdout: Stdio| {
        let output = program("intruder", &[], &[]).stdout(stdout).stderr(Stdio::piped()).output();
        let output = output.expect("it can be started");
        let stderr = String::from_utf8(output.stderr).expect("text");
        let of_the_program = stderr.lines().skip_while(|line| !line.starts_with("intruder: "));
        (of_the_program.map(str::to_owned).collect::<Vec<_>>(), output.status.code())
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(printing_to(writer.into()), (vec![], Some(0)));
    if let Ok(full) = File::options().write(true).open("/dev/full") {
        let (lines, code) = printing_to(full.into());
        assert!(
            lines[0].starts_with("intruder: cannot print: ") && lines[1].contains("is the disk full?"),
            "{lines:?}"
        );
        assert_eq!((lines.len(), code), (2, Some(1)));
    }
}

#[test]
fn the_intruder_tries_the_port_that_it_is_told_and_the_next_one() {
    let intruder = |arguments: &[&str]| run(&mut program("intruder", &[], arguments));
    let check = intruder(&["--check-options", "--port", "9005"]);
    assert_eq!((check.stdout.as_str(), check.stderr.as_str(), check.status.code()), ("", "", Some(0)));
    for (arguments, port) in [(&[][..], 9000), (&["--port", "9005"], 9005)] {
        let output = intruder(arguments);
        for words in
            [format!("call the server at 127.0.0.1:{port}: "), format!("answer calls at 0.0.0.0:{}, ", port + 1)]
        {
            assert!(output.stdout.contains(&words), "{output:?}");
        }
        assert!(output.status.success(), "{output:?}");
    }
    for (arguments, words) in [
        (&["http://127.0.0.1/"][..], "this program takes no URL"),
        (&["--port", "65535"], "there is no port after 65535"),
    ] {
        let output = intruder(arguments);
        assert!(output.stderr.contains(words) && output.stdout.is_empty() && !output.status.success(), "{output:?}");
    }
}
