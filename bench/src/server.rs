//! One server under measurement: its launch, its first request, its use of resources, and its end.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::Failure;

/// The request for every server. An echo server sends it back.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The pause before the next attempt to connect to a server that does not listen yet.
const RETRY: Duration = Duration::from_micros(200);

/// The time that a server may take for its first response. A component that has never run is compiled first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The number of ticks of `/proc/PID/stat` in a second. Linux counts so there, whatever the rate of its own clock.
const TICKS: f64 = 100.0;

/// A running server. Dropping it, for whatever reason, ends and reaps the process.
pub(crate) struct Server {
    /// The name of the launched program.
    name: String,
    /// Its process.
    pub(crate) child: Child,
}

impl Server {
    /// Launches `command`, unless another program listens on `port`: the benchmark would measure that program.
    pub(crate) fn launch(command: &[OsString], port: Option<u16>, stdout: Stdio) -> Result<Server, Failure> {
        if let Some(port) = port {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                Failure(format!("cannot have port {port}: {error}"), "take another one with --port")
            })?;
        }
        let name = command[0].to_string_lossy().into_owned();
        // Some servers stop when their standard input ends.
        match Command::new(&name).args(&command[1..]).stdin(Stdio::piped()).stdout(stdout).spawn() {
            Ok(child) => Ok(Server { name, child }),
            Err(error) => {
                Err(Failure(format!("cannot start {name}: {error}"), "bench/run builds what it needs itself"))
            }
        }
    }

    /// Connects to `port` until the server accepts, sends the request, and returns the connection for reading the response.
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

    /// Sends requests until one has another answer than `first`: a second instance of the server listens then, too.
    pub(crate) fn find_another(&mut self, port: u16, first: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let streams = (0..8).map(|_| self.ask(port)).collect::<Result<Vec<_>, _>>()?;
            for mut stream in streams {
                if answer(&mut stream).map_err(|error| self.silent(&error))? != first {
                    return Ok(());
                }
            }
        }
        Err(Failure(format!("only one instance of {} answers", self.name), "try it by itself, with --instances 2"))
    }

    /// Fails if the server has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        let Ok(Some(status)) = self.child.try_wait() else { return Ok(()) };
        Err(Failure(format!("{} has ended: {status}", self.name), "what it said stands above; try it by itself"))
    }

    /// The failure of a server that does not respond.
    pub(crate) fn silent(&self, error: &io::Error) -> Failure {
        Failure(format!("no answer from {}: {error}", self.name), "try it by itself, and call it with curl")
    }

    /// The seconds that the server has kept a processor busy so far, in its own code or in the kernel.
    pub(crate) fn cpu(&self) -> Result<f64, Failure> {
        // The name of the program is in brackets and may contain blanks; counted from behind it, these are fields 12 and
        // 13.
        let stat = self.proc("stat")?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        Ok(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS)
    }

    /// The same time in nanoseconds instead of ticks, for a server that does next to nothing. The kernel leaves out threads
    /// that have ended.
    pub(crate) fn busy(&self) -> Result<f64, Failure> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = fs::read_dir(&tasks).map_err(|error| unreadable(&tasks, &error))?;
        let threads = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let times: Vec<f64> = threads.filter_map(|said| nanoseconds(&said)).collect();
        // Not every kernel counts nanoseconds.
        if times.is_empty() { self.cpu() } else { Ok(times.iter().sum::<f64>() / 1e9) }
    }

    /// The most memory that the server has had so far, in MiB.
    pub(crate) fn peak_memory(&self) -> Result<f64, Failure> {
        Ok(mebibytes(&self.proc("status")?, "VmHWM:").unwrap_or(f64::NAN))
    }

    /// The memory that the server has now, in MiB.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        Ok(mebibytes(&self.proc("status")?, "VmRSS:").unwrap_or(f64::NAN))
    }

    /// The program that the process runs now: a script may have replaced itself with another program.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.child.id())).ok()
    }

    /// The text of a file that the kernel writes about the process.
    fn proc(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
    }
}

/// The failure when a file of the kernel cannot be read.
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

/// Reads the response of an echo server.
pub(crate) fn echo(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = [0; REQUEST.len()];
    stream.read_exact(&mut bytes)?;
    match bytes == REQUEST {
        true => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "it does not send back what it was sent")),
    }
}

/// Reads one whole response, and removes its date. A response without a length ends when the server closes the connection.
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

/// The value of a field in the head of a response. Upper and lower case are the same in names of fields.
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
