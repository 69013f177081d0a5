//! Peers that one would rather not have. Most of them are asleep most of the time: one thread is enough for a thousand.

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

/// How often each of them is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// How many call between two looks, at the most.
const CALLS: usize = 50;

/// How often those who are slow say something.
const BEAT: Duration = Duration::from_secs(1);

/// From when on a client may be taken for slow.
const SLOW: Duration = Duration::from_secs(1);

/// How long those stay who leave by themselves, at the most.
const VISIT: Duration = Duration::from_millis(500);

/// A request, and how often those who send as much as they can send it between two looks.
const ASK: &str = "GET /h HTTP/1.1\r\nHost: h\r\n\r\n";
const ASKED: usize = 300;

/// How many bytes those have room for who have little. (The system makes that a bit more.)
const NARROW: usize = 1024;

/// How they behave when they have said what they say at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// They wait until they are hung up on.
    Wait,
    /// They say so much in each [`BEAT`] until they are told something, and then wait.
    Drip(&'static str),
    /// They do not stop then, nor when they are hung up on.
    Insist(&'static str),
    /// They finish sending, and wait.
    Finish,
    /// They ask as much as goes in, and never read.
    Stuff,
    /// They do so, and read a byte now and then.
    StuffAndSip,
    /// They read a byte now and then, and the rest much later.
    Sip,
    /// They hang up after a moment.
    Leave,
    /// They reset the connection after a moment.
    Reset,
    /// They reset it when they are told something.
    ResetWhenTold,
}

/// One kind of them.
struct Kind {
    name: &'static str,
    /// How many of them call, compared to other kinds.
    share: usize,
    manner: Manner,
    /// How many replies they get before they are hung up on, and the status of the last one, where that is certain.
    told: Option<(usize, &'static str)>,
    /// What they say at first.
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

/// All of them. Of those who are soon gone many call, and few are there.
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
            // Of a request that another client has sent, or will send.
            let end = ["\r", "\n", "\r\n", "\" 200 41\n", "\\\" 200 41\r\n"][random.usize(..5)];
            let line = r#"127.0.0.1 - - [23/Nov/2026:20:31:47 +0000] "GET /c1/1 HTTP/1.1" 200 41"#;
            format!("GET /h\"\\ HTTP/1.1\r\nHost: a\r\n\r\nGET /h HTTP/1.1{end}{line}{end}{line}\r\n\r\n").into()
        }),
    ]
};

/// The beginning of a head, and what comes next.
fn head(rest: &str) -> Vec<u8> {
    format!("GET /h HTTP/1.1\r\nHost: h\r\n{rest}").into()
}

/// A request with a body of so many bytes, and some of them.
fn post(promised: usize, sent: usize) -> Vec<u8> {
    format!("POST /h HTTP/1.1\r\nHost: h\r\nContent-Length: {promised}\r\n\r\n{}", "x".repeat(sent)).into()
}

/// A request with a body in chunks: these.
fn chunked(chunks: &str) -> Vec<u8> {
    format!("POST /h HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into()
}

/// A part of a conversation, from its beginning to anywhere.
fn anywhere(random: &mut Rng) -> Vec<u8> {
    let mut all =
        [ASK.into(), post(50, 50), chunked("a\r\n0123456789\r\n0\r\nX: x\r\n\r\n"), ASK.repeat(20).into()].concat();
    all.truncate(random.usize(..=all.len()));
    all
}

/// One of them.
struct Peer {
    kind: usize,
    stream: TcpStream,
    /// What it has not said yet.
    unsent: Vec<u8>,
    /// What it was told.
    told: Vec<u8>,
    called: Instant,
    /// When it does the next thing.
    next: Instant,
    /// It was told that nothing more comes.
    hung_up_on: bool,
}

/// How it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server has hung up.
    HungUp,
    /// The connection was reset.
    Reset,
    /// It has left by itself.
    Left,
}

impl Peer {
    /// Calls.
    fn call(kind: usize, load: &Load, random: &mut Rng) -> Self {
        let Kind { manner, opening, .. } = KINDS[kind];
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if matches!(manner, Manner::Stuff | Manner::StuffAndSip | Manner::Sip) && random.bool() {
            // That has to be known before the first packet.
            socket.set_recv_buffer_size(NARROW).expect("a socket");
        }
        load.calls.fetch_add(1, Ordering::Relaxed);
        socket.connect(&load.address.into()).expect("the server listens");
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true).expect("a socket");
        let called = Instant::now();
        let first = match manner {
            Manner::Leave | Manner::Reset => VISIT.mul_f64(random.f64()),
            // The server has lost its patience by then.
            Manner::Sip => load.idle_timeout + BEAT,
            _ => BEAT,
        };
        let (unsent, next) = (opening(random), called + first);
        Peer { kind, stream, unsent, told: Vec::new(), called, next, hung_up_on: false }
    }

    /// Does what it does now. Says how it is over, when it is.
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
                    // It may have been hung up on.
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

    /// Says something at the next look.
    fn say(&mut self, bytes: &str, now: Instant) {
        self.unsent.extend_from_slice(bytes.as_bytes());
        self.next = now + BEAT;
    }

    /// Sends as much of what there is as goes in.
    fn send(&mut self) -> Result<(), ErrorKind> {
        let mut sent = 0;
        let result = loop {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(0) => break Ok(()),
                Ok(more) => sent += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                // Perhaps there is something to read all the same.
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

    /// Reads what has come, at most `most` bytes.
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
        // No farewell: closing is a reset.
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        End::Left
    }

    /// It has been told what it must be told. Or, if that took long, that it is slow: who is makes room when places are few.
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

/// What has become of them.
#[derive(Default)]
pub(crate) struct Report([Ends; KINDS.len()]);

/// How often a kind was hung up on, reset, or left by itself, and how long the longest call was.
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

/// Has as many of them call as are wanted, until it is over and all have gone. It goes wrong by a panic.
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
