//! Asserts that no test leaves a process behind. `runner/test` runs this last.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use hello_test_support::leftovers::{end, leftovers, mark, spawn, spawn_as};
use hello_test_support::{PATIENCE, component, runner};

/// Waits until the condition is true, which must happen.
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_left_of_any_test() {
    // A process that has the mark of an ended process is found.
    let mut ended = spawn(&mut Command::new("true")).expect("it is everywhere");
    ended.wait().expect("it was started");
    let mut left = spawn_as(Command::new("sleep").arg("86400"), &mark(ended.id())).expect("it is everywhere");
    let named = format!("{} sleep 86400 ", left.id());
    wait_until("it is not found", || leftovers().contains(&named));
    end(&mut left);
    // The guard of the last test may still be busy.
    wait_until(&format!("left behind: {:#?}", leftovers()), || leftovers().is_empty());
}

/// A stand-in for a test that starts servers: prints the numbers of its processes, and runs for ever.
#[test]
#[ignore = "this is started by another test, and killed"]
fn a_test_that_starts_servers() {
    let options = ["--listen", "127.0.0.1:0", "--stop-when-stdin-closes"];
    let mut in_sandbox = Command::new(runner());
    in_sandbox.args(["--quiet", "--allow-listen", "127.0.0.1:0"]).arg(component::path()).args(options);
    let mut in_wasmtime = Command::new(component::root().join("runner/wasmtime"));
    in_wasmtime.args(["run", "-S", "inherit-network"]).arg(component::path()).args(options);
    // A process that is started by a program that is started by a shell, and that survives the end of both.
    let mut apart = Command::new("sh");
    let script = "setsid \"$0\" \"$@\" & wait";
    apart
        .args(["-c", script])
        .arg(runner())
        .args(["--quiet", "--allow-listen", "127.0.0.1:0"])
        .arg(component::path())
        .args(options);
    let mut servers: Vec<_> = [in_sandbox, in_wasmtime, apart]
        .iter_mut()
        .map(|command| spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).expect("it can be started"))
        .collect();
    for server in &mut servers {
        let mut access = String::new();
        BufReader::new(server.stdout.as_mut().expect("piped")).read_line(&mut access).expect("text");
        println!("{access}");
    }
    println!("they serve");
    servers[0].wait().expect("it was started");
}

#[test]
fn the_processes_of_a_test_end_with_it_even_if_it_is_killed_and_they_ignore_sighup() {
    let tests = std::env::current_exe().expect("a path");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(tests);
    shell.args(["a_test_that_starts_servers", "--exact", "--ignored", "--nocapture"]);
    let mut test = spawn(shell.stdout(Stdio::piped())).expect("it can be started");
    let mut lines = BufReader::new(test.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text") == "they serve"));
    let mark = mark(test.id());
    let servers = || hello_test_support::leftovers::marked(&mark).len();
    // The number includes the shell and `setsid`.
    assert!(servers() >= 4, "{} of them are found", servers());
    test.kill().expect("it was started");
    test.wait().expect("it was started");
    wait_until("they go on", || servers() == 0);
}

/// The Rust files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

#[test]
fn no_test_starts_a_process_by_itself() {
    let tests = files(&component::root().join("tests"));
    let by_itself =
        tests.iter().filter(|path| std::fs::read_to_string(path).expect("text").contains(concat!(".spa", "wn()")));
    let by_itself: Vec<_> = by_itself.collect();
    assert_eq!(
        by_itself,
        [&component::root().join("tests/support/src/leftovers.rs")],
        "leftovers::spawn leaves a mark"
    );
}
