//! A real Firefox without a window, driven by Marionette (<https://firefox-source-docs.mozilla.org/testing/marionette/>):
//! messages of JSON over a TCP connection, each behind its length. The protocol needs no driver.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{PATIENCE, Process, component, connect, is_there};

/// The names under which a Firefox is installed.
const NAMES: [&str; 2] = ["firefox-esr", "firefox"];

/// The settings for a test: a free port for Marionette, and no requests of the browser's own.
const SETTINGS: &str = r#"
user_pref("marionette.port", 0);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
"#;

/// The browser to test with: the one that `HELLO_FIREFOX` names, which must then exist; or an installed one.
pub fn program() -> Option<String> {
    if let Ok(name) = std::env::var("HELLO_FIREFOX") {
        assert!(is_there(&name), "HELLO_FIREFOX is {name:?}, which cannot be run");
        return Some(name);
    }
    NAMES.into_iter().find(|name| is_there(name)).map(str::to_owned)
}

/// The names of the programs, as text for a sentence.
pub fn names() -> String {
    NAMES.join(", ")
}

/// A browser with an empty profile, and its tab. It ends with the test.
pub struct Browser {
    process: Process,
    stream: BufReader<TcpStream>,
    /// The number of commands sent.
    asked: u64,
    /// The version of the browser, such as `153.8.0`.
    pub version: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts a browser with a tab. The profile is in a folder of this name.
    pub fn start(program: &str, folder: &str) -> Self {
        let profile = component::target().join("tmp").join(folder);
        let _ = fs::remove_dir_all(&profile);
        fs::create_dir_all(&profile).expect("a folder");
        fs::write(profile.join("user.js"), SETTINGS).expect("write the settings");
        let complaints = fs::File::create(profile.join("stderr")).expect("a file");
        let mut command = Command::new(program);
        command.args(["--marionette", "--headless", "--no-remote", "--profile"]).arg(&profile);
        // The other files of the browser go into the folder of the profile, too.
        command.env("HOME", &profile).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
        let mut process = Process::start_unread(&mut command);

        let end = Instant::now() + PATIENCE;
        let port = loop {
            let port = fs::read_to_string(profile.join("MarionetteActivePort")).unwrap_or_default();
            if let Ok(port) = port.trim().parse::<u16>() {
                break port;
            }
            assert!(Instant::now() < end && process.is_running(), "{program} does not start");
            sleep(Duration::from_millis(50));
        };
        let stream = BufReader::new(connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        let mut browser = Browser { process, stream, asked: 0, version: String::new(), profile };
        let greeting = browser.receive();
        assert_eq!(greeting["marionetteProtocol"], 3, "{greeting}");
        let session = browser.tell("WebDriver:NewSession", json!({}));
        browser.version = session["capabilities"]["browserVersion"].as_str().expect("a version").to_owned();
        let patience = u64::try_from(PATIENCE.as_millis()).expect("less than a million years");
        browser.tell("WebDriver:SetTimeouts", json!({"script": patience, "pageLoad": patience}));
        browser
    }

    /// Goes to `url`, and waits until the tab is complete.
    pub fn visit(&mut self, url: &str) {
        self.tell("WebDriver:Navigate", json!({"url": url}));
    }

    /// The value of this expression of JavaScript in the tab. A promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        // Without a sandbox the script is one of the page, and what it keeps in `window` is there for the next one.
        let script = json!({"script": format!("return (\n{expression}\n);"), "args": [], "sandbox": null});
        self.tell("WebDriver:ExecuteScript", script)["value"].take()
    }

    /// Sends a command. Returns the result.
    fn tell(&mut self, command: &str, parameters: Value) -> Value {
        self.asked += 1;
        let message = json!([0, self.asked, command, parameters]).to_string();
        write!(self.stream.get_mut(), "{}:{message}", message.len()).expect("send a command");
        let mut answer = self.receive();
        assert!(answer[0] == 1 && answer[1] == self.asked && answer[2].is_null(), "{message}: {answer}");
        answer[3].take()
    }

    fn receive(&mut self) -> Value {
        let mut length = Vec::new();
        self.stream.read_until(b':', &mut length).expect("the browser goes on");
        let length = String::from_utf8_lossy(&length).trim_end_matches(':').parse().expect("the length of a message");
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).expect("read a message");
        serde_json::from_slice(&message).expect("a message of JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The processes that the browser has started end with it.
        crate::leftovers::end(&mut self.process.child);
        if std::thread::panicking() {
            eprintln!("the browser said: {}", fs::read_to_string(self.profile.join("stderr")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.profile);
    }
}
