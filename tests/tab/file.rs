//! The file itself: its size, the component in it, and that it needs nothing else.

use std::fs;
use std::process::Command;

use hello_test_support::{HELLO, LAST_GET, chromium, component, not_tested, run};

use super::page::{assert_plays, open};
use super::worker::{Waits, ask};
use super::{Tab, file_address, in_chromium, in_firefox, serve};

/// The limit on the size of the file.
const MAX_KIB: usize = 450;

/// The component of the page and its sum, as the page itself takes them out.
const COMPONENT: &str = r##"(async () => {
    const element = document.querySelector("#component");
    const packed = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const bytes = await new Response(unpacked).arrayBuffer();
    const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hex = Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return [Array.from(new Uint8Array(bytes)), hex, element.dataset.sha256];
})()"##;

fn assert_has_the_component(tab: &mut impl Tab, url: &str) {
    tab.visit(url);
    let found = tab.evaluate(COMPONENT);
    let bytes = found[0].as_array().expect("bytes").iter();
    let bytes: Vec<u8> = bytes.filter_map(|byte| byte.as_u64()?.try_into().ok()).collect();
    assert!(bytes == fs::read(component::path()).expect("the component"), "{} bytes are others", bytes.len());
    assert!(found[1].is_string() && found[1] == found[2], "{} is not {}", found[1], found[2]);
}

#[test]
fn the_file_is_small_and_the_same_each_time() {
    let file = fs::read(component::tab()).expect("the file");
    assert!(file.len() <= MAX_KIB * 1024, "hello-server.html has {} bytes", file.len());
    let again = component::target().join("tmp/tab-again.html");
    let output = run(Command::new(component::launcher())
        .args(["tab".as_ref(), again.as_os_str()])
        .current_dir(component::root())
        .env("CARGO_TARGET_DIR", component::target()));
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(&again).expect("the file") == file, "the second file is another one");
    let size = file.len().div_ceil(1024);
    let expected = format!(
        "{} ({size} KiB) is the lesson, with the server in it.\nOpen it in a browser: {}\n",
        again.display(),
        file_address(&again)
    );
    assert_eq!(output.stdout, expected);
    println!("hello-server.html has {size} KiB of {MAX_KIB}");
}

#[test]
fn chromium_finds_the_component_as_cargo_built_it() {
    let Some(mut tab) = in_chromium("tab-component") else { return };
    assert_has_the_component(&mut tab, &file_address(component::tab()));
}

#[test]
fn firefox_finds_the_component_as_cargo_built_it() {
    let Some(mut tab) = in_firefox("tab-component-firefox") else { return };
    assert_has_the_component(&mut tab, &file_address(component::tab()));
}

#[test]
fn chromium_sends_no_request_for_the_page() {
    let Some(program) = chromium::program() else {
        not_tested(format!("none of {} is on PATH", chromium::names()), "install Chromium");
        return;
    };
    let mut browser = chromium::Browser::start_with_log(&program, "tab-requests");
    for url in [file_address(component::tab()), serve(fs::read(component::tab()).expect("the file"))] {
        let (received, _) = ask(&mut browser, &url, Waits::AsItCan, LAST_GET);
        assert!(received.ends_with(HELLO), "{received}");
    }
    // A step of this scene calls another machine, and the browser refuses the call.
    open(&mut browser);
    assert_plays(&mut browser, 7);
    // The log does not miss what a worker of another page asks for, or a frame in a sandbox.
    let other = serve(b"<!DOCTYPE html><title>another page</title><link rel=icon href=data:,><body>".to_vec());
    browser.visit(&other).expect("the page");
    let send = r##"new Promise((done) => {
        const source = `fetch("${location.origin}/worker").then(() => postMessage("sent"))`;
        const worker = new Worker(URL.createObjectURL(new Blob([source])));
        worker.onmessage = () => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            frame.srcdoc = `<img src="${location.origin}/frame" onerror="parent.postMessage('sent', '*')">`;
            addEventListener("message", () => done(location.origin));
            document.body.append(frame);
        };
    })"##;
    let origin = browser.evaluate(send);
    let expected = ["worker", "frame"].map(|of| format!("{}/{of}", origin.as_str().expect("text")));
    // A browser asks a web server for the icon of a page by itself.
    let sent = browser.requests().into_iter().filter(|sent| !sent.ends_with("/favicon.ico"));
    assert_eq!(sent.collect::<Vec<_>>(), expected);
}
