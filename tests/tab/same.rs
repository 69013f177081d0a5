//! The server in the tab sends the same bytes as natively, `Date` aside, and ends each connection in the same way.

use std::fs;

use hello_server::events::CloseReason;
use hello_server::server::Limits;
use hello_test_support::memory::{Step, play};
use hello_test_support::{Server, component, properties};
use serde_json::{Value, json};

use super::table::HELLO_WORLD;
use super::worker::{Waits, load, open, without_date};
use super::{Tab, file_address, in_chromium, in_firefox};

/// A conversation on one connection.
struct Conversation {
    /// The name of the file, or the request line.
    name: String,
    /// The actions of the client, as messages to the worker.
    steps: Vec<Value>,
    /// The bytes that the client should receive, and the last event of its connection.
    expected: (String, &'static str),
}

/// A character for each byte.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The rows of the table, and the responses of the server in the sandbox.
fn rows() -> Vec<Conversation> {
    let server = Server::start(&[]);
    let rows = HELLO_WORLD.iter().map(|row| {
        let request = row.request();
        let response = characters(server.ask(request.as_bytes()).as_bytes());
        let steps = vec![json!({"text": characters(request.as_bytes())})];
        Conversation { name: row.line.to_owned(), steps, expected: (response, "ended") }
    });
    rows.collect()
}

/// The conversations that `fuzz/` has kept, and their outcomes in memory. Silences are left out, and each client finishes at last, so
/// that no deadline passes. In memory each client reads always: in the tab, the buffers have room for what a client does not read.
fn corpus() -> Vec<Conversation> {
    let folder = component::root().join("fuzz/corpus/conversation");
    let files = fs::read_dir(&folder).expect("the corpus").map(|entry| entry.expect("a file").path());
    let conversations = files.map(|file| {
        let (mut all, _) = properties::conversation::read_file(&fs::read(&file).expect("read a file"));
        let end = all.iter().position(|step| matches!(step, Step::Finish | Step::Reset)).unwrap_or(all.len());
        let last = all.drain(end..).next().unwrap_or(Step::Finish);
        let messages = all.iter().filter_map(|step| match step {
            Step::Bytes(bytes) => Some(json!({"text": characters(bytes)})),
            Step::Reads(reads) => Some(json!({"do": if *reads { "resume" } else { "pause" }})),
            _ => None,
        });
        let leaves = last == Step::Reset;
        let ends = [json!({"do": "resume"}), json!({"do": if leaves { "leave" } else { "finish" }})];
        let steps = messages.chain(ends).collect();
        all.retain(|step| matches!(step, Step::Bytes(_)));
        let outcome = play(all.into_iter().chain([last]), &Limits::default());
        // A client that has left gets no event.
        let end = if outcome.ending == Some(CloseReason::Disconnected) { "connected" } else { "ended" };
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        Conversation { name, steps, expected: (characters(&outcome.said), end) }
    });
    conversations.collect()
}

/// Plays all conversations at once, and asserts that each has the expected outcome.
fn assert_same(tab: &mut impl Tab, waits: Waits) {
    let (rows, corpus) = (rows(), corpus());
    println!("{} rows of the table and {} conversations of the corpus", rows.len(), corpus.len());
    let all: Vec<_> = rows.into_iter().chain(corpus).collect();
    open(tab, &file_address(component::tab()));
    load(tab, waits);
    tab.evaluate("machine.start(1, '--log', 'off')");
    let steps: Vec<_> = all.iter().map(|conversation| &conversation.steps).collect();
    let outcomes = tab.evaluate(&format!("machine.converse({})", json!(steps)));
    let outcomes = outcomes.as_array().expect("outcomes");
    assert_eq!(outcomes.len(), all.len());
    for (Conversation { name, steps, expected }, outcome) in all.iter().zip(outcomes) {
        let received = without_date(outcome[0].as_str().expect("text"));
        assert_eq!(
            (received.as_str(), outcome[1].as_str().expect("text")),
            (without_date(&expected.0).as_str(), expected.1),
            "{name}: {steps:?}"
        );
    }
}

#[test]
fn chromium_gets_the_same_bytes_in_every_conversation() {
    let Some(mut tab) = in_chromium("tab-same") else { return };
    assert_same(&mut tab, Waits::AsItCan);
}

#[test]
fn firefox_gets_the_same_bytes_in_every_conversation() {
    let Some(mut tab) = in_firefox("tab-same-firefox") else { return };
    assert_same(&mut tab, Waits::AsItCan);
}

#[test]
fn chromium_gets_the_same_bytes_in_every_conversation_by_the_interpreter() {
    let Some(mut tab) = in_chromium("tab-same-interpreter") else { return };
    assert_same(&mut tab, Waits::ByInterpreter);
}
