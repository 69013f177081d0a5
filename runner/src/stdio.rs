//! The three standard streams of the component.
//!
//! Standard output and error have a thread each, which writes: a reader that has stopped reading (Ctrl-S, a pager, a
//! full pipe) keeps the component from printing, and from nothing else. The standard input of the component has no bytes
//! but, with `--audit-to-stdin`, the lines of the audit, and ends when the component has to stop. The sandbox reads its own
//! standard input only with `--stop-when-stdin-closes`, and discards the bytes.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hello_failure::escape;
use mio::Waker;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// The name of this program in its messages.
pub(crate) const NAME: &str = "hello-runner";

/// The most bytes that wait to be written; beyond them the component has to wait.
const MOST_WAITING: usize = 64 * 1024;

/// The most bytes that wait for the component to read them; lines beyond them are dropped.
const MOST_UNREAD: usize = 256 * 1024;

/// The time between two tries to write or read, where the system does not block.
const LOOK: Duration = Duration::from_millis(5);

/// Standard output or error.
pub(crate) struct Output {
    terminal: bool,
    state: Mutex<State>,
    /// Notifies the thread that writes: there are bytes to write.
    written_to: Condvar,
    /// Notifies the component, and [`Output::drain`]: a write is done, or has failed.
    writable: Notify,
    drained: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<u8>,
    /// The thread has taken bytes, and has not written all of them.
    writing: bool,
    /// The component has asked for a flush.
    flushing: bool,
    /// The reader has closed its end.
    closed: bool,
    /// The error of an earlier write, which the next call reports.
    failure: Option<std::io::Error>,
    /// Wake the instances that wait for this output.
    wakers: Vec<Arc<Waker>>,
}

impl Output {
    /// Writes to standard output.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn stdout() -> std::io::Result<Arc<Self>> {
        Output::new(std::io::stdout())
    }

    /// Writes to standard error.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn stderr() -> std::io::Result<Arc<Self>> {
        Output::new(std::io::stderr())
    }

    /// Writes to memory, at most this many bytes.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn in_memory(most: usize) -> std::io::Result<(Arc<Self>, Memory)> {
        let memory = Memory { bytes: Arc::default(), most };
        Ok((Output::new(memory.clone())?, memory))
    }

    fn new(sink: impl Write + IsTerminal + Send + 'static) -> std::io::Result<Arc<Self>> {
        let output = Arc::new(Output {
            terminal: sink.is_terminal(),
            state: Mutex::default(),
            written_to: Condvar::new(),
            writable: Notify::new(),
            drained: Condvar::new(),
        });
        let writer = Arc::clone(&output);
        // The thread ends with the process.
        std::thread::Builder::new().spawn(move || writer.write_on(sink))?;
        Ok(output)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all bytes of `waiting`, as they come, for ever.
    fn write_on(&self, mut sink: impl Write) {
        let mut state = self.state();
        loop {
            if state.waiting.is_empty() {
                state = self.written_to.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let bytes = std::mem::take(&mut state.waiting);
            state.writing = true;
            drop(state);
            let (first, second) = bytes.as_slices();
            let written = write_all(&mut sink, first).and_then(|()| write_all(&mut sink, second));
            let written = written.and_then(|()| sink.flush());
            state = self.state();
            state.writing = false;
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => state.closed = true,
                Err(error) => {
                    state.failure = Some(error);
                    // The bytes that were written may end in the middle of a line, and those that wait may begin in one:
                    // together they would look like a line that the component has not printed.
                    state.waiting.clear();
                }
            }
            if state.waiting.is_empty() {
                state.flushing = false;
            }
            self.writable.notify_waiters();
            state.wakers.drain(..).for_each(|waker| wake(&waker));
            self.drained.notify_all();
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        if !state.closed {
            state.waiting.extend(bytes);
            self.written_to.notify_one();
        }
    }

    /// Prints lines of the host's own, each [escaped](escape). There are few of them, so their length is not limited.
    pub(crate) fn say<'l>(&self, lines: impl IntoIterator<Item = &'l str>) {
        let text: String = lines.into_iter().map(|line| escape(line) + "\n").collect();
        self.push(text.as_bytes());
    }

    /// Waits until everything is written, but no longer than `most`.
    pub(crate) fn drain(&self, most: Duration) {
        let deadline = Instant::now() + most;
        let mut state = self.state();
        while (state.writing || !state.waiting.is_empty()) && !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self.drained.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ends the wait of a component. A system that refuses has no memory left for that, and will let the component wait.
pub(crate) fn wake(waker: &Waker) {
    let _ = waker.wake();
}

/// Writes all of `bytes`. Another program may have set this terminal, or pipe, to non-blocking: then this function waits
/// itself.
pub(crate) fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads `input` to its end, or to the first error, and discards its bytes. Another program may have set this terminal, or
/// pipe, to non-blocking: then this function waits itself.
pub(crate) fn discard_input(mut input: impl Read) {
    let mut bytes = [0; 1024];
    loop {
        match input.read(&mut bytes) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
            Ok(0) | Err(_) => return,
        }
    }
}

/// What was written to memory.
#[derive(Clone)]
pub(crate) struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl Memory {
    /// What was written, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut written = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let length = bytes.len().min(self.most - written.len());
        written.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl IsTerminal for Memory {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl State {
    /// The number of bytes that the component may write now.
    ///
    /// # Errors
    /// An earlier write has failed (reported once), or the reader has closed its end.
    fn permitted(&mut self) -> StreamResult<usize> {
        if let Some(error) = self.failure.take() {
            return Err(StreamError::LastOperationFailed(error.into()));
        }
        if self.closed {
            return Err(StreamError::Closed);
        }
        match self.flushing {
            true => Ok(0),
            false => Ok(MOST_WAITING.saturating_sub(self.waiting.len())),
        }
    }

    fn is_ready(&self) -> bool {
        let full = self.flushing || self.waiting.len() >= MOST_WAITING;
        self.failure.is_some() || self.closed || !full
    }
}

/// The handle of an instance to an [`Output`].
#[derive(Clone)]
pub(crate) struct OutputHandle {
    output: Arc<Output>,
    /// Where other instances write, too, the lines of this one.
    lines: Option<Arc<Lines>>,
}

impl OutputHandle {
    /// A handle to `output`. If an instance `shares` it with others, whole lines are written.
    pub(crate) fn new(output: &Arc<Output>, shares: bool) -> Self {
        let lines = shares.then(|| Arc::new(Lines { output: Arc::clone(output), begun: Mutex::default() }));
        OutputHandle { output: Arc::clone(output), lines }
    }

    /// Whether a write would be permitted, or fail. If not, `waker` is woken when that has changed.
    pub(crate) fn is_ready(&self, waker: &Arc<Waker>) -> bool {
        let mut state = self.output.state();
        let is_ready = state.is_ready();
        if !is_ready && !state.wakers.iter().any(|other| Arc::ptr_eq(other, waker)) {
            state.wakers.push(Arc::clone(waker));
        }
        is_ready
    }
}

/// The lines of one of several instances.
struct Lines {
    output: Arc<Output>,
    /// A line whose end is still to come.
    begun: Mutex<Vec<u8>>,
}

impl Lines {
    /// Pushes the lines that end in `bytes`, and keeps the rest, unless it is too long for a line.
    fn push(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.extend_from_slice(bytes);
        let whole = match begun.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => end + 1,
            None if begun.len() >= MOST_WAITING => begun.len(),
            None => 0,
        };
        self.output.push(&begun[..whole]);
        begun.drain(..whole);
    }
}

/// An instance that ends in the middle of a line has no more of it.
impl Drop for Lines {
    fn drop(&mut self) {
        let begun = self.begun.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !begun.is_empty() {
            begun.push(b'\n');
            self.output.push(begun);
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for OutputHandle {
    async fn ready(&mut self) {
        loop {
            let mut changed = std::pin::pin!(self.output.writable.notified());
            changed.as_mut().enable();
            if self.output.state().is_ready() {
                return;
            }
            changed.await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for OutputHandle {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let permitted = self.output.state().permitted()?;
        // Other instances may have written, or asked for a flush, since this one was permitted to write.
        let most = if self.lines.is_some() { MOST_WAITING } else { permitted };
        if bytes.len() > most {
            return Err(StreamError::trap("more was written to standard output or error than was permitted"));
        }
        match &self.lines {
            Some(lines) => lines.push(&bytes),
            None => self.output.push(&bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        let mut state = self.output.state();
        state.permitted()?;
        state.flushing = state.writing || !state.waiting.is_empty();
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.output.state().permitted()
    }
}

/// The side of an [`Output`] that the component sees.
pub(crate) struct Stdout(pub(crate) Arc<Output>);

impl IsTerminal for Stdout {
    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

impl StdoutStream for Stdout {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(OutputHandle::new(&self.0, false))
    }

    /// WASI 0.2 has no use for it, and it is the only one that is offered.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

/// The lines in the standard input of the component that it has not read.
#[derive(Default)]
pub(crate) struct InputLines {
    unread: Mutex<VecDeque<u8>>,
    /// Notifies the component: there is a line to read.
    added: Notify,
    /// Wakes a component that waits for a line.
    waker: Mutex<Option<Arc<Waker>>>,
}

impl InputLines {
    /// Adds a line; drops it if the component has left too many unread.
    pub(crate) fn add(&self, line: &str) {
        let mut unread = self.unread();
        if unread.len() + line.len() < MOST_UNREAD {
            unread.extend(line.bytes().chain([b'\n']));
            self.added.notify_waiters();
            if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
                wake(&waker);
            }
        }
    }

    /// Reads all lines that are unread.
    #[cfg(test)]
    pub(crate) fn read_all(&self) -> String {
        String::from_utf8(self.unread().drain(..).collect()).expect("text")
    }

    fn unread(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard input of the component: lines of the sandbox, if any, and its end when the component has to stop.
#[derive(Clone)]
pub(crate) struct Stdin {
    lines: Arc<InputLines>,
    stop: watch::Receiver<bool>,
    /// Whether the component has ever waited for this input, or read from it, and so would notice its end.
    heeded: Arc<AtomicBool>,
}

impl Stdin {
    /// An input with these `lines` that ends when `stop` becomes true, whatever is unread then. Sets `heeded` once the component
    /// waits for it or reads it.
    pub(crate) fn new(lines: Arc<InputLines>, stop: watch::Receiver<bool>, heeded: Arc<AtomicBool>) -> Self {
        Stdin { lines, stop, heeded }
    }

    /// Whether the component has to stop.
    pub(crate) fn ends(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether a read would return bytes or the end. If not, `waker` is woken when there is a line; the watch wakes it at the end.
    pub(crate) fn is_ready(&self, waker: &Arc<Waker>) -> bool {
        self.heeded.store(true, Ordering::Relaxed);
        if self.ends() {
            return true;
        }
        *self.lines.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(waker));
        !self.lines.unread().is_empty()
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        self.heeded.store(true, Ordering::Relaxed);
        let mut added = pin!(self.lines.added.notified());
        added.as_mut().enable();
        if !self.lines.unread().is_empty() {
            return;
        }
        // The sender lives as long as the component.
        let mut stopped = pin!(self.stop.wait_for(|&stop| stop));
        poll_fn(|context| match added.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => stopped.as_mut().poll(context).map(drop),
        })
        .await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.heeded.store(true, Ordering::Relaxed);
        if self.ends() {
            return Err(StreamError::Closed);
        }
        let mut unread = self.lines.unread();
        let length = unread.len().min(size);
        Ok(unread.drain(..length).collect())
    }
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Stdin {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }

    /// WASI 0.2 has no use for it, and it is the only one that is offered.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// A sink in which each write blocks until the test permits it.
    struct Slow(Receiver<std::io::Result<()>>, SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.recv().expect("the test goes on")?;
            self.1.send(bytes.to_vec()).expect("the test goes on");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl IsTerminal for Slow {
        fn is_terminal(&self) -> bool {
            false
        }
    }

    fn slow() -> (Arc<Output>, SyncSender<std::io::Result<()>>, Receiver<Vec<u8>>) {
        let (permits, permitted) = sync_channel(100);
        let (writes, written) = sync_channel(100);
        (Output::new(Slow(permitted, writes)).expect("a thread"), permits, written)
    }

    fn wait(handle: &mut OutputHandle) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(handle.ready());
    }

    /// Waits until an earlier write has failed, and takes note of it.
    fn wait_for_failure(handle: &mut OutputHandle) {
        while handle.check_write().is_ok() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_reader_that_does_not_read_stops_no_connection() {
        let (output, permits, written) = slow();
        let mut handle = OutputHandle::new(&output, false);
        let mut accepted = 0;
        // The output never accepts more than the thread takes at once and may wait behind that.
        while let Ok(permitted @ 1..) = handle.check_write() {
            let bytes = permitted.min(1000);
            handle.write(Bytes::from(vec![b'x'; bytes])).expect("permitted");
            accepted += bytes;
            assert!(accepted <= 2 * MOST_WAITING);
        }
        output.drain(Duration::from_millis(1));
        permits.send(Ok(())).expect("it writes");
        permits.send(Ok(())).expect("it writes");
        wait(&mut handle);
        assert!(handle.check_write().expect("it goes on") > 0);
        output.drain(Duration::from_secs(60));
        assert_eq!(written.try_iter().map(|bytes| bytes.len()).sum::<usize>(), accepted);
    }

    #[test]
    fn a_flush_is_done_when_everything_is_written() {
        let (output, permits, written) = slow();
        let mut handle = OutputHandle::new(&output, false);
        handle.write(Bytes::from_static(b"a")).expect("permitted");
        handle.flush().expect("nothing is wrong");
        assert_eq!(handle.check_write().expect("nothing is wrong"), 0);
        permits.send(Ok(())).expect("it writes");
        wait(&mut handle);
        assert_eq!(written.recv().expect("written"), b"a");
        assert_eq!(handle.check_write().expect("nothing is wrong"), MOST_WAITING);
    }

    #[test]
    fn a_failed_write_is_reported_once_and_a_closed_output_for_ever() {
        let (output, permits, _written) = slow();
        let mut handle = OutputHandle::new(&output, false);
        for (kind, times) in [(ErrorKind::StorageFull, 1), (ErrorKind::BrokenPipe, 2)] {
            handle.write(Bytes::from_static(b"a")).expect("permitted");
            handle.flush().expect("nothing is wrong yet");
            permits.send(Err(kind.into())).expect("it writes");
            wait(&mut handle);
            for _ in 0..times {
                assert!(handle.check_write().is_err());
            }
            assert_eq!(handle.check_write().is_ok(), times == 1);
        }
    }

    #[test]
    fn behind_what_could_not_be_written_comes_nothing_that_belongs_to_it() {
        let (output, permits, written) = slow();
        let mut handle = OutputHandle::new(&output, false);
        handle.write(Bytes::from_static(b"a line\nand half ")).expect("permitted");
        permits.send(Ok(())).expect("it writes");
        assert_eq!(written.recv().expect("written"), b"a line\nand half ");
        // The thread takes these bytes, and then there are more.
        handle.write(Bytes::from_static(b"of one that is long ")).expect("permitted");
        while !handle.output.state().writing {
            std::thread::yield_now();
        }
        handle.write(Bytes::from_static(b"and its end\n")).expect("permitted");
        permits.send(Err(ErrorKind::StorageFull.into())).expect("it writes");
        wait_for_failure(&mut handle);
        handle.write(Bytes::from_static(b"another line\n")).expect("permitted");
        permits.send(Ok(())).expect("it writes");
        assert_eq!(written.recv().expect("written"), b"another line\n");
    }

    #[test]
    fn where_the_system_does_not_wait_for_room_nothing_is_lost() {
        let (output, permits, written) = slow();
        output.push(b"all of it");
        for permit in [Err(ErrorKind::WouldBlock.into()), Err(ErrorKind::Interrupted.into()), Ok(())] {
            permits.send(permit).expect("it writes");
        }
        assert_eq!(written.recv().expect("written"), b"all of it");
    }

    /// An input whose reads return these results in order, and then its end.
    struct Answers(std::vec::IntoIter<std::io::Result<usize>>);

    impl Read for Answers {
        fn read(&mut self, _bytes: &mut [u8]) -> std::io::Result<usize> {
            self.0.next().unwrap_or(Ok(0))
        }
    }

    #[test]
    fn input_is_read_until_its_end_or_the_first_error_that_is_none_of_waiting() {
        for (last, unread) in [(Ok(0), 1), (Err(ErrorKind::Other.into()), 1), (Ok(1), 0)] {
            let waits = [ErrorKind::WouldBlock, ErrorKind::Interrupted].map(|kind| Err(kind.into()));
            let answers: Vec<_> = [Ok(1024)].into_iter().chain(waits).chain([last, Ok(1)]).collect();
            let mut input = Answers(answers.into_iter());
            discard_input(&mut input);
            assert_eq!(input.0.len(), unread);
        }
    }

    #[test]
    fn the_input_has_whole_lines_as_many_as_may_be_unread_and_ends_when_the_component_has_to_stop() {
        let (lines, stop) = (Arc::new(InputLines::default()), watch::Sender::new(false));
        let mut input = Stdin::new(Arc::clone(&lines), stop.subscribe(), Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(input.read(10).expect("it is open").is_empty());
        runtime.block_on(async {
            let mut waiting = input.clone();
            let waits = tokio::spawn(async move { waiting.ready().await });
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
            lines.add("a line");
            tokio::task::yield_now().await;
            assert!(waits.is_finished());
        });
        runtime.block_on(input.ready());
        assert_eq!(input.read(4).expect("it is open"), "a li");
        assert_eq!(input.read(usize::MAX).expect("it is open"), "ne\n");
        let long = "x".repeat(1000);
        (0..1000).for_each(|_| lines.add(&long));
        let read = input.read(usize::MAX).expect("it is open");
        assert_eq!(read.len(), MOST_UNREAD / 1001 * 1001);
        lines.add("another line");
        stop.send_replace(true);
        runtime.block_on(input.ready());
        assert!(matches!(input.read(10), Err(StreamError::Closed)));
        // Nothing is unread: now only the end makes it ready.
        lines.unread().clear();
        runtime.block_on(input.ready());
    }

    #[test]
    fn more_than_was_permitted_is_a_trap() {
        let (output, _permits, _written) = slow();
        let mut handle = OutputHandle::new(&output, false);
        let bytes = Bytes::from(vec![b'x'; MOST_WAITING + 1]);
        assert!(matches!(handle.write(bytes), Err(StreamError::Trap(_))));
    }
}
