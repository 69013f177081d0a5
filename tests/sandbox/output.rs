//! A reader of the output of a component cannot stop the component.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hello_test_support::process::address_in;
use hello_test_support::{GET, HELLO, Process, component, connect, runner};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;

use super::{probe, run, server};

#[test]
fn all_that_is_printed_arrives() {
    let output = run(&mut probe(&[], &["print", "1000000"]));
    let line = "x".repeat(63) + "\n";
    assert!(output.stdout == line.repeat(1_000_000 / 64), "{} bytes", output.stdout.len());
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn a_component_starts_after_its_grants_are_printed() {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    fcntl_setfl(&writer, OFlags::NONBLOCK).expect("a pipe");
    let mut before = 0;
    while let Ok(written) = writer.write(&[b'.'; 1024]) {
        before += written;
    }
    fcntl_setfl(&writer, OFlags::empty()).expect("a pipe");

    let mut command = Command::new(runner());
    command.arg(component::probe()).args(["print", "64"]).stdin(Stdio::null());
    // The code is compiled now.
    assert_eq!(run(&mut command).stdout.len(), 64);

    command.stdout(Stdio::piped()).stderr(writer);
    let began = Instant::now();
    let mut process = Process::start_unread(&mut command);
    process.read();
    // Only on a very busy machine does this take longer than the sandbox waits.
    let early = process.stdout.recv_timeout(Duration::from_millis(500));
    assert!(early.is_err() || began.elapsed() > Duration::from_secs(1), "{early:?} before what it is granted");

    drop(command);
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("text");
    assert!(said[before..].starts_with("The sandbox lets hello-probe.wasm "), "{:?}", &said[before..]);
    assert!(process.child.wait().expect("it was started").success());
    assert_eq!(early.or_else(|_| process.stdout.recv()).expect("a line"), "x".repeat(63));
}

/// Starts a server whose standard output the caller may read, and reads its first line.
fn start() -> (Process, BufReader<std::process::ChildStdout>, std::net::SocketAddr) {
    let mut command = server(&[]);
    let mut program = Process::start_unread(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdout = BufReader::with_capacity(64, program.child.stdout.take().expect("piped"));
    program.read();
    let mut first = String::new();
    stdout.read_line(&mut first).expect("text");
    assert!(first.starts_with("Access http://"), "{first}");
    let address = address_in(&first).expect("an address");
    (program, stdout, address)
}

/// Sends this many requests on one connection, and reads the responses.
fn ask(address: std::net::SocketAddr, times: usize) {
    const AT_ONCE: usize = 100;
    let mut stream = connect(address);
    let mut bytes = Vec::new();
    for _ in 0..times / AT_ONCE {
        stream.write_all(&GET.repeat(AT_ONCE)).expect("it reads");
        bytes.clear();
        let mut piece = [0; 64 * 1024];
        let mut answered = 0;
        while answered < AT_ONCE {
            let read = stream.read(&mut piece).expect("an answer");
            assert!(read > 0, "hung up");
            bytes.extend_from_slice(&piece[..read]);
            answered = String::from_utf8_lossy(&bytes).matches(HELLO).count();
        }
    }
}

#[test]
fn an_unread_log_does_not_stop_the_server() {
    let (program, mut stdout, address) = start();
    // A line of the log has about 80 bytes: this is more than the pipe and the sandbox can hold.
    ask(address, 20_000);
    program.signal(Signal::TERM);
    let mut log = String::new();
    stdout.read_to_string(&mut log).expect("text");
    assert!(log.ends_with("Served 20000 requests in 1 call.\n"), "{:?}", log.lines().last());
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn a_log_that_is_closed_is_noted_and_does_not_stop_the_server() {
    let (program, stdout, address) = start();
    drop(stdout);
    ask(address, 2_000);
    program.signal(Signal::TERM);
    let output = program.wait();
    assert_eq!(output.stderr, "hello-server: note: the reader of the log has gone; serving on without it\n");
    assert_eq!(output.status.code(), Some(0));
}
