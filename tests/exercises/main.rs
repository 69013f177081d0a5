//! The exercises: each published solution passes its own, and each wrong one gets the hint that fits. `runner/check` grades them.
#![cfg(not(target_family = "wasm"))]

mod wrong;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use hello_exercises::{EXERCISES, Finding};
use hello_test_support::{component, runner};
use wrong::{BODY, WRONG};

/// The option that chooses a solution of the component of this test: `--backlog` and this number plus the index.
const FIRST: usize = 100;

/// The published solutions, in the order of the exercises.
fn solutions() -> Vec<String> {
    let page = fs::read_to_string(component::root().join("docs/solutions.md")).expect("the page");
    let blocks = page.split("```rust\n").skip(1);
    let solutions: Vec<_> = blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(solutions.len(), EXERCISES.len());
    solutions
}

/// The published solutions, and behind them the wrong ones, as they would stand in `src/hello.rs`.
fn files() -> Vec<String> {
    let mut files = solutions();
    for wrong in WRONG {
        let mut file = files[wrong.exercise - 1].clone();
        for (from, to) in wrong.changes {
            if *from == BODY {
                let start = file.find("-> Response {").expect("a function") + "-> Response ".len();
                file = file[..start].to_owned() + to + "\n";
            } else {
                assert!(file.contains(from), "exercise {}, {}: no {from}", wrong.exercise, wrong.what);
                file = file.replace(from, to);
            }
        }
        files.push(file);
    }
    files
}

/// A component with all solutions in it: to build and compile a hundred components would take minutes.
fn component_of_all() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let root = component::copy("exercises");
        let (mut modules, mut arms) = (String::new(), String::new());
        fs::create_dir(root.join("src/hello")).expect("a folder");
        for (index, file) in files().iter().enumerate() {
            fs::write(root.join(format!("src/hello/s{index}.rs")), file).expect("a file");
            modules += &format!("mod s{index};\n");
            arms += &format!("        {index} => App {{ answer: &s{index}::answer, body_limit: s{index}::BODY_LIMIT }},\n");
        }
        // The lines of Rust that the exercises show: they compile, too.
        let page = fs::read_to_string(component::root().join("docs/exercises.md")).expect("the page");
        let lines = page.split_once("```rust box\n").and_then(|(_, rest)| rest.split_once("```")).expect("the lines").0;
        assert!(lines.lines().count() == 6);
        modules += &format!("fn lines(request: &Request<'_>) {{\n{lines}}}\n");
        let hello = format!(
            "#![allow(warnings)]\nuse crate::app::App;\nuse crate::http::{{Request, Response, escape_html}};\n{modules}\n\
             pub const BODY_LIMIT: usize = 0;\npub fn answer(_: &Request<'_>) -> Response {{ Response::empty(200) }}\n\
             pub fn chosen() -> App {{\n    let number = std::env::args().skip_while(|word| word != \"--backlog\").nth(1);\n    \
             match number.unwrap().parse::<usize>().unwrap() - {FIRST} {{\n{arms}        _ => unreachable!(),\n    }}\n}}\n"
        );
        fs::write(root.join("src/hello.rs"), hello).expect("a file");
        let server = root.join("src/server/mod.rs");
        let text = fs::read_to_string(&server).expect("a file");
        assert!(text.contains("App::HELLO"));
        fs::write(server, text.replace("App::HELLO", "crate::hello::chosen()")).expect("a file");
        let options = ["--profile", "exercise", "--target", "wasm32-wasip2", "--bin", "hello-server"];
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exercises-target");
        component::build_in(&root, &target, &options, "wasm32-wasip2/exercise/hello-server.wasm")
    })
}

/// The findings for the solution with this index.
fn check(index: usize, exercise: usize) -> Vec<Finding> {
    EXERCISES[exercise - 1].check(|| {
        let mut command = Command::new(runner());
        command.args(["--quiet", "--allow-listen", "127.0.0.1:0", "--max-turn", "2", "--max-memory", "64"]);
        command.arg(component_of_all()).args(["--listen", "127.0.0.1:0", "--log", "off", "--backlog"]);
        command.arg((FIRST + index).to_string());
        command
    })
}

#[test]
fn each_published_solution_passes_its_own_exercise_and_no_other() {
    for index in 0..EXERCISES.len() {
        for (other, exercise) in EXERCISES.iter().enumerate() {
            let findings = check(index, other + 1);
            let is_done =
                findings.len() == exercise.checks.len() && findings.iter().all(|finding| finding.hint.is_none());
            assert_eq!(is_done, index == other, "solution {}, exercise {}: {findings:#?}", index + 1, other + 1);
        }
    }
}

#[test]
fn each_wrong_solution_gets_the_hint_that_fits() {
    let mut missed = Vec::new();
    for (index, wrong) in WRONG.iter().enumerate() {
        let findings = check(EXERCISES.len() + index, wrong.exercise);
        let first = findings.iter().find(|finding| finding.hint.is_some());
        let hint = first.and_then(|finding| finding.hint.clone()).unwrap_or_default();
        println!("| {} | {} | {} |", wrong.exercise, wrong.what, hint);
        if !hint.contains(wrong.hint) {
            missed.push(format!("exercise {}, {}: {first:#?}", wrong.exercise, wrong.what));
        }
    }
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), WRONG.len(), missed.join("\n"));
    for number in 1..=EXERCISES.len() {
        assert!(WRONG.iter().filter(|wrong| wrong.exercise == number).count() >= 10, "exercise {number}");
    }
}

#[test]
fn the_places_that_findings_name_are_there() {
    for place in EXERCISES.iter().flat_map(hello_exercises::Exercise::places) {
        let (file, heading) = place.split_once('#').expect("a heading");
        let page = fs::read_to_string(component::root().join(file)).expect("a page");
        let slug = |title: &str| -> String {
            let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        };
        let mut titles = page.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(titles.any(|title| slug(title) == heading), "{place}");
    }
}

/// `runner/check` with these arguments: its exit code, and what it printed.
#[cfg(unix)]
fn runner_check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(component::root().join("runner/check"));
    let output = command.args(arguments).current_dir(component::root()).output().expect("a script");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A file with this body of `answer`.
#[cfg(unix)]
fn hand_in(name: &str, body: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hand-ins");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(name);
    let text = format!(
        "//! A hand-in.\n\nuse crate::http::{{Request, Response}};\n\n/// No bodies.\npub const BODY_LIMIT: usize = 0;\n\n\
         /// The answer to `request`.\npub fn answer(_request: &Request<'_>) -> Response {{\n{body}\n}}\n"
    );
    fs::write(&file, text).expect("a file");
    file.to_str().expect("text").to_owned()
}

#[cfg(unix)]
#[test]
fn the_unchanged_file_fails_every_exercise() {
    let (code, printed, errors) = runner_check(&[]);
    assert_eq!((code, printed.lines().count()), (Some(1), EXERCISES.len()), "{printed}{errors}");
    assert!(printed.lines().all(|line| line.contains("not yet")), "{printed}");
}

#[cfg(unix)]
#[test]
fn hand_ins_are_graded_in_one_go_also_those_that_misbehave() {
    let right = hand_in("right.rs", "");
    fs::write(&right, &solutions()[0]).expect("a file");
    let files = [
        (right, "done   ", ""),
        (hand_in("wrong.rs", r#"Response::html(200, "<p>Good morning</p>")"#), "not yet", "The letters are not large"),
        (hand_in("loop.rs", "loop {}"), "not yet", "A loop in `answer` does not end"),
        (hand_in("panic.rs", r#"panic!("no")"#), "not yet", "The program panicked"),
        (hand_in("flood.rs", r#"loop { println!("and again") }"#), "not yet", "prints without an end"),
        (hand_in("errors.rs", r#"loop { eprintln!("and again") }"#), "not yet", "prints without an end"),
        (
            hand_in("memory.rs", "let mut all = vec![1_u8]; loop { all.extend_from_within(..) }"),
            "not yet",
            "more memory",
        ),
        (hand_in("itself.rs", "answer(std::hint::black_box(_request))"), "not yet", "calls itself"),
        (hand_in("exit.rs", "std::process::exit(0)"), "not yet", "ended itself"),
        (hand_in("sleep.rs", "std::thread::sleep(std::time::Duration::MAX); loop {}"), "not yet", "No answer came"),
        (hand_in("mistake.rs", "Response::html(200, 7)"), "not yet", "The compiler says where"),
        (
            hand_in("secret.rs", r#"Response::text(200, std::fs::read_to_string("/etc/passwd").unwrap())"#),
            "not yet",
            "panicked",
        ),
    ];
    let mut arguments = vec!["1"];
    arguments.extend(files.iter().map(|(file, ..)| file.as_str()));
    let (code, printed, errors) = runner_check(&arguments);
    assert_eq!((code, printed.lines().count()), (Some(1), files.len()), "{printed}{errors}");
    for ((file, state, hint), line) in files.iter().zip(printed.lines()) {
        assert!(line.starts_with(file) && line.contains(state) && line.contains(hint), "{file}: {line}");
    }
    // As JSON: a line for each question, until the program does not answer any more.
    let files = &files[..4];
    arguments.truncate(1 + files.len());
    arguments.insert(0, "--json");
    let (code, printed, _) = runner_check(&arguments);
    assert_eq!(code, Some(1));
    let lines: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    for (file, state, hint) in files {
        let of_file: Vec<_> = lines.iter().filter(|line| line["file"] == **file).collect();
        let is_done = of_file.len() == 2 && of_file.iter().all(|line| line["ok"] == true);
        assert_eq!(is_done, *state == "done   ", "{of_file:#?}");
        assert!(is_done || of_file.iter().any(|line| line["hint"].as_str().is_some_and(|text| text.contains(hint))));
    }
}

#[cfg(unix)]
#[test]
fn one_solution_is_reported_with_the_first_mistake_first() {
    let file = hand_in("paragraph.rs", r#"Response::html(200, "<p>Good morning</p>")"#);
    let (code, printed, errors) = runner_check(&["1", &file]);
    let first = "Exercise 1, Another text: 0 of 2 answers are right.\n\nNot right yet:\n  asked     GET /\n";
    assert_eq!(code, Some(1), "{printed}{errors}");
    assert!(printed.starts_with(first) && printed.ends_with("Begin with the first one: GET /.\n"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 79), "{printed}");
    fs::write(&file, &solutions()[0]).expect("a file");
    let (code, printed, _) = runner_check(&["1", &file]);
    assert_eq!((code, printed.as_str()), (Some(0), "Exercise 1, Another text: done. All 2 answers are right.\n"));
    // A mistake of the compiler comes with its place.
    let file = hand_in("paragraph.rs", "Response::html(200, 7)");
    let (code, printed, errors) = runner_check(&["1", &file]);
    assert_eq!(code, Some(1));
    assert!(printed.contains("src/hello.rs:") && errors.contains("error[E"), "{printed}{errors}");
}

#[cfg(unix)]
#[test]
fn a_mistake_in_the_command_line_is_a_usage_error() {
    for (arguments, cause) in [
        (&["8"][..], "there is no exercise 8"),
        (&["0"], "there is no exercise 0"),
        (&["1", "nothing.rs"], "there is no file nothing.rs"),
        (&["--all"], "invalid option '--all'"),
        (&["--json=yes"], "--json takes no value"),
    ] {
        let (code, printed, errors) = runner_check(arguments);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(errors.starts_with("runner/check: ") && errors.contains(cause), "{errors}");
    }
}
