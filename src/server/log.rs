//! The access log: a line a request.
//!
//! Lines are collected while the server works and written together when it is done with its turn, so that logging does
//! not decide the speed. Whatever came from the network is escaped: a request can never forge a line.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Event, Exchange, Observer, Runtime};

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Common Log Format of the first web servers, which every log reader knows:
    /// `127.0.0.1 - - [23/Nov/2026:20:31:47 +0000] "GET / HTTP/1.1" 200 41`. Times are UTC.
    Common,
    /// One JSON object a line, with the fields `time`, `peer`, `request`, `status` and `bytes`; or with the field `lost`,
    /// how many lines are missing at the most.
    Json,
    /// No lines.
    Off,
}

/// The most bytes of lines that wait for somebody to take them. A reader that has stopped reading loses the lines
/// beyond that, and is told how many. (That is for hosts whose standard output does not block. `wasmtime run` waits, in
/// the very call that writes, for a pipe to be read, and the component with it.) Default is 4 MiB.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Where lines go.
pub trait Sink {
    /// Writes whole lines; waits while there is no room.
    fn write(&mut self, lines: &[u8]) -> impl Future<Output = Result<(), SinkError>>;
}

/// Why lines could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkError {
    /// Nobody reads them any more, as with `serve | head -1`.
    Closed,
    /// These are lost, as on a full disk; the next ones may not be.
    Failed,
}

/// Nobody reads the log any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread;

/// Collects lines ([`Observer::observe`]) and passes them on ([`AccessLog::run`]).
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    waiting: RefCell<String>,
    lost: Cell<u64>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Nothing more will come.
    finished: Cell<bool>,
    /// Somebody passes lines on.
    running: Cell<bool>,
}

/// How often is looked whether the last lines have been passed on.
const LOOK: Duration = Duration::from_millis(10);

impl AccessLog {
    /// A log with nothing in it.
    pub fn new(format: Format) -> Self {
        AccessLog {
            format,
            waiting: RefCell::default(),
            lost: Cell::new(0),
            closed: Cell::new(false),
            waker: RefCell::default(),
            finished: Cell::new(false),
            running: Cell::new(false),
        }
    }

    /// Passes lines on to `sink` whenever there are some, until the log is [finished](AccessLog::finish).
    ///
    /// # Errors
    /// Nobody reads them any more, so the log is over, and the server goes on without it.
    pub async fn run(&self, sink: impl Sink) -> Result<(), Unread> {
        self.running.set(true);
        let result = self.pass_on(sink).await;
        self.closed.set(result.is_err());
        self.running.set(false);
        result
    }

    async fn pass_on(&self, mut sink: impl Sink) -> Result<(), Unread> {
        // Nobody says how much of a write that failed was written.
        let mut torn = false;
        loop {
            let lines = poll_fn(|context| {
                let lines = self.waiting.take();
                if lines.is_empty() && !self.finished.get() {
                    self.waker.replace(Some(context.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready(lines)
            })
            .await;
            if lines.is_empty() {
                return Ok(());
            }
            let lost = self.lost.take();
            let written = match lost {
                0 => sink.write(lines.as_bytes()).await,
                _ => sink.write((self.loss(lost, torn) + &lines).as_bytes()).await,
            };
            torn = written.is_err();
            match written {
                Ok(()) => {}
                Err(SinkError::Failed) => {
                    let failed = lines.lines().count() as u64;
                    self.lost.set(self.lost.get() + lost + failed);
                }
                Err(SinkError::Closed) => return Err(Unread),
            }
            self.give_back(lines);
        }
    }

    /// Waits until the last lines have been passed on, but no longer than `most`.
    pub async fn finish(&self, runtime: &impl Runtime, most: Duration) {
        self.finished.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        let end = runtime.now() + most;
        while self.running.get() && runtime.now() < end {
            runtime.sleep_until(end.min(runtime.now() + LOOK)).await;
        }
    }

    /// A line about those that are missing here, or were cut off: then it begins by ending that one.
    fn loss(&self, lines: u64, torn: bool) -> String {
        let end = if torn { "\n" } else { "" };
        match self.format {
            Format::Json => format!("{end}{{\"lost\":{lines}}}\n"),
            Format::Common | Format::Off => format!("{end}# up to {lines} lines lost\n"),
        }
    }

    /// Keeps the buffer of `lines` for the next ones, unless a burst has made it large.
    fn give_back(&self, mut lines: String) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.capacity() == 0 && lines.capacity() <= 64 * 1024 {
            lines.clear();
            *waiting = lines;
        }
    }

    fn line(&self, exchange: &Exchange<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= MAX_WAITING {
            self.lost.set(self.lost.get() + 1);
            return;
        }
        // Writing to a string does not fail.
        let _ = match self.format {
            Format::Common => common(&mut waiting, exchange),
            Format::Json => json(&mut waiting, exchange),
            Format::Off => Ok(()),
        };
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Observer for AccessLog {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Answered(exchange) if self.format != Format::Off && !self.closed.get() => {
                self.line(&exchange);
            }
            Event::Answered(_) | Event::PickedUp | Event::AcceptFailed { .. } => {}
        }
    }
}

/// A line in the Common Log Format. `date` is `Mon, 23 Nov 2026 20:31:47 GMT`, and all its parts are where they are.
fn common(out: &mut String, exchange: &Exchange<'_>) -> std::fmt::Result {
    let date = exchange.date;
    write!(out, "{} - - [", exchange.peer.ip())?;
    for (part, behind) in [(5..7, '/'), (8..11, '/'), (12..16, ':'), (17..25, ' ')] {
        out.push_str(date.get(part).unwrap_or_default());
        out.push(behind);
    }
    out.push_str("+0000] \"");
    escape(out, exchange.line);
    let status = exchange.status;
    match exchange.bytes {
        0 => writeln!(out, "\" {status} -"),
        bytes => writeln!(out, "\" {status} {bytes}"),
    }
}

/// A line of JSON (RFC 8259). What [`escape`] writes is ASCII without control characters; only its quotes and
/// backslashes mean something in JSON.
fn json(out: &mut String, exchange: &Exchange<'_>) -> std::fmt::Result {
    let date = exchange.date;
    let part = |range| date.get(range).unwrap_or_default();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(part(8..11)).unwrap_or_default() / 3 + 1;
    write!(
        out,
        "{{\"time\":\"{}-{month:02}-{}T{}Z\",\"peer\":\"{}\",\"request\":\"",
        part(12..16),
        part(5..7),
        part(17..25),
        exchange.peer
    )?;
    let mut line = String::new();
    escape(&mut line, exchange.line);
    for c in line.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    let Exchange { status, bytes, .. } = exchange;
    writeln!(out, "\",\"status\":{status},\"bytes\":{bytes}}}")
}

/// Writes `bytes` so that they stay within one line, one field and ASCII, and can be read back: quotes and backslashes
/// get a backslash, everything that is not visible ASCII or a space becomes `\xhh`, as in the logs of other servers.
fn escape(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\x");
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}
