//! A reader of the access log that knows the expected lines.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;

use super::honest::{CLIENTS, Question};

/// The content of the log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The number of lines about requests.
    pub(crate) lines: u64,
    /// The number of the next request of each client.
    pub(crate) next: [u64; CLIENTS],
    /// The number of lines about the target `*`, by their text. Hostile peers send no such request.
    pub(crate) stars: HashMap<String, u64>,
    /// The last line.
    pub(crate) summary: String,
}

impl Log {
    /// Reads the whole log. A line that is torn, forged, repeated or out of order is a panic.
    pub(crate) fn read(lines: Receiver<String>) -> Self {
        let mut log = Log::default();
        for line in lines {
            match (behind_time(&line), &line[..]) {
                (Some(exchange), _) if log.summary.is_empty() => log.exchange(exchange),
                (None, "Shutting down...") => {}
                (None, summary) if summary.starts_with("Served ") => log.summary = line,
                _ => panic!("this is no line of the log: {line:?}"),
            }
        }
        log
    }

    fn exchange(&mut self, exchange: &str) {
        self.lines += 1;
        if exchange.starts_with("\"OPTIONS * ") {
            *self.stars.entry(exchange.to_owned()).or_default() += 1;
            return;
        }
        // `"GET /c3/17 HTTP/1.1" 200 41`
        let target = exchange.split(' ').nth(1).unwrap_or_default();
        let Some((client, number)) = target.strip_prefix("/c").and_then(|name| name.split_once('/')) else {
            return;
        };
        let (client, number) = (client.parse().expect("a client"), number.parse::<u64>().expect("a number"));
        let next = &mut self.next[client];
        let question = loop {
            let question = Question::new(client, *next);
            *next += 1;
            if !question.is_star {
                break question;
            }
        };
        assert_eq!((*next - 1, question.logged().as_str()), (number, exchange));
    }
}

/// The part behind the time of a whole line in the Common Log Format: the request, in quotes, status and length.
fn behind_time(line: &str) -> Option<&str> {
    let (time, exchange) = line.strip_prefix("127.0.0.1 - - [")?.split_once("] ")?;
    let fits = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'a' => byte.is_ascii_alphabetic(),
        _ => byte == form,
    };
    if time.len() != 26 || !time.bytes().zip(*b"00/aaa/0000:00:00:00 +0000").all(fits) {
        return None;
    }
    let (request, answer) = exchange.strip_prefix('"')?.rsplit_once("\" ")?;
    let mut escaped = false;
    for byte in request.bytes() {
        match byte {
            b'"' if !escaped => return None,
            b' '..=b'~' => escaped = byte == b'\\' && !escaped,
            _ => return None,
        }
    }
    if escaped {
        return None;
    }
    let (status, length) = answer.split_once(' ')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (status.len() == 3 && is_number(status) && (is_number(length) || length == "-")).then_some(exchange)
}

#[test]
fn a_line_is_whole_or_it_is_none() {
    let line = r#"127.0.0.1 - - [23/Nov/2026:20:31:47 +0000] "GET /\"\\ HTTP/1.1" 200 41"#;
    assert_eq!(behind_time(line), Some(r#""GET /\"\\ HTTP/1.1" 200 41"#));
    for cut in 0..line.len() - "41".len() {
        assert_eq!(behind_time(&line[..cut]), None, "{cut}");
        assert_eq!(behind_time(&format!("{}{line}", &line[..cut.max(1)])), None, "{cut}");
    }
    assert_eq!(behind_time(&line.replace("\\\"", "\"")), None);
}
