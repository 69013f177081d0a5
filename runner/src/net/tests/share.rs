//! Instances that share a listening socket, and the connections to it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::super::readiness::{Key, Readiness};
use super::super::share::Counts;
use super::{LONG, pair};

/// Instances that listen on the same socket, and its address.
fn instances<const N: usize>() -> ([(Readiness, Key); N], SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a listener");
    socket.set_nonblocking(true).expect("a socket that does not block");
    let counts = Counts::default();
    let instances = [(); N].map(|()| {
        let mut readiness = Readiness::new().expect("a poll");
        let clone = mio::net::TcpListener::from_std(socket.try_clone().expect("a clone"));
        let key = readiness.listen(clone, Some(&counts)).expect("register");
        (readiness, key)
    });
    (instances, socket.local_addr().expect("an address"))
}

/// Waits as a component does, until it may accept a connection.
fn wait((readiness, key): &mut (Readiness, Key)) {
    let begin = Instant::now();
    while !readiness.can_accept(*key) {
        readiness.wait(Some(LONG)).expect("wait");
    }
    assert!(begin.elapsed() < LONG, "it takes too long");
}

/// Accepts a connection, which stays open.
fn accept((readiness, key): &mut (Readiness, Key)) {
    let (stream, _) = readiness.listener(*key).expect("it listens").accept().expect("a connection waits");
    readiness.connect(stream, false).expect("register");
}

#[test]
fn an_instance_that_shares_a_listener_takes_one_connection_at_a_time() {
    let ([mut only], address) = instances();
    let _peers = [(); 2].map(|()| TcpStream::connect(address).expect("connect"));
    for _ in 0..2 {
        wait(&mut only);
        accept(&mut only);
        let error = only.0.listener(only.1).expect("it listens").accept().expect_err("it has not asked");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn an_instance_with_more_sockets_leaves_a_connection_to_the_others() {
    let ([mut more, mut fewer], address) = instances();
    let _peers = [(); 3].map(|()| pair(&mut more.0));
    for _ in 0..3 {
        let _caller = TcpStream::connect(address).expect("connect");
        more.0.wait(Some(LONG)).expect("wait");
        assert!(!more.0.can_accept(more.1));
        let error = more.0.listener(more.1).expect("it listens").accept().expect_err("it is left to the other");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        wait(&mut fewer);
        accept(&mut fewer);
        assert!(!more.0.can_accept(more.1), "it is gone");
    }
}

#[test]
fn a_connection_that_no_other_instance_takes_in_a_moment_is_taken() {
    let ([mut more, fewer], address) = instances();
    let _peer = pair(&mut more.0);
    for _ in 0..3 {
        let _caller = TcpStream::connect(address).expect("connect");
        // It ends though nothing else happens.
        wait(&mut more);
        accept(&mut more);
    }
    drop(fewer);
}
