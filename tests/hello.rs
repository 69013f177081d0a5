//! Each example in the comment at the top of `src/hello.rs` can replace the code of that file.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use hello_test_support::{GET, Process, Server, command_of, component, connect};

#[test]
fn every_example_of_hello_rs_compiles_in_its_place_without_a_warning() {
    let root = component::copy("hello");
    let file = root.join("src/hello.rs");
    let text = fs::read_to_string(&file).expect("read hello.rs");
    let is_comment = |line: &&str| line.starts_with("//!");
    let comment: String = text.lines().take_while(is_comment).map(|line| format!("{line}\n")).collect();
    let shown: String =
        comment.lines().map(|line| line[3..].strip_prefix(' ').unwrap_or_default().to_owned() + "\n").collect();
    let examples: Vec<&str> = shown.split("```\n").skip(1).step_by(2).collect();
    assert_eq!(examples.len(), 3, "{shown}");
    for example in examples {
        // The comment stays, and the example replaces the rest of the file.
        fs::write(&file, format!("{comment}\n{example}")).expect("write hello.rs");
        let check = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--locked", "--lib", "--target-dir"])
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello-target"))
            .current_dir(&root)
            .output()
            .expect("start cargo");
        let messages = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success() && messages.is_empty(), "{messages}\nin\n{example}");
    }
}

/// The first example of a body that is made while it is sent: a clock. Returns three of its ticks, and the head before them.
fn three_ticks(address: SocketAddr) -> (String, Vec<String>) {
    let mut stream = BufReader::new(connect(address));
    stream.get_mut().write_all(GET).expect("write the request");
    let (mut head, mut ticks) = (String::new(), Vec::new());
    while ticks.len() < 3 {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("read the response") > 0, "{head}{ticks:?}");
        match line.trim_end().strip_suffix(" GMT") {
            Some(tick) if !line.starts_with("Date: ") && !line.starts_with("date: ") => ticks.push(tick.to_owned()),
            _ if ticks.is_empty() => head += &line,
            _ => {}
        }
    }
    (head, ticks)
}

#[test]
fn the_clock_of_hello_rs_ticks_in_both_components() {
    let root = component::copy("clock");
    let file = root.join("src/hello.rs");
    let text = fs::read_to_string(&file).expect("read hello.rs");
    let comment = text.lines().take_while(|line| line.starts_with("//!")).map(|line| line[3..].trim_start_matches(' '));
    let clock = comment.collect::<Vec<_>>().join("\n");
    let clock = clock.split("```").find(|example| example.contains("Response::stream")).expect("the example");
    fs::write(&file, format!("//! A clock.\n{clock}")).expect("write hello.rs");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clock-target");
    let build = |name: &str, options: &[&str]| {
        let options = [&["--profile", "exercise", "--target", "wasm32-wasip2", "--bin", name], options].concat();
        component::build_in(&root, &target, &options, &format!("wasm32-wasip2/exercise/{name}.wasm"))
    };

    let server = build("hello-server", &[]);
    let server = Server::launch(&mut command_of(&server, 10, &["--port", "0", "--log", "off"]));
    let (head, ticks) = three_ticks(server.address());
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
    assert!(ticks[0] != ticks[1] && ticks[1] != ticks[2], "{ticks:?}");

    let service = build("hello-http", &["--features", "http"]);
    let mut host = Command::new(component::root().join("runner/wasmtime"));
    host.args(["serve", "-S", "cli", "--addr", "127.0.0.1:0"])
        .arg(service)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut host = Process::start_unread(&mut host);
    let said = BufReader::new(host.child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let url = said.into_iter().find(|line| line.starts_with("Serving HTTP on ")).expect("it serves");
    let address = url.rsplit("//").next().expect("an address").trim_end_matches('/').parse().expect("an address");
    let (_, ticks) = three_ticks(address);
    assert!(ticks[0] != ticks[1] && ticks[1] != ticks[2], "{ticks:?}");
}
