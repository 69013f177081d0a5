//! The worker of the file by itself: the component and the pretended machine, without the page.

use std::fs;
use std::path::Path;

use hello_test_support::{GET, LAST_GET, Server, component};
use serde_json::{Value, json};

use super::{Tab, file_address, in_chromium, in_firefox, in_webkit, serve};

/// Starts a worker as the page does, and gives the tests `window.machine` to speak with it.
const MACHINE: &str = include_str!("machine.js");

/// Opens the file, and makes `window.machine`.
pub(super) fn open(tab: &mut impl Tab, url: &str) {
    tab.visit(url);
    tab.evaluate(&format!("[{}].length", MACHINE.trim_end().trim_end_matches(';')));
}

/// How the component waits: as it can in this browser, or by the interpreter.
#[derive(Clone, Copy)]
pub(crate) enum Waits {
    AsItCan,
    ByInterpreter,
}

/// Loads the component of the file.
pub(super) fn load(tab: &mut impl Tab, waits: Waits) {
    tab.evaluate(&format!("machine.load({})", matches!(waits, Waits::ByInterpreter)));
}

/// Sends these bytes to a new server in the worker. Returns the bytes that come back until the server closes the connection, and
/// the log of the server.
pub(crate) fn ask(tab: &mut impl Tab, url: &str, waits: Waits, bytes: &[u8]) -> (String, String) {
    open(tab, url);
    let sent = json!(String::from_utf8_lossy(bytes));
    load(tab, waits);
    let answer = tab.evaluate(&format!("machine.ask({sent})"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&answer["received"]), text(&answer["printed"]))
}

/// A response without the value of its `Date`.
pub(super) fn without_date(response: &str) -> String {
    let lines = response.split_inclusive("\r\n");
    lines.map(|line| if line.starts_with("Date: ") { "Date: ...\r\n" } else { line }).collect()
}

/// Asserts that the server in the tab sends the same bytes as the one in the sandbox.
fn assert_answers_as_natively(tab: &mut impl Tab, url: &str, waits: Waits) {
    let server = Server::start(&[]);
    for request in [LAST_GET, b"GET / HTTP/1.1\r\n\r\n", &[GET, GET, LAST_GET].concat()] {
        let (received, printed) = ask(tab, url, waits, request);
        assert_eq!(without_date(&received), without_date(&server.ask(request)));
        assert!(printed.starts_with("Access http://localhost:9000\n127.0.0.1 - - ["), "{printed}");
    }
}

#[test]
fn chromium_gets_the_same_answers_from_the_worker() {
    let Some(mut tab) = in_chromium("tab-worker") else { return };
    assert_answers_as_natively(&mut tab, &file_address(component::tab()), Waits::AsItCan);
    assert_answers_as_natively(&mut tab, &serve(fs::read(component::tab()).expect("the file")), Waits::AsItCan);
    println!("browser: Chromium {} ran the server of hello-server.html", tab.version());
}

#[test]
fn firefox_gets_the_same_answers_from_the_worker() {
    let Some(mut tab) = in_firefox("tab-worker-firefox") else { return };
    assert_answers_as_natively(&mut tab, &file_address(component::tab()), Waits::AsItCan);
    assert_answers_as_natively(&mut tab, &serve(fs::read(component::tab()).expect("the file")), Waits::AsItCan);
    println!("browser: Firefox {} ran the server of hello-server.html", tab.version);
}

#[test]
fn chromium_gets_the_same_answers_by_the_interpreter() {
    let Some(mut tab) = in_chromium("tab-interpreter") else { return };
    assert_answers_as_natively(&mut tab, &file_address(component::tab()), Waits::ByInterpreter);
}

#[test]
fn firefox_gets_the_same_answers_by_the_interpreter() {
    let Some(mut tab) = in_firefox("tab-interpreter-firefox") else { return };
    assert_answers_as_natively(&mut tab, &file_address(component::tab()), Waits::ByInterpreter);
}

#[test]
fn webkit_gets_the_same_answers_from_the_worker() {
    let Some(mut tab) = in_webkit() else { return };
    assert_answers_as_natively(&mut tab, &file_address(component::tab()), Waits::AsItCan);
    println!("browser: WebKit {} ran the server of hello-server.html", tab.version);
}

#[test]
fn chromium_gets_what_a_learner_wrote() {
    let Some(mut tab) = in_chromium("tab-changed-profile") else { return };
    let root = component::copy("tab-changed");
    let file = root.join("src/hello.rs");
    let text = fs::read_to_string(&file).expect("read hello.rs");
    assert!(text.contains("Hello World"), "{text}");
    fs::write(&file, text.replace("Hello World", "Hello tab")).expect("write hello.rs");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tab-changed-target");
    let (received, _) = ask(&mut tab, &file_address(&component::tab_in(&root, &target)), Waits::AsItCan, LAST_GET);
    assert!(received.ends_with("<html><body>Hello tab</body></html>\r\n\r\n"), "{received}");
}
