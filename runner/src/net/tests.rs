//! Connections and readiness with sockets of the system.

mod listeners;
mod share;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use wasmtime_wasi::p2::StreamError;

use super::connection::{Connection, MOST_BYTES};
use super::readiness::{Key, Readiness};

/// More than two systems keep of a connection whose peer does not read.
const MUCH: usize = 64 * 1024 * 1024;

/// Long enough for a report, and for a peer to be asked on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A connection of the host, and its peer, which blocks.
fn pair(readiness: &mut Readiness) -> (Key, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (socket, _) = listener.accept().expect("accept");
    socket.set_nonblocking(true).expect("a socket that does not block");
    (readiness.connect(mio::net::TcpStream::from_std(socket), false).expect("register"), peer)
}

fn connection(readiness: &mut Readiness, key: Key) -> &mut Connection {
    readiness.connection(key).expect("the connection is open")
}

/// A listener of the host, and its address.
fn listener(readiness: &mut Readiness) -> (Key, SocketAddr) {
    let listener = mio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a listener");
    let address = listener.local_addr().expect("an address");
    (readiness.listen(listener, None).expect("register"), address)
}

/// Waits until this is true of the connection.
fn until(readiness: &mut Readiness, key: Key, is_true: impl Fn(&mut Connection) -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_true(connection(readiness, key)) {
        assert!(Instant::now() < deadline, "it takes too long");
        readiness.wait(Some(LONG)).expect("wait");
    }
}

/// Writes until the peer's system and this one take no more. Returns the number of bytes.
fn fill(readiness: &mut Readiness, key: Key) -> usize {
    let mut written = 0;
    while connection(readiness, key).check_write().expect("it is open") > 0 {
        connection(readiness, key).write(vec![b'x'; MOST_BYTES]).expect("it was permitted");
        written += MOST_BYTES;
        assert!(written < MUCH);
    }
    written
}

#[test]
fn what_comes_is_read_once_and_then_the_end() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, mut peer) = pair(&mut readiness);
    let mut room = vec![0; MOST_BYTES];
    assert_eq!(connection(&mut readiness, key).read(10, &mut room).expect("it is open"), b"");
    assert!(!connection(&mut readiness, key).can_be_read());
    peer.write_all(b"hello").expect("write");
    until(&mut readiness, key, |connection| connection.can_be_read());
    assert_eq!(connection(&mut readiness, key).read(2, &mut room).expect("it is open"), b"he");
    assert_eq!(connection(&mut readiness, key).read(10, &mut room).expect("it is open"), b"llo");
    drop(peer);
    until(&mut readiness, key, |connection| connection.can_be_read());
    for _ in 0..2 {
        assert!(matches!(connection(&mut readiness, key).read(10, &mut room), Err(StreamError::Closed)));
    }
}

#[test]
fn the_end_behind_a_short_read_is_found() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, mut peer) = pair(&mut readiness);
    let mut room = vec![0; MOST_BYTES];
    peer.write_all(b"hello").expect("write");
    peer.shutdown(Shutdown::Write).expect("shut down");
    // Both have come before the first read.
    until(&mut readiness, key, |connection| connection.can_be_read());
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(connection(&mut readiness, key).read(10, &mut room).expect("it is open"), b"hello");
    until(&mut readiness, key, |connection| connection.can_be_read());
    assert!(matches!(connection(&mut readiness, key).read(10, &mut room), Err(StreamError::Closed)));
}

#[test]
fn no_more_is_taken_than_was_permitted_once() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, _peer) = pair(&mut readiness);
    let connection = connection(&mut readiness, key);
    assert!(matches!(connection.write(vec![0]), Err(StreamError::Trap(_))));
    assert_eq!(connection.check_write().expect("it is open"), MOST_BYTES);
    connection.write(vec![0]).expect("it was permitted");
    assert!(matches!(connection.write(vec![0]), Err(StreamError::Trap(_))), "the permit is for one write");
}

#[test]
fn unsent_bytes_are_sent_when_the_peer_reads_and_shutting_down_waits_for_them() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, mut peer) = pair(&mut readiness);
    let written = fill(&mut readiness, key);
    connection(&mut readiness, key).shut_down(Shutdown::Write);
    assert_eq!(connection(&mut readiness, key).check_write().expect("it still sends"), 0);
    let reads = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("read");
        bytes.len()
    });
    until(&mut readiness, key, |connection| connection.can_be_written());
    assert!(matches!(connection(&mut readiness, key).check_write(), Err(StreamError::Closed)));
    assert_eq!(reads.join().expect("the thread ends"), written);
}

#[test]
fn a_dropped_socket_sends_what_is_unsent_and_is_closed_then() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, mut peer) = pair(&mut readiness);
    let written = fill(&mut readiness, key);
    readiness.close(key);
    let reads = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("read");
        bytes.len()
    });
    readiness.finish(LONG);
    assert!(readiness.connection(key).is_none());
    assert_eq!(reads.join().expect("the thread ends"), written);
}

#[test]
fn a_peer_that_does_not_read_does_not_keep_a_dropped_socket_for_ever() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, _peer) = pair(&mut readiness);
    fill(&mut readiness, key);
    readiness.close(key);
    let begin = Instant::now();
    readiness.finish(Duration::from_millis(10));
    assert!(begin.elapsed() < LONG);
    assert!(readiness.connection(key).is_some(), "it has half a minute");
}

#[test]
fn a_dropped_socket_is_closed_when_its_time_is_over_although_nothing_happens() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, _peer) = pair(&mut readiness);
    fill(&mut readiness, key);
    readiness.to_take = Duration::from_millis(10);
    readiness.close(key);
    let begin = Instant::now();
    while readiness.connection(key).is_some() {
        readiness.wait(Some(LONG)).expect("wait");
    }
    assert!(begin.elapsed() < LONG);
}

#[test]
fn of_too_many_dropped_sockets_the_oldest_is_closed() {
    let mut readiness = Readiness::new().expect("a poll");
    readiness.most_orphans = 2;
    let pairs = [(); 3].map(|()| pair(&mut readiness));
    for (key, _) in &pairs {
        fill(&mut readiness, *key);
        readiness.close(*key);
    }
    assert_eq!(pairs.map(|(key, _)| readiness.connection(key).is_some()), [false, true, true]);
}

#[test]
fn a_write_to_a_peer_that_has_gone_fails_for_ever() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, mut peer) = pair(&mut readiness);
    // A peer that closes with unread bytes resets the connection.
    connection(&mut readiness, key).check_write().expect("it is open");
    connection(&mut readiness, key).write(vec![0]).expect("it was permitted");
    peer.set_nonblocking(false).expect("a socket that blocks");
    let _ = peer.read(&mut []);
    drop(peer);
    let deadline = Instant::now() + LONG;
    loop {
        let connection = connection(&mut readiness, key);
        let written = connection.check_write().and_then(|_| connection.write(vec![0]));
        if written.is_err() {
            break;
        }
        assert!(Instant::now() < deadline, "it takes too long");
        readiness.wait(Some(Duration::from_millis(1))).expect("wait");
    }
    let connection = connection(&mut readiness, key);
    assert!(connection.can_be_written());
    assert!(connection.check_write().is_err() && connection.flush().is_err());
}

#[test]
fn another_thread_ends_a_wait() {
    let mut readiness = Readiness::new().expect("a poll");
    let waker = std::sync::Arc::clone(readiness.waker());
    let wakes = std::thread::spawn(move || waker.wake());
    assert!(readiness.wait(Some(LONG)).expect("wait"));
    wakes.join().expect("the thread ends").expect("wake");
}

#[test]
fn a_listener_is_ready_only_while_a_connection_waits() {
    let mut readiness = Readiness::new().expect("a poll");
    let (key, address) = listener(&mut readiness);
    readiness.wait(Some(Duration::ZERO)).expect("wait");
    assert!(!readiness.listener(key).expect("it listens").is_ready());
    let _peers = [(); 2].map(|()| TcpStream::connect(address).expect("connect"));
    for _ in 0..2 {
        let deadline = Instant::now() + LONG;
        while !readiness.listener(key).expect("it listens").is_ready() {
            assert!(Instant::now() < deadline, "it takes too long");
            readiness.wait(Some(LONG)).expect("wait");
        }
        readiness.listener(key).expect("it listens").accept().expect("a connection waits");
    }
    assert!(!readiness.listener(key).expect("it listens").is_ready());
}
