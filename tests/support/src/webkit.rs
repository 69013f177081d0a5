//! A real WebKit, the engine of Safari, driven by WebKitWebDriver (<https://www.w3.org/TR/webdriver2/>): requests with JSON.
//! Where there is no screen, Xvfb pretends one.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{PATIENCE, Process, connect};

/// The driver, and what pretends a screen.
const DRIVER: &str = "WebKitWebDriver";
const SCREEN: &str = "xvfb-run";

/// Whether there is a WebKit to test with, and a screen for it.
pub fn is_installed() -> bool {
    has_help(DRIVER) && (has_screen() || has_help(SCREEN))
}

/// The names of the programs, as text for a sentence.
pub fn names() -> String {
    format!("{DRIVER} or {SCREEN}")
}

fn has_screen() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Whether a program can be run. Neither of them has `--version`.
fn has_help(program: &str) -> bool {
    let there = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    there.is_ok_and(|status| status.success())
}

/// A browser with an empty profile, and its tab. It ends with the test.
pub struct Browser {
    process: Process,
    address: SocketAddr,
    session: String,
    /// The version of the engine, such as `2.50.6`.
    pub version: String,
}

impl Browser {
    /// Starts a browser with a tab.
    pub fn start() -> Self {
        let address = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            free.local_addr().expect("an address")
        };
        let mut command = Command::new(if has_screen() { DRIVER } else { SCREEN });
        if !has_screen() {
            command.args(["--auto-servernum", DRIVER]);
        }
        command.arg(format!("--port={}", address.port()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start_unread(&mut command);
        let mut browser = Browser { process, address, session: String::new(), version: String::new() };

        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end && browser.process.is_running(), "{DRIVER} does not start");
            sleep(Duration::from_millis(50));
        }
        let session = browser.tell("", json!({"capabilities": {}}));
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        browser.session = format!("/{}", text(&session["sessionId"]));
        browser.version = text(&session["capabilities"]["browserVersion"]);
        let patience = u64::try_from(PATIENCE.as_millis()).expect("less than a million years");
        browser.tell("/timeouts", json!({"script": patience, "pageLoad": patience}));
        browser
    }

    /// Goes to `url`, and waits until the tab is complete.
    pub fn visit(&mut self, url: &str) {
        self.tell("/url", json!({"url": url}));
    }

    /// The value of this expression of JavaScript in the tab. A promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        self.tell("/execute/sync", json!({"script": format!("return (\n{expression}\n);"), "args": []}))
    }

    /// Sends a command to the session. Returns the result.
    fn tell(&mut self, command: &str, parameters: Value) -> Value {
        let body = parameters.to_string();
        let head = format!("POST /session{}{command} HTTP/1.1\r\nHost: {}\r\n", self.session, self.address);
        let mut stream = connect(self.address);
        write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .expect("send a command");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read an answer");
        let (head, result) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{command} {body}: {answer}");
        serde_json::from_str::<Value>(result).expect("an answer of JSON")["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The processes that the driver has started end with it.
        crate::leftovers::end(&mut self.process.child);
    }
}
