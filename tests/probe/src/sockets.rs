//! What a component can do with sockets, streams and pollables, and std does not.

use std::net::SocketAddr;
use std::time::Duration;

use wasi::clocks::monotonic_clock;
use wasi::io::poll::poll;
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;

/// The time in which a loop asks for what is always ready: longer than a turn of the tests.
const LONG: Duration = Duration::from_secs(3);

/// A connection. Its fields are dropped in this order: streams have to end before their socket.
struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

fn new() -> TcpSocket {
    create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket")
}

/// Listens at `address`, and prints where that is.
fn listen(address: SocketAddr) -> TcpSocket {
    let SocketAddr::V4(address) = address else { panic!("an IPv4 address") };
    let socket = new();
    let [a, b, c, d] = address.ip().octets();
    let local = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) });
    socket.start_bind(&instance_network(), local).and_then(|()| socket.finish_bind()).expect("bind");
    socket.start_listen().and_then(|()| socket.finish_listen()).expect("listen");
    let IpSocketAddress::Ipv4(local) = socket.local_address().expect("it is bound") else { panic!("an IPv4 address") };
    println!("listening on {}:{}", address.ip(), local.port);
    socket
}

fn accept(listener: &TcpSocket) -> Connection {
    loop {
        match listener.accept() {
            Ok((socket, input, output)) => return Connection { input, output, socket },
            Err(ErrorCode::WouldBlock) => listener.subscribe().block(),
            Err(error) => panic!("accept: {error}"),
        }
    }
}

/// Asks again and again for something that is always ready, together with what `with` says.
pub(crate) fn spin(with: &str, address: Option<SocketAddr>) {
    println!("busy");
    let (always, end) = (new(), monotonic_clock::now() + LONG.as_nanos() as u64);
    let always = always.subscribe();
    match (with, address) {
        ("nothing", _) => loop {
            poll(&[&always]);
        },
        ("a-time", _) => {
            let alarm = monotonic_clock::subscribe_duration(u64::MAX);
            while monotonic_clock::now() < end {
                poll(&[&always, &alarm]);
            }
        }
        ("a-peer", Some(address)) => {
            let listener = listen(address);
            let connection = accept(&listener);
            loop {
                poll(&[&always, &connection.input.subscribe()]);
                match connection.input.read(1000) {
                    Ok(_) => {}
                    Err(StreamError::Closed) => break,
                    Err(error) => panic!("read: {error}"),
                }
            }
        }
        _ => panic!("nothing to ask for"),
    }
    println!("spin: ok");
}

/// Accepts a connection, writes until no more is taken, and drops it. Then serves `others` connections.
pub(crate) fn leave(address: SocketAddr, others: usize) {
    let listener = listen(address);
    let connection = accept(&listener);
    let mut written = 0;
    loop {
        let permit = connection.output.check_write().expect("the peer is there");
        if permit == 0 {
            break;
        }
        connection.output.write(&vec![b'x'; permit as usize]).expect("it was permitted");
        written += permit;
    }
    drop(connection);
    println!("left {written}");
    for _ in 0..others {
        accept(&listener).output.blocking_write_and_flush(b"hello").expect("the peer is there");
    }
}

/// Breaks a rule of WASI, which a host answers with a trap.
pub(crate) fn misuse(rule: &str, address: SocketAddr) {
    if rule == "empty-poll" {
        poll(&[]);
        return;
    }
    let listener = listen(address);
    let Connection { input, output, socket } = accept(&listener);
    match rule {
        "socket-before-streams" => drop(socket),
        "socket-before-pollables" => {
            let _pollable = listener.subscribe();
            drop(listener);
        }
        "stream-before-pollables" => {
            let _pollable = input.subscribe();
            drop(input);
        }
        "no-permit" => output.write(b"x").expect("a trap"),
        "permit-twice" => {
            output.check_write().expect("the peer is there");
            output.write(b"x").expect("it was permitted");
            output.write(b"x").expect("a trap");
        }
        "too-much" => {
            output.write(&vec![0; output.check_write().expect("the peer is there") as usize + 1]).expect("a trap")
        }
        "too-much-at-once" => output.blocking_write_and_flush(&[0; 4097]).expect("a trap"),
        "too-many-zeroes" => output.blocking_write_zeroes_and_flush(4097).expect("a trap"),
        _ => panic!("there is no such rule"),
    }
    println!("misuse: ok");
}
