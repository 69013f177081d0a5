//! The clients of `examples/` from outside: the real components in the sandbox, against the real server and against
//! peers that misbehave. With HELLO_HOST=wasmtime, the same under plain `wasmtime run`.
#![cfg(all(unix, not(target_family = "wasm")))]

#[path = "../examples/shared/mod.rs"]
mod shared;
#[path = "support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::{JoinHandle, spawn};

use support::{HELLO, Output, PATIENCE, Server, component, is_wasmtime, launcher, nobody, run, runner};

/// The two of them.
const CLIENTS: [&str; 2] = ["socket", "url"];

/// The command that runs the client `name` with these arguments, in a sandbox where it may call `granted`.
fn client(name: &str, granted: &[String], arguments: &[&str]) -> Command {
    let component = component::example(&format!("{name}_client"));
    let mut command;
    if is_wasmtime() {
        let launcher = match name {
            "socket" => launcher(),
            _ => ["runner/wasmtime", "run", "-S", "http,tcp=n,udp=n"].map(str::to_owned).to_vec(),
        };
        command = Command::new(component::root().join(&launcher[0]));
        command.args(&launcher[1..]);
    } else {
        command = Command::new(runner());
        command.args(["--quiet", "--max-connections", "10"]);
        granted.iter().for_each(|address| _ = command.args(["--allow-connect", address]));
    }
    command.arg(component).args(arguments).stdin(Stdio::null());
    command
}

/// Runs the client `name` for `url`, where it may call `address`.
fn call(name: &str, address: SocketAddr, url: &str) -> Output {
    run(&mut client(name, &[address.to_string()], &[url]))
}

/// The clients that can be run here.
fn clients() -> impl Iterator<Item = &'static str> {
    CLIENTS.into_iter().filter(|name| *name == "socket" || has_requests())
}

/// Whether the host to test with has `wasi:http`. Not every build of wasmtime has.
fn has_requests() -> bool {
    let there = !is_wasmtime() || run(&mut client("url", &[], &["--check-options"])).status.success();
    if !there {
        eprintln!("not tested: this wasmtime was built without wasi:http");
    }
    there
}

/// A listener on a free port, and its address.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// A peer that picks up once, listens to an empty line, answers with `reply` piece by piece, and puts the receiver down.
/// Says all that it heard, until the client has put down its own.
fn peer(listener: TcpListener, reply: Vec<Vec<u8>>) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            heard.extend(byte);
        }
        for piece in reply {
            stream.write_all(&piece).expect("it reads");
        }
        stream.shutdown(Shutdown::Write).expect("it is there");
        // It may have gone already, with something unread.
        let _ = stream.read_to_end(&mut heard);
        heard
    })
}

/// It failed, with exactly these two lines.
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
fn nothing_said_is_the_page_of_the_lecture() {
    for name in clients() {
        let output = run(&mut client(name, &[], &["--check-options"]));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("connect 127.0.0.1:9000\n", ""));
    }
    let url = shared::Url::parse("http://127.0.0.1:9000/romeo.txt").expect("a URL");
    assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("127.0.0.1", 9000, "/romeo.txt"));
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
fn what_comes_is_printed_byte_for_byte() {
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
fn without_a_server_they_say_how_to_start_one() {
    for name in clients() {
        let (_socket, address) = nobody();
        let output = call(name, address, &format!("http://{address}/romeo.txt"));
        let advice = format!("start the server first, in another terminal: runner/serve --port {}", address.port());
        assert_fails_with(&output, name, &format!("nothing is listening on {address}"), &advice);
        assert_eq!(output.stdout, "");
    }
    // And for the port of the lecture, on which somebody may be listening here.
    let url = shared::Url::parse("http://127.0.0.1:9000/romeo.txt").expect("a URL");
    let expected = shared::Failure::new(
        "nothing is listening on 127.0.0.1:9000",
        "start the server first, in another terminal: runner/serve",
    );
    assert_eq!(url.failure(&ErrorKind::ConnectionRefused.into()), expected);
}

#[test]
fn a_server_that_hangs_up_without_a_word_is_told() {
    for name in clients() {
        let (listener, address) = listener();
        let peer = peer(listener, vec![]);
        let output = call(name, address, &format!("http://{address}/"));
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
        // Plain wasmtime has one code for all that is wrong with a reply.
        if !is_wasmtime() || name == "socket" {
            let advice = "it may be busy, ending, or no web server at all: see what it has printed";
            assert_fails_with(&output, name, &format!("{address} hung up without a whole answer"), advice);
        }
        peer.join().expect("a request");
    }
}

#[test]
fn a_status_that_is_no_success_is_told_by_the_url_client_and_printed_by_the_other() {
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
fn another_address_than_the_granted_one_is_refused_and_told_with_the_option() {
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
        assert_eq!(listener.accept().expect_err("nobody has called").kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn the_script_grants_a_client_one_address_and_nothing_else() {
    let (_socket, address) = nobody();
    for name in CLIENTS {
        let output = script(&[name, &format!("http://{address}/")]);
        let sentence = format!(
            "The sandbox lets {name}_client.wasm connect to {address}, print, read the clock, and draw random numbers.\n\
             It can do nothing else: no files, no environment, no other connections, no looking up of names, and no more than \
             64 MiB of memory.\n"
        );
        assert!(output.stderr.contains(&sentence), "{output:?}");
        assert!(output.stderr.contains(&format!("nothing is listening on {address}\n")), "{output:?}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// `runner/client` with these arguments. What it says about building is nothing to test.
fn script(arguments: &[&str]) -> Output {
    let mut output = run(Command::new(component::root().join("runner/client")).args(arguments).stdin(Stdio::null()));
    let lines = output.stderr.lines().filter(|line| !line.starts_with("Building "));
    output.stderr = lines.map(|line| format!("{line}\n")).collect();
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
        // Not every build of wasmtime has it.
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
fn a_url_is_taken_to_pieces() {
    for (text, host, port, path, addresses) in [
        ("http://127.0.0.1:9005/romeo.txt", "127.0.0.1", 9005, "/romeo.txt", &["127.0.0.1:9005"][..]),
        ("http://127.0.0.1", "127.0.0.1", 80, "/", &["127.0.0.1:80"]),
        ("http://192.0.2.1/a?b=c#d", "192.0.2.1", 80, "/a?b=c", &["192.0.2.1:80"]),
        ("http://192.0.2.1?b", "192.0.2.1", 80, "/?b", &["192.0.2.1:80"]),
        ("http://[::1]:9000/", "[::1]", 9000, "/", &["[::1]:9000"]),
        ("http://[::1]/a:1", "[::1]", 80, "/a:1", &["[::1]:80"]),
        ("http://LOCALHOST:1/", "LOCALHOST", 1, "/", &["127.0.0.1:1", "[::1]:1"]),
    ] {
        let url = shared::Url::parse(text).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path), "{text}");
        assert_eq!(url.addresses().map(|address| address.to_string()).collect::<Vec<_>>(), addresses, "{text}");
    }
}

#[test]
fn what_cannot_be_called_is_a_mistake_that_is_explained() {
    for text in [
        "",
        "romeo.txt",
        "127.0.0.1:9000",
        "ftp://127.0.0.1/",
        "http://",
        "http:///romeo.txt",
        "http://:9000/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:+80/",
        "http://127.0.0.1:/",
        "http://300.0.0.1/",
        "http://127.1/",
        "http://you@127.0.0.1/",
        "http://[::1/",
        "http://::1/",
        "http://127.0.0.1/romeo txt",
        "http://127.0.0.1/\r\nHost: x",
        "http://one.example/",
        "https://127.0.0.1/",
    ] {
        let failure = shared::Url::parse(text).err().unwrap_or_else(|| panic!("{text:?} can be called"));
        assert!(format!("{failure:?}").contains("code: 2"), "{text:?}: {failure:?}");
    }
    // What has two addresses, or the wrong one, for a client that can call IPv4 only.
    let url = shared::Url::parse("http://localhost:9000/").expect("a URL");
    assert_eq!(url.ipv4_address().ok(), "127.0.0.1:9000".parse().ok());
    let url = shared::Url::parse("http://[::1]:9000/").expect("a URL");
    assert!(url.ipv4_address().is_err());
}

#[test]
fn a_call_that_is_broken_off_is_a_failure() {
    let (listener, address) = listener();
    for name in clients() {
        let peer = spawn({
            let listener = listener.try_clone().expect("a listener");
            move || {
                let (stream, _) = listener.accept().expect("a caller");
                drop::<TcpStream>(stream);
            }
        });
        let output = call(name, address, &format!("http://{address}/"));
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
        peer.join().expect("a caller");
    }
}
