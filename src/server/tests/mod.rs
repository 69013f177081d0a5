//! The conversation in memory, with a clock that jumps to wherever something happens next.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::accept::serve;
use super::{Limits, Server};
use crate::app::App;
use crate::events::{Event, Observer};
use crate::http::Response;
use hello_runtime::Runtime;
use hello_runtime::model::{Client, Model, Network, NetworkListener, ROOM};

mod clocks;
mod schedules;
mod stop;
mod streams;

pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub(crate) const LAST_GET: &[u8] = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
pub(crate) const HELLO: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// Writes down what happens.
#[derive(Default)]
struct Notes {
    answered: RefCell<Vec<(u16, String)>>,
    accept_failures: RefCell<usize>,
}

impl Observer for Notes {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Responded(exchange) => {
                let line = String::from_utf8_lossy(exchange.line).into_owned();
                self.answered.borrow_mut().push((exchange.status, line));
            }
            Event::AcceptFailed { .. } => *self.accept_failures.borrow_mut() += 1,
            _ => {}
        }
    }
}

/// A server in memory, and a network to call it with.
#[derive(Clone)]
pub(crate) struct Scene {
    model: Model,
    pub(crate) runtime: Runtime<Model>,
    server: Rc<Server<Runtime<Model>, Rc<Notes>>>,
    notes: Rc<Notes>,
    network: Network,
}

impl Scene {
    fn new(app: App, limits: Limits) -> Self {
        let model = Model::new();
        let runtime = Runtime::new(model.clone());
        let notes = Rc::new(Notes::default());
        let server = Server::with_app(app, runtime.clone(), Rc::clone(&notes), limits);
        let (listener, network) = NetworkListener::listen(&model, &runtime);
        runtime.spawn(serve(Rc::clone(&server), listener));
        Scene { model, runtime, server, notes, network }
    }

    pub(crate) fn call(&self) -> Client {
        self.network.connect()
    }

    /// How long `story` takes, by the clock of the model.
    pub(crate) async fn timed<T>(&self, story: impl Future<Output = T>) -> (T, Duration) {
        let start = self.runtime.now();
        let output = story.await;
        (output, self.runtime.now() - start)
    }

    async fn sleep(&self, time: Duration) {
        self.runtime.sleep_until(self.runtime.now() + time).await;
    }

    /// Lets all other tasks go on until they wait.
    pub(crate) async fn pause(&self) {
        self.sleep(Duration::from_millis(1)).await;
    }
}

/// Plays `story` on a server with these limits.
pub(crate) fn play<F: Future<Output = ()> + 'static>(limits: Limits, story: impl FnOnce(Scene) -> F) {
    play_with(App::HELLO, limits, story);
}

/// The same on one that answers with `app`.
pub(crate) fn play_with<F: Future<Output = ()> + 'static>(app: App, limits: Limits, story: impl FnOnce(Scene) -> F) {
    let scene = Scene::new(app, limits);
    let runtime = scene.runtime.clone();
    runtime.block_on(story(scene));
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A connection that has been answered, and stays.
async fn idle_peer(scene: &Scene) -> Client {
    let peer = scene.call();
    peer.send(GET);
    one_reply(&peer).await;
    peer
}

/// One reply, read to the end of its body.
async fn one_reply(peer: &Client) -> String {
    let mut reply = String::new();
    while !reply.ends_with(HELLO) {
        let bytes = peer.receive().await;
        assert!(!bytes.is_empty(), "hung up after {reply:?}");
        reply.push_str(std::str::from_utf8(&bytes).expect("text"));
    }
    reply
}

#[test]
fn a_request_gets_its_response_and_the_connection_stays_open() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        for _ in 0..3 {
            peer.send(GET);
            let reply = one_reply(&peer).await;
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"));
            assert!(reply.contains("\r\nContent-Length: 41\r\n"));
            assert!(!reply.contains("Connection:"));
        }
        assert!(!peer.is_over());
        peer.send(LAST_GET);
        assert!(peer.receive_all().await.contains("\r\nConnection: close\r\n"));
    });
}

#[test]
fn pipelined_requests_get_their_responses_in_order_and_in_one_write() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(&[GET, b"GET /bad HTTP/1.0\r\n\r\n"].concat());
        let replies = peer.receive().await;
        let replies = String::from_utf8(replies).expect("text");
        assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 2, "both come at once");
        let lines: Vec<String> = scene.notes.answered.borrow().iter().map(|(_, line)| line.clone()).collect();
        assert_eq!(lines, ["GET / HTTP/1.1", "GET /bad HTTP/1.0"]);
        assert_eq!(peer.writes(), 1);
    });
}

#[test]
fn requests_that_come_at_once_get_their_responses_in_one_write_although_they_take_several_reads() {
    play(Limits::default(), |scene| async move {
        let post = [&b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"[..], &[b'x'; 20_000]].concat();
        for (requests, replies) in [(GET.repeat(80), 80), ([GET, &post, GET].concat(), 3)] {
            let peer = scene.call();
            peer.send(&requests);
            let mut text = String::new();
            while text.matches(HELLO).count() < replies {
                text += std::str::from_utf8(&peer.receive().await).expect("text");
            }
            assert_eq!(peer.writes(), 1);
        }
    });
}

#[test]
fn a_peer_that_has_finished_sending_still_gets_its_response() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(&GET.repeat(3));
        peer.shutdown_write();
        let replies = peer.receive_all().await;
        assert_eq!(replies.matches(HELLO).count(), 3);
    });
}

#[test]
fn an_empty_line_is_no_request() {
    play(Limits::default(), |scene| async move {
        // Old clients send one behind a body (RFC 9112 section 2.2).
        let peer = scene.call();
        peer.send(&[GET, b"\r\n"].concat());
        one_reply(&peer).await;
        peer.shutdown_write();
        assert_eq!(peer.receive_all().await, "");
        assert_eq!(scene.notes.answered.borrow().len(), 1);

        let silent = scene.call();
        silent.send(b"\r\n");
        assert_eq!(silent.receive_all().await, "");
    });
}

#[test]
fn a_refused_head_gets_no_page_either() {
    play(Limits::default(), |scene| async move {
        for request in [&b"HEAD / HTTP/1.1\r\n\r\n"[..], b"\r\nHEAD / HTTP/1.1\r\n\r\n"] {
            let peer = scene.call();
            peer.send(request);
            let reply = peer.receive_all().await;
            assert!(reply.starts_with("HTTP/1.1 400 ") && reply.ends_with("\r\n\r\n"), "{reply}");
            assert!(!reply.contains("Content-Length: 0"), "the length is that of the page");
        }
    });
}

#[test]
fn a_mistake_in_a_field_line_gets_its_response_at_the_end_of_that_line() {
    play(Limits::default(), |scene| async move {
        // Typed by hand, with a pause in the middle of the line.
        let peer = scene.call();
        for part in ["GET / HTTP/1.1\n", "Accept: */*\n", "Host loc"] {
            peer.send(part.as_bytes());
            scene.sleep(seconds(5)).await;
        }
        peer.send(b"alhost\n");
        let (reply, time) = scene.timed(peer.receive_all()).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
        assert!(reply.contains("a name, a colon and a value"), "{reply}");
        assert_eq!(time, Duration::ZERO, "the rest of the head is not waited for");
    });
}

#[test]
fn a_client_of_http_10_that_asks_for_keep_alive_gets_it_confirmed() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let reply = one_reply(&peer).await;
        assert!(reply.contains("\r\nConnection: keep-alive\r\n"), "{reply}");
        assert!(!peer.is_over());
    });
}

#[test]
fn a_peer_that_finishes_inside_a_request_gets_a_response() {
    play(Limits::default(), |scene| async move {
        for bytes in [&GET[..20], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123"] {
            let peer = scene.call();
            peer.send(bytes);
            peer.shutdown_write();
            let reply = peer.receive_all().await;
            assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
            assert!(reply.contains("ends in the middle"));
        }
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_response() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        let (reply, time) = scene.timed(peer.receive_all()).await;
        assert_eq!(reply, "");
        assert_eq!(time, Limits::default().idle_timeout);
    });
}

#[test]
fn the_head_has_a_deadline_that_no_byte_puts_off() {
    let limits = Limits { header_timeout: seconds(10), ..Limits::default() };
    play(limits, |scene| async move {
        let peer = Rc::new(scene.call());
        let slow = Rc::clone(&peer);
        let clock = scene.clone();
        scene.runtime.spawn(async move {
            for byte in GET {
                slow.send(&[*byte]);
                clock.sleep(seconds(1)).await;
            }
        });
        let (reply, time) = scene.timed(peer.receive_all()).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
        assert_eq!(time, seconds(10));
    });
}

#[test]
fn the_body_has_as_long_again() {
    let limits = Limits { header_timeout: seconds(10), ..Limits::default() };
    play(limits, |scene| async move {
        let peer = scene.call();
        peer.send(b"POST / HTTP/1.1\r\n");
        scene.sleep(seconds(9)).await;
        peer.send(b"Host: a\r\nContent-Length: 5\r\n\r\n");
        scene.sleep(seconds(9)).await;
        peer.send(b"1234");
        let (reply, time) = scene.timed(peer.receive_all()).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
        assert_eq!(time, seconds(1));
    });
}

#[test]
fn an_idle_connection_is_closed_after_its_own_time() {
    let limits = Limits { idle_timeout: seconds(5), ..Limits::default() };
    play(limits, |scene| async move {
        let peer = scene.call();
        peer.send(GET);
        one_reply(&peer).await;
        scene.sleep(seconds(4)).await;
        peer.send(GET);
        one_reply(&peer).await;
        let (rest, time) = scene.timed(peer.receive_all()).await;
        assert_eq!((rest.as_str(), time), ("", seconds(5)));
    });
}

#[test]
fn after_the_first_byte_of_a_later_request_the_head_has_its_own_deadline() {
    let limits = Limits { header_timeout: seconds(3), idle_timeout: seconds(20), ..Limits::default() };
    play(limits, |scene| async move {
        let peer = scene.call();
        peer.send(GET);
        one_reply(&peer).await;
        scene.sleep(seconds(19)).await;
        peer.send(&GET[..5]);
        let (reply, time) = scene.timed(peer.receive_all()).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
        assert_eq!(time, seconds(3));
    });
}

#[test]
fn the_connection_of_a_peer_that_never_reads_is_closed() {
    play(Limits::default(), |scene| async move {
        let stuck = scene.call();
        stuck.send(&GET.repeat(2 * ROOM / HELLO.len()));
        scene.sleep(Limits::default().write_timeout - seconds(1)).await;
        assert_eq!(scene.server.connections(), 1, "it has its time");
        scene.sleep(seconds(2)).await;
        assert_eq!(scene.server.connections(), 0, "and no more");
        // The same when it is the last reply that it does not read.
        let stuck = scene.call();
        stuck.send(&[&GET.repeat(ROOM / HELLO.len()), LAST_GET].concat());
        scene.sleep(Limits::default().write_timeout + seconds(1)).await;
        assert_eq!(scene.server.connections(), 0);
    });
}

#[test]
fn where_a_write_cannot_be_abandoned_the_stream_is_kept_until_the_write_is_done() {
    play(Limits::default(), |scene| async move {
        let stuck = scene.call();
        stuck.insist();
        // More replies than the connection has room for.
        stuck.send(&GET.repeat(2 * ROOM / HELLO.len()));
        scene.sleep(Limits::default().write_timeout * 10).await;
        assert_eq!(scene.server.connections(), 1, "it counts as long as it is there");

        let honest = scene.call();
        honest.send(LAST_GET);
        let (reply, time) = scene.timed(honest.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, Duration::ZERO, "no task waits for it");
        honest.shutdown_write();

        // At last it reads, and can go. Had the stream been dropped before, the model would have panicked.
        stuck.receive_all().await;
        scene.pause().await;
        assert_eq!(scene.server.connections(), 0);
    });
}

#[test]
fn the_write_timeout_counts_from_the_start_of_a_write_and_no_progress_puts_it_off() {
    // The host takes 64 KiB of a page at a time, so this one needs more seconds than there are.
    let app = App { answer: &|_| Response::html(200, "x".repeat(1024 * 1024)), body_limit: 0 };
    let limits = Limits { write_timeout: seconds(3), ..Limits::default() };
    play_with(app, limits, |scene| async move {
        let slow = scene.call();
        slow.send(GET);
        scene.sleep(Duration::from_millis(500)).await;
        for second in 0..3 {
            assert_eq!(scene.server.connections(), 1, "after {second} seconds and a half");
            assert!(!slow.receive().await.is_empty(), "the peer goes on reading");
            scene.sleep(seconds(1)).await;
        }
        assert_eq!(scene.server.connections(), 0);
    });
}

#[test]
fn a_peer_that_never_reads_and_goes_away_leaves_nothing_behind() {
    play(Limits::default(), |scene| async move {
        let stuck = scene.call();
        stuck.send(&GET.repeat(2 * ROOM / HELLO.len()));
        scene.sleep(seconds(1)).await;
        stuck.reset();
        scene.pause().await;
        assert_eq!(scene.server.connections(), 0);
    });
}

#[test]
fn a_slow_reader_gets_every_byte() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        let requests = 500;
        peer.send(&GET.repeat(requests));
        peer.shutdown_write();
        let mut replies = Vec::new();
        loop {
            scene.sleep(seconds(1)).await;
            match peer.receive().await {
                bytes if bytes.is_empty() => break,
                bytes => replies.extend(bytes),
            }
        }
        let replies = String::from_utf8(replies).expect("text");
        assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), requests);
        assert_eq!(replies.matches(HELLO).count(), requests);
    });
}

#[test]
fn the_last_response_arrives_although_the_peer_still_sends() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
        peer.send(&[b'x'; 100_000]);
        let reply = peer.receive_all().await;
        assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
        assert_eq!(scene.server.connections(), 1, "it lingers while the peer may still read");
        peer.shutdown_write();
        scene.pause().await;
        assert_eq!(scene.server.connections(), 0);
    });
}

#[test]
fn a_peer_that_stays_after_the_last_response_is_disconnected() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(LAST_GET);
        peer.receive_all().await;
        scene.sleep(seconds(3)).await;
        assert_eq!(scene.server.connections(), 0);
    });
}

#[test]
fn without_a_permit_connections_wait_in_the_backlog() {
    let limits = Limits { connections: 2, ..Limits::default() };
    play(limits, |scene| async move {
        let busy: Vec<Client> = (0..2).map(|_| scene.call()).collect();
        busy.iter().for_each(|peer| peer.send(&GET[..5]));
        scene.pause().await;
        let third = scene.call();
        third.send(LAST_GET);
        scene.pause().await;
        assert_eq!((scene.server.connections(), scene.network.waiting()), (2, 1));

        busy[0].send(&LAST_GET[5..]);
        busy[0].shutdown_write();
        assert!(third.receive_all().await.ends_with(HELLO));
    });
}

#[test]
fn the_connection_that_has_been_idle_longest_is_evicted() {
    let limits = Limits { connections: 3, ..Limits::default() };
    play(limits, |scene| async move {
        let peers: Vec<Client> = (0..3).map(|_| scene.call()).collect();
        for peer in [&peers[1], &peers[0], &peers[2]] {
            peer.send(GET);
            one_reply(peer).await;
        }
        let next = scene.call();
        next.send(LAST_GET);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, Duration::ZERO);
        let over: Vec<bool> = peers.iter().map(Client::is_over).collect();
        assert_eq!(over, [false, true, false]);
    });
}

#[test]
fn a_new_connection_is_not_idle_for_a_second() {
    let limits = Limits { connections: 1, ..Limits::default() };
    play(limits, |scene| async move {
        let first = scene.call();
        scene.pause().await;
        let next = scene.call();
        next.send(LAST_GET);
        scene.sleep(Duration::from_millis(900)).await;
        first.send(GET);
        assert_eq!(one_reply(&first).await.matches(HELLO).count(), 1);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, Duration::ZERO, "once answered, it makes room");
        next.shutdown_write();

        // A connection without a request for longer is evicted, too.
        let silent = scene.call();
        scene.pause().await;
        let next = scene.call();
        next.send(LAST_GET);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO) && silent.is_over());
        assert!(time < seconds(1));
    });
}

/// Begins a body, and does not get on with it.
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";

#[test]
fn a_connection_that_has_begun_a_request_is_not_evicted_for_a_second() {
    let limits = Limits { connections: 1, ..Limits::default() };
    play(limits, |scene| async move {
        for begun in [POST, &LAST_GET[..20]] {
            let busy = scene.call();
            busy.send(begun);
            scene.pause().await;
            let next = scene.call();
            next.send(LAST_GET);
            scene.sleep(Duration::from_millis(900)).await;
            busy.send(if begun == POST { b"x" } else { &LAST_GET[20..] });
            busy.shutdown_write();
            assert!(busy.receive_all().await.ends_with(HELLO));
            assert!(next.receive_all().await.ends_with(HELLO));
        }
    });
}

#[test]
fn when_no_connection_is_idle_the_slowest_one_is_evicted() {
    let limits = Limits { connections: 5, ..Limits::default() };
    play(limits, |scene| async move {
        // In the head, in the body, in taking replies, and in taking the last one.
        let stuck = GET.repeat(2 * ROOM / HELLO.len());
        let last = [&GET.repeat(ROOM / HELLO.len()), LAST_GET].concat();
        let first_words = [&GET[..5], POST, &stuck, &last, &GET[..5]];
        let begin = async |words: &[u8]| {
            let peer = scene.call();
            peer.send(words);
            scene.sleep(Duration::from_millis(100)).await;
            peer
        };
        let mut slow = Vec::new();
        for words in first_words {
            slow.push(begin(words).await);
        }
        // However little is said, and however often, that is not getting on.
        for _ in 0..20 {
            slow[0].send(b"X");
            scene.sleep(Duration::from_millis(100)).await;
        }
        for round in 1..=slow.len() {
            let honest = scene.call();
            honest.send(LAST_GET);
            let (reply, time) = scene.timed(honest.receive_all()).await;
            assert!(reply.ends_with(HELLO) && time <= seconds(1), "{time:?}");
            honest.shutdown_write();
            let left: Vec<bool> = slow.iter().map(Client::is_closed).collect();
            assert_eq!(left, [1, 2, 3, 4, 5].map(|one| one <= round));
            _ = begin(b"G").await;
        }
        for (peer, told) in slow.iter().zip(["408", "408", "200", "200", "408"]) {
            assert!(peer.receive_all().await.starts_with(&format!("HTTP/1.1 {told} ")));
        }
    });
}

#[test]
fn a_connection_whose_request_is_complete_is_not_slow_any_more() {
    let limits = Limits { connections: 2, ..Limits::default() };
    play(limits, |scene| async move {
        let peers = [scene.call(), scene.call()];
        for peer in &peers {
            peer.send(&GET[..5]);
            scene.pause().await;
        }
        scene.sleep(seconds(2)).await;
        // There is no silence between this request and the next one.
        peers[0].send(&[&GET[5..], &GET[..5]].concat());
        scene.sleep(seconds(2)).await;
        let honest = scene.call();
        honest.send(LAST_GET);
        assert!(honest.receive_all().await.ends_with(HELLO));
        assert!(!peers[0].is_closed() && peers[1].is_closed());
    });
}

#[test]
fn below_the_limit_a_slow_connection_has_all_its_time() {
    let limits = Limits { connections: 3, ..Limits::default() };
    play(limits, |scene| async move {
        let slow = scene.call();
        slow.send(&LAST_GET[..20]);
        let idle = idle_peer(&scene).await;
        scene.sleep(seconds(30)).await;
        for _ in 0..3 {
            // There is room for one; then the idle one makes some.
            let next = idle_peer(&scene).await;
            next.send(LAST_GET);
            next.receive_all().await;
        }
        let next = idle_peer(&scene).await;
        assert_eq!(scene.server.connections(), 3);
        let last = idle_peer(&scene).await;
        assert!(idle.is_over() && !next.is_over());
        slow.send(&LAST_GET[20..]);
        assert!(slow.receive_all().await.ends_with(HELLO));
        drop(last);
    });
}

#[test]
fn a_failed_accept_is_reported_once_and_the_next_connections_are_served() {
    play(Limits::default(), |scene| async move {
        scene.network.break_for(100);
        let peers: Vec<Client> = (0..10).map(|_| scene.call()).collect();
        for peer in &peers {
            peer.send(LAST_GET);
            assert!(peer.receive_all().await.ends_with(HELLO));
        }
        assert_eq!(*scene.notes.accept_failures.borrow(), 1);
    });
}

#[test]
fn a_failed_accept_is_reported_once_for_all_listeners() {
    play(Limits::default(), |scene| async move {
        let (listener, other) = NetworkListener::listen(&scene.model, &scene.runtime);
        scene.runtime.spawn(serve(Rc::clone(&scene.server), listener));
        for network in [&scene.network, &other] {
            network.break_for(1);
            let peer = network.connect();
            peer.send(LAST_GET);
            assert!(peer.receive_all().await.ends_with(HELLO));
        }
        assert_eq!(*scene.notes.accept_failures.borrow(), 1);
    });
}

#[test]
fn connections_that_were_closed_before_accept_cost_nothing() {
    play(Limits::default(), |scene| async move {
        let idle = idle_peer(&scene).await;
        for _ in 0..200 {
            scene.call().reset();
        }
        let honest = scene.call();
        honest.send(LAST_GET);
        let (reply, time) = scene.timed(honest.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, Duration::ZERO);
        assert_eq!(*scene.notes.accept_failures.borrow(), 0);
        assert!(!idle.is_over(), "and no connection is evicted for them");
    });
}

#[test]
fn a_connection_that_sends_while_it_is_evicted_stays_and_the_next_one_is_evicted() {
    let limits = Limits { connections: 2, ..Limits::default() };
    play(limits, |scene| async move {
        let peers = [idle_peer(&scene).await, idle_peer(&scene).await];
        // The newcomer is noticed first, so the first one is asked when its bytes are already there.
        let next = scene.call();
        next.send(LAST_GET);
        peers[0].send(&GET[..5]);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, Duration::ZERO);
        assert!(!peers[0].is_over() && peers[1].is_over());
        peers[0].send(&GET[5..]);
        one_reply(&peers[0]).await;
    });
}

#[test]
fn no_connection_is_evicted_for_one_that_has_its_permit() {
    let limits = Limits { connections: 2, ..Limits::default() };
    play(limits, |scene| async move {
        let peers = [idle_peer(&scene).await, idle_peer(&scene).await];
        // The newcomer is noticed first, so the first one is asked; then the second one is found to have gone.
        let next = scene.call();
        next.send(LAST_GET);
        peers[1].shutdown_write();
        assert!(next.receive_all().await.ends_with(HELLO));
        peers[0].send(GET);
        one_reply(&peers[0]).await;
    });
}

#[test]
fn a_connection_that_lingers_after_the_last_response_is_evicted() {
    let limits = Limits { connections: 1, ..Limits::default() };
    play(limits, |scene| async move {
        let first = scene.call();
        first.send(LAST_GET);
        first.receive_all().await;
        let next = scene.call();
        next.send(LAST_GET);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, Duration::ZERO);
    });
}

#[test]
fn when_accept_fails_an_idle_connection_is_evicted() {
    play(Limits::default(), |scene| async move {
        let idle = idle_peer(&scene).await;
        scene.network.break_for(1);
        let next = scene.call();
        next.send(LAST_GET);
        assert!(next.receive_all().await.ends_with(HELLO));
        assert!(idle.is_over());
    });
}

#[test]
fn an_unevictable_connection_does_not_block_other_evictions() {
    let limits = Limits { connections: 2, ..Limits::default() };
    play(limits, |scene| async move {
        // Its replies fill the connection and are all written: it is idle, and its last write is on its way.
        let stuck = scene.call();
        stuck.insist();
        let reply = HELLO.len() + 110;
        stuck.send(&GET.repeat(ROOM / reply + 5));
        scene.pause().await;
        let idle = idle_peer(&scene).await;

        let next = scene.call();
        next.send(LAST_GET);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO) && idle.is_over());
        assert_eq!(time, Duration::ZERO);
        stuck.receive_all().await;
    });
}

#[test]
fn the_idle_timeout_begins_when_the_peer_has_its_responses() {
    let limits = Limits { idle_timeout: seconds(5), ..Limits::default() };
    play(limits, |scene| async move {
        let peer = scene.call();
        let requests = 2 * ROOM / HELLO.len();
        peer.send(&GET.repeat(requests));
        scene.sleep(seconds(10)).await;
        let mut replies = String::new();
        while replies.matches(HELLO).count() < requests {
            replies += std::str::from_utf8(&peer.receive().await).expect("text");
        }
        scene.sleep(seconds(4)).await;
        peer.send(LAST_GET);
        assert!(peer.receive_all().await.ends_with(HELLO));
    });
}

#[test]
fn a_refused_client_that_still_sends_is_read_until_it_is_done() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
        assert!(peer.receive_all().await.starts_with("HTTP/1.1 413 "));
        for _ in 0..10 {
            peer.send(&[b'x'; 1000]);
            scene.sleep(seconds(1)).await;
            assert_eq!(scene.server.connections(), 1);
        }
        scene.sleep(seconds(2)).await;
        assert_eq!(scene.server.connections(), 0, "silence is the end");
    });
}

#[test]
fn a_refused_client_that_still_sends_is_not_read_for_ever() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
        // However much comes at once: clients send all of a body before they read what became of it.
        peer.send(&vec![b'x'; 40 * 1024 * 1024]);
        peer.receive_all().await;
        scene.pause().await;
        assert_eq!((scene.server.connections(), peer.unread()), (1, 0));
        peer.shutdown_write();
        scene.pause().await;
        assert_eq!(scene.server.connections(), 0);

        let peer = scene.call();
        peer.send(b"G\xffT / HTTP/1.1\r\n");
        for _ in 0..31 {
            peer.send(b"x");
            scene.sleep(seconds(1)).await;
        }
        assert_eq!(scene.server.connections(), 0, "too long");
    });
}

#[test]
fn endless_pipelining_does_not_delay_other_connections() {
    play(Limits::default(), |scene| async move {
        let greedy = scene.call();
        greedy.babble(&GET.repeat(500));
        for _ in 0..20 {
            let peer = scene.call();
            peer.send(LAST_GET);
            assert!(peer.receive_all().await.ends_with(HELLO));
        }
        greedy.reset();
    });
}

#[test]
fn a_thousand_active_connections_are_all_served_alike() {
    play(Limits::default(), |scene| async move {
        let rounds = 5;
        let finished = Rc::new(RefCell::new(Vec::new()));
        for number in 0..1000 {
            let peer = scene.call();
            let finished = Rc::clone(&finished);
            scene.runtime.spawn(async move {
                for _ in 0..rounds {
                    peer.send(GET);
                    one_reply(&peer).await;
                }
                finished.borrow_mut().push(number);
            });
        }
        while finished.borrow().len() < 1000 {
            scene.pause().await;
        }
        assert_eq!(scene.notes.answered.borrow().len(), 1000 * rounds);
    });
}

#[test]
fn the_date_is_that_of_the_response() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        // The last second of a leap day.
        scene.model.set_wall_clock(seconds(951_868_799));
        scene.pause().await;
        peer.send(GET);
        assert!(one_reply(&peer).await.contains("\r\nDate: Tue, 29 Feb 2000 23:59:59 GMT\r\n"));
        scene.sleep(seconds(1)).await;
        peer.send(GET);
        assert!(one_reply(&peer).await.contains("\r\nDate: Wed, 01 Mar 2000 00:00:00 GMT\r\n"));
    });
}

#[test]
fn hundreds_of_requests_at_once_let_other_connections_in_between() {
    play(Limits::default(), |scene| async move {
        let (busy, honest) = (idle_peer(&scene).await, idle_peer(&scene).await);
        busy.send(&GET.repeat(400));
        honest.send(LAST_GET);
        assert!(honest.receive_all().await.ends_with(HELLO));
        busy.shutdown_write();
        assert_eq!(busy.receive_all().await.matches("200 OK").count(), 400);
        let lines: Vec<String> = scene.notes.answered.borrow().iter().map(|(_, line)| line.clone()).collect();
        let before = lines.iter().position(|line| line == "GET /last HTTP/1.1").expect("it was answered");
        assert!(before < 2 + 2 * 16, "{before} were answered before");
    });
}
