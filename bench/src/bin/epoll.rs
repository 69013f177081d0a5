//! The limit: about the most that one thread can do on this machine, with the system's calls and nearly nothing else.
//!
//! `epoll-limit ADDR:PORT` serves until the process is killed: one loop around epoll, one read for the bytes that have
//! come, one write for all responses to them. The responses equal those of hyper byte for byte. This server is for the
//! benchmark only: it finds the ends of heads and `Connection: close`, and checks nothing else; it knows no bodies, no
//! limits and no timeouts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The token of the listener. The token of a connection is its number in the slab.
const LISTENER: Token = Token(usize::MAX);

/// The most bytes of one read.
const READ: usize = 64 * 1024;

/// The most bytes kept of an incomplete head. A longer head ends the connection.
const LONGEST_HEAD: usize = 16 * 1024;

/// The pause after an accept failed, perhaps for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves at the address that the command line names.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(Ok(address)), None) = (arguments.next().map(|text| text.parse()), arguments.next()) else {
        eprintln!("usage: epoll-limit ADDR:PORT");
        return ExitCode::from(2);
    };
    let Err(error) = serve(address);
    eprintln!("epoll-limit: cannot listen at {address}: {error}");
    eprintln!("  give an address of this machine, and a port that is free");
    ExitCode::FAILURE
}

/// Listens on `address`, and serves every connection, until an error occurs that affects all connections.
fn serve(address: SocketAddr) -> io::Result<std::convert::Infallible> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections = Slab::new();
    let mut replies = Replies::default();
    let mut buffer = vec![0; READ];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => replies.renew(SystemTime::now()),
        }
        for event in &events {
            let Token(number) = event.token();
            if event.token() == LISTENER {
                pick_up(&listener, &poll, &mut connections)?;
            } else if let Some(connection) = connections.get_mut(number)
                && connection.talk(&replies, &mut buffer) == Next::HangUp
            {
                // Closing a socket also removes it from the poll.
                connections.remove(number);
            }
        }
    }
}

/// Accepts all pending connections: the kernel reports them only once.
fn pick_up(listener: &TcpListener, poll: &Poll, connections: &mut Slab<Connection<TcpStream>>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let entry = connections.vacant_entry();
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(entry.key()), both)?;
                entry.insert(Connection::new(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
    }
}

/// The next step for a connection that can make no progress now.
#[derive(Debug, PartialEq)]
enum Next {
    /// Wait until the kernel reports an event.
    Wait,
    /// Close the connection.
    HangUp,
}

/// One connection.
struct Connection<S> {
    /// The socket.
    stream: S,
    /// The beginning of an incomplete head.
    begun: Vec<u8>,
    /// The bytes that the peer has not taken yet.
    unsent: Vec<u8>,
    /// Whether the last response has been written.
    last: bool,
}

impl<S: Read + Write> Connection<S> {
    /// A connection that has not sent anything yet.
    fn new(stream: S) -> Self {
        Connection { stream, begun: Vec::new(), unsent: Vec::new(), last: false }
    }

    /// Reads requests and writes responses until there is nothing to read, or the peer takes no more.
    fn talk(&mut self, replies: &Replies, buffer: &mut [u8]) -> Next {
        loop {
            while !self.unsent.is_empty() {
                match self.stream.write(&self.unsent) {
                    Ok(taken) => _ = self.unsent.drain(..taken),
                    Err(error) => return after(&error),
                }
            }
            if self.last {
                return Next::HangUp;
            }
            let read = match self.stream.read(buffer) {
                Ok(0) => return Next::HangUp,
                Ok(read) => read,
                Err(error) => return after(&error),
            };
            if let Err(error) = self.answer(&buffer[..read], replies) {
                return after(&error);
            }
            if self.begun.len() > LONGEST_HEAD {
                return Next::HangUp;
            }
            // A read that did not fill the buffer has emptied the socket, and the kernel reports later bytes.
            if read < buffer.len() && self.unsent.is_empty() && !self.last {
                return Next::Wait;
            }
        }
    }

    /// Responds to all heads that end in `read`, in one write.
    fn answer(&mut self, read: &[u8], replies: &Replies) -> io::Result<()> {
        let joined;
        let bytes = if self.begun.is_empty() {
            read
        } else {
            joined = [&self.begun, read].concat();
            &joined
        };
        let heads = heads(bytes);
        self.begun.clear();
        self.begun.extend_from_slice(&bytes[heads.end..]);
        self.last = heads.last;
        let (keep, close) = (replies.keep(heads.count), if heads.last { replies.close.as_slice() } else { &[] });
        // Most reads need only one of the two, which can be sent without a copy.
        let all = match (keep, close) {
            (Some([]), []) => return Ok(()),
            (Some(keep), []) => keep,
            (Some([]), close) => close,
            _ => {
                let one = replies.keep(1).unwrap_or_default();
                self.unsent = [one.repeat(heads.count).as_slice(), close].concat();
                return Ok(());
            }
        };
        let taken = match self.stream.write(all) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            taken => taken.unwrap_or(0),
        };
        self.unsent.extend_from_slice(&all[taken..]);
        Ok(())
    }
}

/// The next step after a read or write that failed.
fn after(error: &io::Error) -> Next {
    if error.kind() == ErrorKind::WouldBlock { Next::Wait } else { Next::HangUp }
}

/// The heads found in some bytes.
#[derive(Debug, Default, PartialEq)]
struct Heads {
    /// The number of complete heads after which the connection stays open.
    count: usize,
    /// Whether one more head follows, with `Connection: close`.
    last: bool,
    /// The end of the last complete head.
    end: usize,
}

/// Finds the ends of heads: each is an empty line. Bytes after a head with `Connection: close` are ignored.
fn heads(bytes: &[u8]) -> Heads {
    let mut heads = Heads::default();
    let mut begin = 0;
    let mut close = false;
    for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        match &bytes[begin..end] {
            b"\r" if close => return Heads { last: true, end: bytes.len(), ..heads },
            b"\r" => heads = Heads { count: heads.count + 1, end: end + 1, ..heads },
            line => close |= line.eq_ignore_ascii_case(b"Connection: close\r"),
        }
        begin = end + 1;
    }
    heads
}

/// The responses, as bytes that are ready to be sent.
#[derive(Default)]
struct Replies {
    /// [`Replies::MANY`] copies of the response after which the connection stays open.
    keep: Vec<u8>,
    /// The response after which the connection is closed.
    close: Vec<u8>,
    /// The time of their date, in seconds.
    second: u64,
}

impl Replies {
    /// The number of responses that can be sent without a copy.
    const MANY: usize = 64;

    /// Writes the responses anew when another second has begun.
    fn renew(&mut self, now: SystemTime) {
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second == self.second && !self.keep.is_empty() {
            return;
        }
        let date = httpdate::fmt_http_date(now);
        let reply = |more: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 41\r\nDate: {date}\r\n\
                 {more}\r\n<html><body>Hello World</body></html>\r\n\r\n"
            )
            .into_bytes()
        };
        *self = Replies { keep: reply("").repeat(Self::MANY), close: reply("Connection: close\r\n"), second };
    }

    /// The bytes of `count` responses; none if that is more than [`Replies::MANY`].
    fn keep(&self, count: usize) -> Option<&[u8]> {
        self.keep.get(..self.keep.len() / Self::MANY * count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Cursor;

    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A peer that sends `says`, and takes as many bytes with each write as `takes` lists; after them none until `takes`
    /// has more.
    struct Peer {
        says: Cursor<Vec<u8>>,
        takes: VecDeque<usize>,
        heard: Vec<u8>,
    }

    impl Read for Peer {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.says.read(buffer)? {
                0 => Err(ErrorKind::WouldBlock.into()),
                some => Ok(some),
            }
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.takes.pop_front().ok_or(ErrorKind::WouldBlock)?.min(bytes.len());
            self.heard.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn peer(says: &str, takes: &[usize]) -> Connection<Peer> {
        let says = Cursor::new(says.as_bytes().to_vec());
        Connection::new(Peer { says, takes: takes.iter().copied().collect(), heard: Vec::new() })
    }

    fn replies() -> Replies {
        let mut replies = Replies::default();
        replies.renew(UNIX_EPOCH);
        replies
    }

    #[test]
    fn heads_are_counted_and_the_rest_is_kept() {
        let found = |text: &str| heads(text.as_bytes());
        let twice = REQUEST.repeat(2);
        assert_eq!(found(&twice), Heads { count: 2, last: false, end: twice.len() });
        assert_eq!(found(&format!("{twice}GET /")), Heads { count: 2, last: false, end: twice.len() });
        assert_eq!(found("GET / HTTP/1.1\r\n\r"), Heads::default());
        let last = format!("{REQUEST}GET / HTTP/1.1\r\nconnection: Close\r\n\r\n{REQUEST}");
        assert_eq!(found(&last), Heads { count: 1, last: true, end: last.len() });
    }

    #[test]
    fn the_baseline_responds_byte_for_byte_as_the_component_does() {
        let Ok(hello_server::http::Parsed::Complete(head, _)) = hello_server::http::parse(REQUEST.as_bytes()) else {
            panic!("it is a request")
        };
        let date = httpdate::fmt_http_date(UNIX_EPOCH);
        for (persistence, reply) in [
            (hello_server::http::Persistence::Keep, replies().keep(1).unwrap()),
            (hello_server::http::Persistence::Close, &replies().close),
        ] {
            let mut expected = Vec::new();
            hello_server::hello::answer(&head.request).encode(&mut expected, false, persistence, head.version, &date);
            assert_eq!(String::from_utf8_lossy(reply), String::from_utf8_lossy(&expected));
        }
    }

    #[test]
    fn pipelined_requests_get_their_responses_in_one_write() {
        for count in [1, 2, Replies::MANY] {
            let mut connection = peer(&REQUEST.repeat(count), &[usize::MAX]);
            assert_eq!(connection.talk(&replies(), &mut [0; READ]), Next::Wait);
            assert_eq!(connection.stream.heard, replies().keep(count).unwrap());
        }
    }

    #[test]
    fn more_requests_than_instances_get_their_responses_too() {
        let mut connection = peer(&REQUEST.repeat(Replies::MANY + 1), &[usize::MAX]);
        assert_eq!(connection.talk(&replies(), &mut [0; READ]), Next::Wait);
        assert_eq!(connection.stream.heard, replies().keep(1).unwrap().repeat(Replies::MANY + 1));
    }

    #[test]
    fn while_a_peer_does_not_read_its_responses_no_more_of_its_requests_are_read() {
        let mut connection = peer(&REQUEST.repeat(2), &[10]);
        assert_eq!(connection.talk(&replies(), &mut [0; READ]), Next::Wait);
        assert_eq!(connection.stream.heard.len(), 10);
        connection.stream.takes = [20, usize::MAX].into();
        assert_eq!(connection.talk(&replies(), &mut [0; READ]), Next::Wait);
        assert_eq!(connection.stream.heard, replies().keep(2).unwrap());
    }

    #[test]
    fn a_head_may_come_byte_by_byte() {
        let mut connection = peer(REQUEST, &[usize::MAX]);
        assert_eq!(connection.talk(&replies(), &mut [0; 1]), Next::Wait);
        assert_eq!(connection.stream.heard, replies().keep(1).unwrap());
        assert!(connection.begun.is_empty());
    }

    #[test]
    fn the_server_closes_a_connection_on_request_and_after_all_is_sent() {
        let last = format!("{REQUEST}GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        let mut connection = peer(&last, &[100]);
        assert_eq!(connection.talk(&replies(), &mut [0; READ]), Next::Wait);
        connection.stream.takes = [usize::MAX].into();
        assert_eq!(connection.talk(&replies(), &mut [0; READ]), Next::HangUp);
        assert_eq!(connection.stream.heard, [replies().keep(1).unwrap(), &replies().close].concat());
    }

    #[test]
    fn the_date_is_renewed_when_a_second_has_passed() {
        let mut replies = replies();
        let old = replies.close.clone();
        replies.renew(UNIX_EPOCH + Duration::from_millis(999));
        assert_eq!(replies.close, old);
        replies.renew(UNIX_EPOCH + Duration::from_secs(1));
        assert!(String::from_utf8_lossy(&replies.close).contains("00:00:01 GMT"));
    }
}
