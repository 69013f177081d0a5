//! The steps of docs/steps.md: each client that the page has against the program before a step, which it breaks, and against the
//! program after it, which it does not.
#![cfg(all(unix, not(target_family = "wasm")))]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use hello_test_support::process::cpu_time;
use hello_test_support::{
    GET, HELLO, LAST_GET, PATIENCE, Server, by, component, is_wasmtime, launcher, read_all, read_reply, runner,
};
use rustix::process::{Pid, Signal, kill_process};

/// How long a test waits for an answer that does not come.
const A_WHILE: Duration = Duration::from_secs(2);

/// How many connections fill a program that has few file descriptors.
const CROWD: usize = 60;

/// The name of a step; step 0 is the lecture's server on one page.
fn name(step: usize) -> String {
    if step == 0 { "one_page".to_owned() } else { format!("step_{step}") }
}

/// The command that runs a step in hello-runner, with these options.
fn in_sandbox(step: usize, options: &[&str]) -> Command {
    let mut command = Command::new(runner());
    command.args(["--quiet", "--max-connections", "1000", "--allow-listen", "127.0.0.1:0"]).args(options);
    command.arg(component::example(&name(step))).arg("0");
    command
}

/// The command that runs a step in plain wasmtime.
fn in_wasmtime(step: usize) -> Command {
    let launcher = launcher();
    let mut command = Command::new(component::root().join(&launcher[0]));
    command.args(&launcher[1..]).arg(component::example(&name(step))).arg("0");
    command
}

/// The command that runs a step on the host to test with.
fn command(step: usize) -> Command {
    if is_wasmtime() { in_wasmtime(step) } else { in_sandbox(step, &[]) }
}

/// A running step, on the host to test with.
fn start(step: usize) -> Server {
    Server::launch(&mut command(step))
}

/// A running step with few file descriptors.
fn start_with_few_descriptors(step: usize) -> Server {
    Server::launch(&mut by(&["sh", "-c", "ulimit -n 40; exec \"$@\"", "sh"], &command(step)))
}

/// Clients that say nothing.
fn silent(server: &Server, clients: usize) -> Vec<TcpStream> {
    (0..clients).map(|_| server.connect()).collect()
}

/// A client that has asked, and has got no answer for a while.
fn unanswered(server: &Server) -> TcpStream {
    let mut client = server.connect();
    client.write_all(LAST_GET).expect("send a request");
    client.set_read_timeout(Some(A_WHILE)).expect("a timeout");
    let error = client.read(&mut [0]).expect_err("an answer, although the program does not serve");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client
}

/// The next line of standard error that has these words.
fn error_with(server: &Server, words: &str) {
    let line = server.stderr.recv_timeout(PATIENCE).expect("a line of standard error");
    assert!(line.contains(words), "{line:?}");
}

/// A client that asks as often as it can, and never reads.
fn deaf(server: &Server) -> TcpStream {
    let mut client = server.connect();
    client.set_nonblocking(true).expect("a socket");
    let (requests, mut refused) = (GET.repeat(1000), 0);
    while refused < 20 {
        match client.write(&requests) {
            Ok(_) => refused = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                sleep(A_WHILE / 40);
            }
            Err(error) => panic!("{error}"),
        }
    }
    client
}

/// Sends lines without an end, until the server hangs up.
fn send_without_end(server: &Server) {
    let mut client = server.connect();
    let lines = b"y\n".repeat(5000);
    let sent = (0..20_000).take_while(|_| client.write_all(&lines).is_ok()).count();
    assert!(sent < 20_000, "the program takes any number of bytes");
}

/// The processor time that a program needs for clients that all ask at once, again and again.
fn time_for_busy_clients(server: &Server) -> Option<Duration> {
    let mut clients = silent(server, 100);
    let pid = Pid::from_raw(server.pid().try_into().expect("a small number")).expect("a process");
    let before = cpu_time(server.pid())?;
    for _ in 0..20 {
        // On a busy machine a program that runs would find one request after the other.
        kill_process(pid, Signal::STOP).expect("it runs");
        for client in &mut clients {
            client.write_all(GET).expect("send a request");
        }
        kill_process(pid, Signal::CONT).expect("it is still there");
        for client in &mut clients {
            read_reply(client);
        }
    }
    Some(cpu_time(server.pid())? - before)
}

/// Stops a program in the middle of a request, sends the rest of the request once the program accepts nothing more, and returns
/// the response.
fn stopped_in_the_middle(server: Server) -> String {
    let mut client = server.connect();
    client.write_all(b"GET / HT").expect("send half a request");
    // The program has read it when it has served another client.
    server.assert_serves();
    let address = server.address();
    let stopped = spawn(move || server.stop());
    while TcpStream::connect(address).is_ok() {
        sleep(Duration::from_millis(10));
    }
    // If the program has ended, this may fail.
    let _ = client.write_all(b"TP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut response = String::new();
    let _ = client.read_to_string(&mut response);
    let output = stopped.join().expect("it ends");
    assert_eq!(output.status.success(), !response.is_empty(), "{output:?}");
    response
}

#[test]
fn the_one_page_serves_in_the_sandbox_and_in_wasmtime() {
    for mut command in [in_sandbox(0, &[]), in_wasmtime(0)] {
        let server = Server::launch(&mut command);
        server.assert_serves();
        server.assert_serves();
        assert_eq!(server.line(), "GET / HTTP/1.1");
    }
}

#[test]
fn step_1_a_client_that_hangs_up_without_a_word() {
    let before = start(0);
    drop(before.connect());
    let output = before.wait();
    assert!(output.stderr.contains("Error: the client hung up without a word"), "{output:?}");
    assert!(!output.status.success(), "{output:?}");

    let after = start(1);
    drop(after.connect());
    error_with(&after, "the client hung up without a word");
    after.assert_serves();
}

#[test]
fn step_2_a_silent_client() {
    let before = start(1);
    let client = silent(&before, 1);
    let mut other = unanswered(&before);
    drop(client);
    assert!(read_all(&mut other).ends_with(HELLO));

    let after = start(2);
    let _client = silent(&after, 1);
    after.assert_serves();
}

#[test]
fn step_3_a_request_in_two_pieces() {
    let before = start(2);
    assert!(before.ask(b"GET / HT").ends_with(HELLO), "an answer to half a request");
    assert_eq!(before.line(), "GET / HT");

    let after = start(3);
    let mut client = after.connect();
    client.write_all(b"GET / HT").expect("send half a request");
    sleep(A_WHILE / 10);
    client.write_all(b"TP/1.1\r\nHost: localhost\r\n\r\n").expect("send the rest");
    assert!(read_all(&mut client).ends_with(HELLO));
    assert_eq!(after.line(), "GET / HTTP/1.1");
}

#[test]
fn step_4_a_head_without_end() {
    // Plain wasmtime has no limit, and so this machine would have to be filled.
    let limit = ["--max-memory", "16"];
    let before = Server::launch(&mut in_sandbox(3, &limit));
    send_without_end(&before);
    let output = before.wait();
    assert!(output.stderr.contains("step_3.wasm needs ") && output.stderr.contains(", and may have 16"), "{output:?}");

    let after = if is_wasmtime() { start(4) } else { Server::launch(&mut in_sandbox(4, &limit)) };
    send_without_end(&after);
    error_with(&after, "the head of a request is too long");
    after.assert_serves();
}

#[test]
fn step_5_two_requests_on_one_connection() {
    let both = [GET, LAST_GET].concat();
    let before = start(4).ask(&both);
    assert_eq!(before.matches("HTTP/1.1 200 OK").count(), 1, "{before}");

    let server = start(5);
    let after = server.ask(&both);
    assert_eq!(after.matches("HTTP/1.1 200 OK").count(), 2, "{after}");
    let mut client = server.connect();
    for _ in 0..3 {
        client.write_all(GET).expect("send a request");
        read_reply(&mut client);
    }
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("send the last request");
    assert!(read_all(&mut client).ends_with(HELLO));
}

#[test]
fn step_6_more_clients_than_file_descriptors() {
    let before = start_with_few_descriptors(5);
    // The program stops listening, and ends when the last client has left.
    let clients: Vec<_> = (0..CROWD).map_while(|_| TcpStream::connect(before.address()).ok()).collect();
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(before.address()).is_ok() {
        assert!(Instant::now() < end, "it still listens");
        sleep(Duration::from_millis(10));
    }
    drop(clients);
    let output = before.wait();
    assert!(output.stderr.contains("Error: ") && !output.status.success(), "{output:?}");

    let after = start_with_few_descriptors(6);
    let clients = silent(&after, CROWD);
    let mut other = unanswered(&after);
    drop(clients);
    assert!(read_all(&mut other).ends_with(HELLO));
}

#[test]
fn clients_that_reset_their_connections_delay_no_other_client() {
    for step in 8..=10 {
        start(step).assert_serves_after_resets();
    }
}

#[test]
fn step_7_silent_clients_that_stay() {
    let (before, after) = (start_with_few_descriptors(6), start_with_few_descriptors(7));
    let clients = [silent(&before, CROWD), silent(&after, CROWD)];
    // This takes ten seconds: the deadline.
    after.assert_serves();
    let _other = unanswered(&before);
    drop(clients);
}

#[test]
fn step_8_a_client_that_never_reads() {
    let before = start(7);
    let client = deaf(&before);
    if is_wasmtime() {
        // The deadline of the write passes: the program drops the connection, and stands still until the client leaves.
        let stuck = loop {
            let mut other = before.connect();
            other.set_read_timeout(Some(A_WHILE)).expect("a timeout");
            other.write_all(LAST_GET).expect("send a request");
            if other.read(&mut [0]).is_err() {
                break other;
            }
        };
        let _other = unanswered(&before);
        drop((client, stuck));
    } else {
        // The sandbox sends the rest by itself.
        error_with(&before, "future timed out");
    }
    before.assert_serves();

    let after = start(8);
    let _client = deaf(&after);
    error_with(&after, "the timeout has passed");
    after.assert_serves();
}

#[test]
fn step_8_a_hundred_busy_clients() {
    let [before, after] = [7, 8].map(|step| time_for_busy_clients(&start(step)));
    let (Some(before), Some(after)) = (before, after) else { return };
    println!("step 7 needs {before:?} for 2,000 requests of 100 clients, and step 8 {after:?}");
    // A question of the runtime about a connection is cheap in the sandbox, and dear in plain wasmtime.
    assert!(!is_wasmtime() || before > 2 * after, "{before:?}, {after:?}");
}

#[test]
fn step_9_a_request_in_progress_when_the_program_is_stopped() {
    // Plain wasmtime ends a program only by a signal, at once.
    if !is_wasmtime() {
        assert_eq!(stopped_in_the_middle(start(8)), "");
    }
    for step in [9, 10] {
        assert!(stopped_in_the_middle(start(step)).ends_with(HELLO), "step {step}");
    }
}

#[test]
fn step_10_a_stop_without_a_request_in_progress() {
    let time_to_stop = |step| {
        let server = start(step);
        // A connection without a request is not waited for.
        let mut idle = server.connect();
        idle.write_all(GET).expect("send a request");
        read_reply(&mut idle);
        let begin = Instant::now();
        let output = server.stop();
        assert!(output.status.success(), "step {step}: {output:?}");
        begin.elapsed()
    };
    let [before, after] = [9, 10].map(time_to_stop);
    println!("step 9 stops in {before:?}, and step 10 in {after:?}");
    assert!(before > 2 * after, "{before:?}, {after:?}");
}
