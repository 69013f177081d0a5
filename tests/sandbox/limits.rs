//! Limits: the resources that a component may have, and the result when its code fails or never pauses.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hello_server::http::MAX_HEAD;
use hello_test_support::{
    GET, Output, PATIENCE, Process, Server, by, component, connect, not_tested, read_reply, runner,
};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use super::{assert_failed, probe, run, sandbox, section, sections};

#[test]
fn more_memory_than_allowed_is_reported_with_figures_and_the_advice_helps() {
    let output = run(&mut probe(&["--max-memory", "32"], &["memory", "40"]));
    assert_failed(&output, 1, "hello-probe.wasm needs 42 MiB of memory, and may have 32", "--max-memory ");
    assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2));
    let advised = output.stderr.trim_end().rsplit(' ').next().expect("a number");
    let output = run(&mut probe(&["--max-memory", advised], &["memory", "40"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("memory 40: ok\n", ""));
    assert!(output.status.success());
}

#[test]
fn without_the_option_the_limit_is_for_as_many_connections_as_there_may_be() {
    let output = run(&mut probe(&["--max-connections", "1000"], &["memory", "60"]));
    assert_eq!((output.stdout.as_str(), output.status.code()), ("memory 60: ok\n", Some(0)));
    let output = run(&mut probe(&["--max-connections", "100"], &["memory", "64"]));
    assert_failed(&output, 1, "and may have 15", "--max-memory");
}

#[test]
fn six_hundred_idle_connections_of_the_server_fit_into_4_mib() {
    // The limit is enough for 4 KiB for each connection, and for the rest of the server.
    let mut command = sandbox(&["--max-memory", "4", "--max-connections", "700", "--allow-listen", "127.0.0.1:0"]);
    let server = Server::launch(command.arg(component::path()).args(["--listen", "127.0.0.1:0", "--log", "off"]));
    let mut peers: Vec<_> = (0..600).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.write_all(GET).expect("it reads");
        read_reply(peer);
    }
    peers[0].write_all(GET).expect("it is still there");
    read_reply(&mut peers[0]);
}

/// The most memory that a peer can occupy: with a head of the greatest length, whose end comes together with more requests,
/// and without reading the responses.
#[test]
fn a_thousand_of_the_worst_peers_fit_into_48_kib_each() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("up to there it may go");
    let mut command = sandbox(&["--max-memory", "55", "--max-connections", "1100", "--allow-listen", "127.0.0.1:0"]);
    let server = Server::launch(command.arg(component::path()).args(["--listen", "127.0.0.1:0", "--log", "off"]));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nLong: {}", "x".repeat(MAX_HEAD - 40));
    assert!((MAX_HEAD - 5..MAX_HEAD).contains(&(head.len() + 4)), "it is as long as may be");
    let requests = [b"\r\n\r\n", &b"GET / HTTP/1.1\r\nHost:\r\n\r\n".repeat(4000)[..]].concat();
    let mut peers: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.write_all(head.as_bytes()).expect("it reads");
        peer.set_nonblocking(true).expect("it is connected");
    }
    // All heads have been read before this response.
    server.assert_serves();
    // The peers write until no connection has taken more for a while.
    for _ in 0..10 {
        for peer in &mut peers {
            while peer.write(&requests).is_ok() {}
        }
        server.assert_serves();
    }
    drop(peers);
    server.assert_serves();
}

/// A halted process is not busy.
#[test]
fn a_process_that_was_halted_in_the_middle_of_a_turn_is_not_taken_for_a_loop() {
    let mut command = sandbox(&["--max-turn", "1", "--allow-listen", "127.0.0.1:0"]);
    command.arg(component::path()).args(["--listen", "127.0.0.1:0", "--stop-when-stdin-closes", "--log", "off"]);
    let program = Process::start(&mut command);
    let address = program.address();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Clients keep the server busy, so that it is probably halted in a turn.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut stream = connect(address);
                while !over.load(Ordering::Relaxed) {
                    stream.write_all(GET).expect("it reads");
                    read_reply(&mut stream);
                }
            });
        }
        for _ in 0..3 {
            program.signal(Signal::STOP);
            std::thread::sleep(Duration::from_millis(1500));
            program.signal(Signal::CONT);
            let mut stream = connect(address);
            stream.write_all(GET).expect("it reads");
            read_reply(&mut stream);
        }
        over.store(true, Ordering::Relaxed);
    });
    program.signal(Signal::TERM);
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

/// WASI has no number for a time before 1970.
#[test]
fn a_clock_that_stands_before_1970_brings_nothing_down() {
    const BEFORE: [&str; 3] =
        ["env", "LD_PRELOAD=/usr/$LIB/faketime/libfaketimeMT.so.1", "FAKETIME=@1960-01-01 00:00:00"];
    let year = Command::new(BEFORE[0]).args(&BEFORE[1..]).args(["date", "+%Y"]).output();
    if !year.is_ok_and(|output| output.stdout == b"1960\n") {
        not_tested("there is no libfaketime", "install it (on Debian: libfaketime)");
        return;
    }
    let mut command = sandbox(&["--allow-listen", "127.0.0.1:0"]);
    command.arg(component::path()).args(["--listen", "127.0.0.1:0"]);
    let program = Process::start(&mut by(&BEFORE, &command));
    let mut stream = connect(program.address());
    stream.write_all(GET).expect("it reads");
    let reply = read_reply(&mut stream);
    assert!(reply.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"), "{reply}");
}

#[test]
fn what_it_needs_to_start_at_all_counts_too() {
    let output = run(&mut probe(&["--max-memory", "1"], &["arguments"]));
    assert_failed(&output, 1, "needs 2 MiB of memory, and may have 1", "--max-memory 4");
}

/// The line before the places in the code of the component where it failed.
const PLACE: &str = "error while executing at wasm backtrace:\n";

/// Asserts that the component failed with this cause and this advice, and that `--verbose` adds the place.
fn assert_traps(arguments: &[&str], cause: &str, advice: &str) -> Output {
    let output = run(&mut probe(&[], arguments));
    assert_failed(&output, 1, &format!("hello-probe.wasm failed: {cause}"), advice);
    assert!(output.stderr.ends_with("; --verbose says where\n"), "{output:?}");
    let verbose = run(&mut probe(&["--verbose"], arguments));
    let (words, place) = verbose.stderr.split_once(PLACE).unwrap_or_else(|| panic!("no place: {verbose:?}"));
    assert_eq!(words, output.stderr.replace("; --verbose says where", ""));
    assert!(place.contains("0: ") && place.contains("1: "), "{place}");
    assert_eq!(verbose.status.code(), Some(1));
    output
}

#[test]
fn a_panic_is_reported_in_two_lines_behind_its_own_message() {
    let output = assert_traps(&["panic"], "wasm trap: wasm `unreachable`", "what it said before may tell why");
    assert!(output.stderr.contains("as it was told to\n"), "{output:?}");
}

#[test]
fn endless_recursion_is_reported() {
    let output = assert_traps(&["overflow"], "wasm trap: call stack exhausted", "calls itself without an end");
    assert_eq!(output.stderr.lines().count(), 2);
    // The stack of a program is in its memory, and its overflow has this cause.
    assert_traps(&["deep"], "wasm trap: out of bounds memory access", "calls itself without an end");
}

#[test]
fn the_exit_code_is_that_of_the_component() {
    for (code, expected) in [("0", 0), ("1", 1)] {
        let output = run(&mut probe(&[], &["exit", code]));
        let said = (output.stdout.as_str(), output.stderr.as_str(), output.status.code());
        assert_eq!(said, ("", "", Some(expected)));
    }
}

#[test]
fn code_that_never_waits_is_ended_after_its_turn() {
    let output = run(&mut probe(&["--max-turn", "1"], &["loop"]));
    assert_failed(&output, 1, "hello-probe.wasm has been busy for 1 second", "--max-turn");
    assert_eq!(output.stdout, "busy\n");
    let output = run(&mut probe(&["--max-turn", "1", "--verbose"], &["loop"]));
    assert!(output.stderr.contains(PLACE), "{output:?}");
}

#[test]
fn to_wait_is_not_to_be_busy() {
    let output = run(&mut probe(&["--max-turn", "1"], &["sleep", "3"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("sleeping\nsleep 3: ok\n", ""));
    assert_eq!(output.status.code(), Some(0));
}

/// The probe with this core module at its end, instantiated this many times.
fn probe_with(name: &str, module: &[u8], times: u8) -> std::path::PathBuf {
    let mut bytes = fs::read(component::probe()).expect("a component");
    // The number of its modules: the sections with the number 1.
    let modules = sections(&bytes).iter().filter(|(id, _)| *id == 1).count() as u8;
    bytes.extend(section(1, module));
    bytes.extend(section(2, &[&[times][..], &[0, modules, 0].repeat(times.into())].concat()));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

/// A core module with these sections.
fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x01\0\0\0"[..], &sections.concat()].concat()
}

#[test]
fn parts_beyond_the_limit_are_reported_before_anything_runs() {
    let tables = |count: u8| module(&[section(4, &[&[count][..], &[0x70, 0, 0].repeat(count.into())].concat())]);
    let memories = |count: u8| module(&[section(5, &[&[count][..], &[0, 0].repeat(count.into())].concat())]);
    // 100000 and 100001 in LEB128.
    let elements = |last: u8| module(&[section(4, &[1, 0x70, 0, last, 0x8d, 0x06])]);
    for (name, module, times, cause) in [
        ("instances", module(&[]), 101, "instance count too high"),
        ("tables", tables(60), 2, "table count too high"),
        ("memories", memories(60), 2, "memory count too high"),
        ("elements", elements(0xa1), 1, "100001 elements exceeds table limits"),
    ] {
        let output = run(sandbox(&[]).arg(probe_with(name, &module, times)).arg("arguments"));
        assert_failed(&output, 1, &format!("{name} cannot be started: "), "there may be 100 instances, memories and");
        assert!(output.stderr.contains(cause) && !output.stderr.contains("--verbose"), "{output:?}");
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2), "{output:?}");
    }
    for (name, module, times) in [("few", module(&[]), 50), ("wide", tables(50), 1), ("long", elements(0xa0), 1)] {
        let output = run(sandbox(&[]).arg(probe_with(name, &module, times)).arg("arguments"));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("arguments: []\n", ""));
    }
}

#[test]
fn handles_beyond_the_limit_are_reported_with_figures() {
    let output = run(&mut probe(&[], &["handles", "200001"]));
    let advice = "a --max-connections above 20000 allows more";
    assert_failed(&output, 1, "hello-probe.wasm holds more than 200000 handles of the host", advice);
    let output = run(&mut probe(&["--max-connections", "100000"], &["handles", "200001"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("handles 200001: ok\n", ""));
}

#[test]
fn descriptors_are_raised_as_far_as_the_system_lets_it() {
    let shell = |limits: &str| format!("{limits} && exec \"$0\" \"$@\"");
    let mut inner = Command::new(runner());
    inner.args(["--max-connections", "200"]).arg(component::probe());
    let soft = shell("ulimit -Sn 64 && ulimit -Hn 300");
    let program = Process::start(by(&["sh", "-c", &soft], &inner).args(["sleep", "86400"]));
    assert_eq!(program.line(), "sleeping");
    if let Ok(limits) = fs::read_to_string(format!("/proc/{}/limits", program.pid())) {
        let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
        assert_eq!(files.split_whitespace().nth(3), Some("300"), "{files}");
    }
    program.signal(Signal::TERM);
    assert!(!program.wait().stderr.contains("note"));
}

/// A limit as with `ulimit -n 40`. The connections that the sandbox calls possible are possible, and one more is not. A
/// descriptor above the limit, from before the limit was lowered, takes no room.
#[test]
fn as_many_connections_as_documented_are_possible() {
    assert_room_for_all("ulimit -n 40");
    assert_room_for_all("exec 99</dev/null && ulimit -n 40");
}

fn assert_room_for_all(limit: &str) {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]).arg(runner());
    command.args(["--max-connections", "200", "--allow-listen", "127.0.0.1:0"]).arg(component::path());
    let program = Process::start(command.args(["--listen", "127.0.0.1:0", "--log", "off"]).stdin(Stdio::null()));
    let address = program.address();
    let next = || program.stderr.recv_timeout(PATIENCE).expect("a line");
    let note = "hello-runner: note: the system grants 40 file descriptors, so there can be ";
    // The grants come before it.
    let said = std::iter::repeat_with(next).find(|line| line.starts_with("hello-runner: ")).expect("a note");
    let room = said.strip_prefix(note).and_then(|rest| rest.strip_suffix(" connections at a time, not 200"));
    let room: usize = room.and_then(|room| room.parse().ok()).unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(next(), "  raise the limit (ulimit -n), or take a smaller --max-connections");

    let ask = || {
        let mut peer = connect(address);
        peer.write_all(GET).expect("it reads");
        read_reply(&mut peer);
        peer
    };
    let mut peers: Vec<_> = (0..room).map(|_| ask()).collect();
    for peer in &mut peers {
        peer.write_all(GET).expect("it is still there");
        read_reply(peer);
    }
    assert_eq!(program.stderr.try_iter().collect::<Vec<_>>(), [""; 0], "there was room for each");
    // The server has to evict another connection for this one.
    ask();
    let told = program.stderr.recv_timeout(PATIENCE).expect("a line");
    assert!(told.contains("the system has no room for another connection"), "{told}");
}
