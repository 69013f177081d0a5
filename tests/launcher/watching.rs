//! `--watch`: the effect of a change, files that are no change, and the end.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use hello_test_support::{HELLO, Output, Process, Server, by, hearing, not_tested, read_all};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};

use super::pretended::Project;

/// A server that follows the source of `project`, on a free port.
fn watch(project: &Project, words: &[&str]) -> Server {
    let launch = project.launch(&[&["serve", "--watch", "--log", "off"], words].concat());
    Server::launch(&mut by(hearing(), &launch))
}

fn pid(server: &Server) -> Pid {
    Pid::from_raw(server.pid().try_into().expect("a number")).expect("not zero")
}

/// Waits for another line that names an address, and returns its port.
fn next_port(server: &Server) -> u16 {
    let line = std::iter::repeat_with(|| server.line()).find(|line| line.starts_with("Access ")).expect("a line");
    line.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// Asserts that no server listens at this address any more.
fn assert_gone(address: std::net::SocketAddr) {
    assert!(std::net::TcpStream::connect(address).is_err(), "a server still listens at {address}");
}

/// Waits until cargo has been called more than `number` times.
fn wait_for_calls(project: &Project, number: usize) {
    let began = std::time::Instant::now();
    while project.calls().len() <= number {
        assert!(began.elapsed() < hello_test_support::PATIENCE, "{:?}", project.calls());
        std::thread::yield_now();
    }
}

fn lines_with(output: &Output, words: &str) -> usize {
    output.stderr.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn each_signal_that_only_the_launcher_gets_ends_everything_and_gracefully() {
    for (name, signal) in [("int", Signal::INT), ("term", Signal::TERM), ("hup", Signal::HUP)] {
        let project = Project::new(&format!("watch-{name}"));
        let server = watch(&project, &["--port", "0"]);
        server.assert_serves();
        let address = server.address();
        server.signal(signal);
        let output = server.wait();
        assert_eq!(output.stdout, "Shutting down...\nServed 1 request in 1 call.\n", "{name}: {output:?}");
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        assert_gone(address);
    }
}

#[test]
fn ctrl_c_reaches_the_server_once_although_it_is_sent_to_the_whole_group() {
    use std::os::unix::process::CommandExt as _;
    let project = Project::new("watch-group");
    let mut launch = project.launch(&["serve", "--watch", "--port", "0", "--log", "off"]);
    let server = Server::launch(launch.process_group(0));
    // The server waits for this client. A second signal would end the server at once, and cut the client off.
    let mut client = server.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").expect("write half a request");
    server.assert_serves();
    kill_process_group(pid(&server), Signal::INT).expect("it is there");
    assert_eq!(server.line(), "Shutting down...");
    client.write_all(b"\r\n").expect("write the rest");
    assert!(read_all(&mut client).ends_with(HELLO));
    let output = server.wait();
    assert_eq!(output.stdout, "Served 2 requests in 2 calls.\n", "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let project = Project::new("watch-twice");
    let server = watch(&project, &["--port", "0", "--grace", "600"]);
    // The server waits for this client, which has begun a request.
    let mut client = server.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: ").expect("write half a request");
    server.assert_serves();
    server.signal(Signal::INT);
    assert_eq!(server.line(), "Shutting down...");
    server.signal(Signal::INT);
    assert_eq!(server.wait().status.code(), Some(130));
}

/// A server with half a request of this client, for the rest of which it waits before any end.
fn half_asked(project: &Project) -> (Server, TcpStream) {
    let server = watch(project, &["--port", "0", "--grace", "600"]);
    let mut client = server.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").expect("write half a request");
    server.assert_serves();
    (server, client)
}

/// Sends the other half of the request, and asserts that the response comes.
fn assert_answers(mut client: TcpStream) {
    client.write_all(b"\r\n").expect("write the rest");
    assert!(read_all(&mut client).ends_with(HELLO));
}

#[test]
fn a_server_whose_launcher_is_killed_stops_gracefully() {
    let project = Project::new("watch-killed");
    let (server, client) = half_asked(&project);
    server.signal(Signal::KILL);
    assert_eq!(server.line(), "Shutting down...");
    assert_answers(client);
    assert_eq!(server.line(), "Served 2 requests in 2 calls.");
}

#[test]
fn a_terminal_that_closes_is_not_in_a_hurry() {
    let project = Project::new("watch-closing");
    let (server, client) = half_asked(&project);
    server.signal(Signal::HUP);
    assert_eq!(server.line(), "Shutting down...");
    server.signal(Signal::HUP);
    server.signal(Signal::TERM);
    assert_answers(client);
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn the_first_signal_lets_a_server_that_is_being_replaced_stop_gracefully() {
    let project = Project::new("watch-replacing");
    let (server, client) = half_asked(&project);
    project.write("src/hello.rs", "another");
    assert_eq!(server.line(), "Shutting down...");
    server.signal(Signal::INT);
    assert_answers(client);
    let output = server.wait();
    assert_eq!(output.stdout, "Served 2 requests in 2 calls.\n", "{output:?}");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
}

#[test]
fn a_server_that_was_started_with_nohup_survives_its_terminal() {
    if !cfg!(target_os = "linux") {
        return not_tested("this system does not tell which signals are ignored", "run it on Linux");
    }
    let project = Project::new("watch-nohup");
    let launch = project.launch(&["serve", "--watch", "--port", "0", "--log", "off"]);
    let mut nohup = by(&["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""], &launch);
    let server = Server::launch(&mut nohup);
    server.signal(Signal::HUP);
    project.write("src/hello.rs", "another");
    next_port(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn a_signal_ends_the_build_that_is_under_way() {
    let project = Project::new("watch-building");
    project.program("cargo", "#!/bin/sh\necho $$\n: >@/calls\nexec sleep 1000 >/dev/null\n");
    // The output ends when no process is left that the launcher has started.
    let launch = &mut project.launch(&["serve", "--watch"]);
    let mut process = Process::start_unread(launch.stderr(Stdio::piped()));
    while !project.folder.join("calls").exists() {
        std::thread::yield_now();
    }
    process.signal(Signal::TERM);
    process.read();
    let output = process.wait();
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(143), ""));
}

#[test]
fn a_change_replaces_the_server_and_what_an_editor_writes_does_not() {
    let project = Project::new("watch-changes");
    let server = watch(&project, &["--port", "0"]);
    let first = server.address();
    server.assert_serves();
    // Files about which the launcher does not ask cargo, and then files that are no source for cargo.
    for name in ["#hello.rs#", "hello.rs~", ".hello.rs.swp", ".#hello.rs"] {
        project.write(&format!("src/{name}"), "broken");
    }
    for name in ["4913", "hello.rs.orig"] {
        let calls = project.calls().len();
        project.write(&format!("src/{name}"), "broken");
        fs::remove_file(project.folder.join("src").join(name)).expect("a file");
        wait_for_calls(&project, calls);
    }
    server.assert_serves();
    // An editor that saves atomically writes another file, and renames it.
    project.write("src/new", "one");
    fs::rename(project.folder.join("src/new"), project.folder.join("src/hello.rs")).expect("a file");
    let second = next_port(&server);
    assert_gone(first);
    project.write("src/hello.rs", "two");
    next_port(&server);
    server.signal(Signal::INT);
    let output = server.wait();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(lines_with(&output, "Something has changed in src."), 2, "{output:?}");
    assert_gone((std::net::Ipv4Addr::LOCALHOST, second).into());
    assert_eq!(lines_with(&output, "The sandbox lets"), 1, "what is granted is said once: {output:?}");
}

#[test]
fn a_failed_build_leaves_the_server_running() {
    let project = Project::new("watch-broken");
    let server = watch(&project, &["--port", "0"]);
    let calls = project.calls().len();
    project.write("src/hello.rs", "broken");
    wait_for_calls(&project, calls);
    server.assert_serves();
    project.write("src/hello.rs", "mended");
    next_port(&server);
    server.signal(Signal::TERM);
    let output = server.wait();
    assert_eq!(lines_with(&output, "It does not build, so the server goes on as it was."), 1, "{output:?}");
}

#[test]
fn a_failed_build_is_tried_again() {
    let project = Project::new("watch-broken-first");
    project.write("src/hello.rs", "broken");
    let launch = &mut project.launch(&["serve", "--watch", "--port", "0", "--log", "off"]);
    let process = Process::start(launch);
    assert!(
        process
            .stderr
            .iter()
            .any(|line| line == "It does not build; that is tried again when something in src has changed.")
    );
    project.write("src/hello.rs", "mended");
    assert!(process.stdout.iter().any(|line| line.starts_with("Access ")));
    process.signal(Signal::TERM);
    assert_eq!(process.wait().status.code(), Some(0));
}

#[test]
fn a_server_that_has_failed_is_started_anew_at_the_next_change() {
    let project = Project::new("watch-failed");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let launch = &mut project.launch(&["serve", "--watch", "--log", "off", "--quiet", "--listen"]);
    launch.arg(format!("127.0.0.1:{port}"));
    let process = Process::start(launch);
    assert!(
        process
            .stderr
            .iter()
            .any(|line| line == "The server has ended; it is started anew when something in src has changed.")
    );
    drop(taken);
    project.write("src/hello.rs", "another");
    assert!(process.stdout.iter().any(|line| line == format!("Access http://127.0.0.1:{port}")));
    process.signal(Signal::TERM);
    assert_eq!(process.wait().status.code(), Some(0));
}

#[test]
fn a_server_in_plain_wasmtime_stops_gracefully_too() {
    let project = Project::new("watch-wasmtime");
    let server = watch(&project, &["--wasmtime", "--port", "0"]);
    server.assert_serves();
    project.write("src/hello.rs", "another");
    assert_eq!(server.line(), "Shutting down...");
    assert_eq!(server.line(), "Served 1 request in 1 call.");
    next_port(&server);
    server.signal(Signal::INT);
    let output = server.wait();
    assert_eq!(
        (output.stdout.as_str(), output.status.code()),
        ("Shutting down...\nServed 0 requests in 0 calls.\n", Some(0))
    );
}

#[test]
fn a_mistake_in_the_options_is_not_waited_with() {
    let project = Project::new("watch-mistake");
    let output = hello_test_support::run(&mut project.launch(&["serve", "--watch", "--port", "x"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_server_does_not_outlive_the_launcher() {
    let project = Project::new("watch-ended");
    let server = watch(&project, &["--port", "0"]);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap_or_default();
    let Some(child) = children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?)) else {
        return not_tested("this system does not tell which processes a process has started", "run it on Linux");
    };
    server.signal(Signal::TERM);
    server.wait();
    assert!(test_kill_process(child).is_err());
}
