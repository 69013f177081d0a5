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
    runner();
    for client in ["socket_client", "url_client", "intruder"] {
        component::example(client);
    }
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
        Page::open("docs/solutions.md").run(&component::copy("lecture"));
    });
}
