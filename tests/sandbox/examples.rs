//! The examples of the runtime, as other people would write a server on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use hello_test_support::{PATIENCE, Process, component, connect};

use super::sandbox;

/// An example that serves, and where it listens.
fn example(name: &str, arguments: &[&str]) -> (Process, SocketAddr) {
    let mut command = sandbox(&["--allow-listen", "127.0.0.1:0"]);
    command.arg(component::runtime_example(name)).arg("127.0.0.1:0").args(arguments);
    let program = Process::start(&mut command);
    let address = program.address();
    (program, address)
}

/// Sends until nothing more is taken: the peer waits for this client to read.
fn send_until_full(stream: &mut TcpStream) {
    stream.set_nonblocking(true).expect("a socket");
    let mut is_full = false;
    loop {
        match stream.write(&[b'x'; 64 * 1024]) {
            Ok(_) => is_full = false,
            Err(error) if error.kind() == ErrorKind::WouldBlock && is_full => break,
            // The other side may be about to take more.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                is_full = true;
                thread::sleep(PATIENCE / 100);
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).expect("a socket");
}

fn receive(stream: &mut TcpStream, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).expect("as many bytes");
    assert_eq!(received, expected);
}

#[test]
fn echo_sends_back_what_each_client_sends_also_after_the_client_has_finished() {
    let (_program, address) = example("echo", &[]);
    let clients: Vec<_> = (0..20u8)
        .map(|number| {
            thread::spawn(move || {
                let (mut stream, sent) = (connect(address), vec![number; 200_000]);
                let mut reader = stream.try_clone().expect("a socket");
                let expected = sent.clone();
                let received = thread::spawn(move || {
                    let mut received = Vec::new();
                    reader.read_to_end(&mut received).expect("an end");
                    assert_eq!(received, expected);
                });
                stream.write_all(&sent).expect("it reads");
                stream.shutdown(Shutdown::Write).expect("a socket");
                received.join().expect("all of it, and the end");
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("an echo"));
}

#[test]
fn echo_serves_other_clients_while_one_never_reads() {
    let (_program, address) = example("echo", &[]);
    let mut greedy = connect(address);
    send_until_full(&mut greedy);
    let mut other = connect(address);
    other.write_all(b"hello").expect("it reads");
    receive(&mut other, b"hello");
}

#[test]
fn chat_loses_no_byte_of_reads_that_are_cancelled() {
    let (_program, address) = example("chat", &[]);
    let (mut first, mut second) = (connect(address), connect(address));
    for number in 0..500 {
        // Each of them cancels the read of the other one.
        let (one, other) = (format!("first {number}\n"), format!("second {number}\n"));
        first.write_all(one.as_bytes()).expect("it reads");
        second.write_all(other.as_bytes()).expect("it reads");
        receive(&mut second, one.as_bytes());
        receive(&mut first, other.as_bytes());
    }
    drop(first);
    assert_eq!(second.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn chat_ends_for_both_after_a_silence_and_a_client_that_never_reads_freezes_no_other_chat() {
    let (_program, address) = example("chat", &["1"]);
    let (mut silent, mut other) = (connect(address), connect(address));
    assert_eq!((silent.read(&mut [0]).expect("an end"), other.read(&mut [0]).expect("an end")), (0, 0));

    // The write to the second one times out, and its stream is dropped with the write in flight.
    let (mut greedy, deaf) = (connect(address), connect(address));
    greedy.set_nonblocking(true).expect("a socket");
    loop {
        match greedy.write(&[b'x'; 64 * 1024]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PATIENCE / 1000),
            // The chat has ended.
            Err(_) => break,
        }
    }
    let (mut first, mut second) = (connect(address), connect(address));
    first.write_all(b"hello").expect("it reads");
    receive(&mut second, b"hello");
    drop(deaf);
}

#[test]
fn lines_sends_each_line_back_in_capitals_however_it_comes() {
    let (_program, address) = example("lines", &[]);
    let (mut stream, mut other) = (connect(address), connect(address));
    for piece in ["hel", "lo\nwor", "ld\n"] {
        stream.write_all(piece.as_bytes()).expect("write a piece");
        other.write_all(b"x\n").expect("write a line");
        receive(&mut other, b"X\n");
    }
    receive(&mut stream, b"HELLO\nWORLD\n");
    stream.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
}
