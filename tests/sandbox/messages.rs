//! Names in messages may come from outside: a file, an option, an environment variable, an import of a component, its
//! functions. No message may send more than text to a terminal.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use hello_test_support::{Output, Process, by, component, runner};
use rustix::process::Signal;

use super::{component_of, export, import, leb128, run, section, sections, works};

/// Bytes that a terminal would obey: a colour, the beginning of the line, another line, a colour again (a control character
/// of C1), rubout, a bell, and text from right to left.
const EVIL: &str = "\x1b[31m\r\n\u{9b}32m\x7f\x07\u{202e}";

/// The same bytes as the sandbox prints them.
const TAMED: &str = r"\u{1b}[31m\r\n\u{9b}32m\u{7f}\u{7}\u{202e}";

/// Asserts that `text` has only printable characters and line ends.
fn assert_tame(text: &str) {
    const DIRECTIONS: [char; 3] = ['\u{202e}', '\u{2028}', '\u{2029}'];
    let is_wild = |c: char| c != '\n' && (c.is_control() || DIRECTIONS.contains(&c));
    assert!(!text.contains(is_wild), "{text:?}");
}

/// The folder of this test, in a fresh folder of this name.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages").join(name);
    // The folder exists if this test has run before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A component with an evil file name and these bytes.
fn evil(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder(name).join(format!("{EVIL}.wasm"));
    fs::write(&path, bytes).expect("a file");
    path
}

/// The probe under an evil file name.
fn probe(name: &str) -> PathBuf {
    evil(name, &fs::read(component::probe()).expect("a component"))
}

/// The command that starts a sandbox with these options, and this component.
fn sandbox(options: &[&str], component: &Path) -> Command {
    let mut command = Command::new(runner());
    command.args(["--max-connections", "100"]).args(options).arg(component);
    command
}

/// Asserts that the sandbox prints these words, and that all its messages are tame. The output of the component itself does
/// not count.
fn assert_says(output: &Output, words: &str) {
    assert!(output.stderr.contains(words), "{words:?}: {output:?}");
    assert_tame(&output.stderr);
}

#[test]
fn a_mistake_in_the_command_line() {
    let evil_option = format!("--{EVIL}");
    let evil_value = format!("--quiet={EVIL}");
    for (arguments, words) in [
        (&["--allow-listen", EVIL][..], "--allow-listen takes an address and a port"),
        (&["--allow-connect", EVIL], "--allow-connect takes an address and a port"),
        (&["--max-memory", EVIL], "--max-memory takes a whole number"),
        (&["--grace", EVIL], "--grace takes a whole number"),
        (&[&evil_option], "invalid option"),
        (&[&evil_value], "--quiet takes no value, but has "),
        (&["-\x1b"], "invalid option"),
    ] {
        let output = run(Command::new(runner()).args(arguments));
        assert_says(&output, words);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{output:?}");
    }
    let no_text = OsString::from_vec(b"\xff\x1b[31m".to_vec());
    for before in [&["a.wasm"][..], &[], &["--max-memory"]] {
        assert_tame(&run(Command::new(runner()).args(before).arg(&no_text)).stderr);
    }
}

#[test]
fn failures_to_start_have_a_cause_and_an_advice() {
    let server = fs::read(component::path()).expect("a component");
    let missing = folder("missing").join(EVIL);
    let huge = evil("huge", b"\0asm\x0d\0\x01\0");
    fs::File::options().write(true).open(&huge).and_then(|file| file.set_len((256 << 20) + 1)).expect("a file");
    let [types, imports] = import("wasi:http/types@0.2.0", &[0]);
    let handler = component_of(&[types, imports, export("wasi:http/incoming-handler@0.2.0")]);
    let ring = [&[2, 1, 0x40, 0, 1, 0, 4, 0, 4], &b"ring"[..], &[1, 0]].concat();
    let named = |name: &str| component_of(&import(name, &[0]));
    for (path, words) in [
        (missing, "cannot read "),
        (folder("folder"), "Is a directory"),
        (evil("nothing", b""), " is not WebAssembly"),
        (huge, " is larger than 256 MiB"),
        (evil("module", b"\0asm\x01\0\0\0"), " is a WebAssembly module"),
        (evil("half", &server[..server.len() / 2]), " is broken"),
        (evil("handler", &handler), " is for a host that speaks wasi:http"),
        (evil("library", &named("wasi:io/error@0.2.0")), " has nothing to start"),
        (evil("files", &named("wasi:nn/tensor@0.2.0")), " needs wasi:nn/tensor@0.2.0"),
        (evil("call", &component_of(&import("wasi:sockets/tcp@0.2.0", &ring))), " needs something that"),
        // The names of imports may be any text between these.
        (evil("name", &named(EVIL)), " is broken"),
        (evil("url", &named(&format!("url=<{EVIL}>"))), "url=<"),
        (evil("dependency", &named(&format!("unlocked-dep=<a:{EVIL}>"))), "unlocked-dep=<"),
    ] {
        for option in ["--quiet", "--verbose"] {
            let output = run(&mut sandbox(&[option], &path));
            assert_says(&output, words);
            assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
            assert_eq!(output.stderr.lines().count(), 2, "{output:?}");
        }
    }
}

#[test]
fn grants_and_refusals() {
    let path = probe("granted");
    let ports: Vec<String> = (1..=200).map(|port| format!("127.0.0.1:{port}")).collect();
    let ports: Vec<&str> = ["connect"].into_iter().chain(ports.iter().map(String::as_str)).collect();
    let lets = format!("The sandbox lets {TAMED}.wasm listen on ");
    let may_not = format!("refused: {TAMED}.wasm may not ");
    for (arguments, words) in [
        (&["arguments"][..], lets.as_str()),
        (&["listen", "0.0.0.0:9005"], &(may_not.clone() + "listen on")),
        (&["connect", "127.0.0.1:1"], &(may_not.clone() + "connect to")),
        (&["udp", "127.0.0.1:1"], &(may_not.clone() + "use UDP")),
        (&["name", EVIL], &(may_not.clone() + "look up the name")),
        (&["read", EVIL], &(may_not.clone() + "use the file")),
        (&ports, "which is not told any more"),
    ] {
        let output = run(sandbox(&[], &path).args(arguments));
        assert_says(&output, words);
        assert_eq!(output.stderr.matches("The sandbox lets").count(), 1);
    }
    assert_says(&run(sandbox(&["--allow-listen", "0.0.0.0:9005"], &path).arg("arguments")), "listen on 0.0.0.0:9005");
}

#[test]
fn errors_of_the_cache_and_of_limits_have_a_cause_and_an_advice() {
    let path = probe("limits");
    let place = folder("cache").join(EVIL);
    let with_cache = |place: &Path| run(sandbox(&[], &path).arg("arguments").env("XDG_CACHE_HOME", place));
    fs::create_dir(&place).expect("a folder");
    assert_eq!(with_cache(&place).stderr.replace("\n  ", " ").lines().count(), 2, "all is well");

    let all = place.join("hello-runner");
    let code = fs::read_dir(&all).expect("a folder").next().expect("one").expect("a folder").path().join("code");
    fs::remove_dir_all(&code).and_then(|()| fs::write(&code, "")).expect("a file");
    assert_says(&with_cache(&place), "is damaged, and cannot be removed");
    fs::set_permissions(&all, fs::Permissions::from_mode(0o777)).expect("it is ours");
    assert_says(&with_cache(&place), "belongs to another user, or others can write to it");
    fs::remove_dir_all(&place).and_then(|()| fs::write(&place, "")).expect("a file");
    assert_says(&with_cache(&place), "compiled code cannot be kept");
    let mut homeless = sandbox(&[], &path);
    homeless.arg("arguments").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    assert_says(&run(&mut homeless), "neither XDG_CACHE_HOME nor HOME is set");

    for (limit, words) in [
        ("--fsize=0", "files of 0 bytes (ulimit -f)"),
        ("--as=1000000000", "MiB of address space (ulimit -v"),
        ("--nofile=40", "the system grants 40 file descriptors, so there can be "),
        ("--nofile=9", "9 file descriptors (ulimit -n)"),
    ] {
        if works(&["prlimit", "--nofile=64"]) {
            let mut command = by(&["prlimit", limit], &sandbox(&[], &path));
            command.arg("arguments");
            if limit == "--fsize=0" {
                command.env("XDG_CACHE_HOME", folder("limit").join(EVIL));
            }
            assert_says(&run(&mut command), words);
        }
    }
    // How many descriptors it inherits differs from machine to machine.
    let none = |limit: u32| {
        let mut command = by(&["prlimit", &format!("--nofile={limit}")], &sandbox(&[], &path));
        let output = run(command.arg("arguments"));
        output.stderr.contains("file descriptors (ulimit -n), which leaves none for a connection").then_some(output)
    };
    if works(&["prlimit", "--nofile=64"]) {
        assert_tame(&(10..40).rev().find_map(none).expect("a limit that leaves none").stderr);
    }
}

#[test]
fn why_it_was_ended() {
    let path = probe("ended");
    let busy = format!("{TAMED}.wasm has been busy for 1 second");
    assert_says(&run(sandbox(&["--max-turn", "1"], &path).arg("loop")), &busy);
    for (options, arguments, line, words) in [
        (&["--grace", "1"][..], &["ignore-stop"][..], "waiting", "was asked to stop and did not"),
        (&["--max-turn", "0"], &["heed", "loop"], "busy", "was busy and did not listen"),
    ] {
        let program = Process::start(sandbox(options, &path).args(arguments));
        assert_eq!(program.line(), line);
        program.signal(Signal::TERM);
        assert_says(&program.wait(), &format!("{TAMED}.wasm {words}"));
    }
}

/// The component in `file`, in which every function of its first module has this name.
fn with_names(file: &[u8], name: &str) -> Vec<u8> {
    let name = [&leb128(name.len())[..], name.as_bytes()].concat();
    let functions = 10_000;
    let names: Vec<u8> = (0..functions).flat_map(|number| [&leb128(number)[..], &name].concat()).collect();
    let names = section(1, &[&leb128(functions)[..], &names].concat());
    let names = section(0, &[&b"\x04name"[..], &names].concat());
    let mut first = true;
    let sections = sections(file).into_iter().map(|(id, content)| {
        let is_first = id == 1 && std::mem::take(&mut first);
        section(id, &[content, if is_first { &names } else { &[] }].concat())
    });
    component_of(&sections.collect::<Vec<_>>())
}

#[test]
fn why_it_failed() {
    let bytes = fs::read(component::probe()).expect("a component");
    let path = evil("failed", &with_names(&bytes, &format!("hello::{EVIL}")));
    let memory = format!("{TAMED}.wasm needs 42 MiB of memory");
    assert_says(&run(sandbox(&["--max-memory", "32"], &path).args(["memory", "40"])), &memory);
    let handles = run(sandbox(&["--max-memory", "1000"], &path).args(["handles", "200001"]));
    assert_says(&handles, "handles of the host");
    for arguments in ["panic", "overflow"] {
        let output = run(sandbox(&["--verbose"], &path).arg(arguments));
        assert_says(&output, "error while executing at wasm backtrace:\n");
        // (The name of a function may contain a line end, and so may the text of wasmtime.)
        let named = TAMED.split_once(r"\n").map(|(line, rest)| format!("!hello::{line}\n{rest}\n"));
        assert!(output.stderr.contains(&named.expect("two lines")), "{output:?}");
    }
    let mut many = bytes;
    many.extend(section(1, b"\0asm\x01\0\0\0"));
    let module = sections(&many).iter().filter(|(id, _)| *id == 1).count() as u8 - 1;
    many.extend(section(2, &[&[101][..], &[0, module, 0].repeat(101)].concat()));
    let output = run(sandbox(&[], &evil("many", &many)).arg("arguments"));
    assert_says(&output, &format!("{TAMED}.wasm cannot be started"));
}

#[test]
fn messages_of_the_server_about_its_options() {
    let (option, value) = (format!("--{EVIL}"), format!("--explain={EVIL}"));
    for arguments in [
        &[EVIL][..],
        &[&option],
        &[&value],
        &["--listen", EVIL],
        &["--port", EVIL],
        &["--log", EVIL],
        &["--color", EVIL],
        &["--grace", EVIL],
    ] {
        let output = run(sandbox(&["--quiet"], component::path()).args(arguments));
        assert_says(&output, "hello-server: ");
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
    }
}

#[test]
fn messages_of_the_clients_about_a_url() {
    for client in ["socket_client", "url_client"] {
        let path = component::example(client);
        for url in
            [EVIL.to_owned(), format!("http://{EVIL}/"), format!("http://127.0.0.1:{EVIL}/"), format!("{EVIL}://a/")]
        {
            let output = run(sandbox(&["--quiet"], &path).arg(&url));
            assert_says(&output, "_client: ");
            assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
        }
    }
}

#[test]
fn messages_of_the_launcher_about_its_arguments() {
    let evil_option = format!("--{EVIL}");
    for (script, arguments) in [
        ("runner/serve", &[evil_option.as_str()][..]),
        ("runner/serve", &[EVIL]),
        ("runner/serve", &["--max-memory", EVIL]),
        ("runner/serve", &["--http", &evil_option]),
        ("runner/serve", &["--http", "--listen", EVIL]),
        ("runner/client", &[EVIL]),
        ("runner/client", &["socket", EVIL]),
        ("runner/client", &["url", &evil_option]),
        ("runner/test", &[EVIL]),
        ("runner/test", &[&evil_option]),
    ] {
        let output = run(Command::new(component::root().join(script)).args(arguments));
        assert_tame(&output.stderr);
        let said = output.stderr.contains(r"\u{1b}[31m") && !output.stderr.contains("panicked");
        assert!(said && output.status.code() == Some(2), "{script} {arguments:?}: {output:?}");
        assert_eq!(output.stdout, "", "{output:?}");
    }
}
