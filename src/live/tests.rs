//! The live page without a browser: what it keeps, what it leaves out, what it refuses, and requests through memory.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hello_runtime::Runtime;
use hello_runtime::model::{Client, Model, Network, NetworkListener};

use super::Live;
use super::hub::Hub;
use crate::events::{CloseReason, Event, Exchange, Observer, Peer};
use crate::server::tests::{GET, HELLO};
use crate::server::{Limits, Server, accept};

const PEER: Peer = Peer { id: 1, address: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000) };

/// A page for this many watchers, and the server that it shows; `story` calls the page.
fn play<F: Future<Output = ()> + 'static>(
    watchers: usize,
    story: impl FnOnce(Runtime<Model>, Live, Network) -> F + 'static,
) {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let live = Live::new(watchers, "run");
    let observer = live.observer(runtime.clone());
    let shown = Server::new(runtime.clone(), observer, Limits::default());
    let page = live.server(runtime.clone(), &shown);
    let (listener, network) = NetworkListener::listen(&model, &runtime);
    runtime.spawn(accept::serve(page, listener));
    runtime.block_on(story(runtime.clone(), live, network));
}

async fn sleep(runtime: &Runtime<Model>, milliseconds: u64) {
    runtime.sleep_until(runtime.now() + Duration::from_millis(milliseconds)).await;
}

fn ask(network: &Network, request: &str) -> Client {
    let client = network.connect();
    client.send(request.as_bytes());
    client
}

fn text(client: &Client) -> String {
    String::from_utf8(client.received()).expect("text")
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n")
}

#[test]
fn the_page_and_its_files_come_with_fields_that_keep_others_out() {
    play(8, |_, _, network| async move {
        for (path, kind) in [
            ("/", "text/html"),
            ("/wire.css", "text/css"),
            ("/page.js", "text/javascript"),
            ("/wire.js", "text/javascript"),
        ] {
            let reply = ask(&network, &get(path, "Host: localhost:9001\r\n")).receive_all().await;
            assert!(
                reply.starts_with("HTTP/1.1 200 ") && reply.contains(&format!("\r\nContent-Type: {kind}")),
                "{reply}"
            );
            for field in ["Content-Security-Policy: default-src 'self';", "Cross-Origin-Resource-Policy: same-origin"] {
                assert!(reply.contains(&format!("\r\n{field}")), "{reply}");
            }
        }
        let reply = ask(&network, &get("/other", "Host: localhost:9001\r\n")).receive_all().await;
        assert!(reply.starts_with("HTTP/1.1 404 "), "{reply}");
    });
}

#[test]
fn a_name_that_is_not_of_this_machine_and_a_page_of_another_site_are_refused() {
    play(8, |_, _, network| async move {
        for (fields, status) in [
            ("Host: localhost:9001\r\n", 200),
            ("Host: LOCALHOST\r\n", 200),
            ("Host: 127.0.0.1:9101\r\n", 200),
            ("Host: [::1]:9001\r\n", 200),
            ("Host: [::1]\r\n", 200),
            ("Host: localhost:9001\r\nOrigin: http://localhost:9001\r\nSec-Fetch-Site: same-origin\r\n", 200),
            ("Host: localhost:9001\r\nSec-Fetch-Site: none\r\n", 200),
            ("Host: evil.example:9001\r\n", 403),
            ("Host: localhost.evil.example\r\n", 403),
            ("Host: 127.0.0.1.evil.example:9001\r\n", 403),
            ("Host: localhost:9001\r\nOrigin: http://evil.example\r\n", 403),
            ("Host: localhost:9001\r\nOrigin: http://localhost:9000\r\n", 403),
            ("Host: localhost:9001\r\nOrigin: https://localhost:9001\r\n", 403),
            ("Host: localhost:9001\r\nOrigin: null\r\n", 403),
            ("Host: localhost:9001\r\nSec-Fetch-Site: cross-site\r\n", 403),
            ("Host: localhost:9001\r\nSec-Fetch-Site: same-site\r\n", 403),
        ] {
            let reply = ask(&network, &get("/", fields)).receive_all().await;
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {reply}");
        }
    });
}

#[test]
fn those_who_watch_get_the_events_and_no_more_watch_than_may() {
    play(2, |runtime, live, network| async move {
        let watch = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let [first, second] = [ask(&network, watch), ask(&network, watch)];
        sleep(&runtime, 1).await;
        assert!(text(&first).contains("data: {\"v\":1,\"time\":0,\"event\":\"hello\",\"run\":\"run\"}\n\n"));
        let third = ask(&network, &get("/events", "Host: localhost\r\n")).receive_all().await;
        assert!(third.starts_with("HTTP/1.1 503 "), "{third}");
        let observer = live.observer(runtime.clone());
        observer.observe(Event::Accepted(PEER));
        sleep(&runtime, 100).await;
        for watcher in [&first, &second] {
            let events = text(watcher);
            assert!(events.contains("id: 1\ndata: {\"v\":1,\"time\":") && events.contains("\"accepted\""), "{events}");
        }
        // One who leaves makes room for another.
        second.reset();
        sleep(&runtime, 1).await;
        let third = ask(&network, watch);
        sleep(&runtime, 1).await;
        assert!(text(&third).contains("\"accepted\""));
        // When the server stops, all streams end at once.
        live.close();
        sleep(&runtime, 100).await;
        assert!(text(&first).ends_with("0\r\n\r\n"));
    });
}

#[test]
fn a_watcher_that_never_reads_is_dropped_and_one_that_is_slow_learns_how_many_events_it_missed() {
    play(1, |runtime, live, network| async move {
        let stuck = ask(&network, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let observer = live.observer(runtime.clone());
        for _ in 0..100 {
            for _ in 0..100 {
                observer.observe(Event::Sent(PEER, b"x"));
            }
            sleep(&runtime, 1000).await;
        }
        assert!(stuck.is_closed());
        let next = ask(&network, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        sleep(&runtime, 1).await;
        assert!(text(&next).contains("\"hello\""));
    });
    let hub = Arc::new(Hub::new("run"));
    let mut watcher = hub.watch(1).expect("a place");
    let runtime = Runtime::new(Model::new());
    runtime.block_on(async move {
        watcher.next().await;
        (0..1500).for_each(|_| hub.add("{}"));
        let events = watcher.next().await.expect("it is open");
        assert!(
            events.starts_with("data: {\"v\":1,\"time\":0,\"event\":\"dropped\",\"count\":500}\n\nid: 501\n"),
            "{events}"
        );
    });
}

#[test]
fn under_load_the_page_gets_a_sample_and_the_number_of_the_others() {
    play(1, |runtime, live, network| async move {
        let watcher = ask(&network, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let observer = live.observer(runtime.clone());
        observer.observe(Event::Accepted(PEER));
        for _ in 0..1000 {
            observer.observe(Event::Received(PEER, GET));
            let exchange = Exchange {
                peer: PEER,
                date: "",
                line: b"GET / HTTP/1.1",
                request_bytes: GET.len(),
                fault: None,
                status: 200,
                bytes: HELLO.len(),
            };
            observer.observe(Event::Responded(exchange));
        }
        // A secret whose name was in a part that nobody saw is masked all the same.
        observer.observe(Event::Received(PEER, b"GET / HTTP/1.1\r\nCookie: "));
        sleep(&runtime, 600).await;
        observer.observe(Event::Received(PEER, b"swordfish\r\n\r\n"));
        observer.observe(Event::Closed(PEER, CloseReason::LastResponse));
        let mut events = String::new();
        for _ in 0..200 {
            sleep(&runtime, 10).await;
            events += &text(&watcher);
        }
        assert_eq!(events.matches("\"received\"").count() + events.matches("\"responded\"").count(), 200, "{events}");
        assert!(events.contains("\"skipped\",\"count\":1802,\"requests\":1000,\"seconds\":0.500}"), "{events}");
        assert!(events.contains("\"closed\"") && !events.contains("swordfish"), "{events}");
    });
}

#[test]
fn a_request_that_is_typed_into_the_page_is_served_like_any_other_and_its_answer_comes_back_byte_for_byte() {
    play(1, |runtime, _, network| async move {
        let typed = "GET /typed HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let post = |typed: &str| {
            format!(
                "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{typed}",
                typed.len()
            )
        };
        let reply = ask(&network, &post(typed)).receive_all().await;
        assert!(reply.contains("HTTP/1.1 200 OK\r\nContent-Type: text/html") && reply.contains(HELLO), "{reply}");
        let reply = ask(&network, &post("nonsense\r\n\r\n")).receive_all().await;
        assert!(reply.contains("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
        // Half a request waits, until the reader does not wait any longer.
        let waits = ask(&network, &post("GET / HT"));
        sleep(&runtime, 10_000).await;
        assert!(!text(&waits).contains("408"));
        waits.reset();
        sleep(&runtime, 1000).await;
        let watcher = ask(&network, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        sleep(&runtime, 1).await;
        let events = text(&watcher);
        assert!(events.contains("\"peer\":\"127.0.0.1:0\"") && events.contains("GET /typed HTTP/1.1"), "{events}");
        assert!(events.contains("\"connection\":3") && !events.contains("\"connection\":4"), "{events}");
        let ends = events.matches("\"closed\"").count();
        assert_eq!(ends, 3, "{events}");
    });
}

#[test]
fn the_connections_of_the_page_are_not_in_it() {
    play(1, |runtime, _, network| async move {
        ask(&network, &get("/", "Host: localhost\r\n")).receive_all().await;
        let watcher = ask(&network, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        sleep(&runtime, 100).await;
        let events = text(&watcher);
        assert_eq!(events.matches("data: ").count(), 1, "{events}");
        assert!(events.contains("\"hello\""), "{events}");
    });
}
