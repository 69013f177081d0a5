//! The body of a response that is made while it is sent: piece by piece, for as long as the client reads.
//!
//! A *producer* is an `async` function that sends pieces. It runs as a part of the task of its connection: it goes on when the client
//! has read the last piece (so a slow client makes it wait), and is dropped when the client is gone. It knows no runtime: the server
//! that sends the body also keeps the time for its pauses. (For an example see `src/hello.rs`.)

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Makes the pieces.
type Producer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The next thing that a producer wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// To send these bytes. There is at least one.
    Piece(Vec<u8>),
    /// To go on after this time.
    Pause(Duration),
}

/// Sends the pieces of a body.
///
/// It is `Send` for hosts with `wasi:http`, whose library asks for that; no other thread is involved.
#[derive(Debug)]
pub struct BodyWriter(Arc<Mutex<Option<Step>>>);

impl BodyWriter {
    /// Sends `piece`, and waits until the connection has room for the next one. If the client is gone by then, the producer is dropped
    /// here, and this never returns.
    pub async fn send(&mut self, piece: impl Into<Vec<u8>>) {
        let piece = piece.into();
        if !piece.is_empty() {
            self.wait_for(Step::Piece(piece)).await;
        }
    }

    /// Waits for this time.
    pub async fn pause(&mut self, time: Duration) {
        self.wait_for(Step::Pause(time)).await;
    }

    /// Waits until the server has taken this step, and asks for the next one.
    async fn wait_for(&mut self, step: Step) {
        *lock(&self.0) = Some(step);
        poll_fn(|_| if lock(&self.0).is_none() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// A body that is made while it is sent. All clones are one and the same body, which can be sent once.
#[derive(Clone)]
pub struct StreamBody {
    producer: Arc<Mutex<Option<Producer>>>,
    step: Arc<Mutex<Option<Step>>>,
}

impl StreamBody {
    /// The body that the producer which `make` returns will send.
    pub fn new<F: Future<Output = ()> + Send + 'static>(make: impl FnOnce(BodyWriter) -> F) -> Self {
        let step = Arc::default();
        let producer: Producer = Box::pin(make(BodyWriter(Arc::clone(&step))));
        StreamBody { producer: Arc::new(Mutex::new(Some(producer))), step }
    }

    /// The next step of the producer, when it is known; `None` at the end of the body. Ask again when the step has been done.
    pub fn poll_step(&self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let mut producer = lock(&self.producer);
        let Some(future) = producer.as_mut() else { return Poll::Ready(None) };
        let is_over = future.as_mut().poll(context).is_ready();
        if is_over {
            *producer = None;
        }
        match lock(&self.step).take() {
            Some(step) => Poll::Ready(Some(step)),
            None if is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Waits for the next step of the producer; see [`poll_step`](StreamBody::poll_step).
    pub async fn step(&self) -> Option<Step> {
        poll_fn(|context| self.poll_step(context)).await
    }
}

impl fmt::Debug for StreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamBody")
    }
}

impl PartialEq for StreamBody {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.producer, &other.producer)
    }
}

impl Eq for StreamBody {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
