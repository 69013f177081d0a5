//! Programs that cannot be started: one line of cause and one of advice, never a backtrace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hello_test_support::{by, component, runner};

use super::{assert_failed, component_of, export, import, probe, run, sandbox, works};

/// A component that imports this interface, as an empty instance.
fn importing(interface: &str) -> Vec<u8> {
    component_of(&import(interface, &[0]))
}

/// A component that imports this interface, as an instance with a function of this name.
fn importing_from(interface: &str, function: &str) -> Vec<u8> {
    // The two declarations: a type, which is a function without parameters and results, and an export of it.
    let declarations = [&[2, 1, 0x40, 0, 1, 0, 4, 0, function.len() as u8], function.as_bytes(), &[1, 0]].concat();
    component_of(&import(interface, &declarations))
}

/// A component that exports this interface, as an empty instance.
fn exporting(interface: &str) -> Vec<u8> {
    let [types, imports] = import("wasi:http/types@0.2.0", &[0]);
    component_of(&[types, imports, export(interface)])
}

/// A file of this test with these bytes.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("what-cannot-be-started");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn a_failure_to_start_is_one_line_of_cause_and_one_of_advice() {
    let server = fs::read(component::path()).expect("a component");
    let folder = file("missing.wasm", b"");
    fs::remove_file(&folder).expect("it was there");
    let huge = file("huge.wasm", b"\0asm\x0d\0\x01\0");
    fs::File::options().write(true).open(&huge).and_then(|file| file.set_len((256 << 20) + 1)).expect("a file");
    for (path, cause, advice) in [
        (folder, "missing.wasm: No such file", "give the path of a component"),
        (component::root().join("src"), "src: Is a directory", "cargo build"),
        (file("nothing.wasm", b""), "nothing.wasm is not WebAssembly", "give the path of a component"),
        ("/dev/zero".into(), "/dev/zero is not WebAssembly", "give the path of a component"),
        (huge, "huge.wasm is larger than 256 MiB", "wasm-tools strip"),
        (file("text.wasm", b"(component)\n"), "text.wasm is not WebAssembly", "cargo build"),
        (
            file("module.wasm", b"\0asm\x01\0\0\0"),
            "is a WebAssembly module, not a component",
            "wasm-tools component new",
        ),
        (file("half.wasm", &server[..server.len() / 2]), "half.wasm is broken", "build it again"),
        (file("garbage.wasm", b"\0asm\x0d\0\x01\0\xff\xff\xff"), "garbage.wasm is broken", "build it again"),
        (file("empty.wasm", b"\0asm\x0d\0\x01\0"), "has nothing to start: it does not export wasi:cli/run", "program"),
        (
            file("proxy.wasm", &importing("wasi:http/incoming-handler@0.2.0")),
            "proxy.wasm needs wasi:http/incoming-handler@0.2.0, which this sandbox does not have",
            "it has WASI 0.2",
        ),
        (
            file("newer.wasm", &importing("wasi:http/types@0.3.0")),
            "newer.wasm needs wasi:http/types@0.3.0, which this sandbox does not have",
            "it has WASI 0.2",
        ),
        (
            file("clock.wasm", &importing_from("wasi:clocks/timezoneee@0.2.12", "now")),
            "clock.wasm needs something that this sandbox does not have: component imports instance \
             `wasi:clocks/timezoneee@0.2.12`",
            "it has WASI 0.2",
        ),
        (
            file("call.wasm", &importing_from("wasi:sockets/tcp@0.2.0", "ring")),
            "instance export `ring`",
            "it has WASI 0.2",
        ),
        (component::http().into(), "hello-http.wasm is for a host that speaks wasi:http", "wasmtime serve -S cli"),
        (
            file("handler.wasm", &exporting("wasi:http/incoming-handler@0.2.0")),
            "handler.wasm is for a host that speaks wasi:http",
            "runner/serve --http",
        ),
        (
            file("handler-3.wasm", &exporting("wasi:http/handler@0.3.0")),
            "handler-3.wasm is for a host that speaks wasi:http",
            "wasmtime serve -S cli",
        ),
        // A component that only sends requests has to export wasi:cli/run.
        (
            file("library.wasm", &importing("wasi:http/types@0.2.0")),
            "has nothing to start: it does not export wasi:cli/run",
            "not as a library or for wasmtime serve",
        ),
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

#[test]
fn an_unread_message_does_not_change_the_exit_code() {
    for (argument, code) in [("--help", 0), ("--version", 0), ("--allow-files", 2)] {
        let (reader, closed) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status =
            Command::new(runner()).arg(argument).stdout(closed.try_clone().expect("a pipe")).stderr(closed).status();
        assert_eq!(status.expect("it can be started").code(), Some(code), "{argument}");
        // The disk is full; not every system has this device.
        if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
            let status =
                Command::new(runner()).arg(argument).stdout(full.try_clone().expect("a file")).stderr(full).status();
            assert_eq!(status.expect("it can be started").code(), Some(code), "{argument}");
        }
    }
}

/// The advice if a limit of the process is in the way.
const RAISE: &str = "raise that limit before you start this; where the shell may not, an administrator can";

/// A fresh folder for compiled code, which every user can write to.
fn cache(name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // The folder exists if this test has run before; with compiled code in it there is nothing to compile.
    let _ = fs::remove_dir_all(&cache);
    fs::create_dir_all(&cache).expect("a folder");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("a folder");
    cache
}

#[test]
fn threads_that_cannot_be_made_are_one_line_of_cause_and_one_of_advice() {
    // The limit does not hold for root, so another user runs the test.
    const NOBODY: [&str; 3] = ["setpriv", "--reuid=65534", "--clear-groups"];
    if !works(&NOBODY) || !works(&["prlimit", "--nproc"]) {
        return;
    }
    // The sandbox wants threads for the output, for the signals, for the cache, and for the compiler.
    for threads in 1..=6 {
        let limit = format!("--nproc={threads}");
        let mut command = by(&[&NOBODY[..], &["prlimit", &limit]].concat(), &probe(&[], &["arguments"]));
        let output = run(command.env("XDG_CACHE_HOME", cache(&format!("threads-{threads}"))));
        // The fewer processors there are, the fewer threads compile.
        if threads == 1 || output.status.code() != Some(0) {
            let cause =
                "the system refuses to help: Resource temporarily unavailable (os error 11); this process may have ";
            assert_failed(&output, 1, cause, &format!("end other programs of this user, or {RAISE}"));
            let limit = format!("{threads} threads, together with its user's other programs (ulimit -u)");
            assert!(output.stderr.contains(&limit), "{output:?}");
            assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2));
        }
    }
}

#[test]
fn a_limit_of_address_space_is_named_whatever_it_is() {
    // Less than a runtime needs, less than any component needs, and less than this component needs.
    for (mib, cause) in [
        (100_u64, "the sandbox reserves 4160 MiB of address space"),
        (2900, "the sandbox reserves 4160 MiB of address space"),
        (4161, "the system refuses to help: Cannot allocate memory (os error 12)"),
    ] {
        let limit = format!("--as={}", mib << 20);
        if !works(&["prlimit", "--as=6442450944"]) {
            return;
        }
        let output = run(&mut by(&["prlimit", &limit], &probe(&[], &["arguments"])));
        let cause = format!("{cause}; this process may have {mib} MiB of address space (ulimit -v; 6291456 is enough)");
        assert_failed(&output, 1, &cause, RAISE);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2));
    }
    let mut enough = by(&["prlimit", "--as=6442450944"], &probe(&[], &["arguments"]));
    let output = run(enough.env("XDG_CACHE_HOME", cache("address-space")));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("arguments: []\n", ""));
}

#[test]
fn memory_that_the_system_refuses_while_it_runs_is_no_mistake_of_the_component() {
    // The limit is enough for the sandbox, and too low for the memory that the component is granted and takes.
    const LITTLE: [&str; 2] = ["prlimit", "--data=100000000"];
    if works(&LITTLE) {
        let output = run(&mut by(&LITTLE, &probe(&["--max-memory", "400"], &["memory", "300"])));
        let cause = "Cannot allocate memory (os error 12); this process may have 95 MiB of memory (ulimit -d)";
        assert_failed(&output, 1, cause, RAISE);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2));
    }
}

#[test]
fn without_large_files_the_component_runs_and_its_code_is_not_kept() {
    // No file at all, and one that is smaller than the code.
    for bytes in [0, 4096] {
        let limit = format!("--fsize={bytes}");
        if !works(&["prlimit", &limit]) {
            return;
        }
        let cache = cache(&format!("small-files-{bytes}"));
        let mut command = Command::new(runner());
        command.args(["--max-connections", "100"]).arg(component::probe()).arg("arguments");
        let output = run(by(&["prlimit", &limit], &command).env("XDG_CACHE_HOME", &cache));
        let mut lines = output.stderr.lines();
        let note = lines.next().unwrap_or_default();
        assert!(note.starts_with("hello-runner: note: compiled code cannot be kept, so each start takes longer: "));
        let limit = format!("File too large (os error 27); this process may have files of {bytes} bytes (ulimit -f)");
        assert!(note.ends_with(&limit), "{output:?}");
        assert_eq!(lines.next(), Some(format!("  {RAISE}").as_str()));
        assert_eq!((output.stdout.as_str(), output.status.code()), ("arguments: []\n", Some(0)));
        // Without the limit the code is kept, and no half-written file is in the way.
        let kept = || run(probe(&[], &["arguments"]).env("XDG_CACHE_HOME", &cache));
        assert_eq!((kept().stderr.as_str(), kept().stderr.as_str()), ("", ""));
        let folder =
            fs::read_dir(cache.join("hello-runner")).expect("a folder").next().expect("one").expect("a folder");
        assert!(folder.path().join("sum.sha256").exists());
    }
}

#[test]
fn without_descriptors_the_limit_is_named_wherever_they_run_out() {
    if !works(&["prlimit", "--nofile=64"]) {
        return;
    }
    let cache = cache("descriptors");
    // With fewer descriptors, the system cannot even start a program that has libraries.
    for descriptors in 5.. {
        let limit = format!("--nofile={descriptors}");
        let mut command = by(&["prlimit", &limit], &probe(&[], &["arguments"]));
        let output = run(command.env("XDG_CACHE_HOME", &cache));
        if output.status.success() {
            assert!((10..32).contains(&descriptors), "{descriptors}");
            return;
        }
        let limit = format!("this process may have {descriptors} file descriptors (ulimit -n)");
        assert_failed(&output, 1, &limit, RAISE);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 2), "{output:?}");
    }
}
