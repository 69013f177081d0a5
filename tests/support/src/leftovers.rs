//! What the tests start ends with them, however they are started, and however they end: also by SIGKILL, and also if they ignore
//! SIGHUP, as under `nohup`. (Where there is no `/proc`, what is ended is only what a test ends itself.)
//!
//! Each process is started by [`spawn`], which leaves a mark in its environment; so the mark is also in what that process starts.
//! A guard, which is another process, waits for the end of the test process and ends everything that has its mark.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::component;

/// The variable that is the mark.
const MARK: &str = "HELLO_SERVER_TEST";

/// What a guard does: it reads its standard input, which ends when the test process does, and ends what has the mark. What is
/// ended may have started something a moment before.
const GUARD: &str = "cat
while marked=$(grep -lszxF -e \"$0\" /proc/[0-9]*/environ); [ \"$marked\" ]; do
    for file in $marked; do file=${file#/proc/} && kill -9 \"${file%/environ}\"; done
done";

/// The mark of what the test process with this number starts. Other copies of this project have other marks.
pub fn mark(tests: u32) -> String {
    format!("{MARK}={}:{tests}", component::target().display())
}

/// Starts a process that ends with this one at the latest.
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    guard();
    spawn_as(command, &mark(std::process::id()))
}

/// Starts a process with this mark.
pub fn spawn_as(command: &mut Command, mark: &str) -> std::io::Result<Child> {
    let (variable, value) = mark.split_once('=').expect("a variable and its value");
    command.env(variable, value).spawn()
}

/// Ends a process at once, and what it has started.
pub fn end(child: &mut Child) {
    if let Ok(Some(_)) = child.try_wait() {
        // It has ended by itself, and its number may be that of another one.
        return;
    }
    let offspring = offspring(child.id());
    // It may have ended meanwhile, and so may they.
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
pub fn marked(mark: &str) -> Vec<u32> {
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
pub fn leftovers() -> Vec<String> {
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
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(component::target()))
}

/// Sees to it that there is a guard.
fn guard() {
    static GUARDING: OnceLock<Child> = OnceLock::new();
    if cfg!(target_os = "linux") {
        GUARDING.get_or_init(|| {
            let mut guard = Command::new("sh");
            guard.args(["-c", GUARD, &mark(std::process::id())]).env_remove(MARK);
            // It is sent no signal that a terminal sends.
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(&mut guard, 0);
            guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a guard")
        });
    }
}
