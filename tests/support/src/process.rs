//! A program that runs: how it is started, read and ended; and what it holds and uses, as Linux tells it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{panicking, spawn};
use std::time::Duration;

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};

use crate::{PATIENCE, is_wasmtime, leftovers};

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = leftovers::spawn(command).expect("it can be started");
    let output = child.wait_with_output().expect("it was started");
    Output {
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
        status: output.status,
    }
}

/// A program that runs. It ends with the test, and everything that it has started does.
#[derive(Debug)]
pub struct Process {
    /// With the pipes to it that are not read here.
    pub child: Child,
    /// The lines that it prints.
    pub stdout: Receiver<String>,
    /// The lines that it prints on standard error.
    pub stderr: Receiver<String>,
}

impl Process {
    /// Starts it, and reads both its outputs.
    pub fn start(command: &mut Command) -> Self {
        let mut process = Process::start_unread(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        process.read();
        process
    }

    /// Starts it, with its outputs where `command` has them.
    pub fn start_unread(command: &mut Command) -> Self {
        let child = leftovers::spawn(command).expect("it can be started");
        Process { child, stdout: channel().1, stderr: channel().1 }
    }

    /// Reads what comes by its pipes from now on, but for those that were taken.
    pub fn read(&mut self) {
        if let Some(pipe) = self.child.stdout.take() {
            self.stdout = lines(pipe);
        }
        if let Some(pipe) = self.child.stderr.take() {
            self.stderr = lines(pipe);
        }
    }

    /// The next line that it prints.
    pub fn line(&self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("no line: {error}; {:?}", self.stderr.try_iter().collect::<Vec<_>>()))
    }

    /// Where it listens: that stands at the end of the next line that it prints.
    pub fn address(&self) -> SocketAddr {
        let line = self.line();
        address_in(&line).unwrap_or_else(|| panic!("an address, not {line:?}"))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it has not been waited for yet");
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg(self.pid().to_string()).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Asks one that was started by [`command`](crate::command) with `--stop-when-stdin-closes` to stop.
    pub fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
        if !is_wasmtime() {
            self.terminate();
        }
    }

    /// Whether it goes on.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it was started").is_none()
    }

    /// Waits until it ends by itself. Returns the output that was not read yet, and how it ended.
    pub fn wait(mut self) -> Output {
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        let status = self.child.wait().expect("it was started");
        Output { stdout, stderr, status }
    }

    /// Ends it at once. As [`wait`](Process::wait).
    pub fn finish(mut self) -> Output {
        // It may have ended by itself, which is for the caller to judge.
        leftovers::end(&mut self.child);
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        leftovers::end(&mut self.child);
        if panicking() {
            let said = |lines: &Receiver<String>| -> Vec<String> {
                std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(1)).ok()).collect()
            };
            eprintln!("it printed {:#?} and, on standard error, {:#?}", said(&self.stdout), said(&self.stderr));
        }
    }
}

/// The address at the end of a line.
pub fn address_in(line: &str) -> Option<SocketAddr> {
    line.trim_end().rsplit(['/', ' ']).next()?.replace("localhost", "127.0.0.1").parse().ok()
}

/// The lines of `pipe`, which is read to its end in any case: a full pipe would stop the program.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let _ = sender.send(line.expect("text"));
        }
    });
    lines
}

/// All lines until the end, which has to come.
fn rest(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => text = text + &line + "\n",
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("it does not end; it said {text:?}"),
        }
    }
}

/// How much of a second `/proc` counts as one tick.
const TICK: Duration = Duration::from_millis(10);

/// How many descriptors a process has open, and how much memory it holds, in KiB.
pub fn holdings(pid: u32) -> Option<(usize, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = resident.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some((descriptors, kib))
}

/// For how long it has used a processor so far.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may be anything, stands in parentheses; the first field behind it is the third.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((ticks()? + ticks()?) * TICK)
}
