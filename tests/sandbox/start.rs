//! What cannot be started: one line of cause and one of advice, never a backtrace.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::component;
use super::{assert_failed, run, sandbox};

/// A component that imports `wasi:http/types@0.2.0`, as an instance that has nothing in it.
const NEEDS_HTTP: &[u8] = b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\x00\x0a\x1a\x01\x00\x15wasi:http/types@0.2.0\x05\x00";

/// A file of this test with these bytes.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("what-cannot-be-started");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn what_cannot_be_started_is_one_line_of_cause_and_one_of_advice() {
    let server = fs::read(component::path()).expect("a component");
    let folder = file("missing.wasm", b"");
    fs::remove_file(&folder).expect("it was there");
    for (path, cause, advice) in [
        (folder, "missing.wasm: No such file", "cargo build"),
        (component::root().join("src"), "src: Is a directory", "cargo build"),
        (file("nothing.wasm", b""), "nothing.wasm is not WebAssembly", "cargo build"),
        (file("text.wasm", b"(component)\n"), "text.wasm is not WebAssembly", "cargo build"),
        (
            file("module.wasm", b"\0asm\x01\0\0\0"),
            "is a WebAssembly module, not a component",
            "wasm-tools component new",
        ),
        (file("half.wasm", &server[..server.len() / 2]), "half.wasm is broken", "build it again"),
        (file("garbage.wasm", b"\0asm\x0d\0\x01\0\xff\xff\xff"), "garbage.wasm is broken", "build it again"),
        (file("empty.wasm", b"\0asm\x0d\0\x01\0"), "has nothing to start: it does not export wasi:cli/run", "program"),
        (file("http.wasm", NEEDS_HTTP), "http.wasm needs wasi:http/types@0.2.0", "it has WASI 0.2"),
    ] {
        let output = run(sandbox(&["--verbose"]).arg(&path));
        assert_failed(&output, 1, cause, advice);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2), "{output:?}");
    }
}

#[test]
fn a_mistake_in_the_options_is_one_line_and_exit_code_2() {
    for (options, cause) in [
        (&["--allow-listen", "localhost:9000"][..], "--allow-listen takes an address and a port"),
        (&["--allow-connect", "127.0.0.1:0"], "--allow-connect takes a port from 1 to 65535"),
        (&["--max-memory", "0"], "--max-memory takes a whole number from 1 to 4096, not \"0\""),
        (&["--max-turn", "-1"], "--max-turn takes a whole number from 0 to 86400"),
        (&["--grace", "soon"], "--grace takes a whole number from 0 to 86400, not \"soon\""),
        (&["--allow-files"], "invalid option '--allow-files'"),
        (&["--max-turn"], "missing argument for option '--max-turn'"),
        (&[], "which component?"),
    ] {
        let output = run(&mut sandbox(options));
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert!(output.stderr.starts_with("hello-runner: ") && output.stderr.contains(cause), "{output:?}");
        assert!(output.stderr.ends_with("; see --help\n"), "{output:?}");
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(2)));
    }
}

#[test]
fn help_and_version_are_printed() {
    let help = run(sandbox(&[]).arg("--help"));
    assert!(help.status.success() && help.stderr.is_empty(), "{help:?}");
    let options =
        ["--allow-listen", "--allow-connect", "--max-memory", "--max-connections", "--max-turn", "--grace", "--quiet"];
    for option in options {
        assert!(help.stdout.contains(option), "{option}");
    }
    let version = run(sandbox(&[]).arg("--version"));
    assert!(version.status.success() && version.stdout.starts_with("hello-runner "), "{version:?}");
}
