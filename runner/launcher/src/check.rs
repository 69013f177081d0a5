//! `check`: builds a solution of an exercise, runs it in the sandbox, and says which of its answers are right.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hello_exercises::{EXERCISES, Exercise, Finding};
use hello_failure::{Failure, escape};
use tinyjson::JsonValue;

use crate::process::cannot_start;
use crate::{cargo, host, kit, print, print_error};

/// The text of `--help`.
const HELP: &str = "\
Checks a solution of an exercise of docs/exercises.md: builds it, runs it in the sandbox, and asks what the exercise asks.

  runner/check [EXERCISE] [--json] [FILE...]

EXERCISE is a number from 1 to 7; without it, each exercise is tried. FILE is a solution to take the place of src/hello.rs; without
it, src/hello.rs itself is checked. For several files it prints a line for each. --json prints a line of JSON for each question.
Exit code 0 means that the exercise is done, in every file; 1, that it is not. (Or: cargo check-exercise, with the same arguments.)
";

/// The parts of the project that a build of the server reads: all packages, because cargo reads the manifest of each.
const PARTS: [&str; 10] =
    ["Cargo.toml", "Cargo.lock", "bench", "examples", "failure", "runner", "runtime", "src", "tests", "wit"];

/// The time for a build: the first one, with all libraries, and each other one, which takes about a second.
const FIRST_BUILD: Duration = Duration::from_secs(600);
const MOST_BUILD: Duration = Duration::from_secs(60);

/// The width of a line of a finding.
const COLUMNS: usize = 78;

/// The options of the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// The index of the exercise in the list; `None` for all of them.
    exercise: Option<usize>,
    json: bool,
    files: Vec<PathBuf>,
    help: bool,
}

/// A copy of the project, in which a solution takes the place of `src/hello.rs`.
struct Copy {
    project: PathBuf,
    target: PathBuf,
    /// Locked as long as this check uses the copy.
    _lock: File,
}

/// The findings for one file and one exercise, or the reason why the file cannot be checked.
struct Checked {
    number: usize,
    findings: Vec<Finding>,
    /// The number of questions of the exercise, which may be more than the findings.
    questions: usize,
}

/// Checks solutions.
///
/// # Errors
/// The command line is wrong, or the sandbox cannot be built. A solution that is not right is no error, but an exit code.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let options = parse(words)?;
    if options.help {
        print(HELP);
        return Ok(0);
    }
    if kit::folder().is_some() {
        return Err(Failure::usage("this builds the project, and a kit has no source", kit::WHOLE_PROJECT).into());
    }
    cargo::add_target()?;
    let sandbox = host::sandbox(false)?;
    let copy = Copy::make()?;
    let exercises = options.exercise.map_or(0..EXERCISES.len(), |index| index..index + 1);
    let own = [PathBuf::from("src/hello.rs")];
    let files = if options.files.is_empty() { &own[..] } else { &options.files };
    let mut all_done = true;
    for file in files {
        let component = copy.build(file)?;
        if let (Err(message), false, 1) = (&component, options.json, files.len()) {
            print_error(message);
        }
        let mut some_done = false;
        for index in exercises.clone() {
            let exercise = &EXERCISES[index];
            let findings = match &component {
                Ok(component) => exercise.check(|| in_sandbox(&sandbox, component)),
                Err(message) => vec![does_not_compile(file, message)],
            };
            let checked = Checked { number: index + 1, findings, questions: exercise.checks.len() };
            some_done |= checked.is_done();
            let is_list = files.len() > 1 || exercises.len() > 1;
            print(&match (options.json, is_list) {
                (true, _) => checked.json(file),
                (_, true) => checked.line(file, exercises.len() > 1),
                (_, false) => checked.report(exercise),
            });
        }
        all_done &= some_done;
    }
    Ok(u8::from(!all_done))
}

/// Reads the command line.
fn parse(words: Vec<OsString>) -> anyhow::Result<Options> {
    use lexopt::prelude::*;

    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next().map_err(Failure::from)? {
        match argument {
            Long("json") => options.json = true,
            Long("help") | Short('h') => options.help = true,
            Value(word) => match word.to_str().and_then(|word| word.parse::<usize>().ok()) {
                Some(number) if options.exercise.is_none() && options.files.is_empty() => {
                    let index = number.checked_sub(1).filter(|&index| index < EXERCISES.len());
                    let known = || Failure::see_help(format_args!("there is no exercise {number}: they are 1 to 7"));
                    options.exercise = Some(index.ok_or_else(known)?);
                }
                _ => options.files.push(word.into()),
            },
            _ => return Err(Failure::from(argument.unexpected()).into()),
        }
    }
    if let Some(file) = options.files.iter().find(|file| !file.is_file()) {
        let cause = format!("there is no file {}", file.display());
        return Err(Failure::usage(cause, "a path counts from the top folder of the project").into());
    }
    Ok(options)
}

/// The command that runs `component` on a free port, with little of everything.
fn in_sandbox(sandbox: &Path, component: &Path) -> Command {
    let mut command = Command::new(sandbox);
    command.args([
        "--quiet",
        "--allow-listen",
        "127.0.0.1:0",
        "--max-connections",
        "20",
        "--max-memory",
        "64",
        "--max-turn",
        "2",
    ]);
    // If this program is killed, the server ends, too.
    command.arg("--stop-when-stdin-closes").arg(component);
    command.args(["--listen", "127.0.0.1:0", "--log", "off", "--stop-when-stdin-closes"]);
    command
}

/// The finding for a file that does not compile.
fn does_not_compile(file: &Path, message: &str) -> Finding {
    let first = message.lines().find(|line| line.starts_with("error")).unwrap_or("no message");
    let place = message.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let place = place.map(|place| format!(", at {place}")).unwrap_or_default();
    Finding {
        asked: format!("whether {} compiles", file.display()),
        command: String::new(),
        expected: "a program".into(),
        came: escape(&format!("{first}{place}")),
        hint: Some(
            "The compiler says where the mistake is, and often how to mend it. Begin with its first message.".into(),
        ),
        read: "docs/exercises.md#the-rust-that-you-need".into(),
    }
}

impl Copy {
    /// Makes the copy, or brings it up to date. Waits while another check uses it.
    fn make() -> anyhow::Result<Self> {
        let folder = cargo::target_folder().unwrap_or_else(|| "target".into()).join("check");
        let make = || {
            let project = folder.join("project");
            fs::create_dir_all(&project)?;
            let lock = File::create(folder.join("lock"))?;
            lock.lock()?;
            for part in PARTS {
                update(Path::new(part), &project.join(part))?;
            }
            Ok::<_, std::io::Error>(Copy { project, target: folder.join("target"), _lock: lock })
        };
        make().with_context(|| format!("a copy of the project in {}", folder.display()))
    }

    /// Builds the component with `file` in the place of `src/hello.rs`. Returns its path, or what the compiler says about the file.
    fn build(&self, file: &Path) -> anyhow::Result<Result<PathBuf, String>> {
        let is_first = !self.target.exists();
        if is_first {
            print_error("Building what the solutions need: about 15 seconds on 2 cores, once.\n");
        }
        update(file, &self.project.join("src/hello.rs")).with_context(|| file.display().to_string())?;
        // A file takes the messages: the compiler never waits for a reader.
        let messages = self.target.with_extension("log");
        let log = File::create(&messages).with_context(|| messages.display().to_string())?;
        let mut command = Command::new("cargo");
        command.args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "exercise",
            "--target",
            "wasm32-wasip2",
            "--bin",
            "hello-server",
        ]);
        command.arg("--target-dir").arg(&self.target).current_dir(&self.project).env("CARGO_ENCODED_RUSTFLAGS", "");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut cargo = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let most = if is_first { FIRST_BUILD } else { MOST_BUILD };
        let end = Instant::now() + most;
        let status = loop {
            match cargo.try_wait().context("cargo")? {
                Some(status) => break Some(status),
                None if Instant::now() > end => {
                    end_build(cargo.id());
                    let _ = cargo.kill();
                    let _ = cargo.wait();
                    break None;
                }
                None => sleep(Duration::from_millis(20)),
            }
        };
        let said = fs::read(&messages).with_context(|| messages.display().to_string())?;
        Ok(match status {
            Some(status) if status.success() => Ok(self.target.join("wasm32-wasip2/exercise/hello-server.wasm")),
            Some(_) => Err(String::from_utf8_lossy(&said).into_owned()),
            None => Err(format!("error: the compiler has not finished after {} seconds\n", most.as_secs())),
        })
    }
}

/// Ends the compiler that cargo, the process with this number, has started: it would go on without cargo.
fn end_build(cargo: u32) {
    let mut command = if cfg!(windows) { Command::new("taskkill") } else { Command::new("sh") };
    if cfg!(windows) {
        command.args(["/T", "/F", "/PID"]);
    } else {
        let children =
            r#"ps -A -o pid= -o ppid= | while read -r pid parent; do [ "$parent" != "$0" ] || echo "$pid"; done"#;
        command.args(["-c", &format!("kill -KILL $({children})")]);
    }
    // If it cannot be ended, it ends by itself at some time.
    let _ = command.arg(cargo.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Copies a file or a folder, as far as the copy differs: cargo takes a file that was written for a changed one.
fn update(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            update(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let new = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == new) { Ok(()) } else { fs::write(to, new) }
}

impl Checked {
    fn right(&self) -> usize {
        self.findings.iter().filter(|finding| finding.hint.is_none()).count()
    }

    fn is_done(&self) -> bool {
        self.right() == self.questions
    }

    /// The report for one file: the first mistake, then the others, then what is right.
    fn report(&self, exercise: &Exercise) -> String {
        let (right, all) = (self.right(), self.questions);
        let title = format!("Exercise {}, {}", self.number, exercise.title);
        if self.is_done() {
            return format!("{title}: done. All {all} answers are right.\n");
        }
        let mut text = format!("{title}: {right} of {all} answers are right.\n\nNot right yet:\n");
        let (is_right, is_wrong): (Vec<_>, Vec<_>) = self.findings.iter().partition(|finding| finding.hint.is_none());
        for (index, finding) in is_wrong.iter().enumerate() {
            text += &entry("asked", &finding.asked);
            text += &entry("expected", &finding.expected);
            text += &entry("came", &finding.came);
            text += &entry("hint", finding.hint.as_deref().unwrap_or_default());
            text += &entry("read", &finding.read);
            if index == 0 && !finding.command.is_empty() {
                text += &format!("  try       {}\n", finding.command);
            }
            text += "\n";
        }
        if !is_right.is_empty() {
            let asked: Vec<&str> = is_right.iter().map(|finding| finding.asked.as_str()).collect();
            text += &format!("Right:\n{}\n", entry("asked", &asked.join("; ")));
        }
        text + &format!("Begin with the first one: {}.\n", is_wrong.first().map_or("", |finding| &finding.asked))
    }

    /// The line for one of several files, or one of several exercises.
    fn line(&self, file: &Path, names_exercise: bool) -> String {
        let (right, all) = (self.right(), self.questions);
        let exercise = if names_exercise { format!("  exercise {}", self.number) } else { String::new() };
        let state = if self.is_done() { "done   " } else { "not yet" };
        let hint =
            self.findings.iter().find_map(|finding| Some(format!("  {}: {}", finding.asked, finding.hint.as_ref()?)));
        format!(
            "{}{exercise}  {state}  {right} of {all}{}\n",
            escape(&file.to_string_lossy()),
            hint.unwrap_or_default()
        )
    }

    /// A line of JSON for each question.
    fn json(&self, file: &Path) -> String {
        let text = |text: &str| JsonValue::from(text.to_owned()).stringify().expect("a text");
        let line = |(index, finding): (usize, &Finding)| {
            format!(
                "{{\"file\":{},\"exercise\":{},\"check\":{},\"of\":{},\"ok\":{},\"asked\":{},\"expected\":{},\"came\":{},\"hint\":{},\"read\":{}}}\n",
                text(&file.to_string_lossy()),
                self.number,
                index + 1,
                self.questions,
                finding.hint.is_none(),
                text(&finding.asked),
                text(&finding.expected),
                text(&finding.came),
                finding.hint.as_deref().map_or("null".to_owned(), text),
                text(&finding.read),
            )
        };
        self.findings.iter().enumerate().map(line).collect()
    }
}

/// A labelled text, in lines that fit into a terminal.
fn entry(label: &str, text: &str) -> String {
    let mut entry = format!("  {label:<8}");
    let mut column = entry.len();
    for word in text.split(' ') {
        let length = word.chars().count();
        if column + 1 + length > COLUMNS && column > 10 {
            entry += "\n          ";
            column = 10;
        }
        entry += if column == 10 { "  " } else { " " };
        column += length + 1;
        entry += word;
    }
    entry + "\n"
}
