//! One conversation in memory, from every side: how what a peer says is cut into pieces, and where it stops, changes nothing
//! but what it must.
#![cfg(not(target_family = "wasm"))]

#[path = "../src/http/cases.rs"]
mod cases;

use std::time::Duration;

use cases::{CASES, Case};
use fastrand::Rng;
use hello_server::events::CloseReason;
use hello_server::http::{Fault, is_silence};
use hello_server::server::Limits;
use hello_test_support::memory::{Answered, Outcome, Step, play};

/// What a client that waits for a word before its body is told, and one that does not wait is not.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long a peer may be silent in the middle of a request, all in all: less than any deadline.
const SILENCE: Duration = Duration::from_secs(30);

/// Beyond this many bytes not every place to cut is tried, and beyond that many only a few are.
const LONG: usize = 1000;
const VERY_LONG: usize = 50_000;

/// What came of these pieces, with so much silence before each of them but the first.
fn said_in(pieces: &[&[u8]], silence: Duration) -> Outcome {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    let steps = pieces.flat_map(|piece| [Step::Silence(silence), Step::Bytes(piece.to_vec())]);
    play(steps.skip(1), &Limits::default())
}

fn said_at_once(bytes: &[u8]) -> Outcome {
    said_in(&[bytes], Duration::ZERO)
}

/// Where a request of this length is cut: everywhere, or here and there if it is long.
fn places(length: usize, random: &mut Rng) -> Vec<usize> {
    let some = match length {
        ..LONG => return (1..length).collect(),
        LONG..VERY_LONG => 64,
        _ => 4,
    };
    (1..some).chain(length - some..length).chain((0..some).map(|_| random.usize(1..length))).collect()
}

/// The replies, without what depends on the moment: their dates, and whether the peer had to be told to go on.
fn replies(outcome: &Outcome) -> Vec<u8> {
    let mut said = Vec::with_capacity(outcome.said.len());
    for line in outcome.said.split_inclusive(|&byte| byte == b'\n') {
        said.extend_from_slice(if line.starts_with(b"Date: ") { b"Date\r\n" } else { line });
        if said.ends_with(CONTINUE) {
            said.truncate(said.len() - CONTINUE.len());
        }
    }
    said
}

/// The peer was told `replies`, and the log what it is about `answered`. Of what was refused before its line had ended the
/// log has as much of that line as had come.
fn assert_same(outcome: &Outcome, replies: &[u8], answered: &[Answered], how: &str) {
    let found = self::replies(outcome);
    assert!(found == replies, "{how}:\n{}\nnot\n{}", found.escape_ascii(), replies.escape_ascii());
    assert_eq!(outcome.answered.len(), answered.len(), "{how}");
    for (found, expected) in outcome.answered.iter().zip(answered) {
        let in_short = |answered: &Answered| (answered.status, answered.fault, answered.bytes);
        assert_eq!(in_short(found), in_short(expected), "{how}");
        match found.fault {
            None => assert_eq!(found.line, expected.line, "{how}"),
            Some(_) => assert!(expected.line.starts_with(&found.line), "{how}: {}", found.line.escape_ascii()),
        }
    }
}

/// How many times the server sent 100 (Continue).
fn continues(outcome: &Outcome) -> usize {
    outcome.said.windows(CONTINUE.len()).filter(|bytes| *bytes == CONTINUE).count()
}

/// What is said in these pieces comes to the same as `whole`, whether the peer pauses between them or not. Returns how many times
/// the server sent 100 (Continue), without pauses and with them.
fn assert_comes_to(pieces: &[&[u8]], whole: &Outcome, how: &str) -> [usize; 2] {
    let expected = replies(whole);
    [Duration::ZERO, SILENCE / pieces.len() as u32].map(|silence| {
        let outcome = said_in(pieces, silence);
        let how = format!("{how}, after {silence:?} each");
        assert_same(&outcome, &expected, &whole.answered, &how);
        assert_eq!(outcome.ending, whole.ending, "{how}");
        continues(&outcome)
    })
}

/// A request in short, for the message of a test that fails.
fn short(request: &[u8]) -> String {
    request[..request.len().min(200)].escape_ascii().to_string()
}

#[test]
fn it_does_not_matter_where_a_request_is_cut_in_two() {
    let mut random = Rng::with_seed(1);
    for case in CASES {
        let whole = said_at_once(case.request);
        for at in places(case.request.len(), &mut random) {
            let (first, second) = case.request.split_at(at);
            let how = format!("{}, cut at {at}: {}", case.section, short(case.request));
            let continued = assert_comes_to(&[first, second], &whole, &how);
            assert_eq!(continued, [continues(&whole); 2], "{how}");
        }
    }
}

#[test]
fn a_client_that_waits_before_its_body_gets_100_continue_and_no_other_does() {
    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let request = [HEAD, b"hello"].concat();
    for at in 1..request.len() {
        let (first, second) = request.split_at(at);
        let said = said_in(&[first, second], SILENCE).said;
        assert_eq!(said.starts_with(CONTINUE), at == HEAD.len(), "cut at {at}");
    }
}

#[test]
fn it_does_not_matter_where_a_request_is_cut_in_three() {
    let mut random = Rng::with_seed(2);
    for case in CASES.iter().filter(|case| case.request.len() > 2) {
        let whole = said_at_once(case.request);
        for _ in 0..if case.request.len() < VERY_LONG { 64 } else { 4 } {
            let (second, third) = (random.usize(1..case.request.len()), random.usize(1..case.request.len()));
            let (second, third) = (second.min(third), second.max(third));
            let pieces = [&case.request[..second], &case.request[second..third], &case.request[third..]];
            let how = format!("cut at {second} and {third}: {}", short(case.request));
            assert_comes_to(&pieces, &whole, &how);
        }
    }
}

#[test]
fn it_does_not_matter_that_a_request_comes_byte_by_byte() {
    for case in CASES {
        let pieces: Vec<&[u8]> = case.request.chunks(1).collect();
        let (whole, how) = (said_at_once(case.request), format!("byte by byte: {}", short(case.request)));
        assert_eq!(assert_comes_to(&pieces, &whole, &how), [continues(&whole); 2], "{how}");
    }
}

/// The requests behind which another one may follow, and no empty line of its own is in the way.
fn first_ones() -> Vec<&'static Case> {
    CASES.iter().filter(|case| case.whole() && case.request.len() < LONG).collect()
}

/// And those that may come behind one: an empty line before them would be the second one.
fn next_ones() -> Vec<&'static Case> {
    CASES.iter().filter(|case| !case.request.starts_with(b"\r") && !case.request.starts_with(b"\n")).collect()
}

/// These requests, sent at once and cut in two anywhere, are answered as they are one by one.
fn assert_answered_in_order(requests: &[&[u8]], random: &mut Rng) {
    let one_by_one: Vec<Outcome> = requests.iter().map(|request| said_at_once(request)).collect();
    let replies: Vec<u8> = one_by_one.iter().flat_map(replies).collect();
    let answered: Vec<Answered> = one_by_one.iter().flat_map(|outcome| outcome.answered.clone()).collect();
    let merged = requests.concat();
    let whole = said_at_once(&merged);
    let how = requests.iter().map(|request| short(request)).collect::<Vec<_>>().join(" + ");
    assert_same(&whole, &replies, &answered, &how);
    for at in places(merged.len(), random) {
        let (first, second) = merged.split_at(at);
        assert_comes_to(&[first, second], &whole, &format!("cut at {at}: {how}"));
    }
}

#[test]
fn pipelined_requests_get_the_responses_that_they_get_one_by_one() {
    let mut random = Rng::with_seed(3);
    let (first_ones, next_ones) = (first_ones(), next_ones());
    let between: Vec<&Case> =
        next_ones.iter().copied().filter(|case| case.whole() && case.request.len() < LONG).collect();
    for first in first_ones {
        for _ in 0..2 {
            let next = random.choice(&next_ones).expect("there are some");
            assert_answered_in_order(&[first.request, next.request], &mut random);
        }
        let between = random.choice(&between).expect("there are some");
        let next = random.choice(&next_ones).expect("there are some");
        assert_answered_in_order(&[first.request, between.request, next.request], &mut random);
    }
}

/// The requests that are answered with the page, without what comes behind them.
fn valid_ones() -> impl Iterator<Item = &'static [u8]> {
    let valid = CASES.iter().filter(|case| matches!(case.outcome, "200 open" | "200 closed"));
    valid.map(|case| {
        let mut request = case.request;
        while let [whole @ .., _] = request
            && said_at_once(whole).answered.iter().any(|answered| answered.status == 200)
        {
            request = whole;
        }
        request
    })
}

/// How a conversation ends in which a peer says the beginning of a request, and then does something else.
fn begin(beginning: &[u8], then: Option<Step>) -> Outcome {
    play(
        [Step::Bytes(beginning.to_vec())].into_iter().filter(|_| !beginning.is_empty()).chain(then),
        &Limits::default(),
    )
}

/// Calls `check` with each valid request, and the beginnings of it that are no whole one.
fn for_each_beginning(check: impl Fn(&[u8], &str)) {
    let mut random = Rng::with_seed(4);
    for request in valid_ones() {
        for at in std::iter::once(0).chain(places(request.len(), &mut random)) {
            check(&request[..at], &format!("{at} bytes of {}", short(request)));
        }
    }
}

/// The beginning of a request was refused for no other reason than that it is one, and nothing else was answered.
fn assert_refused(outcome: &Outcome, beginning: &[u8], fault: Fault, how: &str) {
    let [refusal] = &outcome.answered[..] else { panic!("{how}: {outcome:?}") };
    assert_eq!((refusal.fault, outcome.ending), (Some(fault), Some(CloseReason::LastResponse)), "{how}");
    let begins = format!("HTTP/1.1 {} ", fault.status());
    assert!(replies(outcome).starts_with(begins.as_bytes()), "{how}");
    let line = beginning.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
    assert!(line.starts_with(&refusal.line), "{how}: {}", refusal.line.escape_ascii());
}

#[test]
fn an_incomplete_request_gets_a_408_at_its_timeout_and_an_idle_connection_gets_nothing() {
    let limits = Limits::default();
    for_each_beginning(|beginning, how| {
        let outcome = begin(beginning, None);
        if is_silence(beginning) {
            assert_eq!((&outcome.said[..], outcome.ending), (&b""[..], Some(CloseReason::IdleTimeout)), "{how}");
            assert!(outcome.answered.is_empty(), "{how}");
            assert_eq!(outcome.time, limits.idle_timeout, "{how}");
        } else {
            assert_refused(&outcome, beginning, Fault::Timeout, how);
            assert!(outcome.time >= limits.header_timeout, "{how}");
        }
    });
}

#[test]
fn a_peer_that_finishes_inside_a_request_gets_a_400_and_between_requests_nothing() {
    for_each_beginning(|beginning, how| {
        let outcome = begin(beginning, Some(Step::Finish));
        if is_silence(beginning) {
            assert_eq!((&outcome.said[..], outcome.ending), (&b""[..], Some(CloseReason::PeerFinished)), "{how}");
            assert!(outcome.answered.is_empty(), "{how}");
        } else {
            assert_refused(&outcome, beginning, Fault::Incomplete, how);
        }
    });
}

#[test]
fn a_connection_reset_inside_a_request_gets_no_response_and_no_log_line() {
    for_each_beginning(|beginning, how| {
        let outcome = begin(beginning, Some(Step::Reset));
        assert_eq!((outcome.ending, outcome.time), (Some(CloseReason::Disconnected), Duration::ZERO), "{how}");
        assert!(outcome.answered.is_empty(), "{how}");
        // To go on is all that it may have been told before.
        assert_eq!(replies(&outcome), b"", "{how}");
    });
}

#[test]
fn the_beginning_of_what_is_refused_is_refused_for_the_same_reason_or_because_it_ends() {
    let mut random = Rng::with_seed(5);
    for case in CASES {
        let whole = begin(case.request, Some(Step::Finish));
        let faults: Vec<Option<Fault>> = whole.answered.iter().map(|answered| answered.fault).collect();
        for at in places(case.request.len(), &mut random) {
            let outcome = begin(&case.request[..at], Some(Step::Finish));
            for (number, answered) in outcome.answered.iter().enumerate() {
                let ends = answered.fault == Some(Fault::Incomplete);
                assert!(ends || Some(&answered.fault) == faults.get(number), "{at} bytes of {}", short(case.request));
            }
        }
    }
}
