//! Both builds give the same responses: the tests send one table of requests to `hello-server`, the socket server, and to
//! `hello-http` behind `wasmtime serve`. Only the parts that belong to the second host may differ: the date, the framing,
//! and whether the connection stays open. `docs/differences.md` lists them.
#![cfg(all(unix, not(target_family = "wasm")))]

mod engine;
mod node;
mod proxies;
mod spin;
mod table;
mod wasmcloud;
mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use hello_test_support::{Server, command_of, component, connect, run, without_building};
use rustix::process::Signal;
use table::{ECHO, ECHOED, HELLO_WORLD, Page, Row, Text, row};

/// The parts of a response that have to be the same.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    fields: BTreeSet<String>,
    body: String,
}

/// The fields that a host may choose.
const OF_THE_HOST: [&str; 3] = ["connection", "date", "transfer-encoding"];

/// The response of the server at `address` to this request; none if the bytes are no response.
fn ask(address: SocketAddr, row: &Row) -> Option<Answer> {
    let mut stream = connect(address);
    stream.write_all(row.request().as_bytes()).expect("it reads");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("it hangs up, and gently");
    let reply = String::from_utf8(reply).expect("text");
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let fields = lines.filter_map(|line| {
        let (name, value) = line.split_once(':').expect("a field");
        let name = name.to_ascii_lowercase();
        (!OF_THE_HOST.contains(&name.as_str())).then(|| format!("{name}: {}", value.trim()).trim().to_owned())
    });
    Some(Answer { status, fields: fields.collect(), body: body.to_owned() })
}

/// The part of a response that differs from the table.
fn fault(row: &Row, answer: &Answer) -> Option<&'static str> {
    let mut fields: BTreeSet<String> = row.answers.lines().map(str::to_owned).collect();
    let is_body = match row.says {
        Text(text) => answer.body == text,
        Page(part) => {
            fields.insert(format!("content-length: {}", answer.body.len()));
            answer.body.contains(part)
        }
    };
    match () {
        () if answer.status != row.status => Some("status"),
        () if !is_body => Some("body"),
        () if answer.fields != fields => Some("fields"),
        () => None,
    }
}

/// The rows of the table to which the server at `address` gives another response, with its status (0 is no response).
fn differences<'r>(rows: impl IntoIterator<Item = &'r Row>, address: SocketAddr) -> Vec<(&'static str, u16)> {
    let of = |row: &Row| {
        let answer = ask(address, row);
        let fault = answer.as_ref().map_or(Some("no reply"), |answer| fault(row, answer))?;
        eprintln!("{}: {fault}: {answer:?}", row.line);
        Some((row.line, answer.map_or(0, |answer| answer.status)))
    };
    rows.into_iter().filter_map(of).collect()
}

/// Asserts that both servers give the responses of the table.
fn check_both(rows: &[Row], sockets: &Server, http: &Server) {
    for row in rows {
        let [one, other] = [sockets, http].map(|server| ask(server.address(), row));
        assert_eq!(one, other, "{}", row.line);
        assert_eq!(one.as_ref().map(|one| fault(row, one)), Some(None), "{}: {one:?}", row.line);
    }
}

/// `runner/serve --http` in `root`, on a free port.
fn serve(root: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(root.join("runner/serve"));
    command.arg("--http").args(options).current_dir(root);
    command
}

#[test]
fn both_components_answer_hello_world() {
    component::http();
    let http = Server::launch(&mut serve(component::root(), &["--port", "0"]));
    check_both(HELLO_WORLD, &Server::start(&[]), &http);
}

#[test]
fn both_components_answer_as_hello_rs_says() {
    let root = component::copy("doors");
    fs::write(root.join("src/hello.rs"), ECHO).expect("it can be edited");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors-target");
    let build = |name: &str, features: &[&str]| {
        let options = [&["--release", "--target", "wasm32-wasip2", "--bin", name], features].concat();
        component::build_in(&root, &target, &options, &format!("wasm32-wasip2/release/{name}.wasm"))
    };
    build("hello-http", &["--features", "http"]);
    let http = Server::launch(serve(&root, &["--port", "0"]).env("CARGO_TARGET_DIR", &target));
    let sockets = Server::launch(&mut command_of(&build("hello-server", &[]), 100, &["--port", "0"]));
    check_both(ECHOED, &sockets, &http);
    // A panic in the component ends one instance, and the host has others.
    assert_eq!(
        ask(http.address(), &row("GET /mistake", "", "", 500, "", Text(""))).map(|answer| answer.status),
        Some(500)
    );
    check_both(ECHOED, &sockets, &http);
    let output = http.finish();
    assert!(output.stderr.contains("no such thing"), "{output:?}");
}

#[test]
fn more_requests_than_wasmtime_has_instances_for_wait() {
    component::http();
    Server::launch(&mut serve(component::root(), &["--port", "0"])).assert_serves_bodies(350);
}

#[test]
fn the_script_prints_the_url_and_ctrl_c_ends_it() {
    component::http();
    let server = Server::launch(&mut serve(component::root(), &["--quiet", "--listen=127.0.0.1:0"]));
    assert_eq!(server.prelude, "");
    server.assert_serves();
    server.signal(Signal::INT);
    let output = server.wait();
    assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(0)));
    // The instance of the last response may still be ending.
    let waits = "Waiting for child tasks to exit, ctrl-c again to quit sooner...\n";
    assert!(["", waits].contains(&without_building(&output.stderr).as_str()), "{output:?}");
}

#[test]
fn a_port_that_is_in_use_is_reported() {
    component::http();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let output = run(&mut serve(component::root(), &["--quiet", "--port", &port.to_string()]));
    let cause = format!("hello-http: port {port} is already in use\n  ");
    assert!(without_building(&output.stderr).starts_with(&cause) && output.stdout.is_empty(), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn options_that_do_not_apply_to_http_are_a_usage_error() {
    for (options, word) in [
        (&["--log", "off"][..], "--log does not go with --http"),
        (&["--max-connections=5"], "--max-connections does not go with --http"),
        (&["--max-turn", "3"], "--max-turn does not go with --http"),
        (&["--verbose"], "--verbose does not go with --http"),
        (&["--wasmtime"], "give one of them"),
        (&["--http=yes"], "--http takes no value"),
        (&["--port"], "missing argument for option '--port'"),
        (&["--port", "65536"], "from 0 to 65535"),
        (&["--listen", "localhost:0"], "--listen takes an address and a port"),
        (&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"], "listens on one address"),
        (&["--listen", "127.0.0.1:0", "--port", "0"], "listens on one address"),
    ] {
        let output = run(&mut serve(component::root(), options));
        assert!(output.stderr.contains(word) && output.stderr.ends_with("; see --help\n"), "{options:?}: {output:?}");
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(2)), "{options:?}");
    }
}
