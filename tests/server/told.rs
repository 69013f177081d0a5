//! Output for people about the server itself: `--explain`, `--show-bytes`, and a note for users who type `https://`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, Stdio};

use hello_test_support::process::address_in;
use hello_test_support::{
    GET, HELLO, Process, Server, command, component, connect, is_wasmtime, not_tested, read_all, read_reply, run,
    runner,
};

/// The output of the server about one connection with one request, with `<client>` for the address of the client and
/// `<date>` for the time.
fn told(options: &[&str]) -> (Server, String) {
    let server = Server::start(options);
    let mut stream = server.connect();
    let client = stream.local_addr().expect("an address").to_string();
    stream.write_all(GET).expect("it reads");
    let reply = read_reply(&mut stream);
    drop(stream);
    let date = reply.split("Date: ").nth(1).and_then(|rest| rest.split('\r').next()).expect("a date").to_owned();
    let mut text = String::new();
    // The last line says that the connection is closed.
    while !text.contains("hung up") {
        text += &(server.line() + "\n");
    }
    let text = text.replace(&client, "<client>").replace(&date, "<date>");
    (server, text)
}

#[test]
fn a_connection_is_explained_from_the_socket_to_the_close() {
    let (server, text) = told(&["--explain", "--log", "off"]);
    let port = server.port;
    assert_eq!(
        server.prelude,
        format!(
            "create  a socket, which is a telephone, for IPv4  [create-tcp-socket]\n\
             bind    its number is 127.0.0.1:{port}  [start-bind, finish-bind]\n\
             listen  it may ring; up to 1024 callers are held in line\n        [set-listen-backlog-size, start-listen, finish-listen]\n\
             create  a socket, which is a telephone, for IPv6  [create-tcp-socket]\n\
             bind    its number is [::1]:{port}  [start-bind, finish-bind]\n\
             listen  it may ring; up to 1024 callers are held in line\n        [set-listen-backlog-size, start-listen, finish-listen]\n"
        )
    );
    assert_eq!(
        text,
        "accept  call 1: picked up <client>; the client must speak first  [accept]\n\
         read    call 1: the client says 35 bytes  [input-stream.read]\n\
         write   call 1: to \"GET / HTTP/1.1\" the answer is 200 OK, with 41 bytes of body\n        [output-stream.write]\n\
         read    call 1: the client has hung up  [input-stream.read: closed]\n"
    );
}

#[test]
fn the_events_that_led_to_a_failure_are_printed_before_it() {
    let first = Server::start(&[]);
    let port = first.port.to_string();
    let second = run(&mut command(&["--port", &port, "--explain"]));
    assert_eq!(second.stdout, "create  a socket, which is a telephone, for IPv4  [create-tcp-socket]\n");
    assert!(second.stderr.contains("is already in use"), "{second:?}");
}

#[test]
fn the_bytes_of_a_connection_are_shown_in_both_directions() {
    let (_server, text) = told(&["--show-bytes", "--log", "off"]);
    let mut times = Vec::new();
    let mut lines = String::new();
    for line in text.lines() {
        // `call 1  0.000 s > GET`
        let (time, rest) = line["call 1 ".len()..].split_once(" s ").expect("a time");
        times.push(time.trim_start().parse::<f64>().expect("seconds"));
        lines += &format!("{rest}\n");
    }
    assert!(times[0] < 1.0 && times.is_sorted(), "{times:?}");
    assert_eq!(
        lines,
        r"  <client> is on the line
> GET / HTTP/1.1\r\n
> Host: localhost\r\n
> \r\n
< HTTP/1.1 200 OK\r\n
< Content-Type: text/html; charset=utf-8\r\n
< Content-Length: 41\r\n
< Date: <date>\r\n
< \r\n
< <html><body>Hello World</body></html>\r\n
< \r\n
  the client has hung up
"
    );
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let (_server, always) = told(&["--show-bytes", "--color", "always"]);
    assert!(always.contains("\x1b[7;36m>\x1b[0m GET"), "{always:?}");
    let (_server, auto) = told(&["--show-bytes"]);
    assert!(!auto.contains('\x1b'), "no terminal: {auto:?}");

    // `script` is a terminal for the program that it starts.
    let is_there = Command::new("script").args(["-qec", "true", "/dev/null"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        not_tested("there is no `script` that makes a terminal", "install it (on Debian: bsdutils)");
        return;
    }
    let in_terminal = |command: &Command, environment: &str| {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{environment} exec {}", words.join(" ")), "/dev/null"]);
        let server = Server::launch(&mut script);
        let mut stream = server.connect();
        stream.write_all(GET).expect("it reads");
        read_reply(&mut stream);
        drop(stream);
        let mut text = String::new();
        while !text.contains("hung up") {
            text += &server.line();
        }
        text.contains("\x1b[7;36m>\x1b[0m GET")
    };
    let show = command(&["--port", "0", "--show-bytes", "--log", "off"]);
    assert!(in_terminal(&show, "TERM=xterm"));
    assert!(!in_terminal(&command(&["--port", "0", "--show-bytes", "--log", "off", "--color", "never"]), ""));
    if is_wasmtime() {
        return;
    }
    // hello-runner passes on no environment; `wasmtime run` does with this option.
    let mut plain = Command::new(component::root().join("runner/wasmtime"));
    plain.args(["run", "-S", "inherit-network", "-S", "inherit-env"]).arg(component::path());
    plain.args(["--port", "0", "--show-bytes", "--log", "off"]);
    assert!(in_terminal(&plain, "NO_COLOR= TERM=xterm"));
    assert!(!in_terminal(&plain, "NO_COLOR=1 TERM=xterm"));
    assert!(!in_terminal(&plain, "TERM=dumb"));
}

#[test]
fn https_typed_by_mistake_is_noted_once_and_in_a_sentence() {
    let server = Server::start(&["--stop-when-stdin-closes"]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for _ in 0..3 {
        assert!(server.ask(hello).starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(server.line().contains("\"\\x16\\x03\\x01"));
    }
    let stderr = server.stop().stderr;
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let sentence = " speaks TLS, as for https://; type http://\n";
    assert!(stderr.starts_with("hello-server: note: 127.0.0.1:") && stderr.ends_with(sentence), "{stderr}");
}

/// A server that was started by this command, its output, of which only the URL is read, and a client that has sent this
/// many requests of 8 kilobytes each, which are in the log.
pub(super) fn unread(command: &mut Command, requests: usize) -> (Process, BufReader<ChildStdout>, TcpStream) {
    let mut server = Process::start_unread(command.stdout(Stdio::piped()));
    let mut stdout = BufReader::new(server.child.stdout.take().expect("piped"));
    let mut line = String::new();
    let address = loop {
        stdout.read_line(&mut line).expect("text");
        match address_in(&line) {
            Some(address) if line.starts_with("Access ") => break address,
            _ => line.clear(),
        }
    };
    let mut stream = connect(address);
    let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8000));
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).expect("it reads");
        read_reply(&mut stream);
    }
    (server, stdout, stream)
}

#[test]
fn an_unread_log_fits_into_the_memory_of_a_server_with_few_connections() {
    if is_wasmtime() {
        // Under plain wasmtime, the server waits for the reader of its output.
        return;
    }
    let mut runner = Command::new(runner());
    runner.args(["--quiet", "--allow-listen", "127.0.0.1:0", "--max-connections", "10"]).arg(component::path());
    runner.args(["--listen", "127.0.0.1:0", "--max-connections", "10", "--stop-when-stdin-closes"]);
    // The log is twenty times as long as the part that may wait.
    let (server, mut stdout, stream) = unread(&mut runner, 2500);
    drop(stream);
    server.terminate();
    let mut log = String::new();
    stdout.read_to_string(&mut log).expect("text");
    assert!(log.contains(" lines lost\n") && log.ends_with("Served 2500 requests in 1 call.\n"), "{}", log.len());
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn a_reader_that_stops_reading_delays_no_response_and_not_the_end() {
    if is_wasmtime() {
        // Under plain wasmtime, the server waits for the reader of its output.
        return;
    }
    // As in a terminal or a journal: one reader for both outputs.
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(runner()).args(["--quiet", "--allow-listen", "127.0.0.1:0"]);
    shell.arg(component::path()).args(["--listen", "127.0.0.1:0", "--stop-when-stdin-closes"]);
    // The log is longer than the buffers before the reader.
    let (server, _stdout, mut stream) = unread(&mut shell, 500);
    let mut tls = connect(stream.peer_addr().expect("an address"));
    tls.write_all(b"\x16\x03\x01\x02\x00").expect("it reads");
    assert!(read_all(&mut tls).starts_with("HTTP/1.1 400 "), "a note about this waits for the reader, too");
    stream.write_all(&GET[..20]).expect("it reads");
    server.terminate();
    stream.write_all(&GET[20..]).expect("it reads");
    assert!(read_all(&mut stream).ends_with(HELLO));
    assert_eq!(server.wait().status.code(), Some(0));
}
