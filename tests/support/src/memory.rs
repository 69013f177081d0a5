//! One conversation in memory, for tests that need millions of them: the actions of the peer are a list, and the clock
//! jumps to the time of the next event. Nothing else exists. (`runtime/src/model.rs` models more of a host, and is slower.)

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use hello_server::events::{CloseReason, Event, Observer, Peer};
use hello_server::http::Fault;
use hello_server::net::{Runtime, Stream};
use hello_server::server::connection::serve_connection;
use hello_server::server::connection_limit::ConnectionLimit;
use hello_server::server::{Limits, Server};

/// The next action of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The peer sends these bytes, which arrive at once; at least one.
    Bytes(Vec<u8>),
    /// The peer sends nothing for this time.
    Silence(Duration),
    /// The peer finishes sending. The bytes of later steps are not sent.
    Finish,
    /// The peer resets the connection. The bytes of later steps are not sent.
    Reset,
    /// The peer stops (false) or resumes (true) reading.
    Reads(bool),
}

/// The result of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// All bytes that the server sent.
    pub said: Vec<u8>,
    /// The requests with a response, in their order.
    pub answered: Vec<Answered>,
    /// The reason why the connection was closed.
    pub ending: Option<CloseReason>,
    /// The duration of the conversation, by the clock that jumps.
    pub time: Duration,
    /// The number of bytes that the server has read.
    pub read: usize,
}

/// One response, as the observer reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its status code.
    pub status: u16,
    /// The fault of the request.
    pub fault: Option<Fault>,
    /// The request line, as the log shows it.
    pub line: Vec<u8>,
    /// The number of bytes of the body.
    pub bytes: usize,
    /// The number of bytes received by then: the end of the request that this response belongs to.
    pub heard: usize,
}

/// Plays `steps`, and then silence, until the server has closed the connection.
///
/// # Panics
/// If a conversation waits for no event at all.
pub fn play(steps: impl IntoIterator<Item = Step>, limits: &Limits) -> Outcome {
    let world = Rc::new(World { steps: RefCell::new(steps.into_iter().collect()), ..World::default() });
    world.reads.set(true);
    let handle = Handle(Rc::clone(&world));
    let server = Server::new(handle.clone(), handle.clone(), limits.clone());
    let place = ConnectionLimit::new(1).try_acquire().expect("it is free");
    let peer = Peer { id: 1, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)) };
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut conversation = pin!(serve_connection(server, handle, peer, place));
    loop {
        world.next.set(None);
        if conversation.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            break;
        }
        // A task that has yielded is polled again at once: there are no other tasks.
        if !woken.0.swap(false, Ordering::Relaxed) {
            world.advance();
        }
    }
    let mut outcome = world.outcome.take();
    outcome.time = world.now.get();
    outcome
}

#[derive(Debug, Default)]
struct World {
    now: Cell<Duration>,
    /// The earliest deadline of a task.
    next: Cell<Option<Duration>>,
    steps: RefCell<VecDeque<Step>>,
    /// The time until which the peer sends nothing.
    silent_until: Cell<Duration>,
    /// The bytes that the peer has sent and the server has not read.
    sent: RefCell<VecDeque<u8>>,
    finished: Cell<bool>,
    reset: Cell<bool>,
    reads: Cell<bool>,
    /// The number of bytes that the server has reported as received.
    heard: Cell<usize>,
    outcome: RefCell<Outcome>,
}

impl World {
    /// Plays the next step, or moves the clock to the next event.
    fn advance(&self) {
        let over = self.finished.get() || self.reset.get();
        let mut steps = self.steps.borrow_mut();
        let speaks = !over && !steps.is_empty();
        if !speaks || self.now.get() < self.silent_until.get() {
            let speaks = speaks.then(|| self.silent_until.get());
            let next = self.next.get().into_iter().chain(speaks).min();
            self.now.set(next.expect("a conversation waits for something"));
            return;
        }
        match steps.pop_front() {
            Some(Step::Bytes(bytes)) => self.sent.borrow_mut().extend(bytes),
            Some(Step::Silence(time)) => self.silent_until.set(self.now.get() + time),
            Some(Step::Finish) => self.finished.set(true),
            Some(Step::Reset) => self.reset.set(true),
            Some(Step::Reads(reads)) => self.reads.set(reads),
            None => {}
        }
    }
}

/// Whether a task asked to be polled again at once.
#[derive(Debug, Default)]
pub struct Woken(pub AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The host, as the server sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handle(Rc<World>);

impl Runtime for Handle {
    fn now(&self) -> Duration {
        self.0.now.get()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777) + self.0.now.get()
    }

    async fn sleep_until(&self, deadline: Duration) {
        poll_fn(|_| {
            if self.0.now.get() >= deadline {
                return Poll::Ready(());
            }
            self.0.next.set(Some(self.0.next.get().map_or(deadline, |next| next.min(deadline))));
            Poll::Pending
        })
        .await;
    }

    async fn host_turn(&self) {}

    fn spawn(&self, _task: impl Future<Output = ()> + 'static) {
        unreachable!("a conversation has one task");
    }
}

impl Observer for Handle {
    fn observe(&self, event: Event<'_>) {
        let mut outcome = self.0.outcome.borrow_mut();
        match event {
            Event::Responded(exchange) => outcome.answered.push(Answered {
                status: exchange.status,
                fault: exchange.fault,
                line: exchange.line.to_vec(),
                bytes: exchange.bytes,
                heard: self.0.heard.replace(self.0.heard.get() + exchange.request_bytes) + exchange.request_bytes,
            }),
            Event::Closed(_, ending) => {
                assert_eq!(outcome.ending, None, "a call is over once");
                outcome.ending = Some(ending);
            }
            _ => {}
        }
    }
}

impl Stream for Handle {
    async fn read(&mut self, most: usize) -> std::io::Result<Vec<u8>> {
        poll_fn(|_| {
            if self.0.reset.get() {
                return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
            }
            let mut sent = self.0.sent.borrow_mut();
            if sent.is_empty() && !self.0.finished.get() {
                return Poll::Pending;
            }
            let most = most.min(sent.len());
            self.0.outcome.borrow_mut().read += most;
            Poll::Ready(Ok(sent.drain(..most).collect()))
        })
        .await
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        poll_fn(|_| match (self.0.reset.get(), self.0.reads.get()) {
            (true, _) => Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
            (false, false) => Poll::Pending,
            (false, true) => Poll::Ready(Ok(())),
        })
        .await?;
        self.0.outcome.borrow_mut().said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn shutdown_write(&mut self) {}

    async fn flushed(&mut self) {}

    fn abandon_writes(&mut self) {}
}
