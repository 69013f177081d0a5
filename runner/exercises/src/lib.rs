//! The exercises of `docs/exercises.md`, as questions to a server, with the answer that each question expects, and a hint for each
//! answer that is not right yet. `runner/check` prints what this crate finds.
//!
//! | file | contents |
//! |---|---|
//! | `checks` | the exercises: each question, what is expected, and the mistakes with their hints |
//! | `server` | a server in its sandbox: asks it, and finds out why it does not answer |
//!
//! A server under test may do what it likes: never answer, panic, print without an end. Each of these is an answer with a hint, and
//! no process is left behind.

mod checks;
mod server;

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

pub use checks::EXERCISES;
use server::Server;
pub use server::{Ended, Outcome, Reply};

/// An exercise.
pub struct Exercise {
    /// The title, as in `docs/exercises.md`.
    pub title: &'static str,
    /// The place in the documentation that has the task.
    pub read: &'static str,
    /// Its questions, in the order in which they are asked.
    pub checks: &'static [Check],
}

/// A question, and the answer that it expects.
pub struct Check {
    /// What is sent.
    question: Question,
    /// The time to wait before the question.
    pause: Duration,
    /// What has to come, in words.
    expected: &'static str,
    judge: Judge,
    /// The place in the documentation that explains it; empty for the task itself.
    read: &'static str,
}

/// A request.
#[derive(Debug, Clone, Copy)]
struct Question {
    method: &'static str,
    target: &'static str,
    /// More header lines, each with its line end.
    fields: &'static [u8],
    body: Body,
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
enum Body {
    Text(&'static str),
    /// A form with a name of this many letters.
    Long(usize),
}

/// Decides on an answer.
enum Judge {
    /// The hint for this reply, or `None` if the reply is right. Earlier replies to the same exercise come second.
    Reply(fn(&Reply, &[Reply]) -> Option<&'static str>),
    /// The program has to panic.
    Panic,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was asked, such as `GET /hello/Ada`.
    pub asked: String,
    /// The command that asks the same of the server at port 9000.
    pub command: String,
    /// What had to come.
    pub expected: String,
    /// What came.
    pub came: String,
    /// What to do about it; `None` if the answer is right.
    pub hint: Option<String>,
    /// The place in the documentation that explains it.
    pub read: String,
}

impl Exercise {
    /// Asks all questions of the exercise, and returns what each has found, in their order. `start` returns the command that starts
    /// the server: it is called again when the server has ended before the last question. A server that does not answer in time is
    /// not asked any more: then the list is shorter.
    pub fn check(&self, mut start: impl FnMut() -> Command) -> Vec<Finding> {
        let (mut findings, mut replies) = (Vec::new(), Vec::new());
        let mut server: Option<Server> = None;
        for check in self.checks {
            sleep(check.pause);
            let running = match server.take() {
                Some(running) => Ok(running),
                None => Server::start(&mut start()),
            };
            let outcome = match running {
                Ok(mut running) => {
                    let outcome = running.ask(&check.question.bytes());
                    if matches!(outcome, Outcome::Reply(_)) {
                        server = Some(running);
                    }
                    outcome
                }
                Err(ended) => Outcome::Ended(ended),
            };
            findings.push(Finding { read: self.place(check).to_owned(), ..check.finding(&outcome, &replies) });
            match outcome {
                Outcome::Reply(reply) => replies.push(reply),
                Outcome::Ended(Ended::Silent | Ended::Flood) => break,
                Outcome::Ended(_) => {}
            }
        }
        findings
    }
}

impl Exercise {
    /// The place in the documentation that explains this question.
    fn place(&self, check: &Check) -> &'static str {
        if check.read.is_empty() { self.read } else { check.read }
    }

    /// Every place in the documentation that a finding of this exercise may name.
    pub fn places(&self) -> impl Iterator<Item = &'static str> {
        self.checks.iter().map(|check| self.place(check))
    }
}

impl Check {
    fn finding(&self, outcome: &Outcome, before: &[Reply]) -> Finding {
        let hint = match (&self.judge, outcome) {
            (Judge::Reply(judge), Outcome::Reply(reply)) => judge(reply, before).map(str::to_owned),
            (Judge::Reply(_), Outcome::Ended(ended)) => Some(ended.hint()),
            (Judge::Panic, Outcome::Ended(Ended::Panic(_))) => None,
            (Judge::Panic, outcome) => Some(checks::no_panic(outcome).to_owned()),
        };
        Finding {
            asked: self.question.to_string(),
            command: self.question.command(),
            expected: self.expected.to_owned(),
            came: outcome.to_string(),
            hint,
            read: String::new(),
        }
    }
}

impl Question {
    /// The bytes of the request.
    fn bytes(&self) -> Vec<u8> {
        let Question { method, target, fields, .. } = self;
        let body = self.body.text();
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n").into_bytes();
        bytes.extend_from_slice(fields);
        if *method == "POST" {
            let kind = "application/x-www-form-urlencoded";
            bytes.extend(format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()).bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend(body.bytes());
        bytes
    }

    /// The command of `curl` for this request.
    fn command(&self) -> String {
        let mut command = "curl -i --path-as-is".to_owned();
        for line in String::from_utf8_lossy(self.fields).lines() {
            command += &format!(" -H \"{}\"", hello_failure::escape(line));
        }
        match self.body {
            Body::Text("") if self.method == "POST" => command += " -X POST",
            Body::Text("") => {}
            Body::Text(text) => command += &format!(" --data \"{text}\""),
            Body::Long(letters) => command += &format!(" --data \"name=$(printf %0{letters}d 0)\""),
        }
        format!("{command} \"http://localhost:9000{}\"", self.target)
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        for line in String::from_utf8_lossy(self.fields).lines() {
            write!(f, ", with the header {}", hello_failure::escape(line))?;
        }
        match self.body {
            Body::Text("") => Ok(()),
            Body::Text(text) => write!(f, ", with the body {text}"),
            Body::Long(_) => write!(f, ", with a body of {} bytes: name=000...", self.body.text().len()),
        }
    }
}

impl Body {
    fn text(self) -> String {
        match self {
            Body::Text(text) => text.to_owned(),
            Body::Long(letters) => format!("name={}", "0".repeat(letters)),
        }
    }
}
