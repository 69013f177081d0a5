//! The first answer: the time from nothing to a server that has answered.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::contender::Contender;
use crate::scratch::Scratch;
use crate::server::{PATIENCE, Server};
use crate::statistics::Spread;

/// What stands before the port where a server says that it is ready.
const READY: &str = "Access http://localhost:";

/// How often hyperfine starts a server and takes the time, after two starts that do not count.
const STARTS: usize = 40;

/// And how often when each start compiles a component. All of these count.
const COLD_STARTS: usize = 7;

/// How soon a server answered.
pub(crate) struct Answered {
    /// Which one.
    pub(crate) name: &'static str,
    /// Whether its component was compiled at each start, and not before.
    pub(crate) cold: bool,
    /// How often it was started.
    pub(crate) starts: usize,
    /// After how many milliseconds it answered.
    pub(crate) times: Spread,
}

/// Launches `command`, asks it, and ends it at the first byte of its answer. Without a port, it has to say one itself.
pub(crate) fn answer(port: Option<u16>, command: &[OsString]) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let stdout = if port.is_some() { Stdio::null() } else { Stdio::piped() };
    let mut server = Server::launch(command, port, stdout)?;
    let port = port.map_or_else(|| said(&mut server), Ok)?;
    let mut stream = server.ask(port)?;
    stream.read_exact(&mut [0]).map_err(|error| server.silent(&error))?;
    Ok(begin.elapsed())
}

/// The port that the server says it can be called at.
fn said(server: &mut Server) -> Result<u16, Failure> {
    let (tell, told) = mpsc::channel();
    if let Some(stdout) = server.child.stdout.take() {
        // Reads to the end, so that the server never waits for a reader.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(port) = line.strip_prefix(READY).and_then(|port| port.trim_end_matches('/').parse().ok()) {
                    _ = tell.send(port);
                }
            }
        });
    }
    told.recv_timeout(PATIENCE).map_err(|_| {
        Failure(format!("the command never said `{READY}PORT`"), "say which port it listens at with --port")
    })
}

/// Has hyperfine take the time of `contender`. When that shall be a cold start, there is no compiled code in the folder
/// where wasmtime keeps it.
pub(crate) fn hyperfine(contender: &Contender, cold: bool, scratch: &Scratch) -> Result<Answered, Failure> {
    // Once without hyperfine: if it fails, it says why.
    answer(Some(contender.port), &contender.command)?;
    let myself = std::env::current_exe().unwrap_or_default().into();
    let words = [myself, "first-answer".into(), "--port".into(), contender.port.to_string().into(), "--".into()];
    let line: Vec<String> = words.iter().chain(&contender.command).map(quoted).collect();
    let mut hyperfine = Command::new("hyperfine");
    hyperfine.args(["-N", "--style", "none", "--export-csv", "/dev/stdout"]);
    let starts = if cold { COLD_STARTS } else { STARTS };
    hyperfine.args(["--runs", &starts.to_string()]);
    if cold {
        let cache = scratch.join("cache");
        hyperfine.args(["--prepare", &format!("rm -rf {}", quoted(&cache.clone().into()))]);
        hyperfine.env("XDG_CACHE_HOME", cache);
    } else {
        hyperfine.args(["--warmup", "2"]);
    }
    let output = hyperfine.arg(line.join(" ")).stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        let cause = format!("the first answer is not measured, because hyperfine does not start: {error}");
        Failure(cause, "apt-get install hyperfine, or https://github.com/sharkdp/hyperfine")
    })?;
    let times = times(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
        Failure(format!("hyperfine did not measure anything: {said}"), "it has to be version 1.13 or newer")
    })?;
    Ok(Answered { name: contender.name, cold, starts, times })
}

/// A word as it stands in a command line.
fn quoted(word: &OsString) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}

/// Reads hyperfine's table, of one command, as milliseconds: `command,mean,stddev,median,user,system,min,max`, in seconds.
fn times(csv: &str) -> Option<Spread> {
    // The command may hold commas, so this goes from the end.
    let fields: Vec<&str> = csv.lines().last()?.rsplitn(8, ',').collect();
    let milliseconds = |field: usize| fields.get(field)?.parse().ok().map(|seconds: f64| seconds * 1000.0);
    Some(Spread { median: milliseconds(4)?, least: milliseconds(1)?, most: milliseconds(0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_hyperfine_is_read_from_its_end() {
        let csv = "command,mean,stddev,median,user,system,min,max\n'a, b',0.02,,0.025,0.1,0.2,0.5,1.5\n";
        assert_eq!(times(csv), Some(Spread { median: 25.0, least: 500.0, most: 1500.0 }));
        assert_eq!(times("command,mean,stddev,median,user,system,min,max\n"), None);
        assert_eq!(times(""), None);
    }

    #[test]
    fn an_argument_with_blanks_stays_one_argument() {
        assert_eq!(quoted(&"a 'b'".into()), r"'a '\''b'\'''");
    }
}
