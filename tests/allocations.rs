//! The allocations of a request: on a connection that stays open, a request allocates nothing but its own bytes, which the
//! host hands over in memory that is new each time.
#![cfg(not(target_family = "wasm"))]

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use hello_server::events::{Event, Observer};
use hello_server::net::{Listener, Runtime, Stream};
use hello_server::server::accept::serve;
use hello_server::server::{Limits, Server};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";

/// A peer that sends this many GET requests, each after the response to the one before.
struct Peer {
    left: u64,
    said: Rc<RefCell<u64>>,
}

impl Stream for Peer {
    async fn read(&mut self, _most: usize) -> std::io::Result<Vec<u8>> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        self.left -= 1;
        Ok(GET.to_vec())
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
        *self.said.borrow_mut() += 1;
        Ok(bytes.len())
    }

    fn shutdown_write(&mut self) {}

    async fn flushed(&mut self) {}

    fn abandon_writes(&mut self) {}
}

/// A listener with one connection.
struct Once(Option<Peer>);

impl Listener for Once {
    type Stream = Peer;

    fn accept(&mut self) -> io::Result<Option<(Peer, SocketAddr)>> {
        Ok(self.0.take().map(|peer| (peer, ([127, 0, 0, 1], 50_000).into())))
    }

    async fn ready(&mut self) {
        pending().await
    }

    fn has_pending(&mut self) -> bool {
        false
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Polls all tasks, over and over, while the clock stands still.
#[derive(Clone, Default)]
struct Stillness(Rc<RefCell<Vec<Task>>>);

impl Stillness {
    fn run(&self, mut task: Task, until: impl Fn() -> bool) {
        let mut context = Context::from_waker(Waker::noop());
        while !until() {
            let _ = task.as_mut().poll(&mut context);
            let mut others = self.0.take();
            others.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            self.0.replace(others);
        }
    }
}

impl Runtime for Stillness {
    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    async fn sleep_until(&self, deadline: Duration) {
        if deadline > self.now() {
            pending().await
        }
    }

    async fn host_turn(&self) {}

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().push(Box::pin(task));
    }
}

/// Observes nothing.
struct NoObserver;

impl Observer for NoObserver {
    fn observe(&self, _event: Event<'_>) {}
}

/// The number of allocations while one peer sends this many requests on one connection.
fn allocations(requests: u64) -> u64 {
    let counted = allocation_counter::measure(|| {
        let (runtime, said) = (Stillness::default(), Rc::default());
        let server = Server::new(runtime.clone(), NoObserver, Limits::default());
        let peer = Peer { left: requests, said: Rc::clone(&said) };
        let task = Box::pin(serve(server, Once(Some(peer))));
        runtime.run(task, || *said.borrow() == requests);
    });
    counted.count_total
}

#[test]
fn a_request_sets_nothing_aside_but_its_own_bytes() {
    let (few, many) = (allocations(10), allocations(1010));
    assert_eq!(many - few, 1000);
}
