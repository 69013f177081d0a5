//! Reactor and executor together: what the server runs on.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::executor::Executor;
use super::host::Host;
use super::reactor::Reactor;
use crate::server;

/// The reactor and the executor that everything in this component runs on. A clone is a handle to the same ones.
pub struct Runtime<H: Host> {
    reactor: Rc<Reactor<H>>,
    executor: Rc<Executor>,
}

impl<H: Host> Runtime<H> {
    /// A runtime without tasks.
    pub fn new(host: H) -> Self {
        Runtime { reactor: Reactor::new(host), executor: Rc::default() }
    }

    /// What sockets and streams wait at.
    pub fn reactor(&self) -> &Rc<Reactor<H>> {
        &self.reactor
    }

    /// Runs all tasks until `main` has ended, and returns what it comes to. The other tasks stay where they are.
    pub fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let output = Rc::new(RefCell::new(None));
        let result = Rc::clone(&output);
        self.executor.spawn(async move {
            let value = main.await;
            *result.borrow_mut() = Some(value);
        });
        loop {
            let idle = self.turn();
            if let Some(value) = output.take() {
                return value;
            }
            self.wait(idle);
        }
    }

    /// Everybody who has something to do has a turn. Says whether nobody has anything to do behind that.
    pub(super) fn turn(&self) -> bool {
        self.executor.turn(|| self.reactor.is_late())
    }

    /// Finds out who has something to do, and waits for that if nobody has (`idle`).
    pub(super) fn wait(&self, idle: bool) {
        if !idle && self.reactor.is_late() {
            self.reactor.pause();
        }
        self.reactor.wait(idle);
    }
}

impl<H: Host> Clone for Runtime<H> {
    fn clone(&self) -> Self {
        Runtime { reactor: Rc::clone(&self.reactor), executor: Rc::clone(&self.executor) }
    }
}

impl<H: Host + 'static> server::Runtime for Runtime<H> {
    fn now(&self) -> Duration {
        self.reactor.time()
    }

    fn wall_clock(&self) -> SystemTime {
        self.reactor.host().wall_clock()
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> {
        let reactor = Rc::clone(&self.reactor);
        // Most deadlines are not waited for, and to convert one takes longer than to make one.
        async move {
            // 584 years of nanoseconds fit; what does not is never.
            let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
            reactor.sleep_until(deadline).await;
        }
    }

    fn host_turn(&self) -> impl Future<Output = ()> {
        let reactor = Rc::clone(&self.reactor);
        async move { reactor.host_turn().await }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task);
    }
}
