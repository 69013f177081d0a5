//! A real Chromium without a window, driven by its DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>): messages of JSON, a zero byte behind each, over two pipes. The
//! protocol needs no driver and no port. The browser and all its processes end with the pipe, so even a killed test leaves
//! no process behind.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;

use serde_json::{Value, json};

use crate::{PATIENCE, Process, component, is_there, leftovers};

/// The names under which a Chromium is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The flags for a test.
const FLAGS: [&str; 10] = [
    // The current headless mode is the whole browser without a window. The older mode was another program, with other
    // behaviour.
    "--headless=new",
    "--remote-debugging-pipe",
    // The sandbox of Chromium does not work for root, the usual user of a container. The browser opens no page but those of
    // the tests.
    "--no-sandbox",
    "--disable-gpu",
    // The browser sends no requests of its own.
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-proxy-server",
];

/// The browser to test with: the one that `HELLO_BROWSER` names, which must then exist; or an installed one.
pub fn program() -> Option<String> {
    if let Ok(name) = std::env::var("HELLO_BROWSER") {
        assert!(is_there(&name), "HELLO_BROWSER is {name:?}, which cannot be run");
        return Some(name);
    }
    NAMES.into_iter().find(|name| is_there(name)).map(str::to_owned)
}

/// The names of the programs, as text for a sentence.
pub fn names() -> String {
    NAMES.join(", ")
}

/// A page as the browser shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The title of the tab.
    pub title: String,
    /// The visible text.
    pub text: String,
}

/// A browser with an empty profile, and its current tab. It ends with the test.
pub struct Browser {
    process: Process,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// The events that came before the result of the current command.
    early: VecDeque<Value>,
    /// The number of commands sent.
    asked: u64,
    /// The current tab, as the protocol names it.
    tab: Value,
    profile: PathBuf,
}

impl Browser {
    /// Starts a browser with a tab. The profile is in a folder of this name.
    pub fn start(program: &str, folder: &str) -> Self {
        Browser::start_with(program, folder, &[])
    }

    /// Starts a browser with a tab, and logs the [requests](Browser::requests) of pages. The profile is in a folder of this name.
    pub fn start_with_log(program: &str, folder: &str) -> Self {
        let log = profile(folder).join(LOG);
        Browser::start_with(program, folder, &[&format!("--log-net-log={}", log.display())])
    }

    fn start_with(program: &str, folder: &str, flags: &[&str]) -> Self {
        let profile = profile(folder);
        let _ = fs::remove_dir_all(&profile);
        fs::create_dir_all(&profile).expect("a folder");
        let complaints = fs::File::create(profile.join("stderr")).expect("a file");
        // The pipes are descriptors 3 and 4 of the browser.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2", program]).args(FLAGS).args(flags);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        // The other files of the browser go into the folder of the profile, too.
        command.env("HOME", &profile).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints);
        let mut process = Process::start_unread(&mut command);
        let commands = process.child.stdin.take();
        let pipe = BufReader::new(process.child.stdout.take().expect("piped"));
        let (sender, messages) = channel();
        spawn(move || {
            for message in pipe.split(0) {
                // A browser that is killed may leave half a message.
                let Some(message) = message.ok().and_then(|message| serde_json::from_slice(&message).ok()) else {
                    break;
                };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let early = VecDeque::new();
        let mut browser = Browser { process, commands, messages, early, asked: 0, tab: Value::Null, profile };
        browser.open_tab();
        browser
    }

    /// The version of the browser, such as `156.0.8078.79`.
    pub fn version(&mut self) -> String {
        let version = self.tell_browser("Browser.getVersion", json!({}));
        // The product is `Chrome/156.0.8078.79`, whatever the name of the program.
        let product = version["product"].as_str().expect("a name");
        product.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Opens another tab, which becomes the current tab.
    pub fn open_tab(&mut self) {
        let tab = self.tell_browser("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": tab["targetId"], "flatten": true});
        self.tab = self.tell_browser("Target.attachToTarget", target)["sessionId"].take();
        self.tell("Page.enable", json!({}));
    }

    /// Goes to `url`, as if it had been typed, and waits until the tab is complete. If the browser shows a page of its own
    /// about an error instead, returns that error.
    pub fn visit(&mut self, url: &str) -> Result<(), String> {
        let went = self.tell("Page.navigate", json!({"url": url}));
        assert_ne!(went["isDownload"], json!(true), "it is to be shown, not kept: {went}");
        while self.event("Page.frameNavigated")["frame"]["loaderId"] != went["loaderId"] {}
        self.event("Page.loadEventFired");
        went["errorText"].as_str().map_or(Ok(()), |error| Err(error.to_owned()))
    }

    /// Reloads the page, and waits until it is complete.
    pub fn reload(&mut self) {
        self.tell("Page.reload", json!({}));
        self.event("Page.frameNavigated");
        self.event("Page.loadEventFired");
    }

    /// Gives the tab a screen of this width and height, and makes it behave as on a phone.
    pub fn become_a_phone(&mut self, width: u32, height: u32) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.tell("Emulation.setDeviceMetricsOverride", screen);
    }

    /// Ends the browser, and returns the addresses that pages, their frames and their workers have asked the network for. The
    /// browser itself asks for a page that was typed, and for some things of its own, which are left out.
    pub fn requests(mut self) -> Vec<String> {
        self.end();
        let log = fs::read_to_string(self.profile.join(LOG)).expect("it was started with a log");
        let log: Value = serde_json::from_str(&log).expect("a log of JSON");
        let starts = log["events"].as_array().expect("events").iter().map(|event| &event["params"]);
        let of_pages = starts.filter(|start| start["initiator"].as_str().is_some_and(|by| by != "not an origin"));
        of_pages.filter_map(|start| Some(start["url"].as_str()?.to_owned())).collect()
    }

    /// The page that the tab shows.
    pub fn page(&mut self) -> Page {
        let look = json!({"expression": "[document.title, document.body.innerText]", "returnByValue": true});
        let seen = self.tell("Runtime.evaluate", look);
        let text = |part: usize| seen["result"]["value"][part].as_str().expect("text").to_owned();
        Page { title: text(0), text: text(1) }
    }

    /// The value of this expression of JavaScript in the tab. A promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let look = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut seen = self.tell("Runtime.evaluate", look);
        assert!(seen["exceptionDetails"].is_null(), "{expression}: {seen}");
        seen["result"]["value"].take()
    }

    /// Sends a command to the tab. Returns the result.
    fn tell(&mut self, method: &str, parameters: Value) -> Value {
        let tab = self.tab.clone();
        self.send(json!({"method": method, "params": parameters, "sessionId": tab}))
    }

    /// Sends a command to the browser. Returns the result.
    fn tell_browser(&mut self, method: &str, parameters: Value) -> Value {
        self.send(json!({"method": method, "params": parameters}))
    }

    fn send(&mut self, mut command: Value) -> Value {
        self.asked += 1;
        command["id"] = json!(self.asked);
        let pipe = self.commands.as_mut().expect("it has not ended");
        pipe.write_all(format!("{command}\0").as_bytes()).expect("it reads");
        loop {
            let mut message = self.receive();
            if message["id"] != command["id"] {
                self.early.push_back(message);
                continue;
            }
            assert!(message["error"].is_null(), "{command}: {message}");
            return message["result"].take();
        }
    }

    /// The next event of this kind in the tab. Earlier events are dropped.
    fn event(&mut self, method: &str) -> Value {
        loop {
            let mut message = self.early.pop_front().unwrap_or_else(|| self.receive());
            if message["method"] == method && message["sessionId"] == self.tab {
                return message["params"].take();
            }
        }
    }

    /// Ends the browser: it ends at the end of its command pipe. The end of the other pipe shows that its last process has ended.
    fn end(&mut self) {
        self.commands = None;
        while self.messages.recv_timeout(PATIENCE).is_ok() {}
    }

    fn receive(&self) -> Value {
        self.messages.recv_timeout(PATIENCE).expect("the browser goes on")
    }
}

/// The name of the log in the folder of the profile.
const LOG: &str = "net-log.json";

/// The profile in a folder of this name.
fn profile(folder: &str) -> PathBuf {
    component::target().join("tmp").join(folder)
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.end();
        leftovers::end(&mut self.process.child);
        if std::thread::panicking() {
            eprintln!("the browser said: {}", fs::read_to_string(self.profile.join("stderr")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.profile);
    }
}
