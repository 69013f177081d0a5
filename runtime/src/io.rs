//! Standard input, output and error, without blocking the other tasks: `println!` blocks the component until the line was taken.

use std::io::{self, ErrorKind};

use ::wasi::cli::{stderr, stdin, stdout, terminal_stdout};
use ::wasi::io::streams::{InputStream, OutputStream, StreamError};

use crate::reactor::Source;
use crate::runtime::Runtime;
use crate::wasi::{Wasi, permitted, read};
use crate::yield_now;

/// How many bytes `blocking-write-and-flush` takes at a time, as WASI defines it.
const BLOCKING_WRITE: usize = 4096;

/// How many bytes [`Output::write_all`] writes until the other tasks have a turn. A megabyte takes ten milliseconds.
const WRITE_PER_TURN: usize = 16 * 1024;

/// Standard output.
pub fn stdout() -> Output {
    Output::new(stdout::get_stdout())
}

/// Standard error.
pub fn stderr() -> Output {
    Output::new(stderr::get_stderr())
}

/// Standard input.
pub fn stdin() -> Input {
    let stream = stdin::get_stdin();
    Input { readable: Source::new(Runtime::current().reactor(), stream.subscribe()), stream }
}

/// Writes `text` to standard output, and blocks until the host has taken it. Text for a closed output is lost without an error.
///
/// Use this while no tasks run yet, or none any more. A component that prints only with this function is 15 KiB smaller than with
/// `print!`.
pub fn print(text: &str) {
    write_blocking(&stdout::get_stdout(), text);
}

/// Writes `text` to standard error; see [`print()`].
pub fn print_error(text: &str) {
    write_blocking(&stderr::get_stderr(), text);
}

fn write_blocking(stream: &OutputStream, text: &str) {
    let mut pieces = text.as_bytes().chunks(BLOCKING_WRITE);
    let _ = pieces.try_for_each(|piece| stream.blocking_write_and_flush(piece));
}

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    terminal_stdout::get_terminal_stdout().is_some()
}

/// An output of the program: see [`stdout()`] and [`stderr()`].
pub struct Output {
    // The pollable of the source belongs to the stream, and must be dropped before it.
    writable: Source<Wasi>,
    stream: OutputStream,
}

impl Output {
    fn new(stream: OutputStream) -> Self {
        Output { writable: Source::new(Runtime::current().reactor(), stream.subscribe()), stream }
    }

    /// Writes as many of `bytes` as there is room for, and returns how many; waits while there is no room.
    ///
    /// # Errors
    /// [`BrokenPipe`](ErrorKind::BrokenPipe): the output was closed. Any other kind: the write failed.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = loop {
            match permitted(&self.stream).map_err(kind)? {
                0 => self.writable.ready().await,
                permitted => break bytes.len().min(permitted),
            }
        };
        self.stream.write(&bytes[..written]).map_err(kind)?;
        Ok(written)
    }

    /// Writes all of `bytes`; between each 16 KiB of them the other tasks have a turn. When the future is dropped before it is ready,
    /// some of them may have been written.
    ///
    /// # Errors
    /// As [`write`](Output::write).
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(&bytes[..bytes.len().min(WRITE_PER_TURN)]).await?;
            bytes = &bytes[written..];
            if !bytes.is_empty() {
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Tells the host to pass on all written bytes.
    ///
    /// # Errors
    /// As [`write`](Output::write).
    pub fn flush(&mut self) -> io::Result<()> {
        Ok(self.stream.flush().map_err(kind)?)
    }
}

/// The input of the program: see [`stdin()`].
pub struct Input {
    // The pollable of the source belongs to the stream, and must be dropped before it.
    readable: Source<Wasi>,
    stream: InputStream,
}

impl Input {
    /// Reads at most `most` bytes, if some have come; `None` if none have. No bytes mean the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn try_read(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(read(&self.stream, most)?)
    }

    /// Reads at most `most` bytes, and waits while there are none. No bytes mean the end. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The input cannot be read.
    pub async fn read_chunk(&mut self, most: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(bytes) = self.try_read(most)? {
                return Ok(bytes);
            }
            self.ready().await;
        }
    }

    /// Waits until there may be something to read.
    pub async fn ready(&mut self) {
        self.readable.ready().await;
    }
}

fn kind(error: StreamError) -> ErrorKind {
    match error {
        StreamError::Closed => ErrorKind::BrokenPipe,
        StreamError::LastOperationFailed(_) => ErrorKind::Other,
    }
}
