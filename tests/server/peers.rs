//! Bad peers: silent, hasty, stuck, many.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hello_test_support::process::holdings;
use hello_test_support::{GET, HELLO, LAST_GET, PATIENCE, Server, not_tested, read_all, read_reply};
use socket2::SockRef;

#[test]
fn twenty_silent_connections_do_not_delay_the_twenty_first() {
    let server = Server::start(&[]);
    let silent: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    server.assert_serves();
    drop(silent);
}

#[test]
fn a_client_that_connects_and_closes_does_no_harm() {
    let server = Server::start(&[]);
    for _ in 0..100 {
        drop(server.connect());
    }
    server.assert_serves();
    assert!(server.line().contains("\"GET / HTTP/1.1\" 200 41"), "and leaves no line in the log");
}

#[test]
fn https_typed_by_mistake_is_reported() {
    let server = Server::start(&[]);
    let reply = server.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random");
    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("TLS"), "{reply}");
    server.assert_serves();
}

#[test]
fn garbage_is_refused_and_does_no_harm() {
    let server = Server::start(&[]);
    // A fixed sequence that looks random makes a failure repeatable.
    let mut state = 1u32;
    for length in [1, 10, 100, 1_000, 10_000, 100_000] {
        let garbage: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut stream = server.connect();
        stream.write_all(&garbage).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("it is connected");
        assert!(read_all(&mut stream).starts_with("HTTP/1.1 400 "));
    }
    server.assert_serves();
}

#[test]
fn an_http2_preface_gets_a_clean_505() {
    let server = Server::start(&[]);
    let reply = server.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 505 "), "{reply}");
}

#[test]
fn a_reset_in_the_middle_of_a_response_does_no_harm() {
    let server = Server::start(&["--log", "off"]);
    for _ in 0..50 {
        let mut stream = server.connect();
        stream.write_all(&GET.repeat(200)).expect("it reads");
        stream.peek(&mut [0]).expect("a reply has begun");
        // The kernel responds to the rest with a reset: there were unread bytes.
        drop(stream);
    }
    server.assert_serves();
}

#[test]
fn connections_that_were_closed_before_accept_cost_the_clients_nothing() {
    let server = Server::start(&["--log", "off"]);
    let mut idle: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    let mut ask_all = || {
        for peer in &mut idle {
            peer.write_all(GET).expect("it reads");
            read_reply(peer);
        }
    };
    ask_all();
    for _ in 0..200 {
        let hasty = server.connect();
        // With a linger time of 0, closing is a reset.
        SockRef::from(&hasty).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
    server.assert_serves();
    // The server evicted no connection for them, and printed no note.
    ask_all();
    assert_eq!(server.finish().stderr, "");
}

/// Sends requests until nothing more fits: the client never reads the responses.
pub(super) fn stick(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.set_nonblocking(true).expect("it is connected");
    let requests = GET.repeat(1000);
    let mut since = Instant::now();
    // The buffers are full only if they stay full for a while: the server may still be reading.
    while since.elapsed() < Duration::from_millis(300) {
        match stream.write(&requests) {
            Ok(_) => since = Instant::now(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    stream
}

#[test]
fn pipelining_without_reading_delays_no_other_connection_before_or_after_its_deadline() {
    let server = Server::start(&["--log", "off", "--write-timeout", "3"]);
    let stuck: Vec<TcpStream> = (0..3).map(|_| stick(&server)).collect();
    // In this time the server abandons its writes; if it dropped a stream with a write in flight, it would stop, and send
    // no further response.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        server.assert_serves();
    }
    drop(stuck);
    server.assert_serves();
}

#[test]
fn the_connection_of_a_client_that_never_reads_is_closed_and_its_permit_is_free() {
    let server = Server::start(&["--log", "off", "--write-timeout", "3", "--max-connections", "3"]);
    let stuck: Vec<TcpStream> = (0..3).map(|_| stick(&server)).collect();
    for mut peer in stuck {
        // It still does not read: only the server can end this. Unread bytes turn the end into a reset.
        let start = Instant::now();
        let end = loop {
            match peer.write(GET) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => break error,
                _ => assert!(start.elapsed() < PATIENCE, "the connection is still open"),
            }
            thread::yield_now();
        };
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
    server.assert_serves();
}

#[test]
fn when_slow_connections_have_all_permits_the_slowest_one_is_evicted() {
    let server = Server::start(&["--log", "off", "--max-connections", "3"]);
    let begin = |words: &[u8]| {
        let mut peer = server.connect();
        peer.write_all(words).expect("it reads");
        peer
    };
    let never_reads = stick(&server);
    let mut slow_head = begin(&GET[..20]);
    let mut slow_body = begin(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
    let mut fresh = Vec::new();
    for _ in 0..3 {
        server.assert_serves();
        // The freed permit is taken again.
        fresh.push(begin(&GET[..20]));
    }
    drop(never_reads);
    for peer in [&mut slow_head, &mut slow_body] {
        assert!(read_all(peer).starts_with("HTTP/1.1 408 "));
    }
}

#[test]
fn six_hundred_connections_active_at_once_are_all_served() {
    let server = Server::start(&["--log", "off"]);
    let mut peers: Vec<TcpStream> = (0..600).map(|_| server.connect()).collect();
    for _ in 0..10 {
        for peer in &mut peers {
            peer.write_all(GET).expect("it reads");
        }
        for peer in &mut peers {
            read_reply(peer);
        }
    }
}

#[test]
fn at_the_limit_connections_wait_in_the_backlog_and_idle_ones_are_evicted() {
    let server = Server::start(&["--log", "off", "--max-connections", "2"]);
    // Two connections with a response stay open: each further connection needs the permit of one of them.
    let mut idle: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    for peer in &mut idle {
        peer.write_all(GET).expect("it reads");
        read_reply(peer);
    }
    for _ in 0..10 {
        server.assert_serves();
    }
    assert_eq!(idle[0].read(&mut [0; 16]).expect("an end"), 0, "it has made room");
}

/// Sends the server's process a signal.
fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &server.pid().to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

/// When a laptop is closed, clocks jump, and no program runs meanwhile.
#[test]
fn a_server_that_was_halted_for_longer_than_its_deadlines_keeps_every_connection() {
    let server = Server::start(&["--log", "off", "--header-timeout", "1"]);
    let mut late = server.connect();
    late.write_all(&GET[..20]).expect("it reads");
    let mut idle = server.connect();
    idle.write_all(GET).expect("it reads");
    read_reply(&mut idle);

    signal(&server, "STOP");
    thread::sleep(Duration::from_secs(2));
    idle.write_all(GET).expect("there is room");
    let mut next = server.connect();
    next.write_all(LAST_GET).expect("there is room");
    signal(&server, "CONT");

    assert!(read_all(&mut late).starts_with("HTTP/1.1 408 "));
    read_reply(&mut idle);
    assert!(read_all(&mut next).ends_with(HELLO));
    server.assert_serves();
}

/// Bytes that arrive while the process is halted count, although every deadline is over when it resumes.
#[test]
fn requests_that_came_while_the_server_was_halted_get_their_responses() {
    let server = Server::start(&["--log", "off", "--header-timeout", "3", "--idle-timeout", "3"]);
    let body = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n";
    let mut peers = Vec::new();
    for (begun, rest) in [(GET, LAST_GET), (b"", LAST_GET), (&LAST_GET[..20], &LAST_GET[20..]), (body, &[b'x'; 50_000])]
    {
        for _ in 0..40 {
            let mut peer = server.connect();
            peer.write_all(begun).expect("send the beginning");
            peers.push((peer, rest));
        }
    }
    for (peer, _) in &mut peers[..40] {
        read_reply(peer);
    }
    signal(&server, "STOP");
    thread::sleep(Duration::from_secs(4));
    for (peer, rest) in &mut peers {
        peer.write_all(rest).expect("send the rest");
    }
    signal(&server, "CONT");
    for (peer, _) in &mut peers {
        let reply = read_all(peer);
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply:?}");
    }
}

/// RFC 9112 section 9.6. Many clients send all of a body before they read: Python's http.client, Java's HttpURLConnection.
#[test]
fn a_refusal_arrives_however_long_the_body_behind_it_is() {
    let server = Server::start(&["--log", "off"]);
    let body = vec![b'x'; 1024 * 1024];
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n", "x".repeat(20_000));
    for (head, status, mebibytes) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n", 413, 100),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6400000\r\n", 413, 20),
        ("POST / HTTP/1.1\r\nContent-Length: 20971520\r\n\r\n", 400, 20),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: a pony\r\nContent-Length: 20971520\r\n\r\n", 417, 20),
        ("POST / HTTP/3.0\r\nHost: a\r\nContent-Length: 20971520\r\n\r\n", 505, 20),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 20971520\r\n\r\n", 405, 20),
        (&long, 431, 20),
    ] {
        let mut peer = server.connect();
        peer.write_all(head.as_bytes()).expect("send the head");
        for _ in 0..mebibytes {
            peer.write_all(&body).expect("send the body");
        }
        let reply = read_all(&mut peer);
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    }
}

#[test]
fn ten_thousand_connections_one_after_another_leave_nothing_behind() {
    let server = Server::start(&["--log", "off"]);
    let visit = |times: usize| (0..times).for_each(|_| server.assert_serves());
    visit(3_000);
    let Some((descriptors, resident)) = holdings(server.pid()) else {
        not_tested("this system does not tell what a process holds", "run it on Linux");
        return;
    };
    visit(10_000);
    // The server may still be closing the last connections.
    let start = Instant::now();
    let (mut descriptors_after, mut resident_after) = (usize::MAX, u64::MAX);
    while descriptors_after > descriptors && start.elapsed() < PATIENCE {
        (descriptors_after, resident_after) = holdings(server.pid()).expect("it told before");
        thread::yield_now();
    }
    assert!(descriptors_after <= descriptors, "{descriptors} descriptors, then {descriptors_after}");
    // A leak of 400 bytes for each of the 10,000 connections would show.
    assert!(resident_after < resident + 4_000, "{resident} KiB, then {resident_after}");
}
