//! The results of the two sides for the same bytes: this server, and hyper.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use hello_server::events::CloseReason;
use hello_server::http::Fault;
use hello_server::server::Limits;
use hello_test_support::memory::{Step, Woken, play};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};

/// The result of one side for a stream of bytes.
#[derive(Debug)]
pub(crate) struct Side {
    /// The messages that this side accepted and responded to.
    pub(crate) messages: Vec<Message>,
    /// The reason why no more messages followed.
    pub(crate) stop: Stop,
}

/// An accepted message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) method: String,
    /// The target, as hyper parses it; none if hyper cannot parse it.
    pub(crate) target: Option<Uri>,
    /// The numbers of bytes with which the message was still incomplete, and with which it was complete.
    pub(crate) end: (usize, usize),
}

/// The reason why there are no more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes have ended, and no message had begun.
    Finished,
    /// The last message closed the connection.
    Closed,
    /// The bytes are no message, or ended in the middle of one; with the fault, if this server refused them.
    Refused(Option<Fault>),
}

/// Reads `bytes` with this server, in these pieces.
pub(crate) fn ours(bytes: &[u8], cuts: &[usize]) -> Side {
    let mut from = 0;
    let mut steps: Vec<Step> = Vec::new();
    for &to in cuts.iter().chain([&bytes.len()]).filter(|&&to| to > 0) {
        if to > from {
            steps.push(Step::Bytes(bytes[from..to].to_vec()));
            from = to;
        }
    }
    steps.push(Step::Finish);
    let outcome = play(steps, &Limits::default());
    let mut stop = match outcome.ending {
        Some(CloseReason::PeerFinished) => Stop::Finished,
        Some(CloseReason::LastResponse) => Stop::Closed,
        ending => panic!("no peer did that: {ending:?}"),
    };
    let mut messages = Vec::new();
    for answered in outcome.answered {
        if let Some(fault) = answered.fault {
            stop = Stop::Refused(Some(fault));
            break;
        }
        let line = String::from_utf8(answered.line).expect("a request line is ASCII");
        let mut parts = line.split(' ');
        let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        messages.push(Message {
            method: method.to_owned(),
            target: Uri::try_from(target).ok(),
            end: (answered.heard - 1, answered.heard),
        });
    }
    Side { messages, stop }
}

/// Reads `bytes` with hyper, in pieces. Each piece comes only when hyper has nothing more to do with the pieces before, so
/// the end of each message is known to the piece.
pub(crate) fn hypers(bytes: &[u8], cuts: &[usize]) -> Side {
    let wire = Rc::new(RefCell::new(Wire::default()));
    let messages = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let (wire, messages) = (Rc::clone(&wire), Rc::clone(&messages));
        async move {
            let (head, mut body) = request.into_parts();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                frame?;
            }
            let wire = wire.borrow();
            messages.borrow_mut().push(Message {
                method: head.method.to_string(),
                target: Some(head.uri),
                end: (wire.before, wire.given),
            });
            Ok::<_, hyper::Error>(Response::new(Nothing))
        }
    });
    let mut builder = http1::Builder::new();
    // This test does not compare the limits.
    builder.auto_date_header(false).max_header_size(4 * 1024 * 1024);
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    if lines >= 100 {
        builder.max_headers(lines);
    }
    let mut connection = pin!(builder.serve_connection(Handle(Rc::clone(&wire)), service));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cuts = cuts.iter().copied().chain([bytes.len()]);
    let stop = loop {
        if let Poll::Ready(end) = connection.as_mut().poll(&mut Context::from_waker(&waker)) {
            break match end {
                Err(_) => Stop::Refused(None),
                Ok(()) if wire.borrow().finished => Stop::Finished,
                Ok(()) => Stop::Closed,
            };
        }
        if woken.0.swap(false, Ordering::Relaxed) {
            continue;
        }
        let mut wire = wire.borrow_mut();
        let given = wire.given;
        match cuts.find(|&to| to > given) {
            Some(to) => wire.give(&bytes[given..to]),
            None => {
                assert!(!wire.finished, "hyper waits for something");
                wire.finished = true;
            }
        }
    };
    let messages = messages.take();
    Side { messages, stop }
}

/// The input of hyper; its output is ignored.
#[derive(Default)]
struct Wire {
    /// The bytes that hyper may read, and the number that it has read.
    bytes: Vec<u8>,
    read: usize,
    /// The number of bytes given to hyper, and their number before the last piece.
    given: usize,
    before: usize,
    finished: bool,
}

impl Wire {
    fn give(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(piece);
        self.before = self.given;
        self.given += piece.len();
    }
}

struct Handle(Rc<RefCell<Wire>>);

impl Read for Handle {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let most = (wire.bytes.len() - wire.read).min(to.remaining());
        if most == 0 && !wire.finished {
            return Poll::Pending;
        }
        to.put_slice(&wire.bytes[wire.read..][..most]);
        wire.read += most;
        Poll::Ready(Ok(()))
    }
}

impl Write for Handle {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An empty body of a response.
struct Nothing;

impl Body for Nothing {
    type Data = &'static [u8];
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<&'static [u8]>>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
