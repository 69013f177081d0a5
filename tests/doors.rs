//! Both doors say the same: one table of requests is asked of `hello-server`, by its sockets, and of `hello-http` behind
//! `wasmtime serve`. What may differ is what the host of the second one owns: the date, the framing, and whether the call
//! goes on. `docs/operations.md` lists it.
#![cfg(all(unix, not(target_family = "wasm")))]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use support::{HELLO, Server, command_of, component, run};

/// A request, and what comes of it.
struct Row {
    /// `GET /romeo.txt`
    line: &'static str,
    /// Field lines, but for Host.
    fields: &'static str,
    body: &'static str,
    status: u16,
    /// Field lines of the answer, in small letters, but for those that a host may choose.
    answers: &'static str,
    says: Says,
}

/// What the body of an answer is.
enum Says {
    /// This text.
    Text(&'static str),
    /// A page that explains a fault, with this in it.
    Page(&'static str),
}
use Says::{Page, Text};

const fn row(
    line: &'static str,
    fields: &'static str,
    body: &'static str,
    status: u16,
    answers: &'static str,
    says: Says,
) -> Row {
    Row { line, fields, body, status, answers, says }
}

/// What the reply to everything has that is not refused.
const HTML: &str = "content-length: 41\ncontent-type: text/html; charset=utf-8";
const HTML_AND_ALLOW: &str =
    "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\ncontent-length: 41\ncontent-type: text/html; charset=utf-8";
const NOTHING_AND_ALLOW: &str = "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\ncontent-length: 0";
/// And of a page about a fault, which has its own length.
const FAULT: &str = "content-type: text/html; charset=utf-8";
const FAULT_AND_ALLOW: &str = "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\ncontent-type: text/html; charset=utf-8";

/// Hello World, whatever it is asked, and what HTTP itself has to say.
const HELLO_WORLD: &[Row] = &[
    row("GET /", "", "", 200, HTML, Text(HELLO)),
    row("GET /romeo.txt?act=2&scene=2", "Accept: */*", "", 200, HTML, Text(HELLO)),
    row("GET http://localhost/romeo.txt", "", "", 200, HTML, Text(HELLO)),
    row("HEAD /", "", "", 200, HTML, Text("")),
    row("POST /", "Content-Length: 5", "hello", 200, HTML, Text(HELLO)),
    row("PUT /", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", 200, HTML, Text(HELLO)),
    row("DELETE /", "", "", 200, HTML, Text(HELLO)),
    row("PATCH /", "Content-Length: 0", "", 200, HTML, Text(HELLO)),
    row("HELLO /", "", "", 200, HTML, Text(HELLO)),
    row("OPTIONS /", "", "", 200, HTML_AND_ALLOW, Text(HELLO)),
    row("OPTIONS *", "", "", 200, NOTHING_AND_ALLOW, Text("")),
    row("GET /caf\u{e9}", "", "", 400, FAULT, Page("any other byte is percent-encoded")),
    row("GET *", "", "", 400, FAULT, Page("goes with OPTIONS only")),
    row("TRACE /", "Content-Length: 1", "1", 405, FAULT_AND_ALLOW, Page("TRACE for an echo")),
    row("TOKENS_OF_MORE_THAN_THIRTY_TWO_BYTES /", "", "", 501, FAULT, Page("longer than 32 bytes")),
    row(
        "POST /",
        "Expect: 100-continue\r\nContent-Length: 1048577",
        "",
        413,
        FAULT,
        Page("longer than this server takes"),
    ),
];

/// Another `hello.rs`, which says what it was asked.
const ECHO: &str = r#"//! What this server says: what it was asked.

use crate::http::{Request, Response};

/// Up to a line of a form.
pub const BODY: usize = 16;

/// The answer to `request`.
pub fn answer(request: &Request<'_>) -> Response {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said = format!("{} {}\n", request.method, request.path());
    let fields = request.fields().filter(|(name, _)| name.starts_with(['x', 'X']));
    let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect();
    // The order of those with different names means nothing (RFC 9110 section 5.3).
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in fields {
        said += &format!("{name}={value}\n");
    }
    said += &text(request.body);
    match request.path() {
        "/nothing" => Response::empty(204),
        "/unchanged" => Response::text(304, said).with_field("ETag", "\"1\""),
        "/teapot" => Response::text(418, said),
        "/mistake" => panic!("no such thing"),
        _ => {
            let name = text(request.field("x-name").unwrap_or_default());
            Response::text(200, said).with_field("X-Name", name).with_field("Upgrade", "h2c")
        }
    }
}
"#;

const ECHOED: &[Row] = &[
    row(
        "GET /a?b",
        "",
        "",
        200,
        "content-length: 7\ncontent-type: text/plain; charset=utf-8\nx-name:",
        Text("GET /a\n"),
    ),
    row(
        "GET /a",
        "X-Name: Zo\u{eb} \r\nx-b:1\r\nX-B: 2",
        "",
        200,
        "content-length: 31\ncontent-type: text/plain; charset=utf-8\nx-name: Zo\u{eb}",
        Text("GET /a\nx-b=1\nx-b=2\nx-name=Zo\u{eb}\n"),
    ),
    row("GET /nothing", "", "", 204, "", Text("")),
    row("GET /unchanged", "", "", 304, "content-type: text/plain; charset=utf-8\netag: \"1\"", Text("")),
    row(
        "POST /teapot",
        "Content-Length: 16",
        "0123456789abcdef",
        418,
        "content-length: 29\ncontent-type: text/plain; charset=utf-8",
        Text("POST /teapot\n0123456789abcdef"),
    ),
    row(
        "POST /teapot",
        "Transfer-Encoding: chunked",
        "3;a=b\r\n012\r\n0d\r\n3456789abcdef\r\n0\r\nX-Trailer: 1\r\n\r\n",
        418,
        "content-length: 29\ncontent-type: text/plain; charset=utf-8",
        Text("POST /teapot\n0123456789abcdef"),
    ),
    row("POST /teapot", "Content-Length: 17", "0123456789abcdefg", 413, FAULT, Page("longer than this server takes")),
    row(
        "POST /teapot",
        "Transfer-Encoding: chunked",
        "11\r\n0123456789abcdefg\r\n0\r\n\r\n",
        413,
        FAULT,
        Page("longer than this server takes"),
    ),
];

/// An answer, as far as it has to be the same.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    fields: BTreeSet<String>,
    body: String,
}

/// What a host may choose.
const OF_THE_HOST: [&str; 3] = ["connection", "date", "transfer-encoding"];

/// What `server` answers to this.
fn ask(server: &Server, row: &Row) -> Answer {
    let Row { line, fields, body, .. } = row;
    let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
    let mut stream = server.connect();
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("it hangs up, and gently");
    let reply = String::from_utf8(reply).expect("text");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line}: {reply:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let fields = lines.filter_map(|line| {
        let (name, value) = line.split_once(':').expect("a field");
        let name = name.to_ascii_lowercase();
        (!OF_THE_HOST.contains(&name.as_str())).then(|| format!("{name}: {}", value.trim()).trim().to_owned())
    });
    Answer { status, fields: fields.collect(), body: body.to_owned() }
}

/// Both give the answer that the table has, and the same.
fn check(rows: &[Row], sockets: &Server, http: &Server) {
    for row in rows {
        let [one, other] = [sockets, http].map(|server| ask(server, row));
        assert_eq!(one, other, "{}", row.line);
        let mut fields: BTreeSet<String> = row.answers.lines().map(str::to_owned).collect();
        match row.says {
            Text(text) => assert_eq!(one.body, text, "{}", row.line),
            Page(part) => {
                assert!(one.body.contains(part), "{}: {}", row.line, one.body);
                fields.insert(format!("content-length: {}", one.body.len()));
            }
        }
        assert_eq!((one.status, one.fields), (row.status, fields), "{}", row.line);
    }
}

/// `runner/serve --http` in `root`, on a free port.
fn serve(root: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(root.join("runner/serve"));
    command.arg("--http").args(options).current_dir(root);
    command
}

#[test]
fn both_doors_say_hello_world() {
    component::http();
    let http = Server::launch(&mut serve(component::root(), &["--port", "0"]));
    check(HELLO_WORLD, &Server::start(&[]), &http);
}

#[test]
fn whatever_somebody_writes_into_hello_rs_both_doors_say() {
    let root = component::copy("doors");
    fs::write(root.join("src/hello.rs"), ECHO).expect("it can be edited");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors-target");
    let build = |name: &str| {
        let options = ["--release", "--target", "wasm32-wasip2", "--bin", name];
        component::build_in(&root, &target, &options, &format!("wasm32-wasip2/release/{name}.wasm"))
    };
    build("hello-http");
    let http = Server::launch(serve(&root, &["--port", "0"]).env("CARGO_TARGET_DIR", &target));
    let sockets = Server::launch(&mut command_of(&build("hello-server"), 100, &["--port", "0"]));
    check(ECHOED, &sockets, &http);
    // A mistake in it ends one instance, and the engine has others.
    assert_eq!(ask(&http, &row("GET /mistake", "", "", 500, "", Text(""))).status, 500);
    check(ECHOED, &sockets, &http);
    let output = http.finish();
    assert!(output.stderr.contains("no such thing"), "{output:?}");
}

#[test]
fn the_script_says_where_to_call_and_ctrl_c_ends_it() {
    component::http();
    let server = Server::launch(&mut serve(component::root(), &["--quiet", "--listen=127.0.0.1:0"]));
    assert_eq!(server.prelude, "");
    server.assert_serves();
    let pid = Pid::from_raw(server.pid().try_into().expect("a number")).expect("not zero");
    kill_process(pid, Signal::INT).expect("it is there");
    let output = server.wait();
    assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(0)));
    // The instance that has answered may still be about to go.
    let waits = "Waiting for child tasks to exit, ctrl-c again to quit sooner...\n";
    assert!(["", waits].contains(&output.stderr.as_str()), "{output:?}");
}

#[test]
fn a_port_that_is_taken_is_told() {
    component::http();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let output = run(&mut serve(component::root(), &["--quiet", "--port", &port.to_string()]));
    let cause = format!("hello-http: port {port} is already in use\n  ");
    assert!(output.stderr.starts_with(&cause) && output.stdout.is_empty(), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_does_not_go_with_http_is_a_mistake() {
    for (options, word) in [
        (&["--log", "off"][..], "--log does not go with --http"),
        (&["--max-connections=5"], "--max-connections does not go with --http"),
        (&["--max-turn", "3"], "--max-turn does not go with --http"),
        (&["--verbose"], "--verbose does not go with --http"),
        (&["--wasmtime"], "give one of them"),
        (&["--http=yes"], "--http takes no value"),
        (&["--port"], "--port takes a value"),
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
