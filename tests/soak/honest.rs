//! Honest clients, which check every byte that they receive.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use hello_server::http::{ALLOW, Fault};
use hello_test_support::{HELLO, connect};

use super::figures::Latencies;
use super::run::{Load, Phase};

/// The number of honest clients. The last one is the metronome: it sends a request every millisecond, and so detects even a
/// short time in which the server does not respond.
pub(crate) const CLIENTS: usize = 9;

/// The number of the metronome.
const METRONOME: usize = CLIENTS - 1;

/// The most requests that are sent at once.
const DEPTH: usize = 32;

/// The longest pause of a client between two batches.
const THOUGHT: Duration = Duration::from_millis(30);

/// The time within which a client has to send its first request: later the server may evict the connection.
const SILENCE: Duration = Duration::from_secs(1);

/// One request. It follows from the numbers of its client and of the request, so that the reader of the log knows the
/// expected line.
#[derive(Debug)]
pub(crate) struct Question {
    client: usize,
    number: u64,
    method: &'static str,
    version: &'static str,
    /// The value of the field Connection.
    connection: Option<&'static str>,
    body: Body,
    /// Whether the target is `*`, and so the line the same as in all other requests of that kind.
    pub(crate) is_star: bool,
    /// The source of everything that the log does not show.
    random: Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Length(usize),
    Chunked(usize),
    /// The client sends the body after `100 Continue`.
    Expected(usize),
}

impl Question {
    /// The request number `number` of this client.
    pub(crate) fn new(client: usize, number: u64) -> Self {
        let random = Rng::with_seed((client as u64) << 48 | number);
        let (method, version, connection, body) = ("GET", "1.1", None, Body::None);
        let mut question = Question { client, number, method, version, connection, body, is_star: false, random };
        if client == METRONOME {
            return question;
        }
        let random = &mut question.random;
        (question.method, question.body) = match random.u8(..64) {
            0..24 => ("GET", Body::None),
            24..32 => ("HEAD", Body::None),
            32..40 => ("POST", Body::Length(random.usize(..4000))),
            40 => ("POST", Body::Length(100_000)),
            41..48 => ("PUT", Body::Chunked(random.usize(..4000))),
            48..50 => ("PATCH", Body::Expected(random.usize(1..4000))),
            50..60 => ("OPTIONS", Body::None),
            60..62 => ("DELETE", Body::None),
            62 => ("TRACE", Body::None),
            _ => ("GET", Body::None),
        };
        question.is_star = question.method == "OPTIONS" && random.bool();
        match random.u8(..64) {
            // A refused request gets no `100 Continue`.
            0 if question.body == Body::None => question.version = "2.0",
            1..8 if matches!(question.body, Body::None | Body::Length(_)) => {
                question.version = "1.0";
                question.connection = [None, Some("keep-alive")][random.usize(..2)];
            }
            // The client has a connection for each request.
            _ if client % 4 == 3 => question.connection = Some("close"),
            8..12 => question.connection = Some("close"),
            _ => {}
        }
        question
    }

    /// The fault of the request.
    fn fault(&self) -> Option<Fault> {
        match (self.method, self.version) {
            (_, "2.0") => Some(Fault::VersionNotSupported),
            ("TRACE", _) => Some(Fault::MethodNotAllowed),
            _ => None,
        }
    }

    /// Whether the server closes the connection after this request.
    fn is_last(&self) -> bool {
        let close = self.connection == Some("close") || (self.version == "1.0" && self.connection.is_none());
        close || self.fault().is_some()
    }

    fn line(&self) -> String {
        let Question { client, number, method, version, .. } = self;
        match self.is_star {
            true => format!("{method} * HTTP/{version}"),
            false => format!("{method} /c{client}/{number} HTTP/{version}"),
        }
    }

    fn head(&self) -> String {
        let mut head = format!("{}\r\nHost: localhost\r\n", self.line());
        if let Some(connection) = self.connection {
            head += &format!("Connection: {connection}\r\n");
        }
        match self.body {
            Body::None => {}
            Body::Length(length) => head += &format!("Content-Length: {length}\r\n"),
            Body::Chunked(_) => head += "Transfer-Encoding: chunked\r\n",
            Body::Expected(length) => head += &format!("Expect: 100-continue\r\nContent-Length: {length}\r\n"),
        }
        head + "\r\n"
    }

    fn body(&mut self) -> String {
        // If a server takes a piece of a body for a request, the log has an unexpected line.
        let content =
            |length| "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n".chars().cycle().take(length).collect::<String>();
        match self.body {
            Body::None => String::new(),
            Body::Length(length) | Body::Expected(length) => content(length),
            Body::Chunked(length) => {
                let (content, mut body) = (content(length), String::new());
                let mut rest = &content[..];
                while !rest.is_empty() {
                    let (chunk, behind) = rest.split_at(self.random.usize(1..=rest.len()));
                    body += &format!("{:x}{}\r\n{chunk}\r\n", chunk.len(), ["", ";a=b"][self.random.usize(..2)]);
                    rest = behind;
                }
                body + ["0\r\n\r\n", "0\r\nTrailer: yes\r\n\r\n"][self.random.usize(..2)]
            }
        }
    }

    /// The response: the part before the date, and the part behind it.
    fn reply(&self) -> (String, String) {
        let (status, body) = match self.fault() {
            None if self.is_star => ("200 OK", String::new()),
            None => ("200 OK", HELLO.to_owned()),
            Some(fault) => {
                let page = String::from_utf8(fault.response().body().to_vec()).expect("text");
                (
                    if fault == Fault::MethodNotAllowed {
                        "405 Method Not Allowed"
                    } else {
                        "505 HTTP Version Not Supported"
                    },
                    page,
                )
            }
        };
        let mut before = format!("HTTP/1.1 {status}\r\n");
        if !body.is_empty() {
            before += "Content-Type: text/html; charset=utf-8\r\n";
        }
        before += &format!("Content-Length: {}\r\nDate: ", body.len());
        let mut behind = String::from("\r\n");
        match (self.is_last(), self.connection) {
            (true, _) => behind += "Connection: close\r\n",
            (false, Some(connection)) => behind += &format!("Connection: {connection}\r\n"),
            (false, None) => {}
        }
        if self.fault() == Some(Fault::MethodNotAllowed) || (self.method == "OPTIONS" && self.fault().is_none()) {
            behind += &format!("Allow: {ALLOW}\r\n");
        }
        behind += "\r\n";
        if self.method != "HEAD" {
            behind += &body;
        }
        (before, behind)
    }

    /// The part of the log line behind the time.
    pub(crate) fn logged(&self) -> String {
        let (before, behind) = self.reply();
        let status = &before["HTTP/1.1 ".len()..][..3];
        match behind.len() - behind.find("\r\n\r\n").expect("a head") - 4 {
            0 => format!("\"{}\" {status} -", self.line()),
            bytes => format!("\"{}\" {status} {bytes}", self.line()),
        }
    }
}

/// The results of a client.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The number of connections with a response.
    pub(crate) calls: u64,
    /// The number of responses to requests with the target `*`, by their lines in the log.
    pub(crate) stars: HashMap<String, u64>,
    /// The number of times that the server evicted the connection between two requests, as it may.
    pub(crate) let_go: u64,
    /// The latencies while there were hostile peers, and free permits.
    pub(crate) steady: Latencies,
    /// The latencies at other times, such as without free permits.
    pub(crate) crowded: Latencies,
}

/// One client. It panics at any failure.
pub(crate) struct Client {
    number: usize,
    /// The number of responses.
    pub(crate) answered: u64,
    pub(crate) seen: Seen,
    random: Rng,
}

/// The server has closed the connection where it may: before it has received a byte.
struct LetGo;

/// A connection.
struct Call {
    stream: BufReader<TcpStream>,
    /// The time when it began, until the first response.
    begun: Option<Instant>,
}

impl Client {
    /// The client with this number.
    pub(crate) fn new(number: usize) -> Self {
        Client { number, answered: 0, seen: Seen::default(), random: Rng::with_seed(number as u64) }
    }

    fn is_metronome(&self) -> bool {
        self.number == METRONOME
    }

    /// Asserts that the log has a line for each request of this client, and that the first one without a line is `next`.
    pub(crate) fn assert_logged(&self, next: u64) {
        // A request with the target `*` does not show its client.
        let are_all =
            next <= self.answered && (next..self.answered).all(|number| Question::new(self.number, number).is_star);
        assert!(are_all, "client {} has {} answers, and {next} lines", self.number, self.answered);
    }

    /// Sends requests until the phase is over.
    pub(crate) fn run(&mut self, load: &Load) {
        while load.phase().has_honest() {
            if let Err(LetGo) = self.call(load) {
                self.seen.let_go += 1;
            }
            self.think();
        }
    }

    /// One connection, from its beginning to its end.
    fn call(&mut self, load: &Load) -> Result<(), LetGo> {
        let begun = Some(Instant::now());
        load.calls.fetch_add(1, Ordering::Relaxed);
        let stream = connect(load.address);
        // The second piece of a request does not wait for the acknowledgement of the first.
        stream.set_nodelay(true).expect("a socket");
        let mut call = Call { stream: BufReader::new(stream), begun };
        while load.phase().has_honest() {
            let mut batch = self.batch();
            self.ask(&mut call, &mut batch, load)?;
            if batch.last().is_some_and(Question::is_last) {
                let more = call.stream.fill_buf().expect("it hangs up gently");
                assert_eq!(String::from_utf8_lossy(more), "", "it said that it hangs up, after {batch:?}");
                break;
            }
            let more = call.stream.buffer();
            assert_eq!(String::from_utf8_lossy(more), "", "unexpected bytes after {batch:?}");
            self.think();
        }
        Ok(())
    }

    fn think(&mut self) {
        match self.is_metronome() {
            true => sleep(Duration::from_millis(1)),
            false => sleep(THOUGHT.mul_f64(self.random.f64())),
        }
    }

    /// The next requests, which are sent at once.
    fn batch(&mut self) -> Vec<Question> {
        let depth = match self.is_metronome() || self.random.bool() {
            true => 1,
            false => self.random.usize(1..=DEPTH),
        };
        let mut batch: Vec<Question> = Vec::new();
        let mut next = self.answered;
        while batch.len() < depth && !batch.last().is_some_and(Question::is_last) {
            let question = Question::new(self.number, next);
            // A request that waits for `100 Continue` is alone in its batch.
            if matches!(question.body, Body::Expected(_)) {
                if batch.is_empty() {
                    batch.push(question);
                }
                break;
            }
            batch.push(question);
            next += 1;
        }
        batch
    }

    /// Sends these requests, and checks their responses.
    fn ask(&mut self, call: &mut Call, batch: &mut [Question], load: &Load) -> Result<(), LetGo> {
        let phase = load.phase();
        let asked_at = SystemTime::now();
        let asked = call.begun.unwrap_or_else(Instant::now);
        let mut bytes = String::new();
        for question in &mut *batch {
            bytes += &question.head();
            if !matches!(question.body, Body::Expected(_)) {
                bytes += &question.body();
            }
        }
        let written = self.write(call, bytes.as_bytes());
        // The server may close a connection that has received its responses, or that has sent nothing for a second.
        let may_go = call.begun.is_none_or(|begun| begun.elapsed() >= SILENCE);
        let heard = match written {
            Ok(()) => call.stream.fill_buf().map(|bytes| !bytes.is_empty()),
            Err(error) => Err(error),
        };
        match heard {
            Ok(true) => {}
            Ok(false) if may_go => return Err(LetGo),
            Err(error) if may_go && is_reset(&error) => return Err(LetGo),
            silence => panic!("no answer to client {}, but {silence:?}: {batch:?}", self.number),
        }
        if call.begun.take().is_some() {
            self.seen.calls += 1;
        }
        for question in batch {
            if let Body::Expected(_) = question.body {
                read(&mut call.stream, "HTTP/1.1 100 Continue\r\n\r\n", question);
                let body = question.body();
                call.stream.get_mut().write_all(body.as_bytes()).expect("it asked for it");
            }
            let (before, behind) = question.reply();
            read(&mut call.stream, &before, question);
            check_date(&mut call.stream, asked_at);
            read(&mut call.stream, &behind, question);
            self.answered += 1;
            if question.is_star {
                *self.seen.stars.entry(question.logged()).or_default() += 1;
            }
            let latencies = match phase {
                Phase::Steady if load.phase() == phase => &mut self.seen.steady,
                _ => &mut self.seen.crowded,
            };
            latencies.add(asked.elapsed());
        }
        Ok(())
    }

    /// Sends these bytes, at once or in two pieces.
    fn write(&mut self, call: &mut Call, bytes: &[u8]) -> std::io::Result<()> {
        let stream = call.stream.get_mut();
        let (first, second) = bytes.split_at(self.random.usize(..bytes.len()));
        if self.random.u8(..8) > 0 {
            return stream.write_all(bytes);
        }
        stream.write_all(first)?;
        stream.write_all(second)
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

/// Reads exactly the bytes of `expected`.
fn read(stream: &mut impl Read, expected: &str, question: &Question) {
    let mut bytes = vec![0; expected.len()];
    let result = stream.read_exact(&mut bytes);
    let said = String::from_utf8_lossy(&bytes);
    assert!(result.is_ok() && said == expected, "{said:?} and not {expected:?}, {result:?}, to {question:?}");
}

/// Reads a date: in the only form that may be sent (RFC 9110 section 5.6.7), and of a second in which the server may have
/// responded.
fn check_date(stream: &mut impl Read, asked: SystemTime) {
    const SECOND: Duration = Duration::from_secs(1);
    let mut bytes = [0; "Sun, 06 Nov 1994 08:49:37 GMT".len()];
    stream.read_exact(&mut bytes).expect("a date");
    let text = str::from_utf8(&bytes).expect("a date");
    let date = httpdate::parse_http_date(text).expect("a date");
    assert_eq!(httpdate::fmt_http_date(date), text);
    assert!(date + 2 * SECOND >= asked && date <= SystemTime::now() + SECOND, "{text} is not now");
}
