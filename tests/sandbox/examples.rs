//! The examples of the runtime, as servers that other people might write on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use hello_test_support::{PATIENCE, Process, component, connect, connect_after_resets};

use super::{sandbox, wasmtime};

/// A running example of a server, and its address.
fn example(name: &str, arguments: &[&str]) -> (Process, SocketAddr) {
    let mut command = sandbox(&["--allow-listen", "127.0.0.1:0"]);
    command.arg(component::runtime_example(name)).arg("127.0.0.1:0").args(arguments);
    let program = Process::start(&mut command);
    let address = program.address();
    (program, address)
}

/// Sends until the socket takes nothing more: the peer waits for this client to read.
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
fn clients_that_reset_their_connections_delay_no_other_client() {
    for name in ["echo", "lines"] {
        let (_program, address) = example(name, &[]);
        let mut client = connect_after_resets(address);
        client.write_all(b"hello\n").expect("send a line");
        receive(&mut client, b"hello\n");
    }
}

#[test]
fn chat_loses_no_byte_of_reads_that_are_cancelled() {
    let (_program, address) = example("chat", &[]);
    let (mut first, mut second) = (connect(address), connect(address));
    for number in 0..500 {
        // Each line cancels the read of the other connection.
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
            // The example has closed the connection.
            Err(_) => break,
        }
    }
    let (mut first, mut second) = (connect(address), connect(address));
    first.write_all(b"hello").expect("it reads");
    receive(&mut second, b"hello");
    drop(deaf);
}

#[test]
fn lines_sends_back_each_line_once_it_has_come_whole_and_the_rest_at_the_end() {
    let (_program, address) = example("lines", &[]);
    let (mut slow, mut quick) = (connect(address), connect(address));
    slow.write_all(b"hel").expect("send half a line");
    for number in 0..500 {
        let lines = format!("one {number}\ntwo {number}\n");
        quick.write_all(lines.as_bytes()).expect("send two lines");
        receive(&mut quick, lines.as_bytes());
    }
    slow.write_all(b"lo\nwor").expect("send the rest of the line");
    receive(&mut slow, b"hello\n");
    slow.shutdown(Shutdown::Write).expect("finish sending");
    let mut rest = String::new();
    slow.read_to_string(&mut rest).expect("read to the end");
    assert_eq!(rest, "wor");
}

#[test]
fn netcat_sends_standard_input_and_prints_what_comes_also_while_the_server_does_not_read() {
    const MANY: usize = 8 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen on any port");
    let address = listener.local_addr().expect("the address of the listener").to_string();
    // Plain wasmtime runs the example, because the sandbox has no standard input for a component.
    let mut command = wasmtime(&component::runtime_example("netcat"), &[&address]);
    let mut program = Process::start(command.stdin(Stdio::piped()));
    let mut stdin = program.child.stdin.take().expect("standard input is piped");
    let (mut server, _) = listener.accept().expect("accept the connection");
    server.set_read_timeout(Some(PATIENCE)).expect("a socket");

    // Both streams are open.
    server.write_all(b"hello\n").expect("send a line");
    assert_eq!(program.line(), "hello");
    stdin.write_all(b"hi\n").expect("type a line");
    receive(&mut server, b"hi\n");

    // The text is longer than the buffers between the two, so the write of `netcat` waits.
    let typed = thread::spawn(move || stdin.write_all(&vec![b'x'; MANY]).expect("type a lot"));
    for number in 0..100 {
        server.write_all(format!("{number}\n").as_bytes()).expect("send a line");
        assert_eq!(program.line(), number.to_string());
    }
    let mut received = Vec::new();
    server.read_to_end(&mut received).expect("read until standard input has ended");
    typed.join().expect("standard input was read");
    assert!(received.len() == MANY && received.iter().all(|&byte| byte == b'x'), "{} bytes", received.len());

    // Standard input has ended.
    server.write_all(b"bye\n").expect("send a line");
    drop(server);
    let output = program.wait();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("bye\n", ""));
    assert!(output.status.success(), "{}", output.status);
}
