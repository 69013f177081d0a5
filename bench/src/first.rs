//! The first response: the time from the launch of a server to its first response.

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

/// The text before the port in the line that a server prints when it is ready.
const READY: &str = "Access http://localhost:";

/// The number of starts that hyperfine times, after two starts that do not count.
const STARTS: usize = 40;

/// The number of starts if each start compiles a component. All of these count.
const COLD_STARTS: usize = 7;

/// The time of the first response of one server.
pub(crate) struct Answered {
    /// The name of the server.
    pub(crate) name: &'static str,
    /// Whether its component was compiled at each start, and not before.
    pub(crate) cold: bool,
    /// The number of starts.
    pub(crate) starts: usize,
    /// The milliseconds to the first response.
    pub(crate) times: Spread,
}

/// Launches `command`, sends a request, and ends the server at the first byte of its response. Without a port, the server
/// has to print one.
pub(crate) fn answer(port: Option<u16>, command: &[OsString]) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let stdout = if port.is_some() { Stdio::null() } else { Stdio::piped() };
    let mut server = Server::launch(command, port, stdout)?;
    let port = port.map_or_else(|| said(&mut server), Ok)?;
    let mut stream = server.ask(port)?;
    stream.read_exact(&mut [0]).map_err(|error| server.silent(&error))?;
    Ok(begin.elapsed())
}

/// The port that the server prints.
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

/// Has hyperfine time the starts of `contender`. For a cold start, the folder where wasmtime keeps compiled code is empty.
pub(crate) fn hyperfine(contender: &Contender, cold: bool, scratch: &Scratch) -> Result<Answered, Failure> {
    // The first start is without hyperfine: an error then has its own message.
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

/// A word, quoted for a command line if necessary.
fn quoted(word: &OsString) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}

/// Reads hyperfine's table of one command, and converts it to milliseconds:
/// `command,mean,stddev,median,user,system,min,max`, in seconds.
fn times(csv: &str) -> Option<Spread> {
    // The command may hold commas, so the fields are read from the end.
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
