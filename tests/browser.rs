//! The page in a real browser, by the URLs that people type. On a machine without a browser this is not tested, and the
//! test says so; `HELLO_BROWSER=chromium` makes that a failure.
#![cfg(not(target_family = "wasm"))]

use hello_test_support::chromium::{self, Browser, Page};
use hello_test_support::{Server, command, is_wasmtime, not_tested};

/// A browser, if there is one. The profile of this test is in a folder of this name.
fn browser(folder: &str) -> Option<Browser> {
    let Some(program) = chromium::program() else {
        not_tested(format!("none of {} is on PATH", chromium::names()), "install Chromium");
        return None;
    };
    Some(Browser::start(&program, folder))
}

/// The lecture's page, as the browser shows it: it has no title.
fn hello() -> Page {
    Page { title: String::new(), text: "Hello World".to_owned() }
}

/// The host of the server.
fn host() -> &'static str {
    if is_wasmtime() { "wasmtime run" } else { "hello-runner" }
}

/// Asserts that this line of the log has this request, and this status.
fn assert_says(line: &str, request: &str, status: u16) {
    assert!(line.contains(&format!(" +0000] \"{request} HTTP/1.1\" {status} ")), "{line}");
}

/// Waits for the log line of the page. The browser may ask for its icon first.
fn assert_asked_for_the_page(server: &Server) {
    let line = std::iter::repeat_with(|| server.line()).find(|line| !line.contains("/favicon.ico")).expect("a line");
    assert_says(&line, "GET /", 200);
}

#[test]
fn chromium_shows_hello_world_and_its_two_requests_are_the_log() {
    let Some(mut browser) = browser("browser-hello") else { return };
    let server = Server::start(&[]);
    browser.visit(&format!("http://localhost:{}", server.port)).expect("it gets an answer");
    assert_eq!(browser.page(), hello());
    assert_says(&server.line(), "GET /", 200);
    assert_says(&server.line(), "GET /favicon.ico", 200);
    let version = browser.version();
    // The browser has sent two requests and ended: the next line belongs to another connection.
    drop(browser);
    server.ask(b"HEAD /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_says(&server.line(), "HEAD /next", 200);
    println!("browser: Chromium {version} showed the page of {}, and its two requests are in the log", host());
}

#[test]
fn chromium_shows_it_again_and_in_a_second_tab() {
    let Some(mut browser) = browser("browser-again") else { return };
    let server = Server::start(&[]);
    let url = format!("http://localhost:{}/", server.port);
    browser.visit(&url).expect("it gets an answer");
    assert_asked_for_the_page(&server);
    browser.reload();
    assert_asked_for_the_page(&server);
    assert_eq!(browser.page(), hello());
    browser.open_tab();
    browser.visit(&url).expect("it gets an answer");
    assert_asked_for_the_page(&server);
    assert_eq!(browser.page(), hello());
}

#[test]
fn chromium_finds_localhost_by_whichever_address_accepts() {
    let Some(mut browser) = browser("browser-localhost") else { return };
    for (address, peer) in [("[::1]", "::1"), ("127.0.0.1", "127.0.0.1")] {
        let server = Server::launch(&mut command(&["--listen", &format!("{address}:0")]));
        for host in ["localhost", address] {
            browser.visit(&format!("http://{host}:{}/", server.port)).expect("it gets an answer");
            assert_eq!(browser.page(), hello());
            let line = std::iter::repeat_with(|| server.line()).find(|line| !line.contains("/favicon.ico"));
            let line = line.expect("a line");
            assert!(line.starts_with(&format!("{peer} - - [")), "{line}");
            assert_says(&line, "GET /", 200);
        }
    }
    // The browser finds a server that listens on both loopback addresses by either.
    let server = Server::start(&[]);
    for host in ["localhost", "[::1]", "127.0.0.1"] {
        browser.visit(&format!("http://{host}:{}/", server.port)).expect("it gets an answer");
        assert_eq!(browser.page(), hello());
    }
}

#[test]
fn chromium_shows_the_page_that_explains_a_fault() {
    let Some(mut browser) = browser("browser-fault") else { return };
    let server = Server::start(&[]);
    let target = format!("/{}", "a".repeat(8 * 1024));
    browser.visit(&format!("http://localhost:{}{target}", server.port)).expect("it gets an answer");
    let page = browser.page();
    assert_eq!(page.title, "414 URI Too Long");
    let lines: Vec<&str> = page.text.lines().filter(|line| !line.is_empty()).collect();
    let sentence = "The target (the path and what follows it) is longer than the 8 KiB that this server reads. \
                    Longer data goes into a body.";
    assert_eq!(lines, ["414 URI Too Long", sentence, "RFC 9110 section 15.5.15"]);
    let line = server.line();
    assert!(line.contains(" +0000] \"GET /aaaa") && line.contains("\" 414 "), "{line}");
    browser.visit(&format!("http://localhost:{}/", server.port)).expect("it gets an answer");
    assert_eq!(browser.page(), hello());
}

#[test]
fn chromium_shows_an_error_of_its_own_for_https_and_the_server_goes_on() {
    let Some(mut browser) = browser("browser-https") else { return };
    let server = Server::start(&[]);
    let error = browser.visit(&format!("https://localhost:{}/", server.port)).expect_err("this is not TLS");
    assert_eq!(error, "net::ERR_SSL_PROTOCOL_ERROR");
    let page = browser.page();
    assert!(page.text.contains("ERR_SSL_PROTOCOL_ERROR"), "{page:?}");
    let line = server.line();
    assert!(line.contains(" +0000] \"\\x16\\x03\\x01") && line.contains("\" 400 "), "{line}");
    browser.visit(&format!("http://localhost:{}/", server.port)).expect("it gets an answer");
    assert_eq!(browser.page(), hello());
}
