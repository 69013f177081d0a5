//! `--instances`: several instances of one component on one address. They fail, and are ended, one by one.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;

use hello_test_support::{Process, by, component, connect, hearing};
use rustix::process::Signal;

use super::{assert_failed, probe, run, sandbox};

/// Starts `instances` of the worker with these further options of the sandbox, and waits until all listen.
fn start(instances: usize, options: &[&str]) -> (Process, SocketAddr) {
    let number = instances.to_string();
    let mut command = sandbox(&["--instances", &number, "--allow-listen", "127.0.0.1:0"]);
    command.args(options).arg(component::worker()).arg("127.0.0.1:0").stdin(Stdio::null());
    let program = Process::start(&mut by(hearing(), &command));
    let lines: Vec<String> = (0..instances).map(|_| program.line()).collect();
    let address = lines[0].strip_prefix("Listening on ").and_then(|address| address.parse().ok()).expect("an address");
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    (program, address)
}

fn ask(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n").expect("it is open");
}

/// Reads a whole response. Returns the number of the instance, which is its body.
fn read_number(stream: &mut TcpStream) -> String {
    let (mut reply, mut piece) = (String::new(), [0; 256]);
    loop {
        let read = stream.read(&mut piece).expect("a reply");
        assert!(read > 0, "hung up after {reply:?}");
        reply += std::str::from_utf8(&piece[..read]).expect("text");
        if let Some((_, body)) = reply.split_once("\r\n\r\n")
            && let Some(number) = body.strip_suffix('\n')
        {
            return number.to_owned();
        }
    }
}

/// A connection to each instance, by the number that the instance has drawn.
fn connect_to_each(address: SocketAddr, instances: usize) -> Vec<(String, TcpStream)> {
    let mut found = HashMap::new();
    // All connections stay open while more are made, so that a full instance leaves the next one to the others.
    let mut others = Vec::new();
    while found.len() < instances {
        let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(address)).collect();
        // While one instance works, another one takes the next connection.
        streams.iter_mut().for_each(|stream| ask(stream, "/work"));
        for mut stream in streams {
            if let Some(other) = found.insert(read_number(&mut stream), stream) {
                others.push(other);
            }
        }
        assert!(others.len() < 5000, "only {} of {instances} instances answer", found.len());
    }
    found.into_iter().collect()
}

#[test]
fn each_instance_serves_on_the_same_address_and_one_signal_stops_all() {
    let (program, address) = start(3, &[]);
    let mut each = connect_to_each(address, 3);
    for (number, stream) in &mut each {
        ask(stream, "/");
        assert_eq!(read_number(stream), *number);
    }
    program.signal(Signal::INT);
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn an_instance_that_fails_or_loops_is_ended_and_told_and_starts_again_while_the_others_serve() {
    for (path, words) in [
        ("/panic", "of hello-worker.wasm failed: wasm trap: wasm `unreachable` instruction executed"),
        ("/loop", "of hello-worker.wasm has been busy for 2 seconds without a pause, so it was ended"),
    ] {
        let (program, address) = start(2, &["--max-turn", "2"]);
        let mut each = connect_to_each(address, 2);
        let (_, failing) = &mut each[0];
        ask(failing, path);
        // The new instance listens when the old one has been told about.
        let line = program.line();
        assert_eq!(line, format!("Listening on {address}"));
        let (number, stream) = &mut each[1];
        ask(stream, "/");
        assert_eq!(read_number(stream), *number);
        let again = connect_to_each(address, 2);
        assert!(again.iter().any(|(other, _)| other == number), "{path}: the other one serves on");
        program.signal(Signal::TERM);
        let output = program.wait();
        assert!(output.stderr.contains(words), "{}", output.stderr);
        assert!(output.stderr.contains("the others serve on, and it starts again"), "{}", output.stderr);
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn lines_of_several_instances_stay_whole() {
    let (program, address) = start(2, &[]);
    let mut each = connect_to_each(address, 2);
    for _ in 0..50 {
        for (_, stream) in &mut each {
            ask(stream, "/print");
        }
        for (_, stream) in &mut each {
            read_number(stream);
        }
    }
    program.signal(Signal::TERM);
    let output = program.wait();
    let whole = |line: &str| each.iter().any(|(number, _)| line == format!("{number} says a line, {number}"));
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 100);
    assert!(lines.iter().all(|line| whole(line)), "{lines:?}");
}

#[test]
fn when_an_instance_returns_the_others_are_asked_to_stop() {
    let (program, address) = start(2, &[]);
    let mut stream = connect(address);
    ask(&mut stream, "/exit");
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn a_component_that_fails_at_once_is_not_started_again() {
    let output = run(&mut probe(&["--instances", "2"], &["panic"]));
    assert_failed(&output, 1, "of hello-probe.wasm failed", "it gave up by itself");
    let output = run(&mut probe(&["--instances", "2"], &["exit", "1"]));
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(1)));
}

#[test]
fn each_instance_has_the_limits_for_itself() {
    let output = run(&mut probe(&["--instances", "3", "--max-memory", "16"], &["memory", "12"]));
    assert_eq!(output.stdout, "memory 12: ok\n".repeat(3));
}
