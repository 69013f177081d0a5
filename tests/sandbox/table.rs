//! The table in docs/sandbox.md, which compares this sandbox with plain `wasmtime run`, attempt by attempt. Each row is
//! tried here.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use hello_test_support::{Output, Process, component};
use rustix::process::Signal;

use super::{probe, request_probe, run, wasmtime};

/// Plain `wasmtime run` of the probe.
fn plain(arguments: &[&str]) -> std::process::Command {
    wasmtime(component::probe(), arguments)
}

/// The result of one attempt.
fn word(output: &Output) -> &'static str {
    match (output.stdout.contains(": ok\n"), output.status.code()) {
        (true, Some(0)) => "allowed",
        (false, Some(1)) => "refused",
        _ => panic!("neither allowed nor refused: {output:?}"),
    }
}

/// The results of one attempt in a sandbox with these options, and under plain wasmtime.
fn both(options: &[&str], arguments: &[&str]) -> [&'static str; 2] {
    [probe(options, arguments), plain(arguments)].map(|mut command| word(&run(&mut command)))
}

/// Whether the component can see an environment variable of its user.
fn environment() -> [&'static str; 2] {
    [probe(&[], &["environment"]), plain(&["environment"])].map(|mut command| {
        let output = run(command.env("HELLO_SECRET", "42"));
        assert!(output.stdout.starts_with("environment: ["), "{output:?}");
        if output.stdout.contains("HELLO_SECRET") { "allowed" } else { "refused" }
    })
}

/// Whether code that never pauses may continue.
fn endless() -> [&'static str; 2] {
    let mut free = Process::start(&mut plain(&["loop"]));
    assert_eq!(free.line(), "busy");
    let bound = run(&mut probe(&["--max-turn", "1"], &["loop"]));
    assert!(bound.stderr.contains("has been busy"), "{bound:?}");
    [if bound.status.success() { "allowed" } else { "refused" }, if free.is_running() { "allowed" } else { "refused" }]
}

/// Whether SIGTERM lets a program finish its work.
fn farewell() -> [&'static str; 2] {
    [probe(&[], &["stdin"]), plain(&["stdin"])].map(|mut command| {
        let program = Process::start(command.stdin(std::process::Stdio::piped()));
        assert_eq!(program.line(), "waiting");
        program.signal(Signal::TERM);
        let output = program.wait();
        if output.status.success() { "allowed" } else { "refused" }
    })
}

/// The results of a request to `place`, in a sandbox with these options, and under plain wasmtime.
fn request(options: &[&str], place: &str) -> [&'static str; 2] {
    let url = format!("http://{place}/");
    [request_probe(options, &[&url]), wasmtime(component::request_probe(), &[&url])].map(|mut command| {
        let output = run(&mut command);
        // The request is refused, or the host has no `wasi:http` at all.
        let told = output.stderr.contains("refused") || output.stderr.contains("wasi:http");
        assert!(output.status.success() || told, "{output:?}");
        word(&output)
    })
}

/// The address of a server that responds with 204 (No Content), as long as the tests run.
fn answering() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let place = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a caller");
            // These bytes are enough to recognize a request.
            stream.read_exact(&mut [0; 16]).expect("a request");
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("it reads");
        }
    });
    place
}

#[test]
fn the_table_of_the_sandbox_page_is_what_happens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let place = listener.local_addr().expect("an address").to_string();
    let listen = ["--allow-listen", "127.0.0.1:0"];
    let web = answering();
    let rows = [
        ("listen on an address that was granted", both(&listen, &["listen", "127.0.0.1:0"])),
        ("listen on another address, such as 0.0.0.0", both(&listen, &["listen", "0.0.0.0:0"])),
        ("connect to an address that was granted", both(&["--allow-connect", &place], &["connect", &place])),
        ("connect to another address", both(&[], &["connect", &place])),
        ("send an HTTP request to an address that was granted", request(&["--allow-connect", &web], &web)),
        ("send an HTTP request to another address", request(&[], &web)),
        ("use UDP", both(&[], &["udp", "127.0.0.1:0"])),
        ("look up a name", both(&[], &["name", "localhost"])),
        ("read a file", both(&[], &["read", "Cargo.toml"])),
        ("write a file", both(&[], &["write", "hello-probe-was-here"])),
        ("see an environment variable", environment()),
        ("take more memory than `--max-memory`", both(&["--max-memory", "64"], &["memory", "100"])),
        ("never pause, for longer than `--max-turn`", endless()),
        ("finish what it does when SIGTERM comes", farewell()),
        ("draw random numbers", both(&[], &["random"])),
    ];
    let mut observed =
        String::from("| attempt | `hello-runner` | `wasmtime run -S inherit-network` |\n|---|---|---|\n");
    for (attempt, [ours, plain]) in rows {
        observed += &format!("| {attempt} | {ours} | {plain} |\n");
    }
    let page = fs::read_to_string(component::root().join("docs/sandbox.md")).expect("a page");
    assert!(page.contains(&(observed.clone() + "\n")), "docs/sandbox.md has another table than\n{observed}");
}
