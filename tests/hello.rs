//! Each example in the comment at the top of `src/hello.rs` can replace the code of that file.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::Path;
use std::process::Command;

use hello_test_support::component;

#[test]
fn every_example_of_hello_rs_compiles_in_its_place_without_a_warning() {
    let root = component::copy("hello");
    let file = root.join("src/hello.rs");
    let text = fs::read_to_string(&file).expect("read hello.rs");
    let is_comment = |line: &&str| line.starts_with("//!");
    let comment: String = text.lines().take_while(is_comment).map(|line| format!("{line}\n")).collect();
    let shown: String =
        comment.lines().map(|line| line[3..].strip_prefix(' ').unwrap_or_default().to_owned() + "\n").collect();
    let examples: Vec<&str> = shown.split("```\n").skip(1).step_by(2).collect();
    assert_eq!(examples.len(), 2, "{shown}");
    for example in examples {
        // The comment stays, and the example replaces the rest of the file.
        fs::write(&file, format!("{comment}\n{example}")).expect("write hello.rs");
        let check = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--locked", "--lib", "--target-dir"])
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello-target"))
            .current_dir(&root)
            .output()
            .expect("start cargo");
        let messages = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success() && messages.is_empty(), "{messages}\nin\n{example}");
    }
}
