//! `runner/test`: the last line counts, the lines before it name the skipped tests, and no step follows one that fails.

use hello_test_support::{Output, run};

use super::pretended::Project;

/// The stand-in for cargo: in every program with tests two pass, one of them because it could not be tested. `STEP` fails.
const CARGO: &str = r#"#!/bin/sh
echo "$*; host $HELLO_HOST" >>@/calls
case $* in
STEP) echo "error: it fails" >&2 && FAIL && exit 101 ;;
test*) cat @/printed ;;
esac
"#;

const PRINTED: &str = "
running 2 tests
test one ... ok
test two ... ok

successes:

---- two stdout ----
not tested: there is no x; install it

successes:
    one
    two

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

/// Runs `runner/test` with these words in a project of this name, where `step` runs `fail` and fails. Returns the output
/// and the project.
fn tested(name: &str, words: &[&str], step: &str, fail: &str) -> (Output, Project) {
    let project = Project::new(name);
    project.write("printed", PRINTED);
    project.program("cargo", &CARGO.replace("STEP", step).replace("FAIL", fail));
    let output = run(&mut project.launch(&[&["test"], words].concat()));
    (output, project)
}

#[test]
fn the_last_line_counts_and_what_was_skipped_is_named_before_it() {
    let (output, project) = tested("quick", &["quick"], "none", "true");
    let programs = project.calls().iter().filter(|call| call.starts_with("test ")).count();
    let counts = format!(
        "skipped in {programs} tests: there is no x; install it\n{programs} passed, 0 failed, {programs} skipped\n"
    );
    assert!(programs > 3 && output.stdout.ends_with(&format!(" seconds.\n{counts}")), "{output:?}");
    assert!(output.stdout.contains("\nThe tests took "), "{output:?}");
    assert!(output.stdout.contains("\ntest two ... ok\n") && !output.stdout.contains("successes:"), "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(project.calls().iter().all(|call| call.ends_with("; host hello-runner")), "{:?}", project.calls());
}

#[test]
fn the_first_step_that_fails_is_the_last_one_and_is_named() {
    let failed = "printf 'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\\n'";
    let (output, project) = tested("failing", &["quick"], "test*hello-launcher*", failed);
    assert!(output.stdout.ends_with("\n5 passed, 2 failed, 2 skipped\n"), "{output:?}");
    let said = "error: it fails\n\nThis step has failed: The runtime, the launcher and the messages, from inside\n";
    assert!(output.stderr.ends_with(said), "{output:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let calls = project.calls();
    assert!(calls.last().is_some_and(|call| call.contains("hello-launcher")), "{calls:?}");
}

#[test]
fn a_component_that_is_not_built_is_a_failure_too() {
    let (output, project) = tested("unbuilt", &["quick"], "build*", "true");
    assert!(output.stdout.ends_with("\n0 passed, 1 failed, 0 skipped\n"), "{output:?}");
    assert_eq!((output.status.code(), project.calls().len()), (Some(1), 1), "{output:?}");
}

#[test]
fn an_unknown_group_of_tests_is_a_usage_error() {
    let (output, _) = tested("unknown", &["slow"], "none", "true");
    let said = "runner/test: there are no tests called slow\n  say quick, or nothing\n";
    assert_eq!((output.stderr.as_str(), output.status.code()), (said, Some(2)));
}
