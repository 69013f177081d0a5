//! A server in its sandbox: asks it, and finds out why it does not answer.

use std::fmt;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use hello_failure::escape;

/// The time for an answer, and for a start without compiled code in the cache.
const PATIENCE: Duration = Duration::from_secs(10);
const START: Duration = Duration::from_secs(60);

/// The time for a server to end by itself once the connection is lost, or once it was asked to.
const END: Duration = Duration::from_secs(3);

/// The most bytes that a server may print.
const MOST_OUTPUT: usize = 1024 * 1024;

/// The most bytes of a reply that are read.
const MOST_REPLY: u64 = 1024 * 1024;

/// The most characters of a page that are shown.
const SHOWN: usize = 160;

/// A reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, such as 200.
    pub status: u16,
    /// The names and values of the header, in their order.
    pub fields: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A reply.
    Reply(Reply),
    /// No reply.
    Ended(Ended),
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The program panicked, with this message.
    Panic(String),
    /// The program was busy for too long.
    Busy,
    /// The program wanted too much memory.
    Memory,
    /// A function called itself too often.
    Stack,
    /// The program exited by itself.
    Exit,
    /// The program printed too much.
    Flood,
    /// Nothing came in time.
    Silent,
    /// Another end; this is what was printed.
    Other(String),
}

impl Ended {
    /// The end of a program that has printed this to standard error.
    fn told(printed: &str) -> Self {
        let line_with = |text: &str| printed.lines().find(|line| line.contains(text));
        if line_with("hello-server: panicked at").is_some() && line_with("wasm `unreachable`").is_some() {
            let told = printed.lines().take_while(|line| !line.starts_with("hello-runner: "));
            let told: Vec<&str> = told.map(|line| line.trim_start_matches("hello-server: ")).collect();
            Ended::Panic(told.join(" "))
        } else if line_with("without a pause").is_some() {
            Ended::Busy
        } else if line_with("of memory, and may have").is_some() {
            Ended::Memory
        } else if line_with("call stack exhausted").or(line_with("memory out of bounds")).is_some() {
            Ended::Stack
        } else if printed.trim().is_empty() {
            Ended::Exit
        } else {
            Ended::Other(printed.trim().to_owned())
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Ended::Panic(_) => "The program panicked, so the sandbox ended it, and nobody got an answer. The message names the line \
                                in src/hello.rs. Often it is an `unwrap()` of something that is not always there: use `match` or \
                                `unwrap_or`.",
            Ended::Busy => "A loop in `answer` does not end, so the sandbox ended the program.",
            Ended::Memory => "`answer` took more memory than the sandbox allows. Is there a loop that makes a text longer and longer?",
            Ended::Stack => "A function calls itself without an end. `answer` must not call itself.",
            Ended::Exit => "The program ended itself. A server must not call `std::process::exit`: it goes on with the next request.",
            Ended::Flood => "The program prints without an end. Take the `println!` out of the loop.",
            Ended::Silent => "No answer came. `answer` must not wait: take out what sleeps or reads.",
            Ended::Other(_) => "The program did not start, or has failed. What it printed may tell why.",
        }
        .to_owned()
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Panic(message) => write!(f, "no answer: the program {}", escape(message)),
            Ended::Busy => f.write_str("no answer: the program was busy for 2 seconds, and was ended"),
            Ended::Memory => f.write_str("no answer: the program took too much memory, and was ended"),
            Ended::Stack => f.write_str("no answer: a function called itself too often, and the program was ended"),
            Ended::Exit => f.write_str("no answer: the program exited"),
            Ended::Flood => f.write_str("no answer: the program printed more than 1 MiB, and was ended"),
            Ended::Silent => write!(f, "no answer within {} seconds", PATIENCE.as_secs()),
            Ended::Other(printed) => write!(f, "no answer: {}", escape(printed)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Reply(reply) => reply.fmt(f),
            Outcome::Ended(ended) => ended.fmt(f),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for (name, value) in &self.fields {
            if !["content-length", "date", "connection"].contains(&name.to_ascii_lowercase().as_str()) {
                write!(f, ", {}: {}", escape(name), escape(value))?;
            }
        }
        let shown: String = self.body.trim_end().chars().take(SHOWN).collect();
        match self.body.trim_end().chars().nth(SHOWN) {
            _ if shown.is_empty() => f.write_str(", without a page"),
            None => write!(f, ", and the page: {}", escape(&shown)),
            Some(_) => write!(f, ", and the page, which begins: {}...", escape(&shown)),
        }
    }
}

impl Reply {
    /// Reads a reply from its bytes. `None` if they are not a whole head of HTTP.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut lines);
        let httparse::Status::Complete(end) = head.parse(bytes).ok()? else { return None };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = head.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        Some(Reply { status: head.code?, fields, body: text(&bytes[end..]) })
    }

    /// The value of a header field, if it is there.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A server that runs. It is ended when this is dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
    /// The bytes that it has printed.
    printed: Arc<AtomicUsize>,
    errors: Arc<Mutex<String>>,
    /// The threads that read its output.
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server by this command, and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Ended> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| {
            Ended::Other(format!("cannot start {}: {error}", command.get_program().to_string_lossy()))
        })?;
        let (printed, errors) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (stdout, stderr) = (process.stdout.take().expect("piped"), process.stderr.take().expect("piped"));
        let (line, reader) = read_output(stdout, Arc::clone(&printed));
        let readers = vec![reader, read_errors(stderr, Arc::clone(&errors), Arc::clone(&printed))];
        let mut server = Server { process, port: 0, printed, errors, readers };
        let line = line.recv_timeout(START).unwrap_or_default();
        match line.trim_end().rsplit(':').next().and_then(|port| port.parse().ok()) {
            Some(port) if line.starts_with("Access ") => server.port = port,
            _ => return Err(server.end()),
        }
        Ok(server)
    }

    /// Sends these bytes, and reads the reply until the server closes the connection.
    pub(crate) fn ask(&mut self, question: &[u8]) -> Outcome {
        let end = Instant::now() + PATIENCE;
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else {
            return Outcome::Ended(self.end());
        };
        let (mut reply, mut piece) = (Vec::new(), [0; 16 * 1024]);
        // A server that refuses a body may answer before it has read all of it.
        let _ = stream.write_all(question);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        loop {
            match stream.read(&mut piece) {
                Ok(1..) if reply.len() as u64 > MOST_REPLY => break,
                Ok(length @ 1..) => reply.extend_from_slice(&piece[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
                {
                    if self.printed.load(Ordering::Relaxed) > MOST_OUTPUT {
                        return Outcome::Ended(Ended::Flood);
                    }
                    if Instant::now() > end {
                        return Outcome::Ended(Ended::Silent);
                    }
                }
                Ok(0) | Err(_) => break,
            }
        }
        match Reply::parse(&reply) {
            Some(reply) => Outcome::Reply(reply),
            None => Outcome::Ended(self.end()),
        }
    }

    /// Waits a moment for the end of the server, and ends it. Returns the reason.
    fn end(&mut self) -> Ended {
        self.wait();
        self.stop();
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        Ended::told(&errors)
    }

    /// Waits until the server has ended, but not for long.
    fn wait(&mut self) {
        let end = Instant::now() + END;
        while Instant::now() < end && matches!(self.process.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server, and reads the rest of its output.
    fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Counts the bytes of standard output, and sends the first line.
fn read_output(
    mut output: impl Read + Send + 'static,
    printed: Arc<AtomicUsize>,
) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, line) = channel();
    let reader = spawn(move || {
        let (mut first, mut piece) = (Vec::new(), [0; 16 * 1024]);
        while let Ok(length @ 1..) = output.read(&mut piece) {
            if printed.fetch_add(length, Ordering::Relaxed) < MOST_OUTPUT && !first.contains(&b'\n') {
                first.extend_from_slice(&piece[..length]);
                if let Some(end) = first.iter().position(|&byte| byte == b'\n') {
                    let _ = sender.send(String::from_utf8_lossy(&first[..end]).into_owned());
                }
            }
        }
    });
    (line, reader)
}

/// Counts the bytes of standard error, and keeps the beginning.
fn read_errors(
    errors: impl Read + Send + 'static,
    kept: Arc<Mutex<String>>,
    printed: Arc<AtomicUsize>,
) -> JoinHandle<()> {
    spawn(move || {
        let mut errors = BufReader::new(errors);
        let mut line = Vec::new();
        while errors.by_ref().take(4096).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            printed.fetch_add(line.len(), Ordering::Relaxed);
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < 8192 {
                kept.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    })
}
