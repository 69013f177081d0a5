//! `--audit`: lists what a component asks of the sandbox, with the answers, as a line of JSON each. docs/sandbox.md has the
//! format. With `--audit-to-stdin`, the component itself gets the lines.
//!
//! A thread writes the lines, so that a slow disk does not slow the component. The list is bounded, so that a component cannot
//! fill the disk with questions, nor the memory with lines that wait.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hello_failure::Failure;

use crate::stdio::{InputLines, NAME, Output, write_all};
use crate::system;

/// The most lines about one question. More questions like it are counted, and the count is one line at the end.
const MOST_ALIKE: u64 = 100;

/// The most lines in all. A question behind them is only counted; a new one is counted without its detail.
const MOST_LINES: u64 = 10_000;

/// The most bytes of a detail, which comes from the component.
const MOST_DETAIL: usize = 256;

/// The time that the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// May it bind this address, or listen on it?
    Listen,
    /// May it connect to this address?
    Connect,
    /// May it send a request to this address or name?
    Http,
    /// May it use this path?
    File,
    /// What are the addresses of this name?
    Name,
    /// May it use UDP, by this version of IP?
    Udp,
    /// May it have this many MiB of memory?
    Memory,
    /// May it run for this many seconds without waiting? (It does not ask, but takes more than the limit.)
    Turn,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Listen => "listen",
            What::Connect => "connect",
            What::Http => "http",
            What::File => "file",
            What::Name => "name",
            What::Udp => "udp",
            What::Memory => "memory",
            What::Turn => "turn",
        }
    }
}

/// The list, if there is one. Clones write to the same list.
#[derive(Clone, Default)]
pub(crate) struct Audit(Option<Arc<Shared>>);

struct Shared {
    started: Instant,
    list: Mutex<List>,
    /// The standard input of the component, if the lines also go there.
    input: Option<Arc<InputLines>>,
    /// The number of lines that wait to be written, or could not be.
    unwritten: Arc<AtomicU64>,
    stderr: Arc<Output>,
}

struct List {
    /// `None` without a file, and once the list is finished.
    sink: Option<Sink>,
    /// The number of lines in the list.
    lines: u64,
    asked: BTreeMap<Question, Times>,
    /// Whether `--grant-needs` is asking the component for its needs.
    is_check: bool,
}

/// The place for the lines.
enum Sink {
    Stderr,
    /// A thread takes the lines, and drops its end of `written` when it has written them.
    File {
        lines: Sender<String>,
        written: Receiver<()>,
    },
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    what: What,
    /// `None` for the questions behind [`MOST_LINES`].
    detail: Option<String>,
    /// The number of bytes that the detail has lost.
    cut: usize,
    allowed: bool,
    option: Option<String>,
    is_check: bool,
}

/// How many times a question was asked.
#[derive(Default)]
struct Times {
    /// With a line each.
    listed: u64,
    /// Without a line.
    counted: u64,
}

impl Audit {
    /// A list in the file at `path`, which is created or emptied, or on standard error if `path` is `-`; and, if it `has_input`,
    /// in the standard input of the component. Without both there is no list. Times count from `started`.
    ///
    /// # Errors
    /// The file cannot be written, or the system has no thread to write it.
    pub(crate) fn new(
        path: Option<&Path>,
        has_input: bool,
        started: Instant,
        stderr: &Arc<Output>,
    ) -> Result<Self, Failure> {
        if path.is_none() && !has_input {
            return Ok(Audit::default());
        }
        let unwritten = Arc::default();
        let sink = match path {
            Some(path) if path.as_os_str() == "-" => Some(Sink::Stderr),
            Some(path) => Some(open(path, &unwritten, stderr)?),
            None => None,
        };
        let list = Mutex::new(List { sink, lines: 0, asked: BTreeMap::new(), is_check: false });
        let input = has_input.then(Arc::default);
        Ok(Audit(Some(Arc::new(Shared { started, list, input, unwritten, stderr: Arc::clone(stderr) }))))
    }

    /// The lines for the standard input of the component; without `--audit-to-stdin` there never is one.
    pub(crate) fn input(&self) -> Arc<InputLines> {
        self.0.as_ref().and_then(|shared| shared.input.clone()).unwrap_or_default()
    }

    /// Lists a question, and its answer: `Err` if it was refused, with the option that would allow it, if there is one.
    pub(crate) fn asked(&self, what: What, detail: &dyn Display, answer: Result<(), Option<&str>>) {
        let Some(shared) = &self.0 else { return };
        let mut guard = shared.list();
        let list = &mut *guard;
        let mut question = Question::new(what, detail.to_string(), answer, list.is_check);
        let is_full = list.lines >= MOST_LINES;
        if is_full && !list.asked.contains_key(&question) {
            question = Question { detail: None, cut: 0, option: None, ..question };
        }
        let times = list.asked.entry(question.clone()).or_default();
        if is_full || times.listed >= MOST_ALIKE {
            times.counted += 1;
            return;
        }
        times.listed += 1;
        list.lines += 1;
        shared.write(list, question.line(shared.started.elapsed(), 0));
    }

    /// Marks the questions from here on: whether they come while `--grant-needs` asks the component for its needs. A
    /// component can tell from its arguments that it is asked, so a list without these questions would have a blind spot.
    pub(crate) fn mark_check(&self, is_check: bool) {
        if let Some(shared) = &self.0 {
            shared.list().is_check = is_check;
        }
    }

    /// Ends the list with the counts, and waits until it is written, but not for long. Prints how many lines are missing.
    pub(crate) fn finish(&self) {
        let Some(shared) = &self.0 else { return };
        let mut list = shared.list();
        for (question, Times { counted, .. }) in std::mem::take(&mut list.asked) {
            if counted > 0 {
                shared.write(&list, question.line(shared.started.elapsed(), counted));
            }
        }
        let sink = list.sink.take();
        drop(list);
        match sink {
            None => return,
            Some(Sink::Stderr) => shared.stderr.drain(LAST_LINES),
            Some(Sink::File { lines, written }) => {
                drop(lines);
                let _ = written.recv_timeout(LAST_LINES);
            }
        }
        match shared.unwritten.load(Ordering::Relaxed) {
            0 => {}
            1 => shared.stderr.say([format!("{NAME}: note: a line of the audit was not written").as_str()]),
            lines => shared.stderr.say([format!("{NAME}: note: {lines} lines of the audit were not written").as_str()]),
        }
    }
}

impl Shared {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, list: &List, line: String) {
        // While the component is asked for its needs it does not serve.
        if let Some(input) = self.input.as_ref().filter(|_| !list.is_check) {
            input.add(&line);
        }
        match &list.sink {
            None => {}
            Some(Sink::Stderr) => self.stderr.say([line.as_str()]),
            Some(Sink::File { lines, .. }) => {
                self.unwritten.fetch_add(1, Ordering::Relaxed);
                // The thread ends after this end of the channel.
                let _ = lines.send(line + "\n");
            }
        }
    }
}

/// Opens the file at `path`, and starts the thread that writes it.
fn open(path: &Path, unwritten: &Arc<AtomicU64>, stderr: &Arc<Output>) -> Result<Sink, Failure> {
    let advice = "give --audit a file in a folder that you can write to, or - for standard error";
    let refused = |error| system::could_not(&format!("cannot write the audit to {}", path.display()), &error, advice);
    let file = File::create(path).map_err(refused)?;
    let ((lines, waiting), (writing, written)) = (channel(), channel());
    let (unwritten, stderr, name) = (Arc::clone(unwritten), Arc::clone(stderr), path.display().to_string());
    let write = move || {
        write_lines(&waiting, file, &name, &unwritten, &stderr);
        drop::<Sender<()>>(writing);
    };
    std::thread::Builder::new().spawn(write).map_err(|error| system::refused(&error))?;
    Ok(Sink::File { lines, written })
}

/// Writes `lines` as they come, to the last one. Prints the first error of the file, which is called `name`.
fn write_lines(lines: &Receiver<String>, mut file: File, name: &str, unwritten: &AtomicU64, stderr: &Output) {
    let (mut end, mut has_failed) = (0, false);
    for line in lines {
        match write_all(&mut file, line.as_bytes()) {
            Ok(()) => {
                end += line.len() as u64;
                unwritten.fetch_sub(1, Ordering::Relaxed);
            }
            Err(error) => {
                // The next line must not stand behind a part of this one. (A pipe and a device cannot be cut.)
                let _ = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
                if !std::mem::replace(&mut has_failed, true) {
                    let note = format!("{NAME}: note: lines of the audit are missing: cannot write to {name}: {error}");
                    stderr.say([
                        note.as_str(),
                        "  the component goes on, and the audit if the file can be written again",
                    ]);
                }
            }
        }
    }
}

impl Question {
    fn new(what: What, mut detail: String, answer: Result<(), Option<&str>>, is_check: bool) -> Self {
        let whole = detail.len();
        detail.truncate(detail.floor_char_boundary(MOST_DETAIL));
        Question {
            what,
            cut: whole - detail.len(),
            detail: Some(detail),
            allowed: answer.is_ok(),
            option: answer.err().flatten().map(str::to_owned),
            is_check,
        }
    }

    /// The line of JSON, without its end. A `count` of 0 is left out.
    fn line(&self, time: Duration, count: u64) -> String {
        let (time, what, allowed) = (time.as_secs_f64(), self.what.word(), self.allowed);
        let mut line = format!(r#"{{"v":1,"time":{time:.6},"event":"asked","what":"{what}""#);
        if let Some(detail) = &self.detail {
            line += &format!(r#","detail":{}"#, json(detail));
        }
        if self.cut > 0 {
            line += &format!(r#","cut":{}"#, self.cut);
        }
        let option = self.option.as_deref().map_or_else(|| "null".to_owned(), json);
        line += &format!(r#","allowed":{allowed},"option":{option}"#);
        if self.is_check {
            line += r#","check":true"#;
        }
        if count > 0 {
            line += &format!(r#","count":{count}"#);
        }
        line + "}"
    }
}

/// Quotes `text` for JSON (RFC 8259 section 7), in visible characters of ASCII: a terminal obeys none of them.
fn json(text: &str) -> String {
    let mut quoted = String::from('"');
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(sign @ ('"' | '\\')) => quoted.extend(['\\', sign]),
            Some(sign @ ' '..='~') => quoted.push(sign),
            _ => _ = write!(quoted, "\\u{unit:04x}"),
        }
    }
    quoted + "\""
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The lines of an audit in a file with this name, after `ask`, without their beginnings.
    pub(crate) fn lines(name: &str, ask: impl FnOnce(&Audit)) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("hello-runner-{}-{name}", std::process::id()));
        let stderr = Output::stderr().expect("a thread");
        let audit = Audit::new(Some(&path), false, Instant::now(), &stderr).expect("a file");
        ask(&audit);
        audit.finish();
        let text = std::fs::read_to_string(&path).expect("the audit");
        std::fs::remove_file(&path).expect("remove the audit");
        // The time is different each time.
        let without_time = |line: &str| {
            let (_, rest) = line.strip_prefix(r#"{"v":1,"time":"#)?.split_once(r#","event":"asked","#)?;
            Some(rest.to_owned())
        };
        text.lines().map(|line| without_time(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }

    #[test]
    fn a_question_is_a_line_of_json() {
        let line = |detail: &str, answer, is_check| {
            Question::new(What::File, detail.into(), answer, is_check).line(Duration::from_micros(1_500_000), 0)
        };
        let begin = r#"{"v":1,"time":1.500000,"event":"asked","what":"file","detail":"#;
        assert_eq!(line("a", Ok(()), false), format!(r#"{begin}"a","allowed":true,"option":null}}"#));
        assert_eq!(
            line("a", Err(Some("--b 1")), true),
            format!(r#"{begin}"a","allowed":false,"option":"--b 1","check":true}}"#)
        );
        let long = "é".repeat(MOST_DETAIL);
        let cut = format!(r#"\u00e9","cut":{MOST_DETAIL},"allowed":false,"option":null}}"#);
        assert!(line(&long, Err(None), false).ends_with(&cut), "{}", line(&long, Err(None), false));
    }

    #[test]
    fn json_is_visible_ascii() {
        for (text, quoted) in [
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("\n\x1b\x7f", r#""\u000a\u001b\u007f""#),
            ("é\u{202e}😀", r#""\u00e9\u202e\ud83d\ude00""#),
            ("", r#""""#),
        ] {
            assert_eq!(json(text), quoted);
        }
    }

    #[test]
    fn questions_alike_are_counted_after_a_hundred() {
        let lines = lines("alike", |audit| {
            for _ in 0..1_000_000 {
                audit.asked(What::Name, &"a", Err(None));
            }
            audit.asked(What::Name, &"b", Err(None));
        });
        assert_eq!(lines.len(), 102);
        let [alike, other, count] = [99, 100, 101].map(|index| lines[index].as_str());
        assert_eq!(alike, r#""what":"name","detail":"a","allowed":false,"option":null}"#);
        assert_eq!(other, r#""what":"name","detail":"b","allowed":false,"option":null}"#);
        assert_eq!(count, r#""what":"name","detail":"a","allowed":false,"option":null,"count":999900}"#);
    }

    #[test]
    fn questions_behind_the_last_line_are_counted_without_their_details() {
        let lines = lines("different", |audit| {
            for number in 0..MOST_LINES + 5 {
                audit.asked(What::Connect, &number, Err(Some("--option")));
            }
            audit.asked(What::Connect, &0, Err(Some("--option")));
            audit.asked(What::Http, &0, Ok(()));
        });
        assert_eq!(
            lines[MOST_LINES as usize..],
            [
                r#""what":"connect","allowed":false,"option":null,"count":5}"#,
                r#""what":"connect","detail":"0","allowed":false,"option":"--option","count":1}"#,
                r#""what":"http","allowed":true,"option":null,"count":1}"#,
            ]
        );
    }

    #[test]
    fn the_list_ends_once() {
        let lines = lines("once", |audit| {
            audit.asked(What::Udp, &"IPv4", Err(None));
            audit.finish();
            audit.asked(What::Udp, &"IPv6", Err(None));
        });
        assert_eq!(lines, [r#""what":"udp","detail":"IPv4","allowed":false,"option":null}"#]);
    }

    #[test]
    fn the_component_gets_the_questions_of_its_real_run() {
        let stderr = Output::stderr().expect("a thread");
        let audit = Audit::new(None, true, Instant::now(), &stderr).expect("no file is needed");
        audit.mark_check(true);
        audit.asked(What::File, &"check", Err(None));
        audit.mark_check(false);
        audit.asked(What::File, &"run", Err(None));
        let input = audit.input().read_all();
        assert!(input.contains(r#""what":"file","detail":"run","allowed":false"#) && input.ends_with("}\n"), "{input}");
        assert_eq!(input.lines().count(), 1, "{input}");
        audit.finish();
    }

    #[test]
    fn without_a_list_no_text_is_made() {
        struct Untouched;
        impl Display for Untouched {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("nothing needs this text");
            }
        }
        Audit::default().asked(What::File, &Untouched, Err(None));
        Audit::default().finish();
    }
}
