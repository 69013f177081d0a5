//! The conversation: pick up, listen, answer, hang up.
//!
//! | file | its one job |
//! |---|---|
//! | [`accept`] | pick up the phone, as long as there is a place free |
//! | [`connection`] | talk to one peer |
//! | [`input`] | what a peer has sent and nobody has used yet |
//! | [`places`] | how many may be on the line at a time, and who makes room |
//! | [`stop`] | the end: nobody who has been picked up is left without an answer |
//!
//! Nothing here knows WASI. The room is generic over the three traits below; [`crate::wasi`] implements them on the
//! real thing, the tests in memory and with a clock that they turn by hand. What happens is reported to an [`Observer`];
//! [`crate::observers`] has those that there are.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

pub mod accept;
pub mod connection;
pub mod input;
pub mod places;
pub mod stop;
#[cfg(test)]
pub(crate) mod tests;

use crate::http::Fault;
use crate::site::Site;
use places::Places;
use stop::Stop;

/// What the server puts up with. Each limit has an option on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. At this limit the server closes the connection that has been idle longest; if none is idle, the
    /// slowest one: its request, or the response to it, has been under way longest, and for more than a second. While there
    /// is none of either kind, new connections wait in the backlog. Default is 10,000.
    pub connections: usize,
    /// How long a client may take for the head of a request, counted from its first byte; and as long again for the
    /// body. Who is not done by then gets a 408. Default is 60 seconds: people type requests by hand.
    pub header_timeout: Duration,
    /// How long a client may say nothing, before its first request and after each reply; then it is hung up on without
    /// a word, as RFC 9112 section 9.5 allows. Default is 60 seconds.
    pub idle_timeout: Duration,
    /// How long a client may take for a response, or for several that are sent at once, from the start of the write. That it
    /// reads on does not put this off. Then the server sends nothing more on the connection, and closes it. What the kernel
    /// keeps for the client, 64 KiB, is taken. A system that does not take over what is in flight ([`Stream::give_up`]) keeps
    /// the connection, and its place, until the client has read that or is gone. Default is 30 seconds.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// The peer is gone: it reset the connection, or the network lost it. Nobody is there to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// One connection: bytes in, bytes out.
pub trait Stream {
    /// The bytes that have come, at most `most` of them; waits while there are none. An empty answer is the end: the
    /// peer has finished sending, and may still be reading. May be dropped while it waits, and nothing is lost.
    fn read(&mut self, most: usize) -> impl Future<Output = Result<Vec<u8>, Gone>>;

    /// Hands as many of `bytes` over for sending as there is room for, and says how many; waits while the peer does not make room.
    /// May be dropped while it waits: then none were handed over.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Gone>>;

    /// Says that nothing more will be written, behind what already is.
    fn finish(&mut self);

    /// Waits until nothing that was written is still on its way out of this program, or never will be. Until then the
    /// stream must not be dropped; see `wasi/stream.rs` for why.
    fn written(&mut self) -> impl Future<Output = ()>;

    /// The peer is not waited for any longer: has what is still on its way out of this program taken over by the system,
    /// so that [`written`](Stream::written) comes soon. A system that does not do that leaves it to the peer.
    fn give_up(&mut self);
}

/// What came of picking up.
#[derive(Debug)]
pub enum Call<S> {
    /// A caller, and where it calls from.
    From(S, SocketAddr),
    /// A caller who hung up before the call was picked up.
    Gone,
    /// Nobody is waiting.
    None,
}

/// A place where callers come in.
pub trait Listener {
    /// What a call becomes once it is picked up.
    type Stream: Stream + 'static;

    /// Picks up the next call.
    ///
    /// # Errors
    /// A sentence on why no caller can be picked up for the time being.
    fn accept(&mut self) -> Result<Call<Self::Stream>, String>;

    /// Waits until a caller may be waiting.
    fn ready(&mut self) -> impl Future<Output = ()>;

    /// Whether a caller is waiting: has a fresh look, while nothing else happens in this program. It takes some
    /// milliseconds at the most.
    fn look(&mut self) -> bool;
}

/// What the server needs of the world besides its connections: time, and a way to do several things at once.
pub trait Runtime: Clone + 'static {
    /// The time since some moment in the past, by a clock that is never set. It may stand still while a task runs.
    fn now(&self) -> Duration;

    /// The time of day.
    fn wall_clock(&self) -> SystemTime;

    /// Waits until [`now`](Runtime::now) has reached `deadline`.
    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()>;

    /// Waits until the system has noticed everything that has come by now.
    fn host_turn(&self) -> impl Future<Output = ()>;

    /// Starts `task` beside the others.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}

/// Something that happened, for whoever listens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'e> {
    /// There is a socket, which is to listen at this address.
    SocketMade(SocketAddr),
    /// The socket has its address.
    Bound(SocketAddr),
    /// Callers can come in.
    Listening {
        /// Where.
        address: SocketAddr,
        /// How many of them the system was asked to keep waiting in line.
        backlog: u64,
    },
    /// A call was picked up.
    PickedUp(Caller),
    /// The caller has said something: as much of a request as has come by now, and was not reported before.
    Heard(Caller, Part<'e>),
    /// The caller is told something: a reply, as it goes on the wire, in one or two parts.
    Said(Caller, Part<'e>),
    /// A request was answered.
    Answered(Exchange<'e>),
    /// The call is over: nothing more is said or heard. Its socket may stay for a while, until the last reply has arrived.
    HungUp(Caller, Ending),
    /// Picking up fails, and has not for a while; it will be tried again until it works.
    AcceptFailed {
        /// The listener's own sentence.
        cause: &'e str,
    },
}

/// Who is on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Which call this is: 1 for the first one that was picked up, and so on.
    pub number: u64,
    /// Where it comes from.
    pub address: SocketAddr,
}

/// A part of what was said. None of them is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'e> {
    /// Of the first line and the fields, to the empty line; or of what is no request.
    Head(&'e [u8]),
    /// Of what comes behind.
    Body(&'e [u8]),
}

impl Part<'_> {
    fn is_empty(&self) -> bool {
        let (Part::Head(bytes) | Part::Body(bytes)) = self;
        bytes.is_empty()
    }
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The last reply has been sent, and says that it is the last.
    Answered,
    /// The peer has finished sending, between requests.
    Finished,
    /// The server stopped waiting: the peer was idle for too long, had to make room, does not take its responses, or was idle
    /// when the server stopped.
    Silent,
    /// The peer is gone: there is nobody left to hang up on.
    Gone,
}

/// One request and its reply, as far as a log is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'e> {
    /// Who asked.
    pub caller: Caller,
    /// When it was answered, as an HTTP date (RFC 9110 section 5.6.7).
    pub date: &'e str,
    /// The request line, byte for byte as it came: anything at all may stand in it.
    pub line: &'e [u8],
    /// What was wrong with it, if it was no request.
    pub fault: Option<Fault>,
    /// The status code of the reply.
    pub status: u16,
    /// How many bytes of body the reply has on the wire.
    pub bytes: usize,
}

/// Listens to what happens.
pub trait Observer {
    /// Takes note of `event`. Called in the middle of a conversation: it must not wait.
    fn observe(&self, event: Event<'_>);
}

/// Two hear everything, one after the other.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&self, event: Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }
}

/// And so do several.
impl Observer for Vec<Box<dyn Observer>> {
    fn observe(&self, event: Event<'_>) {
        for observer in self {
            observer.observe(event);
        }
    }
}

/// A shared one hears for all who share it.
impl<O: Observer + ?Sized> Observer for Rc<O> {
    fn observe(&self, event: Event<'_>) {
        O::observe(self, event);
    }
}

/// What all conversations share.
#[derive(Debug)]
pub struct Server<R, O> {
    runtime: R,
    observer: O,
    site: Site,
    limits: Limits,
    places: Places,
    stop: Stop,
    /// How many calls were picked up.
    calls: Cell<u64>,
    date: HttpDate,
}

impl<R: Runtime, O: Observer> Server<R, O> {
    /// A server that has not picked up any call yet, and says what `hello.rs` says.
    pub fn new(runtime: R, observer: O, limits: Limits) -> Rc<Self> {
        Server::of(Site::HELLO, runtime, observer, limits)
    }

    /// A server that says something else.
    pub fn of(site: Site, runtime: R, observer: O, limits: Limits) -> Rc<Self> {
        Rc::new(Server {
            places: Places::new(limits.connections),
            stop: Stop::default(),
            calls: Cell::new(0),
            runtime,
            observer,
            site,
            limits,
            date: HttpDate::default(),
        })
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.places.taken()
    }
}

/// The deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Elapsed;

/// What `future` comes to, unless `deadline` passes first.
async fn within<R: Runtime, F: Future>(
    runtime: &R,
    deadline: Duration,
    future: Pin<&mut F>,
) -> Result<F::Output, Elapsed> {
    match either(future, pin!(runtime.sleep_until(deadline))).await {
        Either::First(output) => Ok(output),
        Either::Second(()) => Err(Elapsed),
    }
}

/// What came first.
enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits for one of two; the first one has precedence, and the other is not even asked when it is done. They stay where they
/// are: a future that takes others in sets aside room for them twice, and each connection has several.
fn either<A: Future, B: Future>(
    mut first: Pin<&mut A>,
    mut second: Pin<&mut B>,
) -> impl Future<Output = Either<A::Output, B::Output>> {
    poll_fn(move |context| match first.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Either::First(output)),
        Poll::Pending => second.as_mut().poll(context).map(Either::Second),
    })
}

/// Lets everybody have a turn who has something to do already.
pub(crate) async fn after_the_others() {
    let mut had_theirs = false;
    poll_fn(|context| {
        if std::mem::replace(&mut had_theirs, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The time of day as an HTTP date, asked for and written anew only when its second is over by the runtime's clock. So a
/// clock that is set is noticed within a second.
#[derive(Debug, Default)]
struct HttpDate {
    /// When the second is over.
    over: Cell<Duration>,
    text: RefCell<String>,
}

impl HttpDate {
    fn now<R: Runtime>(&self, runtime: &R) -> std::cell::Ref<'_, str> {
        let now = runtime.now();
        if now >= self.over.get() || self.text.borrow().is_empty() {
            // A clock before 1970 or after 9999 has no HTTP date; the nearest one is still a date.
            let time = runtime.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let second = Duration::from_secs(time.as_secs().min(253_402_300_799));
            *self.text.borrow_mut() = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + second);
            self.over.set(now + Duration::from_secs(1) - Duration::from_nanos(time.subsec_nanos().into()));
        }
        std::cell::Ref::map(self.text.borrow(), String::as_str)
    }
}
