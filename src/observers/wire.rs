//! The bytes of a conversation, in both directions: `>` is what the client says, `<` is what it is told.
//!
//! ```text
//! call 1  0.000 s   127.0.0.1:50000 is on the line
//! call 1  0.001 s > GET / HTTP/1.1\r\n
//! call 1  0.001 s > Authorization: ***\r\n
//! call 1  0.001 s > \r\n
//! call 1  0.002 s < HTTP/1.1 200 OK\r\n
//! ```
//!
//! The time is that since the call was picked up. What is not visible is written as `\r`, `\n` or `\xhh`. Values of fields
//! that let somebody in are masked, and long bodies cut.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use super::escape_invisible;
use super::lines::Lines;
use super::secrets::{Verdict, judge};
use crate::server::{Caller, Ending, Event, Observer, Part, Runtime};

/// How many bytes of a line, or of a body, are shown.
const SHOWN: usize = 512;

/// Shows the bytes of every call.
pub struct Wire<R> {
    lines: Rc<Lines>,
    runtime: R,
    /// Whether the terminal shows colours.
    colour: bool,
    /// Those that are on the line, by number. A number is larger than those before it, so they stay in order.
    calls: RefCell<Vec<(u64, Talk)>>,
}

/// A call, as far as it was shown.
struct Talk {
    /// When it was picked up.
    start: Duration,
    client: Side,
    server: Side,
}

/// One direction of it.
struct Side {
    /// `>` or `<`.
    mark: char,
    /// The colour of the terminal for it (ECMA-48 section 8.3.117, select graphic rendition).
    colour: u8,
    line: Line,
    /// How much of a body was shown, and how much was not.
    shown: usize,
    hidden: usize,
}

/// Where in a line of a head one side is.
enum Line {
    /// At its beginning, which may become the name of a secret: what there is of it was not shown. It is no longer than
    /// such a name. And whether the line before was a secret, which this one may go on with (RFC 9112 section 5.2).
    Name(Vec<u8>, bool),
    /// Behind the name of a line that is shown.
    Open,
    /// In the value of a secret.
    Secret,
}

impl<R: Runtime> Wire<R> {
    /// Adds to `lines`, in colours if the terminal has some. `runtime` has the time.
    pub fn new(lines: &Rc<Lines>, runtime: R, colour: bool) -> Self {
        Wire { lines: Rc::clone(lines), runtime, colour, calls: RefCell::default() }
    }

    /// Does something about a call, if it is known, and shows what comes of it: each piece a line.
    fn show(&self, caller: Caller, act: impl FnOnce(&mut Talk, &mut dyn FnMut(Option<&Side>, &str))) {
        let mut calls = self.calls.borrow_mut();
        let Ok(index) = calls.binary_search_by_key(&caller.number, |(number, _)| *number) else {
            return;
        };
        let talk = &mut calls[index].1;
        let time = self.runtime.now().saturating_sub(talk.start);
        act(talk, &mut |side, text| {
            self.lines.add(|out| {
                write!(out, "call {} {:>2}.{:03} s ", caller.number, time.as_secs(), time.subsec_millis())?;
                match side {
                    Some(side) if self.colour => writeln!(out, "\x1b[{}m{} {text}\x1b[0m", side.colour, side.mark),
                    Some(side) => writeln!(out, "{} {text}", side.mark),
                    None => writeln!(out, "  {text}"),
                }
            });
        });
    }
}

impl<R: Runtime> Observer for Wire<R> {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::PickedUp(caller) => {
                let talk = Talk { start: self.runtime.now(), client: Side::new('>', 36), server: Side::new('<', 32) };
                self.calls.borrow_mut().push((caller.number, talk));
                self.show(caller, |_, show| show(None, &format!("{} is on the line", caller.address)));
            }
            Event::Heard(caller, part) => self.show(caller, |talk, show| talk.client.part(part, show)),
            Event::Said(caller, part) => self.show(caller, |talk, show| {
                talk.client.end_body(show);
                talk.server.part(part, show);
            }),
            Event::HungUp(caller, ending) => {
                self.show(caller, |talk, show| {
                    talk.client.end(show);
                    talk.server.end(show);
                    let words = match ending {
                        Ending::Answered => "the server has hung up, after the last answer",
                        Ending::Finished => "the client has hung up",
                        Ending::Silent => "the server has stopped waiting, and hung up",
                        Ending::Gone => "the client is gone without a word",
                    };
                    show(None, words);
                });
                self.calls.borrow_mut().retain(|(number, _)| *number != caller.number);
            }
            Event::SocketMade(_)
            | Event::Bound(_)
            | Event::Listening { .. }
            | Event::Answered(_)
            | Event::AcceptFailed { .. } => {}
        }
    }
}

impl Side {
    fn new(mark: char, colour: u8) -> Self {
        Side { mark, colour, line: Line::Name(Vec::new(), false), shown: 0, hidden: 0 }
    }

    fn part(&mut self, part: Part<'_>, show: &mut dyn FnMut(Option<&Side>, &str)) {
        let (mut rest, in_head) = match part {
            Part::Head(bytes) => {
                self.end_body(show);
                (bytes, true)
            }
            Part::Body(bytes) => {
                let (visible, hidden) = bytes.split_at(bytes.len().min(SHOWN - self.shown));
                self.shown += visible.len();
                self.hidden += hidden.len();
                (visible, false)
            }
        };
        while !rest.is_empty() {
            // A carriage return alone ends no line, but whoever sends one may think so.
            let ends = |&index: &usize| match rest[index] {
                b'\n' => true,
                b'\r' => rest.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            let end = (0..rest.len()).find(ends).map_or(rest.len(), |index| index + 1);
            let (piece, behind) = rest.split_at(end);
            if let Some(text) = self.piece(piece, in_head) {
                show(Some(self), &text);
            }
            rest = behind;
        }
    }

    /// The text for a piece of one line; nothing, as long as it may become a secret. (A trailer behind a body may, too.)
    fn piece(&mut self, piece: &[u8], in_head: bool) -> Option<String> {
        let ends = matches!(piece.last(), Some(b'\r' | b'\n'));
        let text;
        (text, self.line) = match std::mem::replace(&mut self.line, Line::Open) {
            Line::Open => (visibly(piece), Line::Open),
            // The rest of a line end that came in two pieces; and below, of a line that is shown.
            Line::Secret if piece == b"\n" => (visibly(piece), Line::Secret),
            Line::Secret => (mask(&[], piece), Line::Secret),
            Line::Name(line, after_secret) if line.is_empty() && piece == b"\n" => {
                self.line = Line::Name(line, after_secret);
                return Some(visibly(piece));
            }
            Line::Name(mut line, after_secret) => {
                line.extend_from_slice(piece);
                let is_fold = (in_head || after_secret) && matches!(line.first(), Some(b' ' | b'\t'));
                match judge(&line) {
                    _ if is_fold => (mask(&[], &line), Line::Secret),
                    Verdict::Secret(name) => (mask(&line[..name], &line), Line::Secret),
                    Verdict::Undecided => {
                        self.line = Line::Name(line, after_secret);
                        return None;
                    }
                    Verdict::Open => (visibly(&line), Line::Open),
                }
            }
        };
        self.line = match std::mem::replace(&mut self.line, Line::Open) {
            // Behind a carriage return alone the secret may go on.
            Line::Secret if piece.ends_with(b"\r") => Line::Secret,
            line if ends => Line::Name(Vec::new(), matches!(line, Line::Secret)),
            line => line,
        };
        Some(text)
    }

    /// Ends a body, if there was one: says how much of it was not shown, and gets ready for the next line.
    fn end_body(&mut self, show: &mut dyn FnMut(Option<&Side>, &str)) {
        if self.shown == 0 {
            return;
        }
        self.end_line(show);
        if self.hidden > 0 {
            show(Some(self), &format!("... and {} more bytes", self.hidden));
        }
        (self.shown, self.hidden) = (0, 0);
        self.line = Line::Name(Vec::new(), false);
    }

    /// Shows what was held back.
    fn end_line(&mut self, show: &mut dyn FnMut(Option<&Side>, &str)) {
        if let Line::Name(line, _) = &self.line
            && !line.is_empty()
        {
            show(Some(self), &visibly(line));
        }
    }

    /// Shows all that is left.
    fn end(&mut self, show: &mut dyn FnMut(Option<&Side>, &str)) {
        match self.shown {
            0 => self.end_line(show),
            _ => self.end_body(show),
        }
    }
}

/// `name` and its colon, and the end of `line`, if it has one, with nothing to be seen of what stands between them.
fn mask(name: &[u8], line: &[u8]) -> String {
    let end = match line {
        [.., b'\r', b'\n'] => "\\r\\n",
        [.., b'\n'] => "\\n",
        [.., b'\r'] => "\\r",
        _ => "",
    };
    let blank = if name.is_empty() { "" } else { " " };
    format!("{}{blank}***{end}", visibly(name))
}

/// A line, or a part of one, in which everything can be seen; the beginning of it if it is long.
fn visibly(line: &[u8]) -> String {
    let mut text = String::new();
    let (shown, hidden) = line.split_at(line.len().min(SHOWN));
    for &byte in shown {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            _ => escape_invisible(&mut text, byte),
        }
    }
    if !hidden.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(text, " ... and {} more bytes", hidden.len());
    }
    text
}
