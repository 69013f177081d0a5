//! A running program: its start, its output and its end; and the resources that it uses, as Linux reports them.

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

/// The output of a program that has ended, and its exit status.
#[derive(Debug)]
pub struct Output {
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
    /// The exit status.
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

/// A running program. It ends with the test, and so does every process that it has started.
#[derive(Debug)]
pub struct Process {
    /// The process, with those of its pipes that no thread reads here.
    pub child: Child,
    /// The lines of its standard output.
    pub stdout: Receiver<String>,
    /// The lines of its standard error.
    pub stderr: Receiver<String>,
}

impl Process {
    /// Starts the program, and reads its standard output and standard error.
    pub fn start(command: &mut Command) -> Self {
        let mut process = Process::start_unread(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        process.read();
        process
    }

    /// Starts the program, with its outputs where `command` has them.
    pub fn start_unread(command: &mut Command) -> Self {
        let child = leftovers::spawn(command).expect("it can be started");
        Process { child, stdout: channel().1, stderr: channel().1 }
    }

    /// Reads its pipes from now on, except those that were taken.
    pub fn read(&mut self) {
        if let Some(pipe) = self.child.stdout.take() {
            self.stdout = lines(pipe);
        }
        if let Some(pipe) = self.child.stderr.take() {
            self.stderr = lines(pipe);
        }
    }

    /// The next line of its standard output.
    pub fn line(&self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("no line: {error}; {:?}", self.stderr.try_iter().collect::<Vec<_>>()))
    }

    /// The address on which the program listens, from the end of the next line that it prints.
    pub fn address(&self) -> SocketAddr {
        let line = self.line();
        address_in(&line).unwrap_or_else(|| panic!("an address, not {line:?}"))
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process.
    #[cfg(unix)]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it has not been waited for yet");
    }

    /// Sends SIGTERM to the process.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg(self.pid().to_string()).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Asks a program that was started by [`command`](crate::command) with `--stop-when-stdin-closes` to stop.
    pub fn ask_to_stop(&mut self) {
        self.end_stdin();
        if !is_wasmtime() {
            self.terminate();
        }
    }

    /// Ends the standard input of the program, which is a pipe.
    pub fn end_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Whether the program is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it was started").is_none()
    }

    /// Waits until the program ends by itself. Returns the output that was not read yet, and the exit status.
    pub fn wait(mut self) -> Output {
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        let status = self.child.wait().expect("it was started");
        Output { stdout, stderr, status }
    }

    /// Kills the program. Returns the same as [`wait`](Process::wait).
    pub fn finish(mut self) -> Output {
        // The program may have ended by itself; the caller of this method judges that.
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

/// All lines until the end of the output, which must come.
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

/// The time of one tick in `/proc`.
const TICK: Duration = Duration::from_millis(10);

/// The number of open file descriptors of a process, and its memory, in KiB.
pub fn holdings(pid: u32) -> Option<(usize, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = resident.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some((descriptors, kib))
}

/// The processor time that a process has used so far.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, which may contain anything, is in parentheses; the first field behind it is the third.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((ticks()? + ticks()?) * TICK)
}
