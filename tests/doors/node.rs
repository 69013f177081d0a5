//! Node.js: both components, by `jco`. It has nothing of wasmtime, and it is as good a host.

use std::process::Command;

use super::differences;
use super::engine::{self, Engine, free};
use super::support::{component, run};
use super::table::{HELLO_WORLD, Row};

/// `jco` with these words, if this machine has it.
fn jco(words: &[&str]) -> Option<Command> {
    let mut command = Command::new(component::root().join("runner/jco"));
    let version = run(command.arg("--version"));
    if !version.status.success() {
        let cause = version.stderr.lines().rfind(|line| line.starts_with("runner/jco: ")).unwrap_or(&version.stderr);
        engine::tell(&format!("{cause}, so jco was not tested"));
        return None;
    }
    let mut command = Command::new(component::root().join("runner/jco"));
    command.args(words);
    Some(command)
}

#[test]
fn engine_jco_runs_the_server() {
    let address = free();
    let Some(mut jco) = jco(&["run"]) else { return };
    let output = engine::folder("jco-run").join("output");
    let engine =
        Engine::serve(jco.arg(component::path()).args(["--port", &address.port().to_string()]), output, address);
    assert_eq!(differences(HELLO_WORLD, address), []);
    // Its log is what it is anywhere.
    let printed = engine.printed();
    assert!(printed.starts_with(&format!("Access http://localhost:{}\n", address.port())), "{printed}");
    assert!(printed.contains("\"GET /romeo.txt?act=2&scene=2 HTTP/1.1\" 200 41\n"), "{printed}");
    engine::tell("jco run hello-server.wasm");
}

#[test]
fn engine_jco_serves_the_other_door() {
    let address = free();
    let port = address.port().to_string();
    let Some(mut jco) = jco(&["serve", "--host", "127.0.0.1", "--port", &port]) else { return };
    let output = engine::folder("jco-serve").join("output");
    let _engine = Engine::serve(jco.arg(component::http()), output, address);
    // It ends when it is asked for another target than a path: a proxy in front of it would keep those from it.
    let is_of_path = |row: &&Row| row.line.split(' ').nth(1).is_some_and(|target| target.starts_with('/'));
    // Node.js reads requests, and knows methods by their names only. And it says 100 Continue before it asks.
    let of_node =
        [("HELLO /", 400), ("GET /caf\u{e9}", 400), ("TOKENS_OF_MORE_THAN_THIRTY_TWO_BYTES /", 400), ("POST /", 100)];
    assert_eq!(differences(HELLO_WORLD.iter().filter(is_of_path), address), of_node);
    engine::tell("jco serve hello-http.wasm");
}
