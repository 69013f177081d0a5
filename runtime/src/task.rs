//! Functions for tasks: yield to other tasks, and wait for one of two futures.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::Poll;

/// Lets each task that has been woken by now have a turn.
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The output of the future that was ready first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future was ready.
    First(A),
    /// The second future was ready, and the first was not.
    Second(B),
}

/// Waits for one of two futures. The first one has precedence: when it is ready, the second is not polled.
///
/// Both futures stay where they are pinned. An async function that takes futures by value reserves room for them twice, and a
/// server has one such future for each connection.
pub fn race<A: Future, B: Future>(
    mut first: Pin<&mut A>,
    mut second: Pin<&mut B>,
) -> impl Future<Output = Either<A::Output, B::Output>> {
    poll_fn(move |context| match first.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Either::First(output)),
        Poll::Pending => second.as_mut().poll(context).map(Either::Second),
    })
}
