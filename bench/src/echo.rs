//! The load of the echo servers: on each connection a message goes to the server and comes back, again and again. wrk
//! speaks HTTP only.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Failure;
use crate::wrk::{CONNECT, Errors, Load, READ, STATUS, TIMEOUTS, WRITE};

/// The message.
const MESSAGE: &[u8; 64] = b"The quick brown fox jumps over the lazy dog, and then it's back.";

/// The time after which a round trip counts as a timeout, as it does for wrk.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Loads the echo server at `port` for this many seconds, in this thread. A server that sends nothing back in that time has
/// a rate of 0 and no latencies.
pub(crate) fn run(port: u16, connections: u32, seconds: u32) -> Result<Load, Failure> {
    measure((Ipv4Addr::LOCALHOST, port).into(), connections, Duration::from_secs(seconds.into())).map_err(|error| {
        Failure(format!("the load of the echo servers does not start: {error}"), "lower the number of connections")
    })
}

/// Loads the server at `address` for a time.
fn measure(address: SocketAddr, connections: u32, time: Duration) -> io::Result<Load> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let begin = Instant::now();
    let (mut clients, mut times, mut errors) = (Vec::new(), Vec::new(), Errors::default());
    let mut open = connections;
    for token in 0..connections as usize {
        let mut stream = TcpStream::connect(address)?;
        poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        clients.push(Some(Client { stream, sent: begin, state: State::Connecting }));
    }
    while let Some(left) = time.checked_sub(begin.elapsed()).filter(|left| !left.is_zero() && open > 0) {
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let client = &mut clients[event.token().0];
            match client.as_mut().map_or(Ok(None), Client::proceed) {
                Ok(round_trip) => times.extend(round_trip),
                Err(kind) => {
                    errors[kind] += 1;
                    *client = None;
                    open -= 1;
                }
            }
        }
    }
    let waits = clients.iter().flatten().map(|client| client.sent.elapsed());
    Ok(load(times, waits, errors, begin.elapsed()))
}

/// The load, from the times of all complete round trips; from `waits`, the times of the incomplete ones; from the errors
/// without the timeouts; and from the total time.
fn load(
    mut times: Vec<Duration>,
    waits: impl Iterator<Item = Duration>,
    mut errors: Errors,
    elapsed: Duration,
) -> Load {
    errors[TIMEOUTS] = times.iter().copied().chain(waits).filter(|time| *time > TIMEOUT).count() as u64;
    times.sort_unstable();
    let within =
        |percent| times.get(times.len() * percent / 100).map_or(f64::NAN, |time: &Duration| time.as_secs_f64() * 1e3);
    let requests = times.len() as f64;
    Load { requests, rate: requests / elapsed.as_secs_f64(), p50: within(50), p99: within(99), errors }
}

/// One connection.
struct Client {
    stream: TcpStream,
    /// The time when the message was sent; before the first message, the time when the load began.
    sent: Instant,
    state: State,
}

/// The event that a connection waits for.
enum State {
    /// The server has to accept the connection.
    Connecting,
    /// The server has to send the rest of the message, of which this many bytes are back.
    Waiting(usize),
}

impl Client {
    /// Handles an event of this connection. Returns the time of a round trip that is now complete, or the kind of the error
    /// that ends the connection.
    fn proceed(&mut self) -> Result<Option<Duration>, usize> {
        let State::Waiting(received) = self.state else {
            return match (self.stream.take_error(), self.stream.peer_addr()) {
                (Ok(None), Ok(_)) => self.send().map(|()| None),
                (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => Ok(None),
                _ => Err(CONNECT),
            };
        };
        let expected = &MESSAGE[received..];
        let mut bytes = [0; MESSAGE.len()];
        match self.stream.read(&mut bytes[..expected.len()]) {
            Ok(0) => Err(READ),
            Ok(read) if bytes[..read] != expected[..read] => Err(STATUS),
            Ok(read) if read < expected.len() => {
                self.state = State::Waiting(received + read);
                Ok(None)
            }
            Ok(_) => {
                let time = self.sent.elapsed();
                self.send().map(|()| Some(time))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(_) => Err(READ),
        }
    }

    /// Sends the message. All earlier messages are back, so the socket has room for it.
    fn send(&mut self) -> Result<(), usize> {
        self.sent = Instant::now();
        self.state = State::Waiting(0);
        match self.stream.write(MESSAGE) {
            Ok(written) if written == MESSAGE.len() => Ok(()),
            _ => Err(WRITE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// More time than any machine needs: the load ends when the server has closed every connection.
    const LONG: Duration = Duration::from_secs(600);

    /// Loads a server that sends back this many messages on each of two connections, each made by `answer`, and closes
    /// both.
    fn load_of(messages: usize, answer: fn(&mut [u8; MESSAGE.len()])) -> Load {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().expect("a connection");
                // Without this the second piece of a message waits 40 ms for the acknowledgement of the first one.
                stream.set_nodelay(true).expect("an option of the socket");
                for _ in 0..messages {
                    let mut message = [0; MESSAGE.len()];
                    stream.read_exact(&mut message).expect("read the message");
                    answer(&mut message);
                    let (one, other) = message.split_at(10);
                    stream.write_all(one).and_then(|()| stream.write_all(other)).expect("send it back");
                }
            }
        });
        let load = measure(address, 2, LONG).expect("a load");
        server.join().expect("the server");
        load
    }

    #[test]
    fn each_message_that_comes_back_whole_counts_once() {
        let load = load_of(100, |_| ());
        assert_eq!((load.requests, load.errors[READ]), (200.0, 2));
        assert!(load.rate > 0.0 && load.p50 > 0.0 && load.p50 <= load.p99);
    }

    #[test]
    fn a_message_that_comes_back_changed_is_an_error() {
        let load = load_of(1, |message| message[63] = b'!');
        assert_eq!((load.requests, load.errors[STATUS]), (0.0, 2));
    }

    #[test]
    fn a_server_that_answers_nothing_has_a_rate_of_0_and_no_latencies() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let load = measure(listener.local_addr().expect("its address"), 64, Duration::ZERO).expect("a load");
        assert_eq!((load.rate, load.errors), (0.0, [0; 5]));
        assert!(load.p50.is_nan() && load.p99.is_nan());
    }

    #[test]
    fn a_round_trip_of_more_than_a_second_is_a_timeout_whether_it_is_complete_or_not() {
        let second = Duration::from_secs(1);
        let times: Vec<Duration> = (1..=100).rev().map(|tens| second / 100 * tens).collect();
        let waits = [second / 2, second * 2, second * 3];
        let load = load([times, vec![second * 4]].concat(), waits.into_iter(), [0, 7, 0, 0, 0], second * 5);
        assert_eq!((load.requests, load.rate, load.p50, load.p99), (101.0, 20.2, 510.0, 1000.0));
        assert_eq!(load.errors, [0, 7, 0, 3, 0]);
    }
}
