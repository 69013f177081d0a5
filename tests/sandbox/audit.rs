//! `--audit`: a line of JSON for each question of a component, with the answer, also when the component fails or is ended, and
//! when the disk is full.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_test_support::{LAST_GET, Output, Process, component, connect, read_all, runner};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{assert_failed, probe, request_probe, run, sandbox};

/// A file for an audit.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{name}.jsonl"))
}

/// The questions of an audit: what, detail, allowed, option; and the rest, if there is more.
fn questions(audit: &str) -> Vec<Value> {
    let mut last = 0.0;
    let question = |line: &str| {
        assert!(line.starts_with(r#"{"v":1,"time":"#) && line.contains(r#","event":"asked","what":""#), "{line}");
        let mut line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let line = line.as_object_mut().expect("an object");
        let time = line["time"].as_f64().expect("a number");
        assert!(time >= last, "{time} comes after {last}");
        last = time;
        let mut question = vec![line["what"].clone(), line["detail"].clone(), line["allowed"].clone()];
        question.push(line["option"].clone());
        question.extend(["cut", "check", "count"].iter().filter_map(|key| line.remove(*key)));
        Value::from(question)
    };
    assert!(audit.is_empty() || audit.ends_with('\n'), "{audit:?}");
    audit.lines().map(question).collect()
}

/// The questions without those for memory, which depend on the compiler.
fn without_memory(mut questions: Vec<Value>) -> Vec<Value> {
    questions.retain(|question| question[0] != "memory");
    questions
}

/// Runs the command of a sandbox with an audit in a file with this name. Returns the output and the questions.
fn audited(name: &str, command: impl FnOnce(&[&str]) -> Command) -> (Output, Vec<Value>) {
    let file = file(name);
    let output = run(&mut command(&["--audit", file.to_str().expect("text")]));
    (output, questions(&fs::read_to_string(file).expect("an audit")))
}

/// Asserts that the probe, with these options and arguments, asks these questions.
fn assert_asks(options: &[&str], arguments: &[&str], asked: &Value) -> Output {
    let (output, questions) = audited(arguments[0], |audit| probe(&[audit, options].concat(), arguments));
    assert_eq!(Value::from(without_memory(questions)), *asked, "{arguments:?}: {output:?}");
    output
}

#[test]
fn addresses_are_listed_whether_they_were_granted_or_not() {
    let (listener, address) = hello_test_support::free_address();
    listener.listen(1).expect("a listener");
    let place = address.to_string();
    let option = format!("--allow-connect {place}");
    let output = assert_asks(&[], &["connect", &place], &json!([["connect", place, false, option]]));
    assert!(output.stderr.ends_with(&format!("\n  {option} would allow it\n")), "{output:?}");
    assert_asks(&["--allow-connect", &place], &["connect", &place], &json!([["connect", place, true, null]]));

    drop(listener);
    let option = format!("--allow-listen {place}");
    let output = assert_asks(&[], &["listen", &place], &json!([["listen", place, false, option]]));
    assert!(output.stderr.ends_with(&format!("\n  {option} would allow it\n")), "{output:?}");
    // The component asks to bind the address, and then to listen on it.
    let allowed = json!(["listen", place, true, null]);
    assert_asks(&["--allow-listen", &place], &["listen", &place], &json!([allowed, allowed]));
}

#[test]
fn files_names_and_udp_are_listed() {
    let refused = |what: &str, detail: &str| json!([what, detail, false, null]);
    let name = "a\"\\\u{1b}é.example";
    assert_asks(&[], &["read", "Cargo.toml"], &json!([refused("file", "Cargo.toml")]));
    assert_asks(&[], &["write", "/tmp/file"], &json!([refused("file", "tmp/file")]));
    assert_asks(&[], &["name", name], &json!([refused("name", name)]));
    assert_asks(&[], &["udp", "127.0.0.1:0", "[::1]:0"], &json!([refused("udp", "IPv4"), refused("udp", "IPv6")]));
    let long = "x".repeat(1000);
    assert_asks(&[], &["read", &long], &json!([["file", long[..256], false, null, 744]]));
}

#[test]
fn requests_are_listed_with_the_address_or_name_that_they_are_for() {
    // Nothing listens there, which the sandbox does not know when it allows the request.
    let (_socket, address) = hello_test_support::free_address();
    let place = address.to_string();
    let port = address.port();
    let option = format!("--allow-connect {place}");
    let urls = |place: &str| format!("http://{place}/path?query");
    let asked = |options: &[&str], url: &str| {
        let (_, questions) = audited("request", |audit| request_probe(&[audit, options].concat(), &[url]));
        Value::from(without_memory(questions))
    };
    assert_eq!(asked(&["--allow-connect", &place], &urls(&place)), json!([["http", place, true, null]]));
    assert_eq!(asked(&[], &urls(&place)), json!([["http", place, false, option]]));
    let localhost = format!("localhost:{port}");
    assert_eq!(asked(&["--allow-connect", &place], &urls(&localhost)), json!([["http", localhost, true, null]]));
    assert_eq!(asked(&[], &urls(&localhost)), json!([["http", localhost, false, option]]));
    assert_eq!(asked(&[], &urls("example.com")), json!([["http", "example.com", false, null]]));
    assert_eq!(asked(&[], "https://127.0.0.1/"), json!([["http", "https://127.0.0.1", false, null]]));
    // A URI that the sandbox cannot use.
    assert_eq!(asked(&[], &urls("127.0.0.1:0")), json!([["http", "127.0.0.1:0", false, null]]));
}

#[test]
fn memory_is_listed_by_the_mib() {
    let memory =
        |limit: &str| audited(limit, |audit| probe(&[audit, &["--max-memory", limit]].concat(), &["memory", "8"]));
    let (output, questions) = memory("9");
    assert_failed(&output, 1, "hello-probe.wasm needs 10 MiB", "allow it more, such as --max-memory 20");
    let (last, allowed) = questions.split_last().expect("a question");
    assert_eq!(*last, json!(["memory", "10", false, "--max-memory 20"]));
    assert!(!allowed.is_empty() && allowed.iter().all(|question| question[2] == true), "{questions:?}");
    let (output, questions) = memory("20");
    assert_eq!(output.stdout, "memory 8: ok\n");
    let mib = |question: &Value| question[1].as_str().and_then(|mib| mib.parse::<u32>().ok());
    assert!(questions.iter().is_sorted_by(|one, next| mib(one) < mib(next)), "{questions:?}");
    assert_eq!(questions[allowed.len()..], [json!(["memory", "10", true, null])]);
}

#[test]
fn the_audit_ends_with_the_counts_however_the_component_ends() {
    let name = json!(["name", "a", false, null]);
    let count = json!(["name", "a", false, null, 50]);
    let assert_listed = |questions: Vec<Value>, more: &[Value]| {
        let questions = without_memory(questions);
        assert_eq!(questions.iter().filter(|question| **question == name).count(), 100);
        assert_eq!(questions[100..], [more, std::slice::from_ref(&count)].concat(), "{questions:?}");
    };
    const REPEAT: [&str; 4] = ["repeat", "150", "name", "a"];
    for (end, code, more) in [
        (&["exit", "0"][..], 0, &[][..]),
        (&["exit", "1"], 1, &[]),
        (&["panic"], 1, &[]),
        (&["overflow"], 1, &[]),
        // The count stands at the end, in the order of the kinds.
        (&["loop"], 1, &[json!(["turn", "1", false, "--max-turn 0"])]),
    ] {
        for verbose in [&[][..], &["--verbose"]] {
            let options = [&["--max-turn", "1"], verbose].concat();
            let (output, questions) =
                audited("end", |audit| probe(&[audit, &options].concat(), &[&REPEAT, end].concat()));
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            assert_listed(questions, more);
        }
    }
    for (end, line, code) in [(&["sleep", "86400"][..], "sleeping", 130), (&["ignore-stop"], "waiting", 130)] {
        let file = file(end[0]);
        let audit = ["--audit", file.to_str().expect("text"), "--grace", "86400"];
        let mut program = Process::start(&mut probe(&audit, &[&REPEAT, end].concat()));
        while program.line() != line {}
        // The component that ignores the first signal is ended by a second one.
        while program.is_running() {
            program.signal(Signal::INT);
            std::thread::yield_now();
        }
        assert_eq!(program.wait().status.code(), Some(code));
        assert_listed(questions(&fs::read_to_string(file).expect("an audit")), &[]);
    }
}

#[test]
fn a_signal_before_the_component_starts_leaves_an_empty_audit() {
    let (pipe, file) = (file("pipe"), file("unstarted"));
    // Both exist if this test has run before.
    let _ = fs::remove_file(&pipe);
    fs::write(&file, "from an earlier run\n").expect("a file");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
    let program = Process::start(sandbox(&["--audit", file.to_str().expect("text")]).arg(&pipe));
    // The call returns when the sandbox has opened the other end.
    let _silent = fs::OpenOptions::new().write(true).open(&pipe).expect("a pipe");
    program.signal(Signal::TERM);
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(143)));
    assert_eq!(fs::read_to_string(file).expect("an audit"), "");
}

#[test]
fn a_component_that_asks_on_and_on_does_not_fill_the_disk() {
    let (output, questions) =
        audited("many", |audit| probe(audit, &["repeat", "20000", "udp", "[::1]:0", "exit", "0"]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let questions = without_memory(questions);
    assert_eq!(questions.len(), 101);
    assert_eq!(questions[100], json!(["udp", "IPv6", false, null, 19_900]));
}

#[test]
fn a_full_disk_stops_no_component_and_is_noted_with_the_number_of_lost_lines() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let output = run(&mut probe(&["--audit", "/dev/full", "--max-memory", "20"], &["memory", "8"]));
    assert_eq!((output.stdout.as_str(), output.status.code()), ("memory 8: ok\n", Some(0)));
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert!(
        lines[0].starts_with("hello-runner: note: lines of the audit are missing: cannot write to /dev/full: No space")
    );
    assert!(lines[1].starts_with("  the component goes on"), "{output:?}");
    let (_, questions) = audited("enough", |audit| probe(&[audit, &["--max-memory", "20"]].concat(), &["memory", "8"]));
    assert!(questions.len() > 1, "{questions:?}");
    assert_eq!(lines[2], format!("hello-runner: note: {} lines of the audit were not written", questions.len()));
}

#[test]
fn no_line_of_the_audit_is_half_written() {
    let file = file("limited");
    let options = ["--audit", file.to_str().expect("text")];
    let inner = probe(&options, &["repeat", "50", "name", "a", "exit", "0"]);
    let mut command = Command::new("bash");
    // Files may have 1024 bytes. (The code of the probe has been cached, or is not.)
    command.args(["-c", "ulimit -f 1 && exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    let output = run(command.stdin(Stdio::null()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let written = questions(&fs::read_to_string(file).expect("an audit")).len();
    let missing = output.stderr.lines().last().and_then(|line| line.split(' ').nth(2)?.parse::<usize>().ok());
    let (_, questions) = audited("unlimited", |audit| probe(audit, &["repeat", "50", "name", "a", "exit", "0"]));
    assert!((5..20).contains(&written), "{written}");
    assert_eq!(missing, Some(questions.len() - written), "{output:?}");
}

#[test]
fn an_audit_that_cannot_be_written_is_a_failure_before_anything_runs() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    for place in [folder, &format!("{folder}/no/such/folder/audit.jsonl")] {
        let output = run(&mut probe(&["--audit", place], &["arguments"]));
        assert_failed(&output, 1, &format!("cannot write the audit to {place}: "), "give --audit a file in a folder");
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2), "{output:?}");
    }
}

#[test]
fn a_hyphen_is_standard_error() {
    let output = run(&mut probe(&["--audit", "-"], &["repeat", "150", "name", "a\u{1b}", "panic"]));
    let audit: String =
        output.stderr.lines().filter(|line| line.starts_with('{')).map(|line| format!("{line}\n")).collect();
    let questions = without_memory(questions(&audit));
    assert_eq!(questions.len(), 101, "{output:?}");
    assert_eq!(questions[100], json!(["name", "a\u{1b}", false, null, 50]));
    assert_eq!(output.stderr.matches("may not look up the name").count(), 1);
}

#[test]
fn what_is_asked_during_the_check_of_the_options_is_marked() {
    let file = file("check");
    let mut command = Command::new(runner());
    command.args(["--quiet", "--grant-needs", "--audit"]).arg(&file).arg(component::path());
    command.args(["--listen", "127.0.0.1:0", "--stop-when-stdin-closes", "--log", "off"]).stdin(Stdio::null());
    let program = Process::start(&mut command);
    let address = program.address();
    let mut client = connect(address);
    client.write_all(LAST_GET).expect("send a request");
    assert!(read_all(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    program.signal(Signal::INT);
    assert_eq!(program.wait().status.code(), Some(0));
    let questions = questions(&fs::read_to_string(file).expect("an audit"));
    let marks: Vec<bool> = questions.iter().map(|question| question[4] == true).collect();
    assert!(marks.is_sorted_by(|one, next| one >= next) && marks[0] && !marks[marks.len() - 1], "{questions:?}");
    // To accept a connection is no question.
    let listened = ["127.0.0.1:0", &address.to_string()].map(|place| json!(["listen", place, true, null]));
    assert_eq!(without_memory(questions), listened);
}

#[test]
fn the_intruder_is_listed_attempt_by_attempt() {
    let (_, questions) = audited("intruder", |audit| {
        let mut command = sandbox(audit);
        command.arg(component::example("intruder")).args(["--port", "9000"]);
        command
    });
    let expected = json!([
        ["file", "etc/passwd", false, null],
        ["file", "tmp/intruder", false, null],
        ["name", "example.com", false, null],
        ["connect", "127.0.0.1:9000", false, "--allow-connect 127.0.0.1:9000"],
        ["listen", "0.0.0.0:9001", false, "--allow-listen 0.0.0.0:9001"],
    ]);
    assert_eq!(Value::from(without_memory(questions)), expected);
    let page = fs::read_to_string(component::root().join("docs/sandbox.md")).expect("a page");
    let shown: String =
        page.lines().filter(|line| line.starts_with("{\"v\"")).map(|line| format!("{line}\n")).collect();
    assert_eq!(Value::from(without_memory(self::questions(&shown))), expected);
}
