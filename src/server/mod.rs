//! The server: accepts connections, and serves each of them.
//!
//! | file | its job |
//! |---|---|
//! | [`accept`] | accepts connections, as long as the limit permits |
//! | [`connection`] | one connection: reads requests, sends responses, closes |
//! | [`input`] | bytes of a connection that were read and not used yet |
//! | `transport` | the stream of a connection: deadlines, eviction, a gentle close |
//! | [`limits`] | the limits and timeouts, with their defaults |
//! | [`connection_limit`] | the limit on connections, and the choice of the connection to close for a new one |
//! | [`stop`] | the graceful shutdown: each accepted request gets its response |
//!
//! The server does not use WASI itself: it is generic over the traits in [`crate::net`]. It reports events to an
//! [`Observer`]; [`crate::observers`] has the observers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

pub mod accept;
pub mod connection;
pub mod connection_limit;
pub mod input;
pub mod limits;
pub mod stop;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

use crate::app::App;
use crate::events::Observer;
use crate::net::Runtime;
use connection_limit::ConnectionLimit;
pub use limits::Limits;
use stop::Stop;

/// The server: the state that all connections share.
#[derive(Debug)]
pub struct Server<R, O> {
    runtime: R,
    observer: O,
    app: App,
    limits: Limits,
    connections: ConnectionLimit,
    stop: Stop,
    /// How many connections were accepted.
    accepted: Cell<u64>,
    /// Until when a failed accept of any listener is not reported.
    quiet_until: Cell<Duration>,
    date: HttpDate,
}

impl<R: Runtime, O: Observer> Server<R, O> {
    /// A server without connections, with the app of `hello.rs`.
    pub fn new(runtime: R, observer: O, limits: Limits) -> Rc<Self> {
        Server::with_app(App::HELLO, runtime, observer, limits)
    }

    /// A server without connections, with another app.
    pub fn with_app(app: App, runtime: R, observer: O, limits: Limits) -> Rc<Self> {
        Rc::new(Server {
            connections: ConnectionLimit::new(limits.connections),
            stop: Stop::default(),
            accepted: Cell::new(0),
            quiet_until: Cell::default(),
            runtime,
            observer,
            app,
            limits,
            date: HttpDate::default(),
        })
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.taken()
    }
}

/// The time of day as an HTTP date, which is renewed only when its second is over by the runtime's clock. So the server notices
/// within a second that the clock was set.
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
