//! `test`: runs the tests, step by step, and counts those that passed, failed, or were skipped on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use hello_failure::{Failure, escape};

use crate::cargo;
use crate::host;
use crate::process::cannot_start;
use crate::{print, print_error};

/// The text of `--help`.
const HELP: &str = "\
Runs the tests, up to the first step that fails. The last line counts them.

  runner/test          every test
  runner/test quick    the tests that take seconds, and need no wasmtime, no browser and no network

Before the last line it names each test that it skipped, with what would make the test run. (Or: cargo test-all [quick])
";

/// The set of tests to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    Quick,
    Every,
}

/// A step of the tests.
struct Step {
    /// The title to print.
    title: &'static str,
    /// The rings that it belongs to.
    rings: &'static [Ring],
    /// The arguments of cargo.
    cargo: &'static str,
    /// The arguments of the test programs; `None` for a step that only builds.
    tests: Option<&'static str>,
    /// The host that runs the components.
    host: &'static str,
}

const BOTH: &[Ring] = &[Ring::Quick, Ring::Every];
const EVERY: &[Ring] = &[Ring::Every];
const QUICK: &[Ring] = &[Ring::Quick];

/// A step that builds.
const fn build(rings: &'static [Ring], title: &'static str, cargo: &'static str) -> Step {
    Step { title, rings, cargo, tests: None, host: "hello-runner" }
}

/// A step that tests.
const fn test(rings: &'static [Ring], title: &'static str, cargo: &'static str, tests: &'static str) -> Step {
    Step { title, rings, cargo, tests: Some(tests), host: "hello-runner" }
}

/// A step that tests with plain wasmtime as the host.
const fn test_in_wasmtime(title: &'static str, cargo: &'static str, tests: &'static str) -> Step {
    Step { host: "wasmtime", ..test(EVERY, title, cargo, tests) }
}

/// All steps, in their order.
const STEPS: [Step; 21] = [
    build(BOTH, "Building the server", "build --release --target wasm32-wasip2"),
    build(
        EVERY,
        "Building the server with its live page",
        "build --profile live --target wasm32-wasip2 --features live --bin hello-server",
    ),
    build(
        EVERY,
        "Building the server for wasi:http",
        "build --release --target wasm32-wasip2 --features http --bin hello-http",
    ),
    build(
        EVERY,
        "Building the clients, and the examples of the runtime",
        "build --release --target wasm32-wasip2 --package hello-server --package hello-runtime --examples --features hello-runtime/futures-io",
    ),
    build(
        BOTH,
        "Building the sandbox: once, 2 to 4 minutes on 2 cores",
        "build --profile runner --package hello-runner",
    ),
    test(BOTH, "The protocol and the server, natively", "test --lib --features live", ""),
    test(EVERY, "The same, inside the sandbox", "test --lib --target wasm32-wasip2", ""),
    test(BOTH, "The sandbox, from inside", "test --profile runner --package hello-runner", ""),
    test(
        BOTH,
        "The runtime, the launcher and the messages, from inside",
        "test --package hello-runtime --package hello-launcher --package hello-failure --features hello-runtime/futures-io,hello-runtime/hyper",
        "",
    ),
    test(EVERY, "The benchmark's own arithmetic", "test --package hello-bench", ""),
    test(
        QUICK,
        "The component, from outside",
        "test --test allocations --test contract --test conversation --test corpus --test differential --test security",
        "",
    ),
    test(
        QUICK,
        "The server in its sandbox, from outside, as far as that is quick",
        "test --test server",
        "log:: peers::",
    ),
    test(
        QUICK,
        "The launcher, from outside, as far as that is quick",
        "test --test launcher",
        "counting:: machines:: watching:: --skip wasmtime",
    ),
    test(
        EVERY,
        "The components and the sandbox from outside: real hosts, real clients",
        "test --bins --test *",
        "--skip chromium_ --skip firefox_ --skip webkit_ --skip engine_",
    ),
    test_in_wasmtime(
        "The same clients and peers, under plain wasmtime run",
        "test --test server --test clients --test soak --test steps --test live --test frameworks",
        "--skip readme:: --skip script",
    ),
    test(EVERY, "The examples in the documentation", "test --doc", ""),
    test(EVERY, "A real browser, and a server under hello-runner", "test --test browser", ""),
    test_in_wasmtime("A real browser, and a server under wasmtime", "test --test browser", ""),
    test(EVERY, "The lesson in one file, in real browsers", "test --test tab", "chromium_ firefox_ webkit_"),
    test(EVERY, "Other engines, as far as they are on PATH", "test --test hosts", "engine_"),
    test(EVERY, "No process is left behind", "test --test leftovers", ""),
];

/// Runs the tests.
///
/// # Errors
/// The tests cannot be run. A failed test is no error, but an exit code.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let ring = match words.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..] {
        [] => Ring::Every,
        ["quick"] => Ring::Quick,
        ["--help" | "-h"] => {
            print(HELP);
            return Ok(0);
        }
        _ => {
            return Err(Failure::usage(
                format!("there are no tests called {}", words.join(" ")),
                "say quick, or nothing",
            )
            .into());
        }
    };
    if cargo::is_target_configured() {
        let advice = "run them without it: they build for this machine, and for components where that is meant";
        return Err(Failure::new("a configuration of cargo has a [build] target", advice).into());
    }
    let start = Instant::now();
    cargo::add_target()?;
    if ring == Ring::Every {
        host::provide_wasmtime("serve")?;
    }
    let mut tally = Tally::default();
    for step in STEPS.iter().filter(|step| step.rings.contains(&ring)) {
        let step_start = Instant::now();
        print_error(&format!("\n== {}\n", step.title));
        if !tally.run(step)? {
            print_error(&format!("\nThis step has failed: {}\n", step.title));
            break;
        }
        print_error(&format!("This step took {} seconds.\n", step_start.elapsed().as_secs()));
    }
    print(&format!("\nThe tests took {} seconds.\n{}", start.elapsed().as_secs(), tally.summary()));
    Ok(u8::from(tally.failed > 0))
}

/// The results of the tests.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// The reasons for skipped tests, with advice, and the number of tests for each.
    reasons: BTreeMap<String, usize>,
    /// The lines to show at the end.
    shown: BTreeSet<String>,
}

impl Tally {
    /// Runs a step, and prints its output. Returns whether it has passed.
    fn run(&mut self, step: &Step) -> anyhow::Result<bool> {
        let mut cargo = Command::new("cargo");
        cargo.args(step.cargo.split(' ')).arg("--locked").env("HELLO_HOST", step.host).env_remove("CARGO_BUILD_TARGET");
        if step.cargo.contains("wasm32") {
            // Settings for programs of this system are not for components.
            cargo.env("CARGO_ENCODED_RUSTFLAGS", "").env_remove("CARGO_TARGET_WASM32_WASIP2_RUNNER");
        }
        if let Some(tests) = step.tests {
            cargo.args(["--", "--show-output"]).args(tests.split_whitespace());
        }
        let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(&cargo, &error))?;
        let mut section = Section::default();
        for line in BufReader::new(child.stdout.take().expect("it is piped")).split(b'\n') {
            let line = line.context("cargo")?;
            let line = String::from_utf8_lossy(&line);
            if section.shows(&line, self) {
                print(&format!("{line}\n"));
            }
        }
        let is_well = child.wait().context("cargo")?.success();
        if !is_well && self.failed == 0 {
            // The build has failed, or a test program ended before it had counted its tests.
            self.failed = 1;
        }
        Ok(is_well)
    }

    /// The text to print at the end. The counts stand alone in the last line.
    fn summary(&self) -> String {
        let mut text: String = self.shown.iter().map(|line| format!("{line}\n")).collect();
        for (why, number) in &self.reasons {
            let tests = if *number == 1 { "test" } else { "tests" };
            text += &format!("skipped in {number} {tests}: {}\n", escape(why));
        }
        text + &format!("{} passed, {} failed, {} skipped\n", self.passed, self.failed, self.skipped)
    }
}

/// The state of reading the output of one test program.
#[derive(Debug, Default)]
struct Section {
    /// Whether this is the output of tests that passed, which is not shown.
    is_hidden: bool,
    /// Whether the test of these lines is counted as skipped.
    is_skipped: bool,
    /// The number of skipped tests.
    skipped: usize,
}

impl Section {
    /// Reads a line, and counts the tests in it. Returns whether to show the line at once.
    fn shows(&mut self, line: &str, tally: &mut Tally) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                let (before, _) = counts.split_once(what)?;
                before.trim_end().rsplit(' ').next()?.parse().ok()
            };
            // Ignored tests do not count: other tests start them.
            let [passed, failed] = ["passed", "failed"].map(|what| count(what).unwrap_or(0));
            tally.passed += passed - self.skipped.min(passed);
            tally.failed += failed;
            tally.skipped += self.skipped;
            *self = Section::default();
        } else if line == "successes:" {
            self.is_hidden = true;
        } else if line == "failures:" {
            self.is_hidden = false;
        } else if self.is_hidden && line.starts_with("---- ") {
            self.is_skipped = false;
        } else if self.is_hidden {
            self.read(line, tally);
        }
        !self.is_hidden
    }

    /// Reads a line of the output of a test.
    fn read(&mut self, line: &str, tally: &mut Tally) {
        if line.starts_with("browser: ") || line.starts_with("engine: ") {
            tally.shown.insert(line.to_owned());
        } else if let Some(why) = line.strip_prefix("not tested: ") {
            self.skipped += usize::from(!self.is_skipped);
            self.is_skipped = true;
            *tally.reasons.entry(why.to_owned()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of these lines of test programs, and the lines that are shown.
    fn tally(printed: &str) -> (Tally, Vec<&str>) {
        let (mut tally, mut section) = (Tally::default(), Section::default());
        let shown = printed.lines().filter(|line| section.shows(line, &mut tally)).collect();
        (tally, shown)
    }

    const PRINTED: &str = "
running 3 tests
test a ... ok
test b ... ok
test c ... ok

successes:

---- a stdout ----
not tested: there is no x on PATH; install it
not tested: and no y; install it

---- b stdout ----
of no interest
browser: it was shown

successes:
    a
    b
    c

test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s
";

    #[test]
    fn a_test_that_prints_not_tested_is_counted_as_skipped_and_named() {
        let (tally, shown) = tally(PRINTED);
        let summary = "browser: it was shown\n\
                       skipped in 1 test: and no y; install it\n\
                       skipped in 1 test: there is no x on PATH; install it\n\
                       2 passed, 0 failed, 1 skipped\n";
        assert_eq!(tally.summary(), summary);
        assert!(shown.contains(&"test a ... ok") && !shown.concat().contains("of no interest"), "{shown:?}");
    }

    #[test]
    fn programs_are_counted_together() {
        let (tally, _) = tally(&format!("{PRINTED}{PRINTED}"));
        assert!(
            tally
                .summary()
                .ends_with("skipped in 2 tests: there is no x on PATH; install it\n4 passed, 0 failed, 2 skipped\n")
        );
    }

    #[test]
    fn what_has_failed_is_shown_and_counted() {
        let printed = "successes:\n---- a stdout ----\nx\nsuccesses:\n    a\n\nfailures:\n\n---- b stdout ----\nwhy\n\nfailures:\n    b\n\
                       test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
        let (tally, shown) = tally(printed);
        assert!(tally.summary().ends_with("5 passed, 1 failed, 0 skipped\n"), "{}", tally.summary());
        assert!(shown.contains(&"why") && !shown.contains(&"x"), "{shown:?}");
    }

    #[test]
    fn the_quick_ones_need_no_wasmtime() {
        let quick = STEPS.iter().filter(|step| step.rings.contains(&Ring::Quick));
        assert!(quick.clone().all(|step| step.host == "hello-runner" && !step.cargo.contains("--test *")));
        assert!(quick.count() > 5);
    }
}
