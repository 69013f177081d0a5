//! The scripts of the pages: their types, and their format.
#![cfg(unix)]

use std::process::Command;

use hello_test_support::{component, not_tested, run};

#[test]
fn the_scripts_of_the_pages_have_sound_types_and_the_format_of_prettier() {
    let checked = run(&mut Command::new(component::root().join("tab/check")));
    // It says why it cannot check anything.
    if let Some(cause) = checked.stderr.lines().find(|line| line.starts_with("tab/check: ")) {
        return not_tested(cause, "install Node.js 20 or newer, with npm, and see to it that npm reaches its registry");
    }
    assert!(checked.status.success(), "{checked:?}\nTo format the scripts: tab/check --write");
}
