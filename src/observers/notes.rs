//! What the operator is told on standard error, because a reader of the log does not expect it there; and how much was served.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::count;
use super::lines::Lines;
use crate::events::{Event, Observer};
use crate::http::Fault;
use crate::net::Runtime;

/// For how long no client must have sent TLS until it is noted again.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// Notes what the operator should know.
#[derive(Debug)]
pub struct Notes<R> {
    lines: Rc<Lines>,
    runtime: R,
    /// When TLS is noted again.
    quiet_until: Cell<Duration>,
}

impl<R: Runtime> Notes<R> {
    /// Adds to `lines`. `runtime` has the time.
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

/// Counts what was served.
#[derive(Debug, Default)]
pub struct Counter {
    connections: Cell<u64>,
    requests: Cell<u64>,
}

impl Counter {
    /// What was served, in a sentence.
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
