//! The lesson in one file, in real browsers: Chromium, and Firefox and WebKit where they are there. `HELLO_BROWSER` and `HELLO_FIREFOX` name
//! browsers that must be there.
#![cfg(not(target_family = "wasm"))]

mod file;
mod load;
mod page;
mod same;
#[path = "../hosts/table.rs"]
#[expect(dead_code, reason = "the tests of the hosts use the rest")]
mod table;
mod worker;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::spawn;

use hello_test_support::{chromium, firefox, not_tested, webkit};
use serde_json::Value;

/// A tab of a browser.
trait Tab {
    /// Goes to `url`, and waits until the tab is complete.
    fn visit(&mut self, url: &str);

    /// The value of an expression of JavaScript. A promise is awaited.
    fn evaluate(&mut self, expression: &str) -> Value;
}

impl Tab for chromium::Browser {
    fn visit(&mut self, url: &str) {
        self.visit(url).expect("the page");
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        self.evaluate(expression)
    }
}

impl Tab for firefox::Browser {
    fn visit(&mut self, url: &str) {
        self.visit(url);
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        self.evaluate(expression)
    }
}

impl Tab for webkit::Browser {
    fn visit(&mut self, url: &str) {
        self.visit(url);
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        self.evaluate(expression)
    }
}

/// Chromium, if it is there. The profile of this test is in a folder of this name.
fn in_chromium(folder: &str) -> Option<chromium::Browser> {
    let Some(program) = chromium::program() else {
        not_tested(format!("none of {} is on PATH", chromium::names()), "install Chromium");
        return None;
    };
    Some(chromium::Browser::start(&program, folder))
}

/// The oldest Firefox that has what the file needs.
const OLDEST_FIREFOX: u32 = 153;

/// Firefox, if it is there and new enough. The profile of this test is in a folder of this name.
fn in_firefox(folder: &str) -> Option<firefox::Browser> {
    let Some(program) = firefox::program() else {
        not_tested(format!("none of {} is on PATH", firefox::names()), "install Firefox");
        return None;
    };
    let browser = firefox::Browser::start(&program, folder);
    let version = browser.version.split('.').next().and_then(|version| version.parse::<u32>().ok());
    if version < Some(OLDEST_FIREFOX) {
        not_tested(format!("Firefox is {}", browser.version), "install Firefox 153 or newer");
        return None;
    }
    Some(browser)
}

/// WebKit, the engine of Safari, if it is there.
fn in_webkit() -> Option<webkit::Browser> {
    if !webkit::is_installed() {
        not_tested(format!("{} is not on PATH", webkit::names()), "install webkit2gtk-driver and xvfb");
        return None;
    }
    Some(webkit::Browser::start())
}

/// The address of a file on the disk.
fn file_address(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// Answers one request: with `page`, if it is for that.
fn answer(mut stream: TcpStream, page: &[u8]) {
    let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head: Vec<String> = head.collect();
    let is_page = head.first().is_some_and(|line| line.starts_with("GET /hello-server.html "));
    let (status, body) = if is_page { ("200 OK", page) } else { ("404 Not Found", &[][..]) };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n");
    // The browser may have left.
    let _ = stream.write_all(&[head.as_bytes(), b"Connection: close\r\n\r\n", body].concat());
}

/// Serves `page` at the returned address, as any web server would, until the end of the test.
fn serve(page: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let page = Arc::new(page);
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let page = Arc::clone(&page);
            // A browser keeps a spare connection, which says nothing.
            spawn(move || answer(stream, &page));
        }
    });
    format!("http://{address}/hello-server.html")
}
