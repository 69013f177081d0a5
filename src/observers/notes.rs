//! Notes for the operator on standard error, which a reader of the log does not expect there; and the numbers of what was served.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::count;
use super::lines::Lines;
use crate::events::{Event, Observer};
use crate::http::Fault;
use crate::net::Runtime;

/// How long no client must have sent TLS until the next one is noted.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// Writes notes for the operator.
pub struct Notes<R> {
    lines: Rc<Lines>,
    runtime: R,
    /// Until when TLS is not noted.
    quiet_until: Cell<Duration>,
}

impl<R: Runtime> Notes<R> {
    /// An observer that adds to `lines`. `runtime` has the clock.
    pub fn new(lines: &Rc<Lines>, runtime: R) -> Self {
        Notes { lines: Rc::clone(lines), runtime, quiet_until: Cell::default() }
    }
}

impl<R: Runtime> Observer for Notes<R> {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::AcceptFailed { cause } => {
                self.lines.say(&format!("hello-server: cannot pick up a call, trying on: {cause}\n"));
            }
            Event::Responded(exchange) if exchange.fault == Some(Fault::Tls) => {
                let now = self.runtime.now();
                if now >= self.quiet_until.replace(now + QUIET_FOR) {
                    self.lines.say(&format!(
                        "hello-server: note: {} speaks TLS, as for https://; type http://\n",
                        exchange.peer.address
                    ));
                }
            }
            _ => {}
        }
    }
}

/// Counts requests and connections.
#[derive(Debug, Default)]
pub struct Counter {
    connections: Cell<u64>,
    requests: Cell<u64>,
}

impl Counter {
    /// The numbers of requests and connections, in a sentence.
    pub fn summary(&self) -> String {
        format!("Served {} in {}.\n", count(self.requests.get(), "request"), count(self.connections.get(), "call"))
    }
}

impl Observer for Counter {
    fn observe(&self, event: Event<'_>) {
        let counter = match event {
            Event::Accepted(_) => &self.connections,
            Event::Responded(_) => &self.requests,
            _ => return,
        };
        counter.set(counter.get() + 1);
    }
}
