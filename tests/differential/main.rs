//! The same bytes through this server's protocol and through hyper's: requests by a grammar, valid and nearly valid, and
//! random mutations of them.
//!
//! Both sides have to agree on the accepted messages, their requests, their ends, and whether another message may follow. A
//! message that both accept always ends in the same place: anything else is request smuggling. If only one side accepts a
//! message, the table in `docs/protocol.md` has the reason, and the bytes show the mark of that reason.
//!
//! ```console
//! $ HELLO_CASES=2000000 cargo test --release --locked --test differential -- --nocapture
//! ```
//!
//! `HELLO_SEED` is the number of the first case, and each case is made from its number alone, so `HELLO_SEED` and
//! `HELLO_CASES=1` repeat one.
#![cfg(not(target_family = "wasm"))]

mod evidence;
mod grammar;
mod mutation;
mod sides;
mod verdict;

use std::collections::BTreeMap;

use fastrand::Rng;
use hello_server::http::{MAX_BODY, MAX_CHUNK_OVERHEAD, MAX_FIELDS, MAX_HEAD, MAX_METHOD, MAX_TARGET};
use sides::{Side, hypers, ours};
use verdict::{Reason, Verdict, compare};

/// The default number of cases.
const CASES: u64 = 50_000;

/// The number of cases between two that are at a limit: those are long.
const BETWEEN_LIMITS: u64 = 2_500;

/// The bytes of a case, and the places where they are cut into pieces.
fn case(number: u64) -> (Vec<u8>, Vec<usize>) {
    let mut rng = Rng::with_seed(number);
    let bytes = if number.is_multiple_of(BETWEEN_LIMITS) {
        grammar::at_a_limit((number / BETWEEN_LIMITS) as usize % grammar::LIMITS)
    } else {
        let mut bytes = grammar::requests(&mut rng);
        if rng.bool() {
            let other = grammar::requests(&mut rng);
            mutation::mutate(&mut bytes, &other, &mut rng);
        }
        bytes
    };
    let mut cuts: Vec<usize> = (0..rng.usize(..4)).map(|_| rng.usize(..=bytes.len())).collect();
    cuts.sort_unstable();
    (bytes, cuts)
}

/// The results of both sides for a case.
fn both(bytes: &[u8], cuts: &[usize]) -> (Side, Side) {
    let ours = ours(bytes, cuts);
    // hyper does not report where a message ends. So the last byte of a message comes alone: if the message is incomplete
    // before that byte and complete after it, it ends there.
    let ends = ours.messages.iter().flat_map(|message| [message.end.0, message.end.1]);
    let mut cuts: Vec<usize> = cuts.iter().copied().chain(ends).collect();
    cuts.sort_unstable();
    let hypers = hypers(bytes, &cuts);
    (ours, hypers)
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |value| value.parse().expect(variable))
}

#[test]
fn both_see_the_same_messages_or_there_is_a_reason() {
    let (first, cases) = (number_of("HELLO_SEED", 0), number_of("HELLO_CASES", CASES));
    let mut accepted_by_both = 0;
    let mut disagreements: BTreeMap<String, u64> = BTreeMap::new();
    for number in first..first + cases {
        let (bytes, cuts) = case(number);
        let (ours, hypers) = both(&bytes, &cuts);
        accepted_by_both += ours.messages.len().min(hypers.messages.len());
        match compare(&bytes, &ours, &hypers) {
            Verdict::Agreed => {}
            Verdict::Explained(reason) => *disagreements.entry(format!("{reason:?}")).or_default() += 1,
            Verdict::Unexplained(what) => panic!(
                "{what}\nthe bytes: {}\nwe see {ours:?}\nhyper sees {hypers:?}\n\
                 to repeat it: HELLO_SEED={number} HELLO_CASES=1 cargo test --locked --test differential",
                bytes[..bytes.len().min(4096)].escape_ascii()
            ),
        }
    }
    let agreed = cases - disagreements.values().sum::<u64>();
    println!(
        "differential: cases {first} to {}: {agreed} agreed, {accepted_by_both} messages that both accept",
        first + cases - 1
    );
    for (reason, times) in &disagreements {
        println!("differential: {reason}: {times}");
    }
    if cases >= CASES {
        // A reason that no case shows has to go.
        let unseen: Vec<_> =
            Reason::ALL.iter().filter(|&reason| !disagreements.contains_key(&format!("{reason:?}"))).collect();
        assert!(unseen.is_empty(), "no case shows {unseen:?}");
    }
}

const PAGE: &str = include_str!("../../docs/protocol.md");

#[test]
fn the_page_has_a_row_for_every_reason_and_no_other() {
    let (_, section) = PAGE.split_once("\n## Stricter or more lenient than hyper, and why\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let reasons: Vec<String> = Reason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
    assert_eq!(rows.collect::<Vec<_>>(), reasons);
}

#[test]
fn the_page_has_the_limits() {
    for (name, limit) in [
        ("MAX_HEAD", MAX_HEAD as u64),
        ("MAX_FIELDS", MAX_FIELDS as u64),
        ("MAX_TARGET", MAX_TARGET as u64),
        ("MAX_METHOD", MAX_METHOD as u64),
        ("MAX_BODY", MAX_BODY),
        ("MAX_CHUNK_OVERHEAD", MAX_CHUNK_OVERHEAD as u64),
    ] {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{name}`"))).expect(name);
        assert!(row.contains(&format!("| {limit} |")), "{row}");
    }
}
