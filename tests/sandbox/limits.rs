//! How much a component may have, and what happens when its code fails or never pauses.

use super::support::Output;
use super::{assert_failed, probe, run};

#[test]
fn more_memory_than_allowed_is_told_with_figures_and_the_advice_helps() {
    let output = run(&mut probe(&["--max-memory", "32"], &["memory", "40"]));
    assert_failed(&output, 1, "hello-probe.wasm needs 42 MiB of memory, and may have 32", "--max-memory ");
    assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2));
    let advised = output.stderr.trim_end().rsplit(' ').next().expect("a number");
    let output = run(&mut probe(&["--max-memory", advised], &["memory", "40"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("memory 40: ok\n", ""));
    assert!(output.status.success());
}

#[test]
fn without_the_option_the_limit_is_for_as_many_connections_as_there_may_be() {
    let output = run(&mut probe(&["--max-connections", "1000"], &["memory", "60"]));
    assert_eq!((output.stdout.as_str(), output.status.code()), ("memory 60: ok\n", Some(0)));
    let output = run(&mut probe(&["--max-connections", "100"], &["memory", "64"]));
    assert_failed(&output, 1, "and may have 15", "--max-memory");
}

#[test]
fn what_it_needs_to_start_at_all_counts_too() {
    let output = run(&mut probe(&["--max-memory", "1"], &["arguments"]));
    assert_failed(&output, 1, "needs 2 MiB of memory, and may have 1", "--max-memory 4");
}

/// The line that says where in the code of the component it failed.
const PLACE: &str = "error while executing at wasm backtrace:\n";

/// It failed with this cause and this advice, and says where if it is asked to.
fn assert_traps(arguments: &[&str], cause: &str, advice: &str) -> Output {
    let output = run(&mut probe(&[], arguments));
    assert_failed(&output, 1, &format!("hello-probe.wasm failed: {cause}"), advice);
    assert!(output.stderr.ends_with("; --verbose says where\n"), "{output:?}");
    let verbose = run(&mut probe(&["--verbose"], arguments));
    let (words, place) = verbose.stderr.split_once(PLACE).unwrap_or_else(|| panic!("no place: {verbose:?}"));
    assert_eq!(words, output.stderr.replace("; --verbose says where", ""));
    assert!(place.contains("0: ") && place.contains("1: "), "{place}");
    assert_eq!(verbose.status.code(), Some(1));
    output
}

#[test]
fn a_panic_is_told_in_two_lines_behind_what_it_said_itself() {
    let output = assert_traps(&["panic"], "wasm trap: wasm `unreachable`", "what it said before may tell why");
    assert!(output.stderr.contains("as it was told to\n"), "{output:?}");
}

#[test]
fn a_function_that_calls_itself_without_an_end_is_told() {
    let output = assert_traps(&["overflow"], "wasm trap: call stack exhausted", "calls itself without an end");
    assert_eq!(output.stderr.lines().count(), 2);
    // What a program has on its own stack lies in its memory, and this is what it looks like when it overflows.
    assert_traps(&["deep"], "wasm trap: out of bounds memory access", "calls itself without an end");
}

#[test]
fn the_exit_code_is_that_of_the_component() {
    for (code, expected) in [("0", 0), ("1", 1)] {
        let output = run(&mut probe(&[], &["exit", code]));
        let said = (output.stdout.as_str(), output.stderr.as_str(), output.status.code());
        assert_eq!(said, ("", "", Some(expected)));
    }
}

#[test]
fn code_that_never_pauses_is_ended_after_its_turn() {
    let output = run(&mut probe(&["--max-turn", "1"], &["loop"]));
    assert_failed(&output, 1, "hello-probe.wasm has been busy for 1 second", "--max-turn");
    assert_eq!(output.stdout, "busy\n");
    let output = run(&mut probe(&["--max-turn", "1", "--verbose"], &["loop"]));
    assert!(output.stderr.contains(PLACE), "{output:?}");
}

#[test]
fn to_wait_is_not_to_be_busy() {
    let output = run(&mut probe(&["--max-turn", "1"], &["sleep", "3"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("sleeping\nsleep 3: ok\n", ""));
    assert_eq!(output.status.code(), Some(0));
}
