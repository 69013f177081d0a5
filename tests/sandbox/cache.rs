//! The cache of compiled code makes the next start fast; the sandbox does not trust its files blindly.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hello_test_support::{Output, component, runner};

use super::{probe, run, sandbox};

/// A fresh folder for the cache of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache").join(name);
    // The folder exists if this test has run before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The compiled code below `folder`, by the paths of the files.
fn entries(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            entries.append(&mut self::entries(&path));
        } else if path.extension().is_none() && path.parent().is_some_and(|parent| !parent.ends_with("wasmtime")) {
            entries.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    entries
}

/// The command of a probe with its cache in `folder`.
fn cached(folder: &Path) -> Command {
    let mut command = probe(&[], &["arguments", "kept"]);
    command.env("XDG_CACHE_HOME", folder);
    command
}

/// Asserts that the probe has run, and not another program.
fn assert_ran(output: &Output) {
    let said = (output.stdout.as_str(), output.stderr.as_str(), output.status.code());
    assert_eq!(said, ("arguments: [\"kept\"]\n", "", Some(0)));
}

#[test]
fn the_first_run_keeps_the_code_and_the_second_one_uses_it() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = folder("second");
    assert_ran(&run(&mut cached(&folder)));
    let kept = entries(&folder);
    assert_eq!(kept.len(), 1, "{:?}", kept.keys());
    let path = kept.keys().next().expect("one");
    let file = fs::metadata(path).expect("a file").ino();
    assert_ran(&run(&mut cached(&folder)));
    assert_eq!(entries(&folder), kept);
    // Newly compiled code would be in a new file.
    assert_eq!(fs::metadata(path).expect("a file").ino(), file);
}

#[test]
fn garbage_in_the_cache_is_compiled_anew() {
    let folder = folder("garbage");
    assert_ran(&run(&mut cached(&folder)));
    for (path, good) in entries(&folder) {
        let half = &good[..good.len() / 2];
        // Faults of a disk: one bit is another, or a block is empty.
        let mut bit = good.clone();
        bit[good.len() / 3] ^= 1;
        let mut block = good.clone();
        let begin = good.len() / 2;
        block[begin..begin + 4096].fill(0);
        for bad in [&b"garbage"[..], b"", half, &bit, &block] {
            fs::write(&path, bad).expect("a file");
            assert_ran(&run(&mut cached(&folder)));
            assert_eq!(fs::read(&path).expect("a file"), good, "it was mended");
        }
    }
}

#[test]
fn code_of_unknown_origin_is_compiled_anew() {
    let folder = folder("unsealed");
    assert_ran(&run(&mut cached(&folder)));
    let (code, _) = entries(&folder).pop_first().expect("one");
    let sum = code.ancestors().nth(4).expect("a folder").join("sum.sha256");
    for vouched in [None, Some("0123")] {
        let written = || fs::metadata(&code).and_then(|file| file.modified()).expect("a file");
        let before = written();
        match vouched {
            None => fs::remove_file(&sum).expect("there is a sum"),
            Some(other) => fs::write(&sum, other).expect("a file"),
        }
        assert_ran(&run(&mut cached(&folder)));
        assert!(written() > before, "it was written anew");
        assert_eq!(fs::read_to_string(&sum).expect("a sum").len(), 64);
    }
}

#[test]
fn a_pipe_in_the_place_of_code_does_not_stop_the_start() {
    let folder = folder("pipe");
    assert_ran(&run(&mut cached(&folder)));
    let (code, _) = entries(&folder).pop_first().expect("one");
    fs::remove_file(&code).expect("it is there");
    assert!(Command::new("mkfifo").arg(&code).status().expect("it is everywhere").success());
    assert_ran(&run(&mut cached(&folder)));
    assert!(fs::metadata(&code).expect("a file").is_file(), "it was mended");
}

#[test]
fn a_folder_that_others_can_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder("of-others");
    assert_ran(&run(&mut cached(&folder)));
    let (code, _) = entries(&folder).pop_first().expect("one");
    let own = code.ancestors().nth(4).expect("a folder").to_owned();
    for place in [own.parent().expect("a folder"), &own] {
        fs::set_permissions(place, fs::Permissions::from_mode(0o777)).expect("it is ours");
        // The code is good, but its sum is missing.
        let mut command = Command::new(runner());
        command.args(["--max-connections", "100"]).arg(component::probe()).args(["arguments", "kept"]);
        let output = run(command.env("XDG_CACHE_HOME", &folder));
        let note = format!("{} belongs to another user, or others can write to it\n", place.display());
        assert!(output.stderr.contains(&note), "{output:?}");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}

#[test]
fn the_code_of_old_components_is_forgotten() {
    let folder = folder("many");
    let all = folder.join("hello-runner");
    for number in 0..40 {
        let other = all.join(format!("other-{number}"));
        fs::create_dir_all(&other).expect("a folder");
        fs::write(other.join("sum.sha256"), "").expect("a file");
    }
    assert_ran(&run(&mut cached(&folder)));
    assert_eq!(fs::read_dir(&all).expect("a folder").count(), 32);
    let file = entries(&folder);
    assert_eq!(file.len(), 1, "the last one is still there");
}

#[test]
fn without_a_place_to_keep_it_this_is_noted_and_the_component_runs() {
    // For root everything is writable; but a file is no folder for any user.
    let file = folder("no-folder").join("file");
    fs::write(&file, "").expect("a file");
    let mut command = Command::new(runner());
    command.args(["--max-connections", "100"]).arg(component::probe()).args(["arguments", "kept"]);
    let output = run(command.env("XDG_CACHE_HOME", &file));
    assert!(output.stderr.starts_with("hello-runner: note: compiled code cannot be kept"), "{output:?}");
    assert!(output.stderr.contains(file.to_str().expect("text")), "{output:?}");
    assert!(output.stderr.contains("\n  set XDG_CACHE_HOME to a folder that only you can write to\n"), "{output:?}");
    assert_eq!((output.stdout.as_str(), output.status.code()), ("arguments: [\"kept\"]\n", Some(0)));
    // `--quiet` leaves this note out.
    assert_ran(&run(&mut cached(&file)));
}

#[test]
fn without_a_home_the_component_runs() {
    let mut command = sandbox(&[]);
    command.arg(component::probe()).args(["arguments", "kept"]).env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let output = run(&mut command);
    assert_ran(&output);
}
