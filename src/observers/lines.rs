//! Collects the lines of all observers for standard output, in the order of the events.
//!
//! The lines of one turn are written together at its end, so that output does not decide the speed.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::net::Runtime;

/// The most bytes of lines that wait to be written, or are being written. A reader that has stopped reading loses the lines
/// beyond this limit, and a line gives their number. (The limit is for hosts whose standard output does not block. `wasmtime run`
/// waits, in the call that writes, for a pipe to be read, and the component waits with it.) Default is 1 MiB: ten thousand lines,
/// one for each connection.
const MAX_WAITING: usize = 1024 * 1024;

/// How often [`Lines::finish`] checks whether the last lines were passed on.
const LOOK: Duration = Duration::from_millis(10);

/// An output for lines.
pub trait Sink {
    /// Writes whole lines; waits while there is no room.
    ///
    /// # Errors
    /// [`BrokenPipe`](ErrorKind::BrokenPipe): the reader has gone, as with `serve | head -1`. Any other kind: these lines are
    /// lost, as on a full disk; the next lines may get through.
    fn write(&mut self, lines: &[u8]) -> impl Future<Output = io::Result<()>>;
}

/// Standard output, and standard error.
#[cfg(target_family = "wasm")]
impl Sink for hello_runtime::io::Output {
    async fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines).await?;
        self.flush()
    }
}

/// The note for the operator when the log cannot be written.
pub fn lost_note(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BrokenPipe => "hello-server: note: the reader of the log has gone; serving on without it\n",
        _ => {
            "hello-server: note: the log cannot be written (is the disk full?); serving on, and lines of it are lost\n"
        }
    }
}

/// Collects lines ([`add`](Lines::add)) and passes them on ([`run`](Lines::run)).
pub struct Lines {
    waiting: RefCell<String>,
    /// How many bytes of lines are being written.
    leaving: Cell<usize>,
    lost: Cell<u64>,
    /// Makes the line that gives the number of lost lines.
    loss: Box<dyn Fn(u64) -> String>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether there will be no more lines.
    finished: Cell<bool>,
    /// Whether [`run`](Lines::run) is running.
    running: Cell<bool>,
}

impl Lines {
    /// A collector without lines. `loss` makes the line that replaces lost lines, from their number.
    pub fn new(loss: impl Fn(u64) -> String + 'static) -> Self {
        Lines {
            waiting: RefCell::default(),
            leaving: Cell::new(0),
            lost: Cell::new(0),
            loss: Box::new(loss),
            closed: Cell::new(false),
            waker: RefCell::default(),
            finished: Cell::new(false),
            running: Cell::new(false),
        }
    }

    /// Adds the whole lines that `write` writes. Does not call `write` if the reader has gone.
    pub fn add(&self, write: impl FnOnce(&mut String) -> fmt::Result) {
        if self.closed.get() {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() + self.leaving.get() >= MAX_WAITING {
            self.lost.set(self.lost.get() + 1);
            return;
        }
        // Writing to a string does not fail.
        let _ = write(&mut waiting);
        self.wake();
    }

    /// Adds `text`: whole lines that are never left out. It is for messages that come once.
    pub fn say(&self, text: &str) {
        if self.closed.get() {
            return;
        }
        self.waiting.borrow_mut().push_str(text);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes the waiting lines.
    pub fn take(&self) -> String {
        self.waiting.take()
    }

    /// Passes lines on to `sink` whenever there are some, until they are [finished](Lines::finish), or until the reader has gone:
    /// then the server goes on without lines. `complain` gets the error when the reader has gone, and that of a failed write,
    /// once until a write has worked again.
    pub async fn run(&self, sink: impl Sink, complain: &dyn Fn(ErrorKind)) {
        self.running.set(true);
        self.pass_on(sink, complain).await;
        self.running.set(false);
    }

    async fn pass_on(&self, mut sink: impl Sink, complain: &dyn Fn(ErrorKind)) {
        // A failed write may have written a part of its lines.
        let mut torn = false;
        // How many lines the last write had. A host that writes asynchronously reports their loss only at the next write.
        let mut unsure = 0;
        let mut failing = false;
        loop {
            let lines = poll_fn(|context| {
                let lines = self.take();
                if lines.is_empty() && !self.finished.get() {
                    self.waker.replace(Some(context.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready(lines)
            })
            .await;
            if lines.is_empty() {
                return;
            }
            self.leaving.set(lines.len());
            let lost = self.lost.take();
            let written = match lost {
                0 => sink.write(lines.as_bytes()).await,
                _ => {
                    // End a line that was cut off.
                    let end = if torn { "\n" } else { "" };
                    sink.write(format!("{end}{}{lines}", (self.loss)(lost)).as_bytes()).await
                }
            };
            self.leaving.set(0);
            let about = lost + lines.lines().count() as u64;
            match written {
                Ok(()) => {
                    // Two writes in a row were accepted, so the first one has really worked.
                    failing &= torn;
                    unsure = about;
                }
                Err(ref error) if error.kind() == ErrorKind::BrokenPipe => {
                    self.closed.set(true);
                    complain(ErrorKind::BrokenPipe);
                    return;
                }
                Err(ref error) => {
                    self.lost.set(self.lost.get() + about + std::mem::take(&mut unsure));
                    if !std::mem::replace(&mut failing, true) {
                        complain(error.kind());
                    }
                }
            }
            torn = written.is_err();
            self.give_back(lines);
        }
    }

    /// Waits until the last lines have been passed on, but no longer than until `end`.
    pub async fn finish(&self, runtime: &impl Runtime, end: Duration) {
        self.finished.set(true);
        self.wake();
        while self.running.get() && runtime.now() < end {
            runtime.sleep_until(end.min(runtime.now() + LOOK)).await;
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
}
