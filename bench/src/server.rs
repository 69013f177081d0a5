//! One server that is measured: how it is launched, asked, watched and ended.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::Failure;

/// What every server is asked.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How long to wait before a server that does not listen yet is called again.
const RETRY: Duration = Duration::from_micros(200);

/// How long a server may take to answer. A component that was never run before is compiled first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How many ticks of `/proc/PID/stat` are a second. Linux counts so there, whatever its own clock does.
const TICKS: f64 = 100.0;

/// A server that runs. It is ended and reaped when this is dropped, however that comes about.
pub(crate) struct Server {
    /// The program that was launched.
    name: String,
    /// Its process.
    pub(crate) child: Child,
}

impl Server {
    /// Launches `command`, unless somebody listens at `port` already, who would be measured in its place.
    pub(crate) fn launch(command: &[OsString], port: Option<u16>, stdout: Stdio) -> Result<Server, Failure> {
        if let Some(port) = port {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                Failure(format!("cannot have port {port}: {error}"), "take another one with --port")
            })?;
        }
        let name = command[0].to_string_lossy().into_owned();
        match Command::new(&name).args(&command[1..]).stdin(Stdio::null()).stdout(stdout).spawn() {
            Ok(child) => Ok(Server { name, child }),
            Err(error) => {
                Err(Failure(format!("cannot start {name}: {error}"), "bench/run builds what it needs itself"))
            }
        }
    }

    /// Calls at `port` until the server picks up, asks it, and gives back the connection that the answer comes on.
    pub(crate) fn ask(&mut self, port: u16) -> Result<TcpStream, Failure> {
        let begin = Instant::now();
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(mut stream) => {
                    let asked = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(REQUEST));
                    return asked.map(|()| stream).map_err(|error| self.silent(&error));
                }
                Err(error) if begin.elapsed() > PATIENCE => return Err(self.silent(&error)),
                Err(_) => self.check()?,
            }
            thread::sleep(RETRY);
        }
    }

    /// Fails if the server has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        let Ok(Some(status)) = self.child.try_wait() else { return Ok(()) };
        Err(Failure(format!("{} has ended: {status}", self.name), "what it said stands above; try it by itself"))
    }

    /// The failure of a server that does not answer.
    pub(crate) fn silent(&self, error: &io::Error) -> Failure {
        Failure(format!("no answer from {}: {error}", self.name), "try it by itself, and call it with curl")
    }

    /// The seconds that it kept a processor busy so far, in its own code or in the kernel.
    pub(crate) fn cpu(&self) -> Result<f64, Failure> {
        // The name of the program stands in brackets and may hold blanks; from behind it, these are fields 12 and 13.
        let stat = self.proc("stat")?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        Ok(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS)
    }

    /// The most memory that it had so far, in MiB.
    pub(crate) fn peak_memory(&self) -> Result<f64, Failure> {
        let status = self.proc("status")?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix(" kB")?.trim().parse().ok());
        Ok(peak.unwrap_or(f64::NAN) / 1024.0)
    }

    /// The program that runs in the end: a script may have put another one in its place.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.child.id())).ok()
    }

    /// What the kernel writes about it.
    fn proc(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| Failure(format!("cannot read {path}: {error}"), "this needs Linux"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Reads one whole answer, and leaves its date out.
pub(crate) fn answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name| head.lines().find_map(|line: &str| line.strip_prefix(name));
            if field("Content-Length: ").is_some_and(|length| length.parse() == Ok(body.len())) {
                return Ok(text.replacen(field("Date: ").unwrap_or_default(), "", 1));
            }
        }
        let mut more = [0; 1024];
        match stream.read(&mut more)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            some => bytes.extend_from_slice(&more[..some]),
        }
    }
}
