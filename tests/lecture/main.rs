//! The lesson of the pages: the tests run every command, and compare its output with that in the page.
//!
//! The commands use port 9000, as a learner does. To have that port for themselves, the tests run in a network of their own
//! if the system allows one.
#![cfg(unix)]

mod page;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use hello_test_support::{Process, component, not_tested, runner};
use page::Page;

/// Set for the tests that run in a network of their own.
const ALONE: &str = "HELLO_LECTURE_ALONE";

/// How many steps lead from one page to a server.
const STEPS: usize = 10;

/// Runs `lesson` in a network of its own, as another process that runs only the test `name`; or in this process, if the
/// system allows no such network.
fn alone(name: &str, lesson: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return lesson();
    }
    for tool in ["curl", "nc", "python3"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            return not_tested(format!("there is no {tool} on PATH"), "install it");
        }
    }
    // All builds are done before: the scripts then print nothing about them, and the network of the tests has no internet.
    component::path();
    component::live();
    runner();
    let steps = (1..=STEPS).map(|step| format!("step_{step}"));
    let others = ["socket_client", "url_client", "intruder", "one_page"].map(str::to_owned);
    steps.chain(others).for_each(|example| drop(component::example(&example)));
    let check = Command::new(component::root().join("runner/check")).arg("1").output();
    assert_eq!(check.expect("a script").status.code(), Some(1), "nothing is done yet");
    let wasmtime = Command::new(component::root().join("runner/wasmtime")).arg("--version").output();
    assert!(wasmtime.expect("a script").status.success());
    let unshare = |then: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).args(then);
        unshare
    };
    if !unshare(&["true"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("no network of its own here, so the lesson takes port 9000 of this machine");
        TcpListener::bind("127.0.0.1:9000").expect("port 9000 is free");
        return lesson();
    }
    let tests = std::env::current_exe().expect("a path");
    let mut tests = unshare(&[tests.to_str().expect("text"), "--exact", name, "--nocapture"]);
    let tests = Process::start_unread(tests.env(ALONE, "1").stdout(Stdio::null())).wait();
    assert!(tests.status.success(), "the output above says what differs");
}

#[test]
fn the_lecture_goes_as_the_page_says() {
    alone("the_lecture_goes_as_the_page_says", || {
        Page::open("docs/lecture.md").run(component::root());
    });
}

#[test]
fn the_page_of_the_exercises_shows_what_is_printed() {
    alone("the_page_of_the_exercises_shows_what_is_printed", || {
        Page::open("docs/exercises.md").run(component::root());
    });
}

#[test]
fn every_exercise_has_a_solution_that_works() {
    alone("every_exercise_has_a_solution_that_works", || {
        let copy = component::copy("lecture");
        // The page has to wait for no build of everything: that may take long on a busy machine.
        let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("lecture-target");
        let options = ["--release", "--target", "wasm32-wasip2", "--bin", "hello-server"];
        component::build_in(&copy, &target, &options, "wasm32-wasip2/release/hello-server.wasm");
        Page::open("docs/solutions.md").run(&copy);
    });
}

#[test]
fn each_step_goes_as_the_page_says() {
    alone("each_step_goes_as_the_page_says", || {
        Page::open("docs/steps.md").run(component::root());
    });
}

/// The lines of a program, without its title.
fn program(step: usize) -> (Vec<String>, usize) {
    let name = if step == 0 { "one_page.rs".to_owned() } else { format!("steps/step_{step}.rs") };
    let text = std::fs::read_to_string(component::root().join("examples").join(name)).expect("a program");
    let (title, lines) = text.split_once('\n').expect("a title");
    assert!(title.starts_with("//! ") && !lines.starts_with("//!"), "{title}");
    (lines.lines().map(str::to_owned).collect(), text.lines().count())
}

/// The lines that `diff` prints for two programs, without the places of the changes.
fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [from, to] = [("before", before), ("after", after)].map(|(name, lines)| {
        let file = folder.join(format!("step-{name}.rs"));
        std::fs::write(&file, lines.join("\n") + "\n").expect("write a program");
        file
    });
    let output = Command::new("diff").arg("-U0").args([from, to]).output().expect("there is a diff");
    let text = String::from_utf8(output.stdout).expect("text");
    // Two lines name the files, and the next one is the first place.
    let lines = text.lines().skip(3);
    lines.map(|line| if line.starts_with("@@") { "@@" } else { line }.to_owned()).collect()
}

#[test]
fn each_change_of_a_step_is_small_and_on_the_page() {
    let page = Page::open("docs/steps.md");
    let changes: Vec<_> = page.changes().collect();
    assert_eq!(changes.len(), STEPS);
    let (mut before, length) = program(0);
    assert!(length <= 40, "one_page.rs has {length} lines");
    for (step, on_page) in (1..).zip(changes) {
        let (after, _) = program(step);
        let change = difference(&before, &after);
        assert_eq!(on_page, change, "step {step}");
        // The titles differ, too.
        let lines = change.iter().filter(|line| *line != "@@").count() + 2;
        assert!(lines <= 25, "step {step} changes {lines} lines");
        before = after;
    }
}
