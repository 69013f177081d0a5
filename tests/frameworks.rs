//! The servers with hyper and with axum in `examples/frameworks/`, and the server on WASI 0.3 in `examples/wasi-0.3/`: real requests
//! to the components, in hello-runner and in plain wasmtime.
#![cfg(all(unix, not(target_family = "wasm")))]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use hello_test_support::{
    GET, HELLO, LAST_GET, Server, component, is_wasmtime, launcher, read_all, read_reply, runner,
};
use regex_lite::Regex;

/// How long a test waits where something would happen too early.
const A_WHILE: Duration = Duration::from_millis(300);

/// Requests that a server answers in different ways: whole and broken ones.
const REQUESTS: [&str; 12] = [
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET http://127.0.0.1/romeo.txt HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "\u{16}\u{3}\u{1}",
];

/// A running server with hyper or axum, on the host to test with.
fn start(name: &str) -> Server {
    let mut command;
    if is_wasmtime() {
        let launcher = launcher();
        command = Command::new(component::root().join(&launcher[0]));
        command.args(&launcher[1..]);
    } else {
        command = Command::new(runner());
        command.args(["--quiet", "--max-connections", "1000", "--allow-listen", "127.0.0.1:0"]);
    }
    Server::launch(command.arg(component::framework(name)).arg("0"))
}

/// The running server on WASI 0.3, which hello-runner does not offer.
fn start_wasi_0_3() -> Server {
    let mut command = Command::new(component::root().join(&launcher()[0]));
    command.args(["run", "-S", "inherit-network"]).arg(component::wasi_0_3()).arg("0");
    Server::launch(&mut command)
}

/// Asserts that a server goes on with a connection until the client wants no more, and that no client has to wait for another.
fn assert_serves_many_requests_and_clients(server: &Server) {
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for request in [GET, GET, LAST_GET] {
        for client in &mut clients {
            client.write_all(request).expect("send a request");
            read_reply(client);
        }
    }
    for mut client in clients {
        assert_eq!(read_all(&mut client), "");
    }
    server.assert_serves_after_resets();
    let mut client = server.connect();
    for byte in LAST_GET {
        client.write_all(&[*byte]).expect("send a byte");
    }
    assert!(read_all(&mut client).ends_with(HELLO));
}

/// Stops a server: it accepts no more, closes the idle connection, and finishes the request in progress.
fn assert_stops_gracefully(server: Server) {
    let (mut idle, mut busy) = (server.connect(), server.connect());
    idle.write_all(GET).expect("send a request");
    read_reply(&mut idle);
    busy.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab").expect("send half a body");
    // The server has read it when it has served another client.
    server.assert_serves();
    let address = server.address();
    let stopped = spawn(move || server.stop());
    while TcpStream::connect(address).is_ok() {
        sleep(Duration::from_millis(10));
    }
    busy.write_all(b"cd").expect("send the rest");
    let mut response = String::new();
    busy.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert_eq!(read_all(&mut idle), "");
    let output = stopped.join().expect("it ends");
    assert!(output.status.success(), "{output:?}");
}

/// The response without the field `Date`.
fn without_date(response: &str) -> String {
    response.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

/// The page that compares the servers.
fn page() -> String {
    fs::read_to_string(component::root().join("docs/which-server.md")).expect("the page")
}

#[test]
fn each_block_of_the_page_is_a_part_of_the_file_that_it_names() {
    let (mut blocks, mut file) = (0, String::new());
    let page = page();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some((_, rest)) = line.split_once("**, `") {
            let name = rest.split('`').next().expect("a file");
            file = fs::read_to_string(component::root().join(name)).expect(name);
        }
        if line != "```rust" {
            continue;
        }
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut rest = file.as_str();
        for part in block.split(|line| line.trim() == "// ...") {
            let part = format!("\n{}\n", part.join("\n"));
            let begin = rest.find(&part).unwrap_or_else(|| panic!("no file has this: {part}"));
            // The next part may begin with the end of this line.
            rest = &rest[begin + part.len() - 1..];
        }
        blocks += 1;
    }
    assert_eq!(blocks, 8);
}

#[test]
fn each_command_of_the_page_starts_a_server() {
    let command = Regex::new("`([^`]*cargo (?:run|build) [^`]*)` in `([^`]+)`").expect("an expression");
    let (mut commands, page) = (0, page());
    for found in command.captures_iter(&page) {
        let (command, folder) = (&found[1], component::root().join(&found[2]));
        let shell = |command: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).current_dir(&folder);
            shell.env_remove("CARGO_ENCODED_RUSTFLAGS").env("CARGO_TARGET_DIR", component::target());
            shell
        };
        // A build may take minutes, and a server that is built starts at once.
        let built = shell(&command.replace("cargo run", "cargo build")).status().expect("a shell");
        assert!(built.success(), "{command}");
        let mut shell = shell(&format!("{command} -- 0"));
        if !command.contains("cargo run") {
            // `cargo build` is all that this command does.
        } else if command.contains("tokio_unstable") {
            // When this fails, a new version of Rust or of tokio can accept: the page should say so.
            let server = Server::launch(&mut shell);
            drop(server.connect());
            let output = server.wait();
            assert!(output.stderr.contains("Invalid argument"), "{output:?}");
        } else {
            Server::launch(&mut shell).assert_serves();
        }
        commands += 1;
    }
    assert_eq!(commands, 5);
}

#[test]
fn hyper_and_axum_serve_many_requests_and_clients() {
    for name in ["hyper", "axum"] {
        assert_serves_many_requests_and_clients(&start(name));
    }
}

#[test]
fn hyper_and_axum_read_bodies() {
    let requests = [
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    ];
    for server in ["hyper", "axum"].map(start) {
        for request in requests {
            let response = server.ask(request.as_bytes());
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("\r\nabcde"), "{response}");
        }
    }
    // Bodies that no handler reads.
    start("hyper").assert_serves_bodies(20);
}

#[test]
fn hyper_sends_a_body_back_while_it_comes() {
    const LENGTH: usize = 4 << 20;
    let server = start("hyper");
    let mut sender = server.connect();
    let head =
        format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n");
    sender.write_all(head.as_bytes()).expect("send a head");
    let mut receiver = sender.try_clone().expect("a socket");
    let received = spawn(move || {
        let mut received = Vec::new();
        receiver.read_to_end(&mut received).expect("a response");
        received
    });
    // More than the buffers of both sides hold: the server must write before the whole body has come.
    sender.write_all(&vec![b'x'; LENGTH]).expect("send a body");
    let received = received.join().expect("a response");
    assert!(received.len() > LENGTH && received.ends_with(&[b'x'; 1000]), "{} bytes", received.len());
}

#[test]
fn a_fault_gets_an_answer_of_hyper() {
    let response = start("hyper").ask(b"hello there\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
}

#[test]
fn a_client_of_hyper_may_shut_down_its_write_side_before_the_answer() {
    let server = start("hyper");
    let mut client = server.connect();
    client.write_all(GET).expect("send a request");
    client.shutdown(std::net::Shutdown::Write).expect("shut down");
    assert!(read_all(&mut client).ends_with(HELLO));
}

#[test]
fn each_event_of_axum_arrives_when_it_happens() {
    let server = start("axum");
    let mut client = server.connect();
    client.write_all(b"GET /clock HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("send a request");
    let begin = Instant::now();
    let events =
        BufReader::new(client).lines().map(|line| line.expect("a line")).filter(|line| line.starts_with("data: "));
    for (event, second) in events.zip(1..=3) {
        assert_eq!(event, format!("data: {second}"));
        assert!(begin.elapsed() > Duration::from_secs(second) - A_WHILE, "too early");
        // Other clients do not wait for the clock.
        server.assert_serves();
    }
}

#[test]
fn hyper_and_axum_stop_gracefully() {
    // Plain wasmtime ends a component only by a signal, at once; but the end of standard input reaches it.
    for name in ["hyper", "axum"] {
        assert_stops_gracefully(start(name));
    }
}

#[test]
fn wasi_0_3_serves_many_requests_and_clients() {
    assert_serves_many_requests_and_clients(&start_wasi_0_3());
}

#[test]
fn wasi_0_3_answers_byte_for_byte_as_the_server_does() {
    let (old, new) = (Server::start(&[]), start_wasi_0_3());
    for request in REQUESTS {
        let [expected, response] = [&old, &new].map(|server| without_date(&server.ask(request.as_bytes())));
        assert_eq!(response, expected, "{request:?}");
    }
    // The server lives on.
    new.assert_serves();
}

#[test]
fn wasi_0_3_stops_when_standard_input_ends() {
    let mut server = start_wasi_0_3();
    let mut busy = server.connect();
    busy.write_all(b"GET / HT").expect("send half a request");
    server.assert_serves();
    server.end_stdin();
    while TcpStream::connect(server.address()).is_ok() {
        sleep(Duration::from_millis(10));
    }
    busy.write_all(b"TP/1.0\r\n\r\n").expect("send the rest");
    assert!(read_all(&mut busy).ends_with(HELLO));
    let output = server.wait();
    assert!(output.status.success(), "{output:?}");
}
