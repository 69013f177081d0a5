//! A real Chromium without a window, driven by its DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>): messages of JSON, a zero byte behind each, over two pipes.
//! No driver is needed, and no port. And when its pipe ends, the browser does, with all its processes: even when a test
//! is killed, nothing is left behind.

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

/// What makes it one that can be tested with.
const FLAGS: [&str; 10] = [
    // The whole browser, only without a window: the older headless mode was another program, with habits of its own.
    "--headless=new",
    "--remote-debugging-pipe",
    // Its own sandbox does not work for root, which is who runs tests in a container. It sees no page but ours.
    "--no-sandbox",
    "--disable-gpu",
    // It asks for nothing but what it is told to open.
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-proxy-server",
];

/// The browser to test with: the one that `HELLO_BROWSER` names, which must be there then; or one that happens to be
/// there.
pub fn program() -> Option<String> {
    if let Ok(name) = std::env::var("HELLO_BROWSER") {
        assert!(is_there(&name), "HELLO_BROWSER is {name:?}, which cannot be run");
        return Some(name);
    }
    NAMES.into_iter().find(|name| is_there(name)).map(str::to_owned)
}

/// The names to look for, as a sentence has them.
pub fn names() -> String {
    NAMES.join(", ")
}

/// A page as the browser shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// What the tab is called.
    pub title: String,
    /// The text that is to be read.
    pub text: String,
}

/// A browser with an empty profile, and one of its tabs that is looked at. It ends with the test.
pub struct Browser {
    process: Process,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// Events that came before the answer that was waited for.
    early: VecDeque<Value>,
    /// How many commands it was given.
    asked: u64,
    /// The tab that is looked at, as the protocol calls it.
    tab: Value,
    profile: PathBuf,
}

impl Browser {
    /// Starts one, with a tab, whose profile is in a folder of this name.
    pub fn start(program: &str, folder: &str) -> Self {
        let profile = component::target().join("tmp").join(folder);
        let _ = fs::remove_dir_all(&profile);
        fs::create_dir_all(&profile).expect("a folder");
        let complaints = fs::File::create(profile.join("stderr")).expect("a file");
        // Its pipes are descriptors 3 and 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2", program]).args(FLAGS);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        // What it keeps beside its profile stays with it, too.
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

    /// Its version, such as `156.0.8078.79`.
    pub fn version(&mut self) -> String {
        let version = self.tell_browser("Browser.getVersion", json!({}));
        // `Chrome/156.0.8078.79`, whichever of its names it has.
        let product = version["product"].as_str().expect("a name");
        product.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Opens another tab, and looks at that one from now on.
    pub fn open_tab(&mut self) {
        let tab = self.tell_browser("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": tab["targetId"], "flatten": true});
        self.tab = self.tell_browser("Target.attachToTarget", target)["sessionId"].take();
        self.tell("Page.enable", json!({}));
    }

    /// Goes to `url`, as if it had been typed, and waits until what it shows then is complete: the page, or its own
    /// about the error that is returned.
    pub fn visit(&mut self, url: &str) -> Result<(), String> {
        let went = self.tell("Page.navigate", json!({"url": url}));
        assert_ne!(went["isDownload"], json!(true), "it is to be shown, not kept: {went}");
        while self.event("Page.frameNavigated")["frame"]["loaderId"] != went["loaderId"] {}
        self.event("Page.loadEventFired");
        went["errorText"].as_str().map_or(Ok(()), |error| Err(error.to_owned()))
    }

    /// Presses the button, and waits until the page is complete.
    pub fn reload(&mut self) {
        self.tell("Page.reload", json!({}));
        self.event("Page.frameNavigated");
        self.event("Page.loadEventFired");
    }

    /// What it shows.
    pub fn page(&mut self) -> Page {
        let look = json!({"expression": "[document.title, document.body.innerText]", "returnByValue": true});
        let seen = self.tell("Runtime.evaluate", look);
        let text = |part: usize| seen["result"]["value"][part].as_str().expect("text").to_owned();
        Page { title: text(0), text: text(1) }
    }

    /// Gives a command to the tab. Returns the answer.
    fn tell(&mut self, method: &str, parameters: Value) -> Value {
        let tab = self.tab.clone();
        self.send(json!({"method": method, "params": parameters, "sessionId": tab}))
    }

    /// Gives a command to the browser. Returns the answer.
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

    /// The next event of this kind in the tab. Those before it are dropped.
    fn event(&mut self, method: &str) -> Value {
        loop {
            let mut message = self.early.pop_front().unwrap_or_else(|| self.receive());
            if message["method"] == method && message["sessionId"] == self.tab {
                return message["params"].take();
            }
        }
    }

    fn receive(&self) -> Value {
        self.messages.recv_timeout(PATIENCE).expect("the browser goes on")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its pipe ends it; and its last process that has the other one, that.
        self.commands = None;
        while self.messages.recv_timeout(PATIENCE).is_ok() {}
        leftovers::end(&mut self.process.child);
        if std::thread::panicking() {
            eprintln!("the browser said: {}", fs::read_to_string(self.profile.join("stderr")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.profile);
    }
}
