//! The live page, in the sandbox and in plain wasmtime, and in a real browser.
#![cfg(not(target_family = "wasm"))]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use hello_test_support::chromium::{self, Browser};
use hello_test_support::{
    GET, HELLO, LAST_GET, PATIENCE, Server, command_of, component, connect, has, not_tested, read_all, runner,
};

/// A server with a live page, and the port of that page.
fn start(options: &[&str]) -> (Server, u16) {
    let server = Server::launch(&mut command(&[&["--port", "0", "--live"], options].concat()));
    let watch = server.line();
    let port = watch.strip_prefix("Watch http://localhost:").and_then(|port| port.trim_end().parse().ok());
    (server, port.unwrap_or_else(|| panic!("{watch}")))
}

fn command(options: &[&str]) -> Command {
    command_of(component::live(), 1000, options)
}

/// Sends a request to the page, and reads the whole reply.
fn ask(port: u16, request: &str) -> String {
    let mut stream = connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    stream.write_all(request.as_bytes()).expect("write the request");
    read_all(&mut stream)
}

/// A browser, if there is one, that shows the page at this port.
fn watch(port: u16, folder: &str) -> Option<Browser> {
    let Some(program) = chromium::program() else {
        not_tested(format!("none of {} is on PATH", chromium::names()), "install Chromium");
        return None;
    };
    let mut browser = Browser::start(&program, folder);
    browser.visit(&format!("http://localhost:{port}/")).expect("it gets an answer");
    Some(browser)
}

/// Waits until the page shows all of these texts.
fn assert_shows(browser: &mut Browser, texts: &[&str]) {
    let end = Instant::now() + PATIENCE;
    loop {
        let shown = browser.page().text;
        let missing: Vec<_> = texts.iter().filter(|text| !shown.contains(**text)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{missing:?} is not in\n{shown}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_page_is_for_this_machine_and_not_for_pages_of_other_sites() {
    let (server, port) = start(&[]);
    for (fields, status) in
        [("Host: localhost", 200), ("Host: evil.example", 403), ("Host: localhost\r\nOrigin: http://evil.example", 403)]
    {
        for path in ["/", "/events-that-are-not-there"] {
            let reply = ask(port, &format!("GET {path} HTTP/1.1\r\n{fields}\r\nConnection: close\r\n\r\n"));
            let status = if status == 200 && path != "/" { 404 } else { status };
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {reply}");
        }
    }
    // The requests to the page are in no log.
    server.ask(b"GET /of-the-server HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let line = server.line();
    assert!(line.contains("\"GET /of-the-server HTTP/1.1\" 200"), "{line}");
}

#[test]
fn a_server_with_watchers_stops_at_once() {
    let mut command = command(&["--port", "0", "--live", "--stop-when-stdin-closes"]);
    let server = Server::launch(&mut command);
    let port = server.line().rsplit(':').next().and_then(|port| port.trim_end().parse().ok()).expect("a port");
    let mut watcher = connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    watcher.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("write the request");
    let mut beginning = [0; 100];
    watcher.read_exact(&mut beginning).expect("the head of the events");
    let start = Instant::now();
    let output = server.stop();
    assert!(output.status.success(), "{output:?}");
    // The grace period is 5 seconds; nobody had to wait for it.
    assert!(!output.stderr.contains("cut off"), "{output:?} after {:?}", start.elapsed());
}

#[test]
fn the_page_gets_what_the_server_asks_of_the_sandbox() {
    let root = component::copy("live-asks");
    let file = root.join("src/hello.rs");
    let text = std::fs::read_to_string(&file).expect("read hello.rs");
    let (before, after) = text.rsplit_once("    Response::html(").expect("the answer");
    let asks = "    let _ = std::fs::read(\"/etc/passwd\");\n    Response::html(";
    std::fs::write(&file, [before, asks, after].concat()).expect("write hello.rs");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-asks-target");
    let options = ["--profile", "live", "--target", "wasm32-wasip2", "--features", "live", "--bin", "hello-server"];
    let component = component::build_in(&root, &target, &options, "wasm32-wasip2/live/hello-server.wasm");

    let mut command = Command::new(runner());
    command.args(["--quiet", "--max-connections", "10", "--audit-to-stdin", "--stop-when-stdin-closes"]);
    command.arg("--grant-needs").arg(component);
    command.args(["--port", "0", "--live", "--log", "off", "--stop-when-stdin-closes"]);
    let server = Server::launch(&mut command);
    let port = server.line().rsplit(':').next().and_then(|port| port.trim_end().parse().ok()).expect("a port");
    server.assert_serves();
    let mut watcher = connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    watcher.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("write the request");
    let mut asked = BufReader::new(watcher).lines().map(|line| line.expect("the events go on"));
    let mut asked = asked.by_ref().filter(|line| line.contains("\"event\":\"asked\""));
    // The first question came before the server read its input for the first time.
    let first = asked.find(|line| line.contains("\"what\":\"listen\"")).expect("the server asks to listen");
    assert!(first.starts_with("data: {\"v\":1,") && first.contains("\"allowed\":true"), "{first}");
    let refused = asked.find(|line| line.contains("\"what\":\"file\"")).expect("the server asks for a file");
    assert!(refused.contains("\"detail\":\"etc/passwd\",\"allowed\":false"), "{refused}");
    // The end of this input is still the request to stop.
    let output = server.stop();
    assert!(output.status.success() && !output.stderr.contains("cut off"), "{output:?}");
}

#[test]
fn chromium_shows_the_requests_of_a_browser_a_silent_connection_and_a_mistake() {
    let (server, port) = start(&["--log", "off"]);
    let Some(mut page) = watch(port, "live-watches") else { return };
    let mut visitor = Browser::start(&chromium::program().expect("a browser"), "live-visits");
    // By the address of the silent connection below: the page takes that for a spare one of this browser.
    visitor.visit(&format!("http://127.0.0.1:{}/", server.port)).expect("it gets an answer");
    assert_shows(
        &mut page,
        &["GET / HTTP/1.1", "GET /favicon.ico HTTP/1.1", "input-stream.read", "output-stream.write"],
    );
    let silent = server.connect();
    assert_shows(&mut page, &["a spare connection"]);
    let reply = server.ask(b"GET / HTTP/1.1\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert_shows(&mut page, &["400 Bad Request", "HTTP/1.1 wants a Host field", "RFC 9112 section 3.2"]);
    drop(silent);
}

#[test]
fn chromium_sends_a_request_that_was_typed_by_hand_and_shows_what_came_back() {
    let (_server, port) = start(&["--log", "off"]);
    let Some(mut page) = watch(port, "live-typed") else { return };
    let type_it = |text: &str| {
        format!(
            "(() => {{ const field = document.getElementById('typed'); field.value = {}; \
             field.dispatchEvent(new Event('input')); document.getElementById('hand').requestSubmit(); }})()",
            serde_json::json!(text)
        )
    };
    page.evaluate(&type_it("GET /by-hand HTTP/1.1\nHost: localhost\nConnection: close\n\n"));
    assert_shows(&mut page, &["GET /by-hand HTTP/1.1", "HTTP/1.1 200 OK", "this page"]);
    let came = page.evaluate("document.getElementById('came-back').innerText");
    assert!(came.as_str().is_some_and(|text| text.contains("Hello World")), "{came}");
}

#[test]
fn chromium_watches_ten_thousand_requests_and_sees_a_sample() {
    let (server, port) = start(&["--log", "off"]);
    let Some(mut page) = watch(port, "live-load") else { return };
    let mut client = server.connect();
    let mut reader = client.try_clone().expect("another handle");
    let replies = spawn(move || {
        let (mut read, mut piece) = (0, vec![0; 64 * 1024]);
        let mut text = Vec::new();
        while let Ok(length @ 1..) = reader.read(&mut piece) {
            read += length;
            text.extend_from_slice(&piece[..length]);
        }
        let text = String::from_utf8(text).expect("text");
        (text.matches("HTTP/1.1 200 OK").count(), text.matches(HELLO).count(), read)
    });
    client.write_all(&GET.repeat(9_999)).expect("write the requests");
    client.write_all(LAST_GET).expect("write the request");
    let (heads, bodies, _) = replies.join().expect("all replies");
    assert_eq!((heads, bodies), (10_000, 10_000));
    assert_shows(&mut page, &["sample"]);
    // It goes on as before.
    server.ask(b"GET /afterwards HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_shows(&mut page, &["GET /afterwards HTTP/1.1"]);
    let kept = page.evaluate("document.getElementsByTagName('*').length");
    assert!(kept.as_u64().is_some_and(|elements| elements < 50_000), "{kept} elements");
}

/// The model behind the page: what is known of each connection.
#[test]
fn the_model_of_the_page_knows_each_connection() {
    if !has("node") {
        return not_tested("there is no node on PATH", "install Node.js");
    }
    let mut node = Command::new("node");
    let output = node.args(["--test", "tests/live/page.mjs"]).current_dir(component::root()).output().expect("node");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Two ports in a row that are free.
fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = first.local_addr().expect("an address").port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return port;
        }
    }
}

#[test]
fn chromium_finds_the_server_again_after_a_restart() {
    let port = two_free_ports();
    let start = || {
        let port = port.to_string();
        let server = Server::launch(&mut command(&["--port", &port, "--live", "--log", "off"]));
        server.line();
        server
    };
    let server = start();
    let Some(mut page) = watch(port + 1, "live-restart") else { return };
    server.ask(b"GET /before HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_shows(&mut page, &["GET /before HTTP/1.1"]);
    server.finish();
    let server = start();
    server.ask(b"GET /after HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_shows(&mut page, &["GET /after HTTP/1.1"]);
    assert!(!page.page().text.contains("GET /before HTTP/1.1"));
}

#[test]
fn axe_finds_nothing_serious_in_the_page() {
    let Some(axe) = std::env::var_os("HELLO_AXE") else {
        return not_tested("HELLO_AXE names no axe.min.js", "npm install axe-core, and name the file");
    };
    let axe = std::fs::read_to_string(axe).expect("read axe.min.js");
    let (server, port) = start(&["--log", "off"]);
    let Some(mut page) = watch(port, "live-axe") else { return };
    server.assert_serves();
    server.ask(b"GET / HTTP/1.1\r\n\r\n");
    assert_shows(&mut page, &["400 Bad Request"]);
    page.evaluate(&format!("{axe}; 0"));
    let found = page.evaluate(
        "axe.run().then(found => found.violations.filter(one => ['serious', 'critical'].includes(one.impact))\
         .map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' ')))",
    );
    assert_eq!(found, serde_json::json!([]));
}
