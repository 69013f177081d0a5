//! A page of documentation, as a script: its blocks are run in order.
//!
//! * ` ```console `: lines that begin with `$ ` are typed into a terminal; the others are the expected output. A command that
//!   ends with `&` goes on in the background, without output, and ends with the page.
//! * ` ```console server `: the same for another terminal, in which a server runs. Lines without a command are
//!   the output of the server since the last block, and `^C` ends the server. A server that prints nothing is ready when it
//!   listens on port 9000. The next command there waits for a server that ends by itself.
//! * ` ```console typed `: the lines behind the command, up to an empty one, are typed into that command.
//! * ` ```diff `: the change between two files, as [`Page::changes`] returns it.
//! * `<!-- browser URL -->`: a browser opens that page. On a machine without a browser, curl requests the same two paths.
//! * ` ```rust `: becomes `src/hello.rs`; if a server watches, the test waits for its restart.
//!
//! `...` stands for anything within a line, and, as a line, for any number of lines. Times, the ports of clients and the
//! versions of programs may differ.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use hello_test_support::chromium::{self, Browser};
use hello_test_support::{PATIENCE, Process, component, is_about_building, leftovers};
use regex_lite::Regex;

/// The time between two commands, after one that goes on in the background.
const TYPING: Duration = Duration::from_secs(2);

/// A page with its blocks.
pub(crate) struct Page {
    name: &'static str,
    blocks: Vec<Block>,
}

/// A block of a page.
struct Block {
    /// The line of the page where the block begins.
    line: usize,
    /// The word behind the backquotes.
    kind: String,
    lines: Vec<String>,
}

/// The server of the other terminal.
struct Server {
    process: Process,
    lines: Receiver<Printed>,
    /// The lines that were read but not compared yet, because another stream was ahead of the page.
    early: Vec<Printed>,
}

/// A line, and its stream. Both streams end in one terminal, and each of them is in order, but the order of lines of
/// different streams may vary.
#[derive(Debug)]
struct Printed {
    stream: Stream,
    line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Error,
}

impl Page {
    /// Reads the page at `name`, below the top of this project.
    pub(crate) fn open(name: &'static str) -> Self {
        let text = std::fs::read_to_string(component::root().join(name)).expect("a page");
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(kind), None) => {
                    open = Some(Block { line: index + 1, kind: kind.into(), lines: Vec::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line.into()),
                (None, None) => {
                    let url = line.strip_prefix("<!-- browser ").and_then(|rest| rest.strip_suffix(" -->"));
                    blocks.extend(url.map(|url| Block {
                        line: index + 1,
                        kind: "browser".into(),
                        lines: vec![url.into()],
                    }));
                }
            }
        }
        assert!(blocks.iter().any(|block| block.lines.iter().any(|line| line.starts_with("$ "))), "{name}");
        Page { name, blocks }
    }

    /// The changes that the page shows: the lines of each block.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &[String]> {
        self.blocks.iter().filter(|block| block.kind == "diff").map(|block| block.lines.as_slice())
    }

    /// Runs the blocks of the page, in the folder `root`.
    pub(crate) fn run(&self, root: &Path) {
        let mut browser: Option<Browser> = None;
        let mut server: Option<Server> = None;
        let mut background = Vec::new();
        let mut status = 0;
        for block in &self.blocks {
            let place = format!("{}:{}", self.name, block.line);
            eprintln!("{place}");
            match block.kind.as_str() {
                "console" => {
                    for (command, expected) in commands(&block.lines) {
                        let command = command.expect("a command");
                        if let Some(command) = command.strip_suffix(" &") {
                            let mut shell = shell(root, command);
                            background.push(Process::start_unread(shell.stdout(Stdio::null()).stderr(Stdio::null())));
                            // It begins before the next command, as it does for a person who types.
                            sleep(TYPING);
                            continue;
                        }
                        // In a terminal, too, `echo $?` is about the command before.
                        let script = format!("(exit {status}); {command}");
                        let output = shell(root, &script).output().expect("a shell");
                        status = output.status.code().unwrap_or(1);
                        let text = String::from_utf8_lossy(&output.stdout).into_owned();
                        let mut lines = text.lines().map(str::to_owned);
                        follow(&format!("{place}: {command}"), expected, || lines.next());
                    }
                }
                "console typed" => {
                    let command = block.lines[0].strip_prefix("$ ").expect("a command");
                    let end = block.lines.iter().position(String::is_empty).expect("an empty line");
                    let child = leftovers::spawn(shell(root, command).stdin(Stdio::piped()).stdout(Stdio::piped()))
                        .expect("a shell");
                    for line in &block.lines[1..=end] {
                        writeln!(child.stdin.as_ref().expect("piped"), "{line}").expect("it reads what is typed");
                    }
                    let text = String::from_utf8_lossy(&child.wait_with_output().expect("it ends").stdout).into_owned();
                    let mut lines = text.lines().map(str::to_owned);
                    follow(&format!("{place}: {command}"), &block.lines[end + 1..], || lines.next());
                }
                "console server" => {
                    for (command, expected) in commands(&block.lines) {
                        if let Some(command) = command {
                            if let Some(mut other) = server.take() {
                                let mut next = || other.printed();
                                let end = std::iter::from_fn(|| match next() {
                                    Err(RecvTimeoutError::Timeout) => panic!("{place}: the other one still runs"),
                                    printed => printed.ok(),
                                });
                                let rest: Vec<_> = end.collect();
                                assert!(rest.is_empty(), "{place}: the other one printed more: {rest:?}");
                            }
                            server = Some(Server::start(root, command));
                            if expected.is_empty() {
                                wait_until_it_listens();
                            }
                        }
                        let running = server.as_mut().expect("a server");
                        let (before, after) = match expected.iter().position(|line| line == "^C") {
                            Some(end) => (&expected[..end], Some(&expected[end + 1..])),
                            None => (expected, None),
                        };
                        running.expect(&place, before);
                        drop(browser.take());
                        if let Some(after) = after {
                            running.interrupt();
                            follow(&place, after, || running.printed().ok().map(|printed| printed.line));
                            server = None;
                        }
                    }
                }
                // The browser stays open until the log has both of its requests: it asks for the icon behind the page.
                "browser" => browser = browse(&block.lines[0]),
                "rust" => {
                    std::fs::write(root.join("src/hello.rs"), block.lines.join("\n") + "\n").expect("a file");
                    if let Some(server) = &mut server {
                        loop {
                            let line = server.printed().expect("it starts anew").line;
                            assert!(!line.starts_with("warning") && !line.starts_with("error"), "{place}: {line}");
                            if line.starts_with("Access ") {
                                break;
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The commands of a block, each with its expected output; output before the first command has no command.
fn commands(lines: &[String]) -> Vec<(Option<&str>, &[String])> {
    let mut commands = Vec::new();
    let starts = (0..lines.len()).filter(|&index| index == 0 || lines[index].starts_with("$ "));
    let starts: Vec<usize> = starts.collect();
    for (number, &start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(lines.len());
        match lines[start].strip_prefix("$ ") {
            Some(command) => commands.push((Some(command), &lines[start + 1..end])),
            None => commands.push((None, &lines[start..end])),
        }
    }
    commands
}

/// Opens the page at `url`, and its icon. Returns the browser, if there is one.
fn browse(url: &str) -> Option<Browser> {
    match chromium::program() {
        Some(program) => {
            let mut browser = Browser::start(&program, "browser-lecture");
            browser.visit(url).expect("it gets an answer");
            assert_eq!(browser.page().text, "Hello World");
            Some(browser)
        }
        None => {
            for path in ["", "favicon.ico"] {
                let asked = Command::new("curl").args(["-s", "-o", "/dev/null", &format!("{url}{path}")]).status();
                assert!(asked.expect("curl is there").success());
            }
            None
        }
    }
}

/// Waits for a server that does not print when it is ready.
fn wait_until_it_listens() {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect("127.0.0.1:9000").is_err() {
        assert!(Instant::now() < end, "nothing listens on port 9000");
        sleep(Duration::from_millis(20));
    }
}

/// A shell in `root`, whose commands print to one stream.
fn shell(root: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 2>&1; {script}")]).current_dir(root).stdin(Stdio::null());
    command
}

/// Asserts that the printed lines are the expected ones.
fn follow(place: &str, expected: &[String], mut next: impl FnMut() -> Option<String>) {
    let mut printed = Vec::new();
    while let Some(line) = next() {
        if !is_about_building(&line) {
            printed.push(line);
        }
    }
    let mut rest = printed.as_slice();
    for (index, line) in expected.iter().enumerate() {
        if line == "..." {
            let Some(next) = expected.get(index + 1) else {
                return;
            };
            let skipped = rest.iter().position(|printed| matches(next, printed));
            rest = &rest[skipped.unwrap_or_else(|| panic!("{place}: no {next:?} in {printed:#?}"))..];
            continue;
        }
        let (first, others) = rest.split_first().unwrap_or_else(|| panic!("{place}: no {line:?} in {printed:#?}"));
        assert!(matches(line, first), "{place}:\n  the page has {line:?}\n  printed was  {first:?}\n{printed:#?}");
        rest = others;
    }
    assert!(rest.is_empty(), "{place}: printed was more than the page has: {rest:#?}");
}

/// Whether `printed` matches the line of the page.
fn matches(line: &str, printed: &str) -> bool {
    let (line, printed) = (normal(line), normal(printed));
    let mut parts = line.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        open = true;
        let Some(index) = rest.find(part) else {
            return false;
        };
        rest = &rest[index + part.len()..];
    }
    rest.is_empty() || open && line.ends_with("...")
}

/// `line` without the parts that differ from run to run.
fn normal(line: &str) -> String {
    let mut line = line.trim_end().to_owned();
    for (pattern, name) in [
        (r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]", "[<date>]"),
        (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "<date>"),
        (r"(127\.0\.0\.1|\[::1\]):\d{5}", "<caller>"),
        (r"^(127\.0\.0\.1|::1) - - ", "<caller> - - "),
        (r" +\d+\.\d{3} s ", " <time> "),
        (r"curl/[\d.]+", "curl/<version>"),
    ] {
        line = Regex::new(pattern).expect("a pattern").replace_all(&line, name).into_owned();
    }
    line
}

impl Server {
    fn start(root: &Path, command: &str) -> Self {
        // In a copy, nothing but the builds from `src` differs, so nothing else is built again.
        let mut command = command.to_owned();
        if root != component::root() {
            command = command.replacen("runner/serve", "runner/serve --wasmtime", 1);
        }
        // As in a terminal, Ctrl-C ends the command, even if these tests run in the background, with that signal ignored.
        let mut shell = Command::new("env");
        shell.args(["--default-signal=INT", "sh"]);
        shell.args(["-c", &format!("exec {command}")]).current_dir(root).stdin(Stdio::null()).process_group(0);
        if root != component::root() {
            shell.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("lecture-target"));
        }
        let mut process = Process::start_unread(shell.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (sender, lines) = channel();
        pass_on(Stream::Output, process.child.stdout.take().expect("piped"), sender.clone());
        pass_on(Stream::Error, process.child.stderr.take().expect("piped"), sender);
        Server { process, lines, early: Vec::new() }
    }

    /// The next line that the server prints.
    fn printed(&mut self) -> Result<Printed, RecvTimeoutError> {
        if !self.early.is_empty() {
            return Ok(self.early.remove(0));
        }
        loop {
            let printed = self.lines.recv_timeout(PATIENCE)?;
            if !is_about_building(&printed.line) {
                return Ok(printed);
            }
        }
    }

    /// Waits for these lines of the server.
    fn expect(&mut self, place: &str, lines: &[String]) {
        let mut any = false;
        for line in lines {
            if line == "..." {
                any = true;
                continue;
            }
            let mut early: Vec<Printed> = Vec::new();
            loop {
                let printed = self.printed();
                let printed = printed.unwrap_or_else(|error| panic!("{place}: no {line:?}, {error}; {early:#?}"));
                // A line is not the next one while an earlier line of its stream waits.
                let is_next = any || early.iter().all(|other| other.stream != printed.stream);
                if is_next && matches(line, &printed.line) {
                    break;
                }
                assert!(is_next, "{place}:\n  the page has {line:?}\n  printed was {early:#?} and {printed:?}");
                if !any {
                    early.push(printed);
                }
            }
            early.append(&mut self.early);
            self.early = early;
            any = false;
        }
    }

    /// Sends the signal of Ctrl-C to every process of that terminal.
    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", "--", &format!("-{}", self.process.pid())]).status();
        assert!(sent.expect("kill is there").success());
    }
}

/// Sends the lines from `pipe` to `to`, from a thread of its own.
fn pass_on(stream: Stream, pipe: impl Read + Send + 'static, to: Sender<Printed>) {
    spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if to.send(Printed { stream, line }).is_err() {
                break;
            }
        }
    });
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM also ends the processes that the command has started: a script that watches ends its server.
        let _ = Command::new("kill").arg(self.process.pid().to_string()).stderr(Stdio::null()).status();
        let _ = self.process.child.wait();
    }
}
