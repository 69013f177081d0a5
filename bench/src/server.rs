//! One server that is measured: how it is launched, asked, watched and ended.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::Failure;

/// What every server is asked. An echo server sends it back.
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
    /// Launches `command`, unless another program listens on `port`: the benchmark would measure that one.
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

    /// The same, but by the nanosecond and not by the tick, for a server that does next to nothing. It forgets threads
    /// that have ended.
    pub(crate) fn busy(&self) -> Result<f64, Failure> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = fs::read_dir(&tasks).map_err(|error| unreadable(&tasks, &error))?;
        let threads = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let times: Vec<f64> = threads.filter_map(|said| nanoseconds(&said)).collect();
        // Not every kernel counts like that.
        if times.is_empty() { self.cpu() } else { Ok(times.iter().sum::<f64>() / 1e9) }
    }

    /// The most memory that it had so far, in MiB.
    pub(crate) fn peak_memory(&self) -> Result<f64, Failure> {
        Ok(mebibytes(&self.proc("status")?, "VmHWM:").unwrap_or(f64::NAN))
    }

    /// The memory that it has now, in MiB.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        Ok(mebibytes(&self.proc("status")?, "VmRSS:").unwrap_or(f64::NAN))
    }

    /// The program that runs in the end: a script may have put another one in its place.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.child.id())).ok()
    }

    /// What the kernel writes about it.
    fn proc(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
    }
}

/// The failure when the kernel does not say anything.
fn unreadable(path: &str, error: &io::Error) -> Failure {
    Failure(format!("cannot read {path}: {error}"), "this needs Linux")
}

/// Reads a size from `/proc/PID/status`, which counts in units of 1024 bytes.
fn mebibytes(status: &str, field: &str) -> Option<f64> {
    let size = status.lines().find_map(|line| line.strip_prefix(field)?.strip_suffix(" kB")?.trim().parse().ok());
    size.map(|size: f64| size / 1024.0)
}

/// Reads from `schedstat` how long a thread has run.
fn nanoseconds(schedstat: &str) -> Option<f64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Reads the answer of an echo server.
pub(crate) fn echo(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = [0; REQUEST.len()];
    stream.read_exact(&mut bytes)?;
    match bytes == REQUEST {
        true => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "it does not send back what it was sent")),
    }
}

/// Reads one whole answer, and leaves its date out. One without a length ends when the server hangs up.
pub(crate) fn answer(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut ended = false;
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let whole = match field(head, "content-length") {
                Some(length) => length.parse() == Ok(body.len()),
                None => ended,
            };
            if whole {
                return Ok(text.replacen(field(head, "date").unwrap_or_default(), "", 1));
            }
        }
        let mut more = [0; 1024];
        match stream.read(&mut more)? {
            0 if ended => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => ended = true,
            some => bytes.extend_from_slice(&more[..some]),
        }
    }
}

/// The value of a field in the head of an answer. Names of fields are the same in capitals.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_where_its_content_length_says() {
        let mut said = "HTTP/1.1 200 OK\r\ndate: now\r\nCONTENT-LENGTH: 2\r\n\r\nhi".as_bytes();
        let answer = answer(&mut said).unwrap();
        assert_eq!(answer, "HTTP/1.1 200 OK\r\ndate: \r\nCONTENT-LENGTH: 2\r\n\r\nhi");
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        let said = "HTTP/1.1 200 OK\r\n\r\nhi\r\n\r\n";
        assert_eq!(answer(&mut said.as_bytes()).unwrap(), said);
    }

    #[test]
    fn an_echo_is_what_was_sent_and_all_of_it() {
        assert_eq!(echo(&mut &*REQUEST).unwrap().as_bytes(), REQUEST);
        for wrong in [&REQUEST[1..], &[b'x'; REQUEST.len()]] {
            assert!(echo(&mut &*wrong).is_err());
        }
    }

    #[test]
    fn half_of_a_response_is_none() {
        for said in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"] {
            assert!(answer(&mut said.as_bytes()).is_err(), "{said:?}");
        }
    }

    #[test]
    fn the_figures_of_the_kernel_are_read() {
        let status = "Name:\tserver\nVmHWM:\t   2048 kB\nVmRSS:\t   1536 kB\n";
        assert_eq!(mebibytes(status, "VmHWM:"), Some(2.0));
        assert_eq!(mebibytes(status, "VmRSS:"), Some(1.5));
        assert_eq!(mebibytes(status, "VmSwap:"), None);
        assert_eq!(nanoseconds("1500 20 3\n"), Some(1500.0));
        assert_eq!(nanoseconds(""), None);
    }
}
