//! Node.js with `jco`: both components on a host without any code of wasmtime.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use hello_test_support::{component, not_tested, run};

use super::differences;
use super::engine::{self, Engine, documented, free, shell};
use super::table::{HELLO_WORLD, Row};

/// Whether this machine has `jco`; if not, prints why.
fn has_jco() -> bool {
    let version = run(Command::new(component::root().join("runner/jco")).arg("--version"));
    if !version.status.success() {
        let cause = version.stderr.lines().rfind(|line| line.starts_with("runner/jco: ")).unwrap_or(&version.stderr);
        not_tested(cause, "install Node.js 20.19 or newer, with npm, and see to it that npm reaches its registry");
    }
    version.status.success()
}

/// The command of the page, with the component `built` and at `address`.
fn jco(command: &str, built: &Path, address: SocketAddr) -> Command {
    let command = documented(command).replace("9000", &address.port().to_string());
    let (place, name) = ("target/wasm32-wasip2/release/", built.file_name().expect("a file").display());
    shell(&format!("exec {}", command.replace(&format!("{place}{name}"), &format!("'{}'", built.display()))))
}

#[test]
fn engine_jco_runs_the_server() {
    let address = free();
    if !has_jco() {
        return;
    }
    let mut jco =
        jco("runner/jco run target/wasm32-wasip2/release/hello-server.wasm --port 9000", component::path(), address);
    let output = engine::folder("jco-run").join("output");
    let engine = Engine::serve(&mut jco, output, address);
    assert_eq!(differences(HELLO_WORLD, address), []);
    // The log is the same as on any other host.
    let printed = engine.printed();
    assert!(printed.starts_with(&format!("Access http://localhost:{}\n", address.port())), "{printed}");
    assert!(printed.contains("\"GET /romeo.txt?act=2&scene=2 HTTP/1.1\" 200 41\n"), "{printed}");
    engine::tell("jco run hello-server.wasm");
}

#[test]
fn engine_jco_serves_the_other_door() {
    let address = free();
    if !has_jco() {
        return;
    }
    let command = "runner/jco serve --host 127.0.0.1 --port 9000 target/wasm32-wasip2/release/hello-http.wasm";
    let mut jco = jco(command, component::http(), address);
    let output = engine::folder("jco-serve").join("output");
    let _engine = Engine::serve(&mut jco, output, address);
    // Node.js ends at a target that is no path: a proxy in front of it would keep such requests from it.
    let is_of_path = |row: &&Row| row.line.split(' ').nth(1).is_some_and(|target| target.starts_with('/'));
    // Node.js parses the requests, and knows only its own list of methods. And it sends 100 Continue before the component
    // asks.
    let of_node =
        [("HELLO /", 400), ("GET /caf\u{e9}", 400), ("TOKENS_OF_MORE_THAN_THIRTY_TWO_BYTES /", 400), ("POST /", 100)];
    assert_eq!(differences(HELLO_WORLD.iter().filter(is_of_path), address), of_node);
    engine::tell("jco serve hello-http.wasm");
}
