//! Every process that the tests start ends with the tests, however they are started and however they end: also by SIGKILL,
//! and also if the processes ignore SIGHUP, as under `nohup`. (Without `/proc`, only those processes end that a test ends
//! itself.)
//!
//! [`spawn`] starts each process with a mark in its environment, which the children of the process inherit. A guard, which
//! is another process, waits for the end of the test process and ends everything that has its mark.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::component;

/// The environment variable that is the mark.
const MARK: &str = "HELLO_SERVER_TEST";

/// The script of a guard: it reads its standard input, which ends with the test process, and then ends every process that
/// has the mark, repeatedly, because such a process may have started another one a moment before.
const GUARD: &str = "cat
while marked=$(grep -lszxF -e \"$0\" /proc/[0-9]*/environ); [ \"$marked\" ]; do
    for file in $marked; do file=${file#/proc/} && kill -9 \"${file%/environ}\"; done
done";

/// The mark of the processes that the test process with this number starts. Other copies of this project have other marks.
pub fn mark(tests: u32) -> String {
    format!("{MARK}={}:{tests}", component::target().display())
}

/// Starts a process that ends with this process at the latest.
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    guard();
    spawn_as(command, &mark(std::process::id()))
}

/// Starts a process with this mark.
pub fn spawn_as(command: &mut Command, mark: &str) -> std::io::Result<Child> {
    let (variable, value) = mark.split_once('=').expect("a variable and its value");
    command.env(variable, value).spawn()
}

/// Kills a process, and all processes that it has started.
pub fn end(child: &mut Child) {
    if let Ok(Some(_)) = child.try_wait() {
        // The process has ended by itself, and its number may belong to another process now.
        return;
    }
    let offspring = offspring(child.id());
    // The processes may have ended meanwhile.
    let _ = child.kill();
    offspring.into_iter().for_each(kill);
    let _ = child.wait();
}

/// All descendants of the process `pid` that have not ended.
fn offspring(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    children.iter().flat_map(|&child| [vec![child], offspring(child)].concat()).collect()
}

/// Kills the process `pid`, if it exists.
#[cfg(unix)]
fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Without `/proc`, there is nothing to end.
#[cfg(not(unix))]
fn kill(_pid: u32) {}

/// Every process with this mark.
pub fn marked(mark: &str) -> Vec<u32> {
    processes()
        .filter(|(_, environment)| environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes()))
        .map(|(pid, _)| pid)
        .collect()
}

/// Every process whose environment is readable, and its environment.
fn processes() -> impl Iterator<Item = (u32, Vec<u8>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, fs::read(entry.path().join("environ")).ok()?))
    })
}

/// The processes that tests of this copy of the project have started and that have outlived these tests, with their command
/// lines.
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

/// Whether the process `pid` runs a program that cargo has built in this copy of the project.
fn is_test_process(pid: &str) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(component::target()))
}

/// Makes sure that a guard is running.
fn guard() {
    static GUARDING: OnceLock<Child> = OnceLock::new();
    if cfg!(target_os = "linux") {
        GUARDING.get_or_init(|| {
            let mut guard = Command::new("sh");
            guard.args(["-c", GUARD, &mark(std::process::id())]).env_remove(MARK);
            // The guard is in a group of its own, to which a terminal sends no signals.
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(&mut guard, 0);
            guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a guard")
        });
    }
}
