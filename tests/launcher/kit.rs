//! A kit from `runner/kit` works in another place, on a machine without Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hello_test_support::{HELLO, Server, component, run, runner};

/// A kit, unpacked in a place with an odd name; and an empty folder to be PATH.
fn kit() -> (PathBuf, PathBuf) {
    runner();
    component::launcher();
    let mut pack = Command::new(component::root().join("runner/kit"));
    // The build for these tests is up to date.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder");
    let output = run(pack.env("CARGO_TARGET_DIR", target));
    assert!(output.status.success(), "{output:?}");
    let (archive, rest) = output.stdout.split_once(" (").expect("a line about the archive");
    assert!(rest.contains("START.md says the rest"), "{output:?}");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kit 'ж'");
    let _ = fs::remove_dir_all(&folder);
    let empty = folder.join("empty");
    fs::create_dir_all(&empty).expect("a folder");
    assert!(run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&folder)).status.success());
    let name = Path::new(archive).file_name().expect("a name").to_str().expect("text");
    (folder.join(name.strip_suffix(".tar.gz").expect("its ending")), empty)
}

#[test]
fn a_kit_serves_and_calls_without_rust_and_says_what_it_cannot_do() {
    let (kit, empty) = kit();
    let page = fs::read_to_string(kit.join("hello-server.html")).expect("the lesson in one file");
    assert!(page.contains(" id=\"component\" "), "{page}");
    let command = |program: &str| {
        let mut command = Command::new(kit.join("runner").join(program));
        command.env("PATH", &empty).current_dir("/");
        command
    };
    let server = Server::launch(command("serve").args(["--port", "0"]));
    let port = server.port.to_string();
    for client in ["socket", "url"] {
        let output = run(command("client").args(["--quiet", client, "--port", &port]));
        assert!(output.stdout.contains(HELLO.trim_end()), "{client}: {output:?}");
        assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)), "{client}: {output:?}");
    }
    server.terminate();
    let output = server.wait();
    assert!(output.stderr.starts_with("This is a kit: "), "{output:?}");
    assert!(output.status.success(), "{output:?}");

    for words in ["--watch", "--verbose", "--release", "--one-page", "--step 1"] {
        let output = run(command("serve").args(words.split(' ')));
        let option = words.split(' ').next().expect("an option");
        let cause = format!("runner/serve: {option} builds the project, and a kit has no source\n  for that, ");
        assert!(output.stderr.starts_with(&cause), "{output:?}");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let output = run(command("serve").args(["--wasmtime", "--quiet"]));
    assert!(output.stderr.starts_with("runner/serve: there is no wasmtime on PATH"), "{output:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for file in ["START.md", "LICENSE", "docs/lecture.md", "src/hello.rs", "examples/socket_client.rs"] {
        assert!(kit.join(file).is_file(), "{file}");
    }
}
