//! Conversations in memory, cut everywhere: the pieces of a peer's bytes, and the place where the peer stops, change
//! nothing but what they must.
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

/// The interim response for a client that waits before its body. Other clients do not receive it.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The total silence of a peer in the middle of a request: less than any deadline.
const SILENCE: Duration = Duration::from_secs(30);

/// From this length on, a request is not cut at every place; from the second length on, only at a few.
const LONG: usize = 1000;
const VERY_LONG: usize = 50_000;

/// The result of these pieces, with this silence before each of them but the first.
fn said_in(pieces: &[&[u8]], silence: Duration) -> Outcome {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    let steps = pieces.flat_map(|piece| [Step::Silence(silence), Step::Bytes(piece.to_vec())]);
    play(steps.skip(1), &Limits::default())
}

fn said_at_once(bytes: &[u8]) -> Outcome {
    said_in(&[bytes], Duration::ZERO)
}

/// The places where a request of this length is cut: everywhere, or at some places if the request is long.
fn places(length: usize, random: &mut Rng) -> Vec<usize> {
    let some = match length {
        ..LONG => return (1..length).collect(),
        LONG..VERY_LONG => 64,
        _ => 4,
    };
    (1..some).chain(length - some..length).chain((0..some).map(|_| random.usize(1..length))).collect()
}

/// The responses, without their dates and without `100 Continue`, which depend on the time.
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

/// Asserts that the peer received `replies`, and that the log has `answered`. If a request was refused before its line had
/// ended, the log has the part of the line that had come.
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

/// The number of `100 Continue` that the server sent.
fn continues(outcome: &Outcome) -> usize {
    outcome.said.windows(CONTINUE.len()).filter(|bytes| *bytes == CONTINUE).count()
}

/// Asserts that these pieces have the same result as `whole`, with pauses between them or without. Returns the number of
/// `100 Continue` that the server sent, without pauses and with them.
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

/// The beginning of a request, for the message of a failed test.
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

/// The requests after which another one may follow, and which have no empty line at the end.
fn first_ones() -> Vec<&'static Case> {
    CASES.iter().filter(|case| case.whole() && case.request.len() < LONG).collect()
}

/// The requests that may follow another one: an empty line before them would be the second one.
fn next_ones() -> Vec<&'static Case> {
    CASES.iter().filter(|case| !case.request.starts_with(b"\r") && !case.request.starts_with(b"\n")).collect()
}

/// Asserts that these requests, sent at once and cut in two anywhere, get the same responses as one by one.
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

/// The requests that get the page, without the bytes behind them.
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

/// The result of a conversation in which a peer sends the beginning of a request, and then takes another step.
fn begin(beginning: &[u8], then: Option<Step>) -> Outcome {
    play(
        [Step::Bytes(beginning.to_vec())].into_iter().filter(|_| !beginning.is_empty()).chain(then),
        &Limits::default(),
    )
}

/// Calls `check` with the incomplete beginnings of each valid request.
fn for_each_beginning(check: impl Fn(&[u8], &str)) {
    let mut random = Rng::with_seed(4);
    for request in valid_ones() {
        for at in std::iter::once(0).chain(places(request.len(), &mut random)) {
            check(&request[..at], &format!("{at} bytes of {}", short(request)));
        }
    }
}

/// Asserts that the beginning of a request was refused only because it is incomplete, and that no other response was sent.
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
        // Before, the peer may have received nothing but `100 Continue`.
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
