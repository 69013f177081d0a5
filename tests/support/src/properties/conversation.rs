//! A whole conversation.

use std::time::Duration;

use hello_server::events::CloseReason;
use hello_server::hello;
use hello_server::http::{ALLOW, Body, Fault, Framing, Head, Parsed, Persistence, Response, Target, is_silence, parse};
use hello_server::server::Limits;

use super::notation;
use super::replies::{Reply, read};
use crate::memory::{Answered, Outcome, Step, play};

/// The most bytes that a peer sends: more than the longest head, and more than one write. (Long bodies are for
/// [`super::body`].)
const MOST: usize = 64 * 1024;

/// The most bytes that are also sent one by one.
const FEW: usize = 300;

/// The longest time that the server reads on after its last response, and the longest silence that it accepts meanwhile.
const LINGER_TIME: Duration = Duration::from_secs(30);
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// The actions of a peer, and the limits of the server, as a file of the corpus notes them.
pub fn read_file(data: &[u8]) -> (Vec<Step>, Limits) {
    notation::read(data, MOST)
}

/// Whatever a peer does, the conversation ends, and the peer receives the right responses, well-formed and in the right
/// order, however its bytes were cut into pieces.
pub fn hold(data: &[u8]) {
    let (steps, limits) = read_file(data);
    let said = Said::new(&steps);
    let outcome = play(steps.clone(), &limits);
    let replies = check(&outcome, &said, &limits);

    // The pieces decide which bytes share a write, and a peer that stops reading can observe the writes.
    if !said.reads_always {
        return;
    }
    let mut other_pieces = vec![in_one_piece(&steps)];
    if said.bytes.len() <= FEW {
        other_pieces.push(byte_by_byte(&steps));
    }
    for steps in other_pieces {
        let other = play(steps.clone(), &limits);
        let others = check(&other, &Said::new(&steps), &limits);
        // Only `100 Continue` depends on the bytes that came together with the head.
        let bytes = |replies: &[Reply<'_>]| replies.iter().map(|reply| reply.bytes.to_vec()).collect::<Vec<_>>();
        assert_eq!(bytes(&others), bytes(&replies));
    }
}

/// The bytes and times of a peer, without its other actions.
struct Said {
    bytes: Vec<u8>,
    /// The end and the time of each piece.
    pieces: Vec<(usize, Duration)>,
    /// The step that ends the sending, finishing or a reset, and its time; none if the peer falls silent.
    over: Option<(Step, Duration)>,
    /// The total silence before that.
    silence: Duration,
    /// Whether the peer always reads.
    reads_always: bool,
}

impl Said {
    fn new(steps: &[Step]) -> Self {
        let (bytes, pieces) = (Vec::new(), Vec::new());
        let mut said = Said { bytes, pieces, over: None, silence: Duration::ZERO, reads_always: true };
        for step in steps {
            match step {
                Step::Bytes(bytes) => {
                    said.bytes.extend_from_slice(bytes);
                    said.pieces.push((said.bytes.len(), said.silence));
                }
                Step::Silence(time) => said.silence += *time,
                Step::Reads(reads) => said.reads_always &= reads,
                Step::Finish | Step::Reset => {
                    said.over = Some((step.clone(), said.silence));
                    break;
                }
            }
        }
        said
    }
}

/// The expected conversation with a peer that reads everything at once.
struct Expected {
    answers: Vec<Answer>,
    ending: CloseReason,
    /// The time when the server is done.
    time: Duration,
    /// For each request, the end of the head if the client waits for `100 Continue` before the body.
    waits_at: Vec<Option<usize>>,
}

struct Answer {
    response: Response,
    fault: Option<Fault>,
    line: Vec<u8>,
    closes: bool,
}

/// The end of a conversation: a fault, or another reason.
enum End {
    Fault(Fault),
    Over(CloseReason),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        End::Fault(fault)
    }
}

/// Reads the bytes of a peer, as if the server had nothing else to do.
struct Listener<'s> {
    said: &'s Said,
    limits: &'s Limits,
    now: Duration,
    /// The beginning of the request, and the end of the bytes received so far.
    start: usize,
    heard: usize,
}

impl Listener<'_> {
    fn listen(mut self) -> Expected {
        let (mut answers, mut waits_at) = (Vec::new(), Vec::new());
        let ending = loop {
            waits_at.push(None);
            match self.request(waits_at.last_mut().expect("just pushed")) {
                Ok((answer, length)) => {
                    self.start += length;
                    let closes = answer.closes;
                    answers.push(answer);
                    if closes {
                        break CloseReason::LastResponse;
                    }
                }
                Err(End::Fault(fault)) => {
                    let rest = &self.said.bytes[self.start..];
                    let rest = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")).unwrap_or(rest);
                    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default().to_vec();
                    let response = fault.response();
                    answers.push(Answer { response, fault: Some(fault), line, closes: true });
                    break CloseReason::LastResponse;
                }
                Err(End::Over(ending)) => break ending,
            }
        };
        if ending == CloseReason::LastResponse {
            self.linger();
        }
        Expected { answers, ending, time: self.now, waits_at }
    }

    /// Reads one request. Returns its response, and its length.
    fn request(&mut self, waits_at: &mut Option<usize>) -> Result<(Answer, usize), End> {
        let said = self.said;
        let mut deadline = None;
        let (Head { request, line, framing, expects_continue, persistence, .. }, head) = loop {
            let rest = &said.bytes[self.start..self.heard];
            match parse(rest)? {
                Parsed::Complete(read, head) => break (read, head),
                // No later byte extends the deadline of a head that has begun.
                Parsed::Incomplete if is_silence(rest) => self.hear(
                    self.now + self.limits.idle_timeout,
                    CloseReason::PeerFinished.into(),
                    CloseReason::IdleTimeout.into(),
                )?,
                Parsed::Incomplete => {
                    let deadline = *deadline.get_or_insert(self.now + self.limits.header_timeout);
                    self.hear(deadline, Fault::Incomplete.into(), Fault::Timeout.into())?;
                }
            }
        };
        let mut body = Body::new(framing)?;
        if expects_continue && framing != Framing::Length(0) {
            *waits_at = Some(self.start + head);
        }
        let deadline = self.now + self.limits.header_timeout;
        let mut length = head;
        loop {
            length += body.take(&said.bytes[self.start + length..self.heard])?;
            if body.is_complete() {
                break;
            }
            self.hear(deadline, Fault::Incomplete.into(), Fault::Timeout.into())?;
        }
        let response = match request.target {
            Target::Asterisk => Response::empty(200),
            _ => hello::answer(&request),
        };
        let closes = persistence == Persistence::Close;
        Ok((Answer { response, fault: None, line: line.to_vec(), closes }, length))
    }

    /// Waits for the next piece.
    fn hear(&mut self, deadline: Duration, finished: End, too_late: End) -> Result<(), End> {
        let next = self.said.pieces.iter().find(|(end, _)| *end > self.heard);
        // A reset by a peer that does not read is no end of a request: the server may have given up before.
        let counts = |how: &Step| *how == Step::Finish || self.said.reads_always;
        let over = self.said.over.as_ref();
        let over = over.filter(|(how, time)| next.is_none() && *time < deadline && counts(how));
        match (next, over) {
            (Some((end, time)), _) if *time < deadline => {
                (self.heard, self.now) = (*end, *time);
                Ok(())
            }
            (_, Some((how, time))) => {
                self.now = *time;
                Err(if *how == Step::Finish { finished } else { End::Over(CloseReason::Disconnected) })
            }
            _ => {
                self.now = deadline;
                Err(too_late)
            }
        }
    }

    /// Waits until the peer sends nothing more.
    fn linger(&mut self) {
        let end = self.now + LINGER_TIME;
        while self
            .hear(end.min(self.now + LINGER_SILENCE), CloseReason::PeerFinished.into(), CloseReason::IdleTimeout.into())
            .is_ok()
        {}
    }
}

impl From<CloseReason> for End {
    fn from(ending: CloseReason) -> Self {
        End::Over(ending)
    }
}

/// Asserts that this outcome is allowed. Returns the responses.
fn check<'o>(outcome: &'o Outcome, said: &Said, limits: &Limits) -> Vec<Reply<'o>> {
    let (answered, ending) = (&outcome.answered, outcome.ending.expect("it has ended"));
    // For a peer that does not read, the server may have no time to read; but the requests stay the same.
    let patience = said.silence + Duration::from_secs(1);
    let patient = Limits { idle_timeout: patience, header_timeout: patience, ..limits.clone() };
    let limits_that_count = if said.reads_always { limits } else { &patient };
    let now = Duration::ZERO;
    let expected = Listener { said, limits: limits_that_count, now, start: 0, heard: 0 }.listen();
    if said.reads_always {
        assert_eq!((ending, outcome.time), (expected.ending, expected.time));
        assert_eq!(answered.len(), expected.answers.len());
    }
    // The conversation ends, at the latest after the last timeout that the last step could start.
    let longest = limits.idle_timeout.max(limits.header_timeout) + limits.write_timeout + LINGER_SILENCE;
    assert!(outcome.time <= said.silence + longest, "{:?}", outcome.time);

    // The responses match the requests, in the same order; the last request may have come too late.
    let (expected, waits_at) = (expected.answers, expected.waits_at);
    assert!(answered.len() <= expected.len());
    for (index, (answer, expected)) in answered.iter().zip(&expected).enumerate() {
        let is_last = index + 1 == answered.len();
        if is_last && !said.reads_always && answer.fault == Some(Fault::Timeout) {
            assert!(outcome.time >= limits.header_timeout, "not before its time");
        } else {
            assert_eq!(answer.fault, expected.fault);
        }
        assert!(answer.fault.is_none() || is_last, "a fault is the end");
        match answer.fault {
            None => {
                assert_eq!(answer.status, expected.response.status());
                assert_eq!(answer.line, expected.line);
            }
            // The server may find a fault before the line has ended.
            Some(fault) => {
                assert_eq!(answer.status, fault.status());
                assert!(expected.line.starts_with(&answer.line), "{}", answer.line.escape_ascii());
            }
        }
    }

    let to_head = |answer: &Answered| answer.line.starts_with(b"HEAD ");
    let (replies, continued) = read(&outcome.said, |index| to_head(answered.get(index).expect("an answer")));
    assert!(replies.len() == answered.len() || (!said.reads_always && replies.len() < answered.len()));
    for (index, (reply, answer)) in replies.iter().zip(answered).enumerate() {
        let response = answer.fault.map(Fault::response);
        let response = response.as_ref().unwrap_or(&expected[index].response);
        assert_eq!(reply.status, answer.status);
        assert_eq!(reply.body.len(), answer.bytes);
        assert_eq!(reply.field("Content-Length"), Some(response.body().len().to_string().as_str()));
        assert!(to_head(answer) || reply.body == response.body());
        assert_eq!(reply.field("Date").map(str::len), Some("Sun, 06 Nov 1994 08:49:37 GMT".len()));
        // A 405 response and the response to OPTIONS list the allowed methods.
        let allow = reply.status == 405 || (answer.fault.is_none() && answer.line.starts_with(b"OPTIONS "));
        assert_eq!(reply.field("Allow"), allow.then_some(ALLOW));
        // Only the last response may announce the end of the connection, and it does so only if one side requested the end.
        let closes = index + 1 == replies.len() && ending == CloseReason::LastResponse;
        assert_eq!(closes, answer.fault.is_some() || expected[index].closes);
        match reply.field("Connection") {
            Some("close") => assert!(closes),
            Some("keep-alive") => assert!(!closes && answer.line.ends_with(b" HTTP/1.0")),
            other => assert!(other.is_none() && !closes && !answer.line.ends_with(b" HTTP/1.0")),
        }
    }

    // `100 Continue` goes to clients that wait for it: at least to those that send nothing behind the head before they have
    // received it.
    let told = replies.iter().map(|reply| reply.continued).chain([continued]);
    for (index, told) in told.enumerate() {
        let waits_at = waits_at.get(index).copied().flatten();
        assert!(told <= usize::from(waits_at.is_some()), "{told} times");
        let waits = waits_at.is_some_and(|head| said.pieces.iter().any(|(end, _)| *end == head));
        assert!(told == 1 || !waits || !said.reads_always || index == replies.len());
    }
    replies
}

/// The same steps, with as few pieces as possible.
fn in_one_piece(steps: &[Step]) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        match (merged.last_mut(), step) {
            (Some(Step::Bytes(before)), Step::Bytes(bytes)) => before.extend_from_slice(bytes),
            _ => merged.push(step.clone()),
        }
    }
    merged
}

/// The same steps, with as many pieces as possible.
fn byte_by_byte(steps: &[Step]) -> Vec<Step> {
    let pieces = steps.iter().flat_map(|step| match step {
        Step::Bytes(bytes) => bytes.iter().map(|&byte| Step::Bytes(vec![byte])).collect(),
        other => vec![other.clone()],
    });
    pieces.collect()
}
