//! Restarts under load lose no request that was accepted.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hello_test_support::{GET, HELLO, LAST_GET, PATIENCE, Server, command, is_wasmtime};

/// The number of restarts.
const RESTARTS: usize = 50;

/// The least number of responses between two restarts.
const BETWEEN: u64 = 500;

/// The counts of the clients.
#[derive(Default)]
struct Seen {
    /// The number of responses.
    answered: AtomicU64,
    /// The number of connections with at least one response.
    calls: AtomicU64,
    /// The number of connections that came when no server accepted any more: the kernel refused or reset them.
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
        loop {
            asked += 1;
            match exchange(&mut stream, request) {
                Ok(last) => {
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                    seen.calls.fetch_add(u64::from(asked == 1), Ordering::Relaxed);
                    if last || is_over() {
                        break;
                    }
                }
                Err(Failure { reset: true, .. }) if asked == 1 => {
                    seen.reset.fetch_add(1, Ordering::Relaxed);
                    break;
                }
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
    /// Whether the connection was reset before the first byte.
    reset: bool,
}

/// Sends one request and reads its response. Returns whether the response was the last one of this connection.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<bool, Failure> {
    let failure = |error: std::io::Error, bytes: usize| Failure {
        words: format!("{error} after {bytes} bytes"),
        reset: bytes == 0 && matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    };
    stream.write_all(request).map_err(|error| failure(error, 0))?;
    let mut reply = Vec::new();
    let mut piece = [0; 1024];
    while !reply.ends_with(HELLO.as_bytes()) {
        match stream.read(&mut piece) {
            Ok(0) => return Err(Failure { words: format!("hung up after {} bytes", reply.len()), reset: false }),
            Ok(read) => reply.extend_from_slice(&piece[..read]),
            // A read may return this after the machine was halted for a moment.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(error, reply.len())),
        }
    }
    Ok(String::from_utf8_lossy(&reply).contains("\r\nConnection: close\r\n"))
}

#[test]
fn fifty_restarts_under_load_lose_no_request() {
    if is_wasmtime() {
        // Under plain wasmtime, only the end of standard input stops the server; `tests/sandbox` tests that.
        return;
    }
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = (30_000..32_000).find(free).expect("a free port").to_string();
    let start = || Server::launch(&mut command(&["--port", &port, "--log", "off", "--stop-when-stdin-closes"]));

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
    for restart in 1..=RESTARTS {
        let enough = seen.answered.load(Ordering::Relaxed) + BETWEEN;
        while seen.answered.load(Ordering::Relaxed) < enough {
            thread::yield_now();
        }
        seen.over.store(restart == RESTARTS, Ordering::Relaxed);
        server.terminate();
        let output = server.wait();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let words: Vec<&str> = output.stdout.split_whitespace().collect();
        let ["Shutting", "down...", "Served", requests, "requests", "in", calls, "calls."] = words[..] else {
            panic!("{output:?}");
        };
        served += requests.parse::<u64>().expect("a number");
        picked_up += calls.parse::<u64>().expect("a number");
        if restart == RESTARTS {
            break;
        }
        server = start();
    }
    let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("it asks")).collect();
    assert_eq!(failures, Vec::<String>::new());
    // Each accepted connection had a response, and each response arrived.
    assert_eq!(served, seen.answered.load(Ordering::Relaxed));
    assert_eq!(picked_up, seen.calls.load(Ordering::Relaxed));
    // After the last accept, until the listener is closed, there is a short moment in which the kernel still completes
    // connections, and then resets them.
    let reset = seen.reset.load(Ordering::Relaxed);
    assert!(reset < RESTARTS as u64 / 5, "{reset} calls came through, and were not picked up");
}
