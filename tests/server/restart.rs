//! Restarts under load lose no request that was accepted.

use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
use hello_test_support::start_with_sockets;
use hello_test_support::{GET, HELLO, LAST_GET, PATIENCE, Server, command, is_wasmtime};

/// The least number of responses between two restarts.
const BETWEEN: u64 = 500;

/// A server that stops closes a connection whose client sends nothing for this time.
const IDLE: Duration = Duration::from_millis(250);

/// The counts of the clients.
#[derive(Default)]
struct Seen {
    /// The number of responses.
    answered: AtomicU64,
    /// The number of connections with at least one response.
    calls: AtomicU64,
    /// The number of connections that the kernel refused, because no socket listened.
    refused: AtomicU64,
    /// The number of connections that came when the server accepted no more: the kernel reset them.
    reset: AtomicU64,
    /// Whether the clients have to stop.
    over: AtomicBool,
}

/// Sends requests until the test is over: on one connection while it lasts, or on a new connection for each request.
/// Returns the failures.
fn ask(address: SocketAddr, request: &[u8], seen: &Seen) -> Vec<String> {
    let mut failures = Vec::new();
    let is_over = || seen.over.load(Ordering::Relaxed);
    while !is_over() {
        let mut stream = match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
                continue;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                seen.reset.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(error) => {
                failures.push(format!("no connection: {error}"));
                continue;
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut asked = 0;
        // When the last request began.
        let mut begin = Instant::now();
        loop {
            asked += 1;
            let before = mem::replace(&mut begin, Instant::now());
            match exchange(&mut stream, request) {
                Ok(last) => {
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                    seen.calls.fetch_add(u64::from(asked == 1), Ordering::Relaxed);
                    if last || is_over() {
                        break;
                    }
                }
                Err(Failure { reset: true, bytes: 0, .. }) if asked == 1 => {
                    seen.reset.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                // The client did not run for a moment.
                Err(Failure { bytes: 0, .. }) if asked > 1 && before.elapsed() >= IDLE => break,
                Err(Failure { words, .. }) => {
                    failures.push(format!("request {asked} of a connection: {words}"));
                    break;
                }
            }
        }
    }
    failures
}

/// The reason of a missing response.
struct Failure {
    words: String,
    /// Whether the connection was reset.
    reset: bool,
    /// The number of bytes that came.
    bytes: usize,
}

/// Sends one request and reads its response. Returns whether the response was the last one of this connection.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<bool, Failure> {
    let failure = |error: std::io::Error, bytes: usize| Failure {
        words: format!("{error} after {bytes} bytes"),
        reset: matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        bytes,
    };
    stream.write_all(request).map_err(|error| failure(error, 0))?;
    let mut reply = Vec::new();
    let mut piece = [0; 1024];
    while !reply.ends_with(HELLO.as_bytes()) {
        match stream.read(&mut piece) {
            Ok(0) => {
                let bytes = reply.len();
                return Err(Failure { words: format!("hung up after {bytes} bytes"), reset: false, bytes });
            }
            Ok(read) => reply.extend_from_slice(&piece[..read]),
            // A read may return this after the machine was halted for a moment.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(error, reply.len())),
        }
    }
    Ok(String::from_utf8_lossy(&reply).contains("\r\nConnection: close\r\n"))
}

/// Restarts the server of `start` this often, while clients of both kinds send requests. Asserts that each request on a connection
/// that a server has accepted has its response.
fn restart(restarts: usize, start: impl Fn() -> Server) -> Arc<Seen> {
    let mut server = start();
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = [GET, GET, GET, GET, LAST_GET]
        .into_iter()
        .map(|request| {
            let (address, seen) = (server.address(), Arc::clone(&seen));
            thread::spawn(move || ask(address, request, &seen))
        })
        .collect();
    // The counts in the output of the servers.
    let (mut served, mut picked_up) = (0, 0);
    let mut stop = |server: Server| {
        server.terminate();
        let output = server.wait();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let words: Vec<&str> = output.stdout.split_whitespace().collect();
        let ["Shutting", "down...", "Served", requests, "requests", "in", calls, "calls."] = words[..] else {
            panic!("{output:?}");
        };
        served += requests.parse::<u64>().expect("a number");
        picked_up += calls.parse::<u64>().expect("a number");
    };
    let wait = || {
        let enough = seen.answered.load(Ordering::Relaxed) + BETWEEN;
        while seen.answered.load(Ordering::Relaxed) < enough {
            thread::yield_now();
        }
    };
    wait();
    for _ in 0..restarts {
        stop(server);
        server = start();
        wait();
    }
    seen.over.store(true, Ordering::Relaxed);
    let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("it asks")).collect();
    stop(server);
    assert_eq!(failures, Vec::<String>::new());
    // Each accepted connection had a response, and each response arrived.
    assert_eq!(served, seen.answered.load(Ordering::Relaxed));
    assert_eq!(picked_up, seen.calls.load(Ordering::Relaxed));
    seen
}

/// A free port outside the range from which the system gives out ports.
fn free_port(mut from: std::ops::Range<u16>) -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    from.find(free).expect("a free port")
}

#[test]
fn fifty_restarts_under_load_lose_no_request() {
    if is_wasmtime() {
        // Under plain wasmtime, only the end of standard input stops the server; `tests/sandbox` tests that.
        return;
    }
    let port = free_port(30_000..32_000).to_string();
    let start = || Server::launch(&mut command(&["--port", &port, "--log", "off", "--stop-when-stdin-closes"]));
    let seen = restart(50, start);
    // After the last accept, until the listener is closed, there is a short moment in which the kernel still completes
    // connections, and then resets them.
    let reset = seen.reset.load(Ordering::Relaxed);
    assert!(reset < 10, "{reset} calls came through, and were not picked up");
}

/// The test has the part of systemd, which keeps the socket open; `tests/deploy.rs` has a systemd.
#[cfg(unix)]
#[test]
fn twenty_restarts_with_the_socket_of_systemd_refuse_and_lose_no_connection() {
    if is_wasmtime() {
        // Plain wasmtime takes no socket.
        return;
    }
    let port = free_port(32_000..32_700);
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    let listen = format!("127.0.0.1:{port}");
    let seen = restart(20, || {
        let command = command(&["--listen", &listen, "--log", "off", "--stop-when-stdin-closes"]);
        let socket = socket.try_clone().expect("a descriptor");
        Server::listening(start_with_sockets(&command, [Some(socket.into()), None]))
    });
    assert_eq!((seen.refused.load(Ordering::Relaxed), seen.reset.load(Ordering::Relaxed)), (0, 0));
}
