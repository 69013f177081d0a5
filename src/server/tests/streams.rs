//! Bodies that are made while they are sent.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::{GET, HELLO, LAST_GET, Limits, Scene, idle_peer, one_reply, play_with, seconds};
use crate::app::App;
use crate::http::{Request, Response};

thread_local! {
    /// How many pieces the producers of this test have sent, and how many producers are left.
    static SENT: Cell<usize> = const { Cell::new(0) };
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Counts a producer, until it is dropped.
struct Counted;

impl Counted {
    fn new() -> Self {
        LEFT.set(LEFT.get() + 1);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LEFT.set(LEFT.get() - 1);
    }
}

/// `/three`: three pieces, a second apart. `/endless`: pieces without an end. `/silent`: one piece, and no end. Else Hello World.
fn answer(request: &Request<'_>) -> Response {
    let counted = Counted::new();
    let kind = "text/plain; charset=utf-8";
    match request.path() {
        "/three" => Response::stream(200, kind, async move |mut body| {
            let _counted = counted;
            for number in 1..=3 {
                body.send(format!("{number}\n")).await;
                // No chunk: an empty one would end the body.
                body.send("").await;
                body.pause(seconds(1)).await;
            }
        }),
        "/endless" => Response::stream(200, kind, async move |mut body| {
            let _counted = counted;
            loop {
                body.send([b'x'; 4096]).await;
                SENT.set(SENT.get() + 1);
            }
        }),
        "/silent" => Response::stream(200, kind, async move |mut body| {
            let _counted = counted;
            body.send("and now").await;
            std::future::pending::<()>().await;
        }),
        _ => Response::html(200, HELLO),
    }
}

const APP: App = App { answer: &answer, body_limit: 0 };
/// Plays `story` on a server with these responses. In a component all tests run in one thread, so each begins with new counts.
fn play<F: Future<Output = ()> + 'static>(limits: Limits, story: impl FnOnce(Scene) -> F) {
    SENT.set(0);
    LEFT.set(0);
    play_with(APP, limits, story);
}

const THREE: &[u8] = b"GET /three HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ENDLESS: &[u8] = b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SILENT: &[u8] = b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn pieces_come_in_chunks_each_at_its_time_and_then_the_next_request_has_its_turn() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(&[THREE, LAST_GET].concat());
        scene.pause().await;
        let head = String::from_utf8(peer.received()).expect("text");
        assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n") && !head.contains("Content-Length"), "{head}");
        assert!(head.ends_with("\r\n\r\n2\r\n1\n\r\n"), "{head}");
        for number in 2..=3 {
            let (piece, time) = scene.timed(peer.receive()).await;
            assert_eq!(String::from_utf8(piece).expect("text"), format!("2\r\n{number}\n\r\n"));
            assert!(time <= seconds(1));
        }
        let rest = peer.receive_all().await;
        assert!(rest.starts_with("0\r\n\r\nHTTP/1.1 200 OK\r\n") && rest.ends_with(HELLO), "{rest}");
        let answered = scene.notes.answered.borrow().clone();
        assert_eq!(answered, [(200, "GET /three HTTP/1.1".into()), (200, "GET /last HTTP/1.1".into())]);
        assert_eq!(LEFT.get(), 0);
    });
}

#[test]
fn for_http_1_0_the_body_ends_with_the_connection() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"GET /three HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let reply = peer.receive_all().await;
        assert!(!reply.contains("chunked") && reply.contains("\r\nConnection: close\r\n"), "{reply}");
        assert!(reply.ends_with("\r\n\r\n1\n2\n3\n"), "{reply}");
    });
}

#[test]
fn the_response_to_head_has_the_same_fields_and_no_body() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(&[&b"HEAD /endless HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], LAST_GET].concat());
        let replies = peer.receive_all().await;
        let (head, last) = replies.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
        assert!(last.starts_with("HTTP/1.1 200 OK\r\n") && last.ends_with(HELLO), "{last}");
        assert_eq!((SENT.get(), LEFT.get()), (0, 0));
    });
}

#[test]
fn a_client_that_does_not_read_makes_the_producer_wait_until_the_write_timeout() {
    play(Limits::default(), |scene| async move {
        let stuck = scene.call();
        stuck.send(ENDLESS);
        scene.sleep(seconds(5)).await;
        let sent = SENT.get();
        assert!((1..100).contains(&sent), "{sent}");
        scene.sleep(Limits::default().write_timeout - seconds(6)).await;
        assert_eq!((SENT.get(), LEFT.get(), scene.server.connections()), (sent, 1, 1));
        scene.sleep(seconds(2)).await;
        assert_eq!((SENT.get(), LEFT.get(), scene.server.connections()), (sent, 0, 0));
        assert!(stuck.is_closed());
    });
}

#[test]
fn when_the_client_has_gone_the_producer_is_dropped() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(THREE);
        peer.receive().await;
        peer.reset();
        scene.sleep(seconds(2)).await;
        assert_eq!((LEFT.get(), scene.server.connections()), (0, 0));
    });
}

#[test]
fn an_endless_body_leaves_the_others_their_turns() {
    play(Limits::default(), |scene| async move {
        scene.model.set_cost(10_000);
        let reader = scene.call();
        reader.read_everything();
        reader.send(ENDLESS);
        scene.pause().await;
        let others: Vec<_> = (0..10).map(|_| scene.call()).collect();
        others.iter().for_each(|other| other.send(GET));
        let before = SENT.get();
        for other in &others {
            one_reply(other).await;
        }
        let between = SENT.get() - before;
        assert!(between < 100, "{between} pieces in the meantime");
        reader.reset();
        scene.sleep(seconds(1)).await;
        assert_eq!(LEFT.get(), 0);
    });
}

#[test]
fn at_the_limit_a_body_that_waits_for_its_producer_makes_room() {
    let limits = Limits { connections: 1, ..Limits::default() };
    play(limits, |scene| async move {
        let watcher = scene.call();
        watcher.send(SILENT);
        scene.pause().await;
        assert!(String::from_utf8(watcher.received()).expect("text").ends_with("7\r\nand now\r\n"));
        let other = idle_peer(&scene).await;
        // Without the last chunk, the client knows that this is not all.
        assert_eq!(watcher.receive_all().await, "");
        assert!(!other.is_closed());
        assert_eq!(LEFT.get(), 0);
    });
}

#[test]
fn a_graceful_stop_waits_for_a_body_that_ends_and_cuts_off_one_that_does_not() {
    play(Limits::default(), |scene| async move {
        let (ends, goes_on) = (scene.call(), scene.call());
        ends.send(THREE);
        goes_on.send(SILENT);
        scene.pause().await;
        let (server, left) = (Rc::clone(&scene.server), Rc::new(Cell::new(None)));
        let stopped = Rc::clone(&left);
        scene.runtime.spawn(async move { stopped.set(Some(server.stop(seconds(5)).await)) });
        let reply = ends.receive_all().await;
        assert!(reply.ends_with("2\r\n3\n\r\n0\r\n\r\n"), "{reply}");
        assert_eq!(left.get(), None);
        scene.sleep(seconds(5)).await;
        assert_eq!(left.get(), Some(1));
        assert!(!String::from_utf8(goes_on.received()).expect("text").ends_with("0\r\n\r\n"));
        // The end of the program drops the rest.
        goes_on.reset();
        scene.sleep(Duration::from_millis(1)).await;
    });
}

#[test]
fn a_client_that_leaves_while_nothing_is_sent_is_noticed_at_once() {
    play(Limits::default(), |scene| async move {
        let [closes, resets] = [scene.call(), scene.call()];
        for peer in [&closes, &resets] {
            peer.send(SILENT);
        }
        scene.pause().await;
        assert_eq!((LEFT.get(), scene.server.connections()), (2, 2));
        closes.shutdown_write();
        resets.reset();
        scene.pause().await;
        assert_eq!((LEFT.get(), scene.server.connections()), (0, 0));
    });
}

#[test]
fn a_request_that_comes_while_a_body_is_sent_has_its_turn_behind_it() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(THREE);
        peer.receive().await;
        peer.send(&LAST_GET[..20]);
        scene.sleep(seconds(1)).await;
        peer.send(&LAST_GET[20..]);
        let rest = peer.receive_all().await;
        assert!(rest.contains("0\r\n\r\nHTTP/1.1 200 OK\r\n") && rest.ends_with(HELLO), "{rest}");
    });
}
