//! Hostile peers. Most of them wait most of the time: one thread is enough for a thousand.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hello_test_support::PATIENCE;
use socket2::{Domain, SockRef, Socket, Type};

use super::run::Load;

/// The time between two visits to each peer.
const LOOK: Duration = Duration::from_millis(100);

/// The most new connections between two visits.
const CALLS: usize = 50;

/// The time between two writes of a slow peer.
const BEAT: Duration = Duration::from_secs(1);

/// The age from which the server may take a connection for slow.
const SLOW: Duration = Duration::from_secs(1);

/// The longest time until a peer leaves by itself.
const VISIT: Duration = Duration::from_millis(500);

/// A request, and the number of copies that a peer which sends without pause sends between two visits.
const ASK: &str = "GET /h HTTP/1.1\r\nHost: h\r\n\r\n";
const ASKED: usize = 300;

/// The receive buffer of a peer that has a small one, in bytes. (The system makes it a bit larger.)
const NARROW: usize = 1024;

/// The behaviour of a peer after its opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Waits until the server closes the connection.
    Wait,
    /// Sends these bytes in each [`BEAT`] until there is a response, and then waits.
    Drip(&'static str),
    /// Sends these bytes in each [`BEAT`], even after the server has closed the connection.
    Insist(&'static str),
    /// Finishes sending, and waits.
    Finish,
    /// Sends requests as long as they fit, and never reads.
    Stuff,
    /// Sends requests as long as they fit, and reads a byte now and then.
    StuffAndSip,
    /// Reads a byte now and then, and the rest much later.
    Sip,
    /// Closes the connection after a moment.
    Leave,
    /// Resets the connection after a moment.
    Reset,
    /// Resets the connection at the first bytes of a response.
    ResetWhenTold,
}

/// A kind of hostile peers.
struct Kind {
    name: &'static str,
    /// The number of its connections, compared to other kinds.
    share: usize,
    manner: Manner,
    /// The number of responses before the server closes the connection, and the status of the last one, if these are
    /// certain.
    told: Option<(usize, &'static str)>,
    /// The first bytes of the peer.
    opening: fn(&mut Rng) -> Vec<u8>,
}

const fn kind(
    name: &'static str,
    share: usize,
    manner: Manner,
    told: Option<(usize, &'static str)>,
    opening: fn(&mut Rng) -> Vec<u8>,
) -> Kind {
    Kind { name, share, manner, told, opening }
}

/// All kinds. Peers that leave soon have many connections, but few at a time.
#[rustfmt::skip]
const KINDS: [Kind; 32] = {
    use Manner::*;
    [
        kind("says nothing", 6, Wait, Some((0, "")), |_| vec![]),
        kind("says nothing after a request", 4, Wait, Some((1, "200")), |_| ASK.into()),
        kind("sends a request line slowly", 6, Drip("x"), Some((1, "408")), |_| b"GET /h".into()),
        kind("sends a field slowly", 4, Drip("x"), Some((1, "408")), |_| head("X: ")),
        kind("sends a long head slowly", 2, Drip("x"), Some((1, "408")), |_| head(&("X: ".to_owned() + &"x".repeat(16_000)))),
        kind("sends a body slowly", 4, Drip("x"), Some((1, "408")), |_| post(1000, 1)),
        kind("sends chunks slowly", 4, Drip("1\r\nx\r\n"), Some((1, "408")), |_| chunked("")),
        kind("sends a trailer slowly", 1, Drip("x"), Some((1, "408")), |_| chunked("0\r\nX: ")),
        kind("never stops sending slowly", 1, Insist("x"), Some((1, "408")), |_| b"GET /h".into()),
        kind("reads a byte at a time", 4, Sip, Some((100, "200")), |_| ASK.repeat(100).into()),
        kind("asks and never reads", 1, Stuff, None, |_| vec![]),
        kind("asks and hardly reads", 1, StuffAndSip, None, |_| vec![]),
        kind("finishes before it began", 1, Finish, Some((0, "")), |_| vec![]),
        kind("finishes in a head", 1, Finish, Some((1, "400")), |random| ASK[..random.usize(1..ASK.len())].into()),
        kind("finishes in a body", 1, Finish, Some((1, "400")), |random| post(1000, random.usize(..1000))),
        kind("finishes after a request", 1, Finish, Some((1, "200")), |_| ASK.into()),
        kind("leaves at once", 1, Leave, None, |_| vec![]),
        kind("leaves anywhere", 2, Leave, None, anywhere),
        kind("resets anywhere", 4, Reset, None, anywhere),
        kind("resets in a reply", 2, ResetWhenTold, None, |_| ASK.repeat(300).into()),
        kind("sends garbage", 2, Wait, None, |random| (0..random.usize(1..2000)).map(|_| random.u8(..)).collect()),
        kind("sends garbage in a field", 1, Wait, Some((1, "400")), |_| head("X: \0\r\n\r\n")),
        kind("speaks TLS", 1, Wait, Some((1, "400")), |_| b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".into()),
        kind("sends a head without end", 2, Wait, Some((1, "431")), |_| head(&("X: ".to_owned() + &"x".repeat(17_000)))),
        kind("sends fields without end", 1, Wait, Some((1, "431")), |_| head(&"X: x\r\n".repeat(3000))),
        kind("asks for too much", 1, Wait, Some((1, "414")), |_| format!("GET /{}", "h".repeat(10_000)).into()),
        kind("sends as much as it may", 1, Wait, Some((1, "200")), |_| post(1024 * 1024, 1024 * 1024)),
        kind("sends more than it may", 1, Wait, Some((1, "413")), |_| post(1024 * 1024 + 1, 1024 * 1024 + 1)),
        kind("sends too many chunks", 1, Wait, Some((1, "413")), |_| {
            chunked(&format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(17))
        }),
        kind("sends tiny chunks", 1, Wait, Some((1, "200")), |_| chunked(&("1\r\nx\r\n".repeat(10_000) + "0\r\n\r\n"))),
        kind("sends long extensions", 1, Wait, Some((1, "431")), |_| chunked(&format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(20))),
        kind("forges lines of the log", 2, Wait, Some((2, "400")), |random| {
            // The line of a request that another client has sent, or will send.
            let end = ["\r", "\n", "\r\n", "\" 200 41\n", "\\\" 200 41\r\n"][random.usize(..5)];
            let line = r#"127.0.0.1 - - [23/Nov/2026:20:31:47 +0000] "GET /c1/1 HTTP/1.1" 200 41"#;
            format!("GET /h\"\\ HTTP/1.1\r\nHost: a\r\n\r\nGET /h HTTP/1.1{end}{line}{end}{line}\r\n\r\n").into()
        }),
    ]
};

/// The beginning of a head, and `rest`.
fn head(rest: &str) -> Vec<u8> {
    format!("GET /h HTTP/1.1\r\nHost: h\r\n{rest}").into()
}

/// A request with a body of `promised` bytes, and `sent` of them.
fn post(promised: usize, sent: usize) -> Vec<u8> {
    format!("POST /h HTTP/1.1\r\nHost: h\r\nContent-Length: {promised}\r\n\r\n{}", "x".repeat(sent)).into()
}

/// A request with a chunked body of these chunks.
fn chunked(chunks: &str) -> Vec<u8> {
    format!("POST /h HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into()
}

/// A part of a conversation, from its beginning to any place.
fn anywhere(random: &mut Rng) -> Vec<u8> {
    let mut all =
        [ASK.into(), post(50, 50), chunked("a\r\n0123456789\r\n0\r\nX: x\r\n\r\n"), ASK.repeat(20).into()].concat();
    all.truncate(random.usize(..=all.len()));
    all
}

/// A hostile peer.
struct Peer {
    kind: usize,
    stream: TcpStream,
    /// The bytes that the peer has not sent yet.
    unsent: Vec<u8>,
    /// The bytes that the peer has received.
    told: Vec<u8>,
    called: Instant,
    /// The time of its next action.
    next: Instant,
    /// Whether the server has closed the connection.
    hung_up_on: bool,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server has closed the connection.
    HungUp,
    /// The connection was reset.
    Reset,
    /// The peer has left by itself.
    Left,
}

impl Peer {
    /// Connects a peer of this kind.
    fn call(kind: usize, load: &Load, random: &mut Rng) -> Self {
        let Kind { manner, opening, .. } = KINDS[kind];
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if matches!(manner, Manner::Stuff | Manner::StuffAndSip | Manner::Sip) && random.bool() {
            // The size has to be set before the first packet.
            socket.set_recv_buffer_size(NARROW).expect("a socket");
        }
        load.calls.fetch_add(1, Ordering::Relaxed);
        socket.connect(&load.address.into()).expect("the server listens");
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true).expect("a socket");
        let called = Instant::now();
        let first = match manner {
            Manner::Leave | Manner::Reset => VISIT.mul_f64(random.f64()),
            // The server has closed the connection by then.
            Manner::Sip => load.idle_timeout + BEAT,
            _ => BEAT,
        };
        let (unsent, next) = (opening(random), called + first);
        let mut peer = Peer { kind, stream, unsent, told: Vec::new(), called, next, hung_up_on: false };
        // At once: a client that says nothing for a while is told nothing. A failure shows at its first action.
        let _ = peer.send();
        peer
    }

    /// Does the next action. Returns the end of the connection, if it has ended.
    fn act(&mut self, now: Instant) -> Option<End> {
        let is_next = now >= self.next;
        let sent = self.send();
        match KINDS[self.kind].manner {
            Manner::Leave if is_next => Some(End::Left),
            Manner::Reset if is_next => Some(self.reset()),
            Manner::Leave | Manner::Reset => None,
            Manner::Stuff | Manner::StuffAndSip if sent.is_err() => Some(End::Reset),
            manner @ (Manner::Stuff | Manner::StuffAndSip) => {
                if self.unsent.is_empty() {
                    self.unsent = ASK.repeat(ASKED).into();
                }
                if manner == Manner::Stuff { None } else { self.read(1) }
            }
            Manner::Sip if !is_next => self.read(1),
            Manner::ResetWhenTold => self.read(1000).or_else(|| (!self.told.is_empty()).then(|| self.reset())),
            Manner::Wait | Manner::Sip => self.read(usize::MAX),
            Manner::Finish => {
                if self.unsent.is_empty() {
                    // The server may have closed the connection.
                    let _ = self.stream.shutdown(Shutdown::Write);
                }
                self.read(usize::MAX)
            }
            Manner::Drip(drop) => {
                if is_next && self.told.is_empty() {
                    self.say(drop, now);
                }
                self.read(usize::MAX)
            }
            Manner::Insist(drop) => {
                if sent.is_err() {
                    return Some(End::Reset);
                }
                if is_next {
                    self.say(drop, now);
                }
                if !self.hung_up_on && self.read(usize::MAX).is_some() {
                    self.hung_up_on = true;
                }
                None
            }
        }
    }

    /// Sends these bytes at the next visit.
    fn say(&mut self, bytes: &str, now: Instant) {
        self.unsent.extend_from_slice(bytes.as_bytes());
        self.next = now + BEAT;
    }

    /// Sends as many of the unsent bytes as fit.
    fn send(&mut self) -> Result<(), ErrorKind> {
        let mut sent = 0;
        let result = loop {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(0) => break Ok(()),
                Ok(more) => sent += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                // There may be bytes to read all the same.
                Err(error) => {
                    sent = self.unsent.len();
                    break Err(error.kind());
                }
            }
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        result
    }

    /// Reads the bytes that have come, at most `most`.
    fn read(&mut self, most: usize) -> Option<End> {
        let mut piece = [0; 4096];
        let most = most.min(piece.len());
        loop {
            match self.stream.read(&mut piece[..most]) {
                Ok(0) => return Some(End::HungUp),
                Ok(read) => self.told.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(End::Reset),
            }
            if most < piece.len() {
                return None;
            }
        }
    }

    fn reset(&self) -> End {
        // With a linger time of 0, closing is a reset.
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        End::Left
    }

    /// Asserts that the peer has received its responses. If the connection was slow, the last one may be a 408: at the
    /// limit the server evicts slow connections.
    fn assert_told(&self, end: End, now: Instant) {
        let Kind { name, told: Some((number, status)), .. } = KINDS[self.kind] else {
            return;
        };
        let said = String::from_utf8_lossy(&self.told);
        let replies: Vec<&str> = said.split("HTTP/1.1 ").skip(1).collect();
        let is_slow = now - self.called >= SLOW;
        let fits = |reply: &&str| reply.starts_with(status) || is_slow && reply.starts_with("408");
        let is_told = replies.len() == number && replies.last().is_none_or(fits);
        assert!(is_told, "{end:?} for who {name}, who has to be told {number} times, {status:?} at last: {said:?}");
    }
}

/// The ends of all hostile peers.
#[derive(Default)]
pub(crate) struct Report([Ends; KINDS.len()]);

/// The ends of one kind: the numbers of closed, reset and left connections, and the longest time.
#[derive(Default)]
struct Ends {
    hung_up: usize,
    reset: usize,
    left: usize,
    longest: Duration,
}

impl Report {
    fn add(&mut self, peer: &Peer, end: End, now: Instant) {
        let ends = &mut self.0[peer.kind];
        *match end {
            End::HungUp => &mut ends.hung_up,
            End::Reset => &mut ends.reset,
            End::Left => &mut ends.left,
        } += 1;
        ends.longest = ends.longest.max(now - peer.called);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:30} | hung up on |  reset | left | longest call", "a peer who")?;
        for (Kind { name, .. }, Ends { hung_up, reset, left, longest }) in KINDS.iter().zip(&self.0) {
            writeln!(f, "{name:30} | {hung_up:10} | {reset:6} | {left:4} | {:.1} s", longest.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Keeps as many hostile peers connected as wanted, until the phase is over and all have gone. It panics at any failure.
pub(crate) fn run(load: &Load) -> Report {
    let mut random = Rng::with_seed(1);
    let is_there = |kind: &usize| load.is_full || !matches!(KINDS[*kind].manner, Manner::Insist(_));
    let kinds = (0..KINDS.len()).filter(is_there);
    let mut deck: Vec<usize> = kinds.flat_map(|kind| std::iter::repeat_n(kind, KINDS[kind].share)).collect();
    random.shuffle(&mut deck);
    let mut deck = deck.into_iter().cycle();
    let mut peers: Vec<Peer> = Vec::new();
    let mut report = Report::default();
    loop {
        let now = Instant::now();
        peers.retain_mut(|peer| {
            let end = peer.act(now);
            match end {
                Some(end) => {
                    peer.assert_told(end, now);
                    report.add(peer, end, now);
                }
                None => assert!(now - peer.called < PATIENCE, "still there: who {}", KINDS[peer.kind].name),
            }
            end.is_none()
        });
        let missing = load.wanted.load(Ordering::Relaxed).saturating_sub(peers.len());
        peers.extend(deck.by_ref().take(missing.min(CALLS)).map(|kind| Peer::call(kind, load, &mut random)));
        load.there.store(peers.len(), Ordering::Relaxed);
        if load.is_over() && peers.is_empty() {
            return report;
        }
        sleep((now + LOOK).saturating_duration_since(Instant::now()));
    }
}
