//! Runs every command of README.md and of the pages for users behind it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use hello_test_support::{HELLO, Server, component, has, run, runner};

/// The pages for users. Others have tests of their own: the lesson in tests/lecture/, operations in tests/deploy.rs.
const PAGES: [&str; 4] = ["README.md", "docs/options.md", "docs/sandbox.md", "docs/run.md"];

/// The commands of the pages: the lines that begin with `$ ` in their `console` blocks; each once.
fn commands() -> BTreeSet<String> {
    let pages = PAGES.map(|page| fs::read_to_string(component::root().join(page)).expect(page)).concat();
    let blocks = pages.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
    lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

/// `line` in a shell at the top level, with the wasmtime of this project.
fn shell(line: &str) -> Command {
    let line = match line.strip_prefix("wasmtime ") {
        Some(rest) => format!("runner/wasmtime {rest}"),
        None => line.to_owned(),
    };
    // The target folder of cargo may be another one here.
    let built = component::path().to_str().expect("text");
    let line = line.replace("target/wasm32-wasip2/release/hello-server.wasm", built);
    let line = line.replace("target/runner/hello-runner", runner().to_str().expect("text"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {line}")]).current_dir(component::root());
    shell
}

#[test]
fn every_command_of_the_readme_works() {
    // All builds are done before, because a server has to start soon.
    component::path();
    component::live();
    let commands = commands();
    assert!(commands.len() >= 14, "{commands:?}");
    for line in &commands {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            // This test is one of them, and tests/launcher/kit.rs tests the other one.
            ["runner/test"] | ["runner/kit"] => {}
            ["runner/serve", "--help"] => {
                let output = run(&mut shell(line));
                assert!(output.status.success() && output.stdout.contains("--port"), "{output:?}");
            }
            // Port 9000 may be in use here; any other port serves as well.
            ["runner/serve", ..] | ["wasmtime", "run", ..] => {
                Server::launch(&mut shell(&format!("{line} --port 0"))).assert_serves();
            }
            ["target/runner/hello-runner", component, ..] => {
                let granted = "--allow-listen 127.0.0.1:0 --allow-listen [::1]:0";
                let line = line.replace(component, &format!("{granted} {component}"));
                Server::launch(&mut shell(&format!("{line} --port 0"))).assert_serves();
            }
            // tests/clients.rs checks the output of the intruder, and tests/sandbox/audit.rs the audit.
            ["runner/client", .., "intruder"] => {
                let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme-audit.jsonl");
                let output = run(&mut shell(&line.replace("audit.jsonl", file.to_str().expect("text"))));
                assert!(
                    output.status.success() && output.stdout.contains("look up the name example.com: refused"),
                    "{output:?}"
                );
            }
            ["runner/client", ..] => {
                let server = Server::start(&[]);
                let port = format!(":{}", server.port);
                let line = match line.contains("http://") {
                    true => line.replace(":9000", &port),
                    false => format!("{line} http://127.0.0.1{port}/romeo.txt"),
                };
                let output = run(&mut shell(&line));
                assert!(output.stdout.ends_with(HELLO), "{output:?}");
            }
            ["curl", ..] => {
                if has("curl") {
                    let server = Server::start(&[]);
                    let line = line.replace(":9000", &format!(":{}", server.port));
                    let output = run(&mut shell(&line));
                    assert!(output.stdout.ends_with(HELLO), "{output:?}");
                }
            }
            ["cargo", "component", ..] => {
                if has("cargo-component") {
                    builds_and_serves(line, if line.contains("wasip2") { "wasm32-wasip2" } else { "wasm32-wasip1" });
                }
            }
            ["cargo", "build", "--profile", "runner", ..] => {
                assert!(run(&mut shell(line)).status.success());
            }
            ["cargo", "build", ..] => builds_and_serves(line, "wasm32-wasip2"),
            _ => panic!("a page has a command that no test runs: {line}"),
        }
    }
}

/// Builds with `line`, in a folder of its own, and serves the built component.
fn builds_and_serves(line: &str, target: &str) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let output = run(shell(line).env("CARGO_TARGET_DIR", &folder));
    assert!(output.status.success(), "{line}: {output:?}");
    let component = folder.join(target).join("release/hello-server.wasm");
    let mut wasmtime = Command::new(component::root().join("runner/wasmtime"));
    wasmtime.args(["run", "-S", "inherit-network"]).arg(component).args(["--port", "0"]);
    Server::launch(&mut wasmtime).assert_serves();
}
