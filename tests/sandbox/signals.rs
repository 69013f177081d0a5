//! Ctrl-C, SIGTERM and a terminal that closes: the sandbox asks a component that reads standard input to stop, and ends any
//! other; no component can stay.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use hello_test_support::{
    GET, HELLO, LAST_GET, Process, by, component, connect, hearing, not_tested, read_all, read_reply,
};
use rustix::process::{Pid, Signal, kill_process};

use super::{assert_failed, probe, sandbox, server, wasmtime, works};

/// The signals that end a program, and the exit code of a program that does not end by itself.
const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// The signals by which a person asks for an end at once.
const URGENT: [(Signal, i32); 2] = [SIGNALS[0], SIGNALS[1]];

/// Starts a probe that prints a line once it can be asked to stop, and reads this line.
fn start(options: &[&str], arguments: &[&str], line: &str) -> Process {
    let program = Process::start(&mut by(hearing(), &probe(options, arguments)));
    assert_eq!(program.line(), line);
    program
}

#[test]
fn a_component_that_never_reads_standard_input_is_ended_at_once() {
    for (signal, code) in SIGNALS {
        let program = start(&["--grace", "86400"], &["sleep", "86400"], "sleeping");
        program.signal(signal);
        let output = program.wait();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.status.code()), ("", "", Some(code)));
    }
}

#[test]
fn the_server_can_be_stopped_as_soon_as_its_url_is_printed() {
    for _ in 0..20 {
        let program = Process::start(&mut server(&[]));
        assert!(program.line().starts_with("Access http://"));
        program.signal(Signal::TERM);
        let output = program.wait();
        assert_eq!(output.stdout, "Shutting down...\nServed 0 requests in 0 calls.\n");
        assert_eq!(output.status.code(), Some(0));
    }
}

/// A sandbox that is still reading its component, for ever: the component comes out of a pipe called `name` into which
/// nothing is written.
fn reading(name: &str, starter: &[&str]) -> (Process, fs::File) {
    let pipe = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // The pipe exists if this test has run before.
    let _ = fs::remove_file(&pipe);
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
    let program = Process::start(by(starter, &sandbox(&[])).arg(&pipe));
    // The call returns when the sandbox has opened the other end.
    let silent = OpenOptions::new().write(true).open(&pipe).expect("a pipe");
    (program, silent)
}

#[test]
fn before_anything_runs_a_signal_ends_the_sandbox_at_once() {
    for (signal, code) in SIGNALS {
        let (program, _silent) = reading(&format!("pipe-{code}"), hearing());
        program.signal(signal);
        let output = program.wait();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.status.code()), ("", "", Some(code)));
    }
}

/// Without a handler the kernel keeps signals from process 1.
#[test]
fn process_1_of_a_container_hears_a_signal_before_anything_runs() {
    let container = [hearing(), &["unshare", "--user", "--pid", "--fork"]].concat();
    if !works(&container) {
        return;
    }
    for (signal, code) in SIGNALS {
        let (program, _silent) = reading(&format!("pipe-1-{code}"), &container);
        let unshare = program.pid();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).expect("children");
        let pid = children.trim().parse().ok().and_then(Pid::from_raw).expect("one child");
        kill_process(pid, signal).expect("it is there");
        assert_eq!(program.wait().status.code(), Some(code));
    }
}

#[test]
fn a_component_that_reads_standard_input_is_asked_to_stop_and_ends_by_itself() {
    for (signal, _) in SIGNALS {
        let program = start(&[], &["stdin"], "waiting");
        program.signal(signal);
        let output = program.wait();
        let said = (output.stdout.as_str(), output.stderr.as_str(), output.status.code());
        assert_eq!(said, ("stdin: ok\n", "", Some(0)));
    }
}

#[test]
fn standard_input_says_nothing_and_does_not_end_before_that() {
    let mut command = probe(&[], &["stdin"]);
    let mut program = Process::start(command.stdin(Stdio::piped()));
    assert_eq!(program.line(), "waiting");
    let mut stdin = program.child.stdin.take().expect("piped");
    // Input from the terminal is not for the component. The write may fail if the pipe is closed.
    let _ = stdin.write_all(b"stop\n");
    drop(stdin);
    assert!(program.is_running());
    program.signal(Signal::INT);
    assert_eq!(program.wait().status.code(), Some(0));
}

/// The option, of the sandbox and of the server, that makes the end of standard input a request to stop.
const WITH_INPUT: &str = "--stop-when-stdin-closes";

/// The command that runs the server in a sandbox that stops with its standard input.
fn server_with_input() -> Command {
    let mut command = sandbox(&[WITH_INPUT, "--grant-needs"]);
    command.arg(component::path()).args(["--listen", "127.0.0.1:0", WITH_INPUT]);
    command
}

/// Starts a program whose standard input can be closed.
fn start_with_input(mut command: Command) -> Process {
    Process::start(command.stdin(Stdio::piped()))
}

#[test]
fn the_end_of_standard_input_stops_the_server_gracefully_if_that_was_asked_for() {
    assert_stops_gracefully(start_with_input(server_with_input()), |program| {
        let mut stdin = program.child.stdin.take().expect("piped");
        // The content of the input does not matter.
        stdin.write_all(b"stop\n\xff\0").expect("the sandbox reads");
        String::new()
    });
}

#[test]
fn a_component_whose_standard_input_has_ended_before_it_runs_stops_when_it_runs() {
    let ended = server_with_input();
    let closed = by(&["sh", "-c", "exec \"$0\" \"$@\" <&-"], &ended);
    for mut command in [ended, closed] {
        let output = Process::start(&mut command).wait();
        assert!(output.stdout.starts_with("Access http://127.0.0.1:"), "{output:?}");
        assert!(output.stdout.ends_with("\nShutting down...\nServed 0 requests in 0 calls.\n"), "{output:?}");
        assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
    }
}

#[test]
fn a_component_that_does_not_stop_at_the_end_of_standard_input_is_ended() {
    for (arguments, grace, line, cause) in [
        (&["ignore-stop"][..], "1", "waiting", "hello-probe.wasm was asked to stop and did not within 1 second"),
        (&["sleep", "86400"], "1", "sleeping", "hello-probe.wasm was asked to stop and did not within 1 second"),
        // The sandbox finds the loop long before the end of the grace time, however busy the machine is.
        (&["loop"], "86400", "busy", "hello-probe.wasm was busy and did not listen, so it was ended"),
    ] {
        let mut program = start_with_input(probe(&[WITH_INPUT, "--max-turn", "0", "--grace", grace], arguments));
        assert_eq!(program.line(), line);
        drop(program.child.stdin.take());
        assert_failed(&program.wait(), 1, cause, "");
    }
}

/// A console may send a signal to a program, and at the same time to the program that has started it.
#[test]
fn a_signal_beside_the_end_of_standard_input_is_not_in_a_hurry() {
    assert_stops_gracefully(start_with_input(server_with_input()), |program| {
        drop(program.child.stdin.take());
        // This line shows that the server has found the end of standard input.
        let mut said = program.line() + "\n";
        while !said.ends_with("Shutting down...\n") {
            said += &(program.line() + "\n");
        }
        program.signal(Signal::INT);
        said
    });
    // A signal may come before the end of standard input, too; the second signal ends the program at once.
    let mut program = start_with_input(probe(&[WITH_INPUT, "--grace", "86400"], &["ignore-stop"]));
    assert_eq!(program.line(), "waiting");
    program.signal(Signal::INT);
    assert_eq!(program.line(), "ignored: ok");
    drop(program.child.stdin.take());
    program.signal(Signal::TERM);
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(143)));
}

#[test]
fn a_component_that_was_asked_to_stop_and_goes_on_is_ended_after_its_grace() {
    let program = start(&["--grace", "1"], &["ignore-stop"], "waiting");
    program.signal(Signal::TERM);
    let output = program.wait();
    assert_failed(&output, 1, "hello-probe.wasm was asked to stop and did not within 1 second", "--grace allows more");
    assert_eq!(output.stdout, "ignored: ok\n");
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace() {
    for (signal, code) in URGENT {
        let program = start(&["--grace", "86400"], &["ignore-stop"], "waiting");
        program.signal(Signal::INT);
        assert_eq!(program.line(), "ignored: ok");
        program.signal(signal);
        let output = program.wait();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.status.code()), ("", "", Some(code)));
    }
}

/// Shells and the system both send SIGHUP when a terminal closes, and some programs send SIGTERM, too.
#[test]
fn a_terminal_that_closes_is_not_in_a_hurry() {
    assert_stops_gracefully(Process::start(&mut by(hearing(), &server(&[]))), |program| {
        program.signal(Signal::HUP);
        // This line shows that the server has received the first signal.
        let mut said = program.line() + "\n";
        while !said.ends_with("Shutting down...\n") {
            said += &(program.line() + "\n");
        }
        program.signal(Signal::HUP);
        program.signal(Signal::TERM);
        said
    });
    // A later SIGTERM still ends the program at once.
    let mut program = start(&["--grace", "86400"], &["ignore-stop"], "waiting");
    program.signal(Signal::HUP);
    assert_eq!(program.line(), "ignored: ok");
    while program.is_running() {
        program.signal(Signal::TERM);
    }
    assert_eq!(program.wait().status.code(), Some(143));
}

/// The test kills the terminal, as when its window is closed.
#[test]
fn a_request_that_has_begun_gets_its_response_though_the_terminal_has_closed() {
    // `script` is a terminal for the program that it starts.
    let is_there = Command::new("script").args(["-qec", "true", "/dev/null"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        not_tested("there is no `script` that makes a terminal", "install it (on Debian: bsdutils)");
        return;
    }
    let command = by(hearing(), &server(&[]));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("exec {}", words.join(" ")), "/dev/null"]);
    let terminal = Process::start(script.stdin(Stdio::piped()));
    let address = terminal.address();
    let mut half = connect(address);
    let (first, second) = GET.split_at(20);
    half.write_all(first).expect("it reads");
    // The server reads from connections in their order, so it has the half request before it responds on a later one.
    let mut other = connect(address);
    other.write_all(LAST_GET).expect("it reads");
    read_all(&mut other);

    terminal.signal(Signal::KILL);
    // The server accepts connections until it learns of the signal.
    while TcpStream::connect(address).is_ok() {}
    half.write_all(second).expect("it still reads");
    let reply = read_all(&mut half);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with(HELLO), "{reply}");
}

#[test]
fn a_component_that_was_started_with_nohup_outlives_its_terminal() {
    let program = Process::start(&mut by(&["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""], &server(&[])));
    let address = program.address();
    // SIGHUP is still ignored, and not only until the first one arrives.
    if let Ok(status) = fs::read_to_string(format!("/proc/{}/status", program.pid())) {
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a list");
        assert!(ignored.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']), "SIGHUP is the last bit of {ignored}");
    }
    program.signal(Signal::HUP);
    let mut peer = connect(address);
    peer.write_all(LAST_GET).expect("it reads");
    assert!(read_all(&mut peer).ends_with(HELLO));
    program.signal(Signal::TERM);
    let output = program.wait();
    assert!(output.stdout.ends_with("Shutting down...\nServed 1 request in 1 call.\n"), "{output:?}");
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

/// Other servers reopen their log, or restart.
#[test]
fn signals_that_ask_for_something_else_change_nothing() {
    let program = Process::start(&mut server(&[]));
    let address = program.address();
    let mut peer = connect(address);
    for signal in [Signal::USR1, Signal::USR2] {
        program.signal(signal);
        peer.write_all(GET).expect("it reads");
        read_reply(&mut peer);
    }
    program.signal(Signal::TERM);
    assert_eq!(program.wait().status.code(), Some(0));
}

#[test]
fn a_loop_is_ended_by_a_signal_also_if_it_may_go_on_for_ever() {
    for (signal, code) in SIGNALS {
        for options in [&[][..], &["--max-turn", "0", "--grace", "86400"]] {
            let program = start(options, &["loop"], "busy");
            program.signal(signal);
            let output = program.wait();
            assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(code)));
        }
    }
}

#[test]
fn a_loop_that_would_have_to_be_asked_is_not_waited_for() {
    for (signal, _) in SIGNALS {
        let program = start(&["--max-turn", "0", "--grace", "86400"], &["heed", "loop"], "busy");
        program.signal(signal);
        let output = program.wait();
        // This is no clean end, but systemd takes the exit code 143 for one.
        assert_failed(&output, 1, "hello-probe.wasm was busy and did not listen, so it was ended", "--verbose");
    }
}

/// Asks a server to stop by `stop` while it has half a request of one client, and another client is idle. The first client
/// gets its response, the connection of the second is closed, and no other connection is accepted. `stop` returns the
/// output of the server that it has read.
fn assert_stops_gracefully(mut program: Process, stop: impl FnOnce(&mut Process) -> String) {
    let address = program.address();
    let mut idle = connect(address);
    idle.write_all(GET).expect("it reads");
    read_reply(&mut idle);
    let mut half = connect(address);
    let (first, second) = GET.split_at(20);
    half.write_all(first).expect("it reads");
    // The server reads from connections in their order, so it has the half request before it responds on a later one.
    let mut other = connect(address);
    other.write_all(GET).expect("it reads");
    read_reply(&mut other);

    let said = stop(&mut program);
    assert_eq!(idle.read(&mut [0]).expect("an end"), 0, "the idle one is let go");
    assert_eq!(other.read(&mut [0]).expect("an end"), 0, "and so is the other one");
    let refused = TcpStream::connect(address).expect_err("nothing listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    half.write_all(second).expect("it still reads");
    let reply = read_all(&mut half);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with(HELLO), "{reply}");
    assert!(reply.contains("Connection: close\r\n"), "{reply}");
    drop(half);
    let output = program.wait();
    assert!((said + &output.stdout).contains("Shutting down...\n"), "{output:?}");
    assert!(output.stdout.ends_with("Served 3 requests in 3 calls.\n"), "{output:?}");
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn the_server_finishes_what_is_under_way_and_ends_well() {
    for (signal, _) in SIGNALS {
        let program = Process::start(&mut by(hearing(), &server(&[])));
        assert_stops_gracefully(program, |program| {
            program.signal(signal);
            String::new()
        });
    }
}

#[test]
fn under_plain_wasmtime_the_end_of_standard_input_does_the_same() {
    let options = ["--listen", "127.0.0.1:0", "--stop-when-stdin-closes"];
    let mut command: Command = wasmtime(component::path(), &options);
    assert_stops_gracefully(Process::start(command.stdin(Stdio::piped())), |program| {
        drop(program.child.stdin.take());
        String::new()
    });
}
