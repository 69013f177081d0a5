//! The page, as a person uses it.

use std::fs;
use std::process::Stdio;

use hello_test_support::{HELLO, command, component, not_tested, run};
use serde_json::json;

use super::{Tab, file_address, in_chromium, in_firefox, in_webkit};

/// What a person does: `window.page`.
const PERSON: &str = include_str!("page.js");

/// The scene about a server in another language. It is for reading only.
const FOR_READING: usize = 9;

/// Opens the page from the disk, and waits until the server may start.
pub(super) fn open(tab: &mut impl Tab) {
    tab.visit(&file_address(component::tab()));
    tab.evaluate(&format!("[{}].length", PERSON.trim_end().trim_end_matches(';')));
    tab.evaluate("page.ready()");
}

/// Does a whole scene of the lesson, and asserts that each step happens.
pub(super) fn assert_plays(tab: &mut impl Tab, scene: usize) {
    let said = tab.evaluate(&format!("page.play({scene})"));
    let progress = said[0].as_str().expect("text");
    let steps = progress.split(" of ").next().expect("a number");
    let all = [format!("{steps} of {steps} steps done."), format!("{steps} of {steps} step done.")];
    assert!(all.contains(&progress.to_owned()) && steps != "0", "scene {scene}: {said}");
    assert_eq!(said[1], json!([]), "scene {scene}");
}

fn assert_plays_all(tab: &mut impl Tab) {
    open(tab);
    let lecture = fs::read_to_string(component::root().join("docs/lecture.md")).expect("the lecture");
    let scenes = lecture.lines().filter(|line| line.starts_with("## ") && line.ends_with(" minutes)")).count();
    assert_eq!(tab.evaluate("page.byId('scene').length"), scenes);
    for scene in 1..=scenes {
        if scene == FOR_READING {
            let said = tab.evaluate(&format!("page.play({scene})"));
            assert_eq!(said, json!(["This scene is for reading.", []]));
        } else {
            assert_plays(tab, scene);
        }
    }
}

#[test]
fn chromium_plays_every_scene() {
    let Some(mut tab) = in_chromium("tab-scenes") else { return };
    assert_plays_all(&mut tab);
}

#[test]
fn firefox_plays_every_scene() {
    let Some(mut tab) = in_firefox("tab-scenes-firefox") else { return };
    assert_plays_all(&mut tab);
}

#[test]
fn webkit_plays_every_scene() {
    let Some(mut tab) = in_webkit() else { return };
    assert_plays_all(&mut tab);
}

#[test]
fn a_phone_shows_a_scene_without_scrolling_sideways() {
    let Some(mut tab) = in_chromium("tab-phone") else { return };
    tab.become_a_phone(390, 844);
    open(&mut tab);
    assert_plays(&mut tab, 2);
    let widths = tab.evaluate("[innerWidth, document.documentElement.scrollWidth]");
    assert_eq!(widths, json!([390, 390]));
}

#[test]
fn axe_finds_nothing_serious_in_the_page() {
    let Some(axe) = std::env::var_os("HELLO_AXE") else {
        return not_tested("HELLO_AXE names no axe.min.js", "npm install axe-core, and name the file");
    };
    let axe = fs::read_to_string(axe).expect("read axe.min.js");
    let Some(mut tab) = in_chromium("tab-axe") else { return };
    open(&mut tab);
    // Terminals, connections, a page in the frame, and a mistake.
    assert_plays(&mut tab, 2);
    assert_plays(&mut tab, 5);
    tab.evaluate(&format!("{axe}; document.querySelectorAll('details').forEach(part => part.open = true)"));
    let found = tab.evaluate(
        "axe.run().then(found => found.violations.filter(one => ['serious', 'critical'].includes(one.impact))\
         .map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' ')))",
    );
    assert_eq!(found, json!([]));
}

#[test]
fn a_request_by_hand_goes_out_in_pieces() {
    let Some(mut tab) = in_chromium("tab-by-hand") else { return };
    open(&mut tab);
    tab.evaluate("page.start('')");
    tab.evaluate(
        "(page.byId('hand-part').open = true, page.type('typed', 'GET /by-hand HTTP/1.1\\nHost: localhost\\nConnection: close\\n\\n'), page.byId('piece').value = 60,\
         page.byId('send-piece').click(), page.until(() => /60 of them sent/.test(page.byId('typed-state').innerText)))",
    );
    let terminal = "document.querySelector('.terminal').innerText";
    let first = tab.evaluate(terminal);
    let first = first.as_str().expect("text");
    assert!(first.contains("sent 60 bytes, received 0 bytes; the connection is open"), "{first}");
    tab.evaluate(
        "(page.byId('send-piece').click(), page.until(() => /closed by the server/.test(document.querySelector('.terminal').innerText)))",
    );
    let last = tab.evaluate(terminal);
    let last = last.as_str().expect("text");
    assert!(last.contains("HTTP/1.1 200 OK") && last.contains(HELLO.trim_end()), "{last}");
    let printed = tab.evaluate("page.byId('output').innerText");
    assert!(printed.as_str().is_some_and(|log| log.contains("\"GET /by-hand HTTP/1.1\" 200 41")), "{printed}");
}

#[test]
fn a_mistake_in_the_options_shows_the_words_of_the_server() {
    let Some(mut tab) = in_chromium("tab-options") else { return };
    open(&mut tab);
    for options in ["--no-such-option", "--port many", "--idle-timeout"] {
        let words: Vec<_> = options.split(' ').collect();
        let native = run(command(&words).stdin(Stdio::null()));
        let said = tab.evaluate(&format!("page.start({})", json!(options)));
        assert_eq!(said[0], "It has ended, with exit code 2.");
        let printed = said[1].as_str().expect("text");
        assert_eq!(printed.trim_end(), format!("$ runner/serve {options}\n{}", native.stderr).trim_end());
    }
}

#[test]
fn a_server_that_is_ended_at_once_can_start_again() {
    let Some(mut tab) = in_chromium("tab-ended") else { return };
    open(&mut tab);
    tab.evaluate("page.start('')");
    tab.evaluate(
        "(page.byId('kill').click(), page.until(() => page.byId('state').innerText.includes('exit code 137')))",
    );
    assert_plays(&mut tab, 2);
}

/// Starts the server in a new worker, in which a program does this when it accepts a connection. Then a client connects.
fn connect_to_a_program_that(tab: &mut impl Tab, does: &str) {
    let script = format!(
        "const {{ accept }} = TcpSocket.prototype;
        TcpSocket.prototype.accept = function () {{
            if (this.backlog.length > 0) {{ {does} }}
            return accept.call(this);
        }};"
    );
    tab.evaluate(&format!(
        "(async () => {{
            await page.start('');
            page.byId('worker').textContent += {};
            page.byId('kill').click();
            await page.start('');
            page.byId('browse').requestSubmit();
        }})()",
        json!(script)
    ));
}

#[test]
fn the_page_goes_on_when_the_program_computes_without_end() {
    let Some(mut tab) = in_chromium("tab-busy") else { return };
    open(&mut tab);
    connect_to_a_program_that(&mut tab, "for (;;);");
    tab.evaluate("page.until(() => page.byId('state').innerText.startsWith('It computes, and does not listen.'))");
    tab.evaluate("(page.byId('kill').click(), page.start(''))");
    // A server that waits for longer than this is not called busy.
    tab.evaluate("new Promise((resolve) => setTimeout(resolve, 3000))");
    assert_eq!(tab.evaluate("page.byId('state').innerText"), "It runs.");
}

#[test]
fn the_page_goes_on_when_the_program_fails() {
    let Some(mut tab) = in_chromium("tab-fails") else { return };
    open(&mut tab);
    connect_to_a_program_that(&mut tab, "throw new Error('a failure');");
    tab.evaluate("page.until(() => page.byId('state').innerText === 'It has ended, with exit code 134.')");
    let printed = tab.evaluate("page.byId('output').innerText");
    assert!(printed.as_str().is_some_and(|text| text.contains("a failure")), "{printed}");
    // The machine closes the connections of a program that fails.
    tab.evaluate("page.until(() => document.querySelector('.terminal').innerText.includes('by the server'))");
    tab.evaluate("page.start('')");
    assert_eq!(tab.evaluate("page.byId('state').innerText"), "It runs.");
}

/// The bytes of a component, in which the page is another one of the same length.
fn with_page(page: &str) -> Vec<u8> {
    let mut bytes = fs::read(component::path()).expect("the component");
    let at = bytes.windows(HELLO.len()).position(|window| window == HELLO.as_bytes()).expect("the page");
    bytes[at..at + HELLO.len()].copy_from_slice(format!("{page:0$}", HELLO.len()).as_bytes());
    bytes
}

#[test]
fn the_scripts_of_a_page_of_another_component_do_not_run() {
    let Some(mut tab) = in_chromium("tab-scripts") else { return };
    open(&mut tab);
    let page = "<script>top.postMessage(1,'*')</script>";
    let said = tab.evaluate(&format!("page.choose('other.wasm', {})", json!(with_page(page))));
    assert_eq!(said, "other.wasm is loaded.");
    tab.evaluate("page.start('')");
    tab.evaluate("window.came = [], addEventListener('message', (event) => came.push(event.source))");
    assert_eq!(tab.evaluate("page.browse()"), format!("{page:0$}", HELLO.len()));
    // The same page in a frame that may run scripts sends a message.
    let sources = tab.evaluate(
        "(() => { const frame = document.createElement('iframe'); frame.sandbox = 'allow-scripts';\
         frame.srcdoc = page.byId('shown').srcdoc; document.body.append(frame);\
         return page.until(() => came.includes(frame.contentWindow)).then(() => came.length); })()",
    );
    assert_eq!(sources, 1);
}

#[test]
fn what_cannot_run_in_a_tab_is_refused_with_a_sentence() {
    let Some(mut tab) = in_chromium("tab-refused") else { return };
    open(&mut tab);
    let mut choose = |name: &str, bytes: &[u8]| {
        let said = tab.evaluate(&format!("page.choose({}, {})", json!(name), json!(bytes)));
        said.as_str().expect("text").to_owned()
    };
    let http = choose("hello-http.wasm", &fs::read(component::http()).expect("the component"));
    assert!(http.contains("wasi:http"), "{http}");
    let empty = choose("empty.wasm", &[]);
    assert!(empty.starts_with("the file is empty: "), "{empty}");
    assert_plays(&mut tab, 2);
}
