//! The runtime: reactor and executor together.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::executor::Executor;
use crate::host::Host;
use crate::reactor::Reactor;
use crate::time::nanoseconds;

/// A runtime on a host. A clone is a handle to the same runtime.
///
/// In a component, [`block_on`](crate::block_on) makes one, and [`spawn`](crate::spawn) and the rest of this crate use it. The
/// type is needed where tests run on a [model](crate::model) of the host.
pub struct Runtime<H: Host> {
    reactor: &'static Reactor<H>,
    executor: &'static Executor,
}

impl<H: Host + 'static> Runtime<H> {
    /// A runtime without tasks. The runtime and its tasks live until the program ends: a task may have a write in flight, and to
    /// drop its stream would wait for the peer.
    pub fn new(host: H) -> Self {
        Runtime { reactor: Box::leak(Box::new(Reactor::new(host))), executor: Box::leak(Box::default()) }
    }

    pub(crate) fn reactor(&self) -> &'static Reactor<H> {
        self.reactor
    }

    /// The time since some moment in the past, by a clock that is never set, and stands still while the tasks of a round run.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.reactor.now())
    }

    /// The time of day, as the host knows it.
    pub fn wall_clock(&self) -> SystemTime {
        self.reactor.host().wall_clock()
    }

    /// Waits until [`now`](Runtime::now) has reached `deadline`.
    pub fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + use<H> {
        let reactor = self.reactor;
        // The conversion takes longer than making the future, and most deadlines are never waited for.
        async move {
            reactor.sleep_until(nanoseconds(deadline)).await;
        }
    }

    /// Waits until the host has had a turn, in which it notices everything that has come by then. A program that was halted (a
    /// laptop that slept) finds passed deadlines, and should check its streams once more before it acts on them.
    pub fn host_turn(&self) -> impl Future<Output = ()> + use<H> {
        self.reactor.host_turn()
    }

    /// Adds a task. The task runs as long as the runtime runs, even if no other task waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(Box::pin(task));
    }

    /// Runs all tasks until `main` has ended, and returns its output. The other tasks stay where they are.
    pub fn block_on<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let output = Rc::new(RefCell::new(None));
        let result = Rc::clone(&output);
        self.spawn(async move {
            result.replace(Some(main.await));
        });
        loop {
            let is_idle = self.turn();
            if let Some(value) = output.take() {
                return value;
            }
            self.reactor.wait(is_idle);
        }
    }

    /// Gives each woken task a turn. Returns whether no task is left that could run.
    pub(crate) fn turn(&self) -> bool {
        self.executor.turn(|| self.reactor.is_late())
    }
}

impl<H: Host> Clone for Runtime<H> {
    fn clone(&self) -> Self {
        Runtime { ..*self }
    }
}

impl<H: Host> fmt::Debug for Runtime<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}
