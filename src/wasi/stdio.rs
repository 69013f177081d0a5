//! Standard output and error; and the end of standard input, as a sign to stop.
//!
//! `println!` would do, but it waits until each line has been taken, on every host. The log waits only where the host
//! makes it.

use std::rc::Rc;

use ::wasi::cli::{stderr, stdin, stdout, terminal_stdout};
use ::wasi::io::streams::{InputStream, OutputStream, StreamError};

use super::host::Wasi;
use super::reactor::{Reactor, Source};
use crate::observers::lines::{Sink, SinkError};
use crate::server::after_the_others;

/// How much `blocking-write-and-flush` takes at a time, by its definition in WASI.
const BLOCKING_WRITE: usize = 4096;

/// How much of the log is written until everybody else has a turn: a burst of requests leaves a megabyte of it, which takes ten
/// milliseconds.
const WRITE: usize = 16 * 1024;

/// How much of standard input is thrown away at a time.
const IGNORED: u64 = 4096;

/// Writes `text` to standard output, and waits until it has been taken. Whoever closed it does not want to read it.
pub fn print(text: &str) {
    write_all(&stdout::get_stdout(), text);
}

/// Writes `text` to standard error, likewise.
pub fn print_error(text: &str) {
    write_all(&stderr::get_stderr(), text);
}

/// Whether somebody sees what is printed as it is printed.
pub fn stdout_is_terminal() -> bool {
    terminal_stdout::get_terminal_stdout().is_some()
}

fn write_all(stream: &OutputStream, text: &str) {
    for piece in text.as_bytes().chunks(BLOCKING_WRITE) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}

/// Standard output or error, for lines that wait until there is room.
#[derive(Debug)]
pub struct Output {
    // Dropped before the stream that its pollable belongs to.
    writable: Source<Wasi>,
    stream: OutputStream,
}

impl Output {
    /// Standard output, waited for at `reactor`.
    pub fn stdout(reactor: &Rc<Reactor<Wasi>>) -> Self {
        Output::new(reactor, stdout::get_stdout())
    }

    /// Standard error, waited for at `reactor`.
    pub fn stderr(reactor: &Rc<Reactor<Wasi>>) -> Self {
        Output::new(reactor, stderr::get_stderr())
    }

    fn new(reactor: &Rc<Reactor<Wasi>>, stream: OutputStream) -> Self {
        Output { writable: Source::new(reactor, stream.subscribe()), stream }
    }
}

impl Sink for Output {
    async fn write(&mut self, mut lines: &[u8]) -> Result<(), SinkError> {
        let failure = |error| match error {
            StreamError::Closed => SinkError::Closed,
            StreamError::LastOperationFailed(_) => SinkError::Failed,
        };
        while !lines.is_empty() {
            match self.stream.check_write().map_err(failure)? {
                0 => self.writable.ready().await,
                permitted => {
                    let (now, later) = lines.split_at(lines.len().min(permitted as usize).min(WRITE));
                    self.stream.write(now).map_err(failure)?;
                    lines = later;
                    if !lines.is_empty() {
                        after_the_others().await;
                    }
                }
            }
        }
        self.stream.flush().map_err(failure)
    }
}

/// Standard input, of which only the end counts: a pipe that is closed, Ctrl-D in a terminal, or a host that says so. What
/// comes before is thrown away.
#[derive(Debug)]
pub struct Stdin {
    // Dropped before the stream that its pollable belongs to.
    readable: Source<Wasi>,
    stream: InputStream,
}

impl Stdin {
    /// Standard input, waited for at `reactor`. It is read from at once, so that a host knows from now on that its end will be
    /// noticed.
    pub fn new(reactor: &Rc<Reactor<Wasi>>) -> Self {
        let stream = stdin::get_stdin();
        let stdin = Stdin { readable: Source::new(reactor, stream.subscribe()), stream };
        // Should this have been the end, it will be so the next time, too.
        stdin.is_open();
        stdin
    }

    fn is_open(&self) -> bool {
        self.stream.read(IGNORED).is_ok()
    }

    /// Waits until it has ended.
    pub async fn closed(&self) {
        while self.is_open() {
            // Also when something came: whoever is given an endless input has other things to do as well.
            self.readable.ready().await;
        }
    }
}
