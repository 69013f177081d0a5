//! What the tests start ends with them, however they are started, and however they end: also by SIGKILL, and also if they ignore
//! SIGHUP, as under `nohup`. (Where there is no `/proc`, what is ended is only what a test ends itself.)
//!
//! Each process is started by [`spawn`], which leaves a mark in its environment; so the mark is also in what that process starts.
//! A guard, which is another process, waits for the end of the test process and ends everything that has its mark.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The variable that is the mark.
const MARK: &str = "HELLO_SERVER_TEST";

/// The variable that tells a guard which test process it waits for.
const GUARDED: &str = "HELLO_SERVER_TEST_GUARDED";

/// The mark of what the test process with this number starts. Other copies of this project have other marks.
pub(crate) fn mark(tests: u32) -> String {
    format!("{MARK}={}:{tests}", env!("CARGO_TARGET_TMPDIR"))
}

/// Starts a process that ends with this one at the latest.
pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Child> {
    guard();
    spawn_as(command, &mark(std::process::id()))
}

/// Starts a process with this mark.
pub(crate) fn spawn_as(command: &mut Command, mark: &str) -> std::io::Result<Child> {
    let (variable, value) = mark.split_once('=').expect("a variable and its value");
    command.env(variable, value).spawn()
}

/// Ends a process at once, and what it has started.
pub(crate) fn end(child: &mut Child) {
    let offspring = offspring(child.id());
    // It may have ended by itself, and so may they.
    let _ = child.kill();
    offspring.into_iter().for_each(kill);
    let _ = child.wait();
}

/// Everything that the process `pid` has started and that has not ended, and what that has started.
fn offspring(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    children.iter().flat_map(|&child| [vec![child], offspring(child)].concat()).collect()
}

/// Ends the process `pid` at once, if it is there.
#[cfg(unix)]
fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Where there is no `/proc`, there is nothing to end.
#[cfg(not(unix))]
fn kill(_pid: u32) {}

/// Every process whose mark is this one.
pub(crate) fn marked(mark: &str) -> Vec<u32> {
    processes()
        .filter(|(_, environment)| environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes()))
        .map(|(pid, _)| pid)
        .collect()
}

/// Every process that can be looked at, and its environment.
fn processes() -> impl Iterator<Item = (u32, Vec<u8>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, fs::read(entry.path().join("environ")).ok()?))
    })
}

/// What tests of this copy of the project have started that has outlived them: each process, and its command line.
pub(crate) fn leftovers() -> Vec<String> {
    let own = mark(0);
    let own = own.trim_end_matches('0').as_bytes();
    let left = processes().filter(|(_, environment)| {
        let mut entries = environment.split(|&byte| byte == 0);
        let tests = entries.find_map(|entry| std::str::from_utf8(entry.strip_prefix(own)?).ok());
        tests.is_some_and(|tests| !is_test_process(tests))
    });
    let named = left.map(|(pid, _)| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {}", String::from_utf8_lossy(&words).replace('\0', " "))
    });
    named.collect()
}

/// Whether the process `pid` runs a program that cargo has built here.
fn is_test_process(pid: &str) -> bool {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(target))
}

/// Sees to it that there is a guard.
fn guard() {
    static GUARD: OnceLock<Child> = OnceLock::new();
    GUARD.get_or_init(|| {
        let (_, name) = concat!(module_path!(), "::a_guard_ends_what_is_left").split_once("::").expect("a crate");
        let mut guard = Command::new(std::env::current_exe().expect("a path"));
        guard.args([name, "--exact", "--ignored"]).env(GUARDED, std::process::id().to_string()).env_remove(MARK);
        // It is sent no signal that a terminal sends.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut guard, 0);
        // Its standard input ends when this process does.
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a guard")
    });
}

#[test]
#[ignore = "this is the guard, which a test process starts for itself"]
fn a_guard_ends_what_is_left() {
    let Some(tests) = std::env::var(GUARDED).ok().and_then(|tests| tests.parse().ok()) else {
        return;
    };
    std::io::stdin().read_to_end(&mut Vec::new()).expect("it ends");
    // What is ended may have started something a moment before.
    loop {
        let left = marked(&mark(tests));
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(kill);
    }
}
