//! The sandbox from outside: `hello-runner` with a component that tries one thing (`tests/probe/`), and with the server.
#![cfg(all(unix, not(target_family = "wasm")))]

mod audit;
mod cache;
mod examples;
mod grants;
mod instances;
mod limits;
mod messages;
mod output;
mod requests;
mod signals;
mod sockets;
mod start;
mod systemd;
mod table;

use std::process::{Command, Stdio};

use hello_test_support::{Output, Process, component, not_tested, runner};

/// The command that runs the probe with these arguments, in a sandbox with these options.
fn probe(options: &[&str], arguments: &[&str]) -> Command {
    let mut command = sandbox(options);
    command.arg(component::probe()).args(arguments);
    command
}

/// The command that runs the probe for requests with these arguments, in a sandbox with these options.
fn request_probe(options: &[&str], arguments: &[&str]) -> Command {
    let mut command = sandbox(options);
    command.arg(component::request_probe()).args(arguments);
    command
}

/// The command that runs the server with these arguments, in a sandbox that grants any free port.
fn server(arguments: &[&str]) -> Command {
    let mut command = sandbox(&["--allow-listen", "127.0.0.1:0", "--grace", "60"]);
    command.arg(component::path()).args(["--listen", "127.0.0.1:0", "--stop-when-stdin-closes"]).args(arguments);
    command
}

/// The command that starts a sandbox with these options; the caller adds the component.
fn sandbox(options: &[&str]) -> Command {
    let mut command = Command::new(runner());
    // With few connections, the limits of this machine do not matter.
    command.args(["--quiet", "--max-connections", "100"]).args(options).stdin(Stdio::null());
    command
}

/// Plain `wasmtime run` of `component`, with the network.
fn wasmtime(component: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(component::root().join("runner/wasmtime"));
    command.args(["run", "-S", "inherit-network"]).arg(component).args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end, which must come.
fn run(command: &mut Command) -> Output {
    Process::start(command).wait()
}

/// Whether `starter` can start a program here, so that a test can use `starter`, or print that it did not.
fn works(starter: &[&str]) -> bool {
    let status = Command::new(starter[0]).args(&starter[1..]).arg(runner()).arg("--version").output();
    let works = status.is_ok_and(|output| output.status.success());
    if !works {
        not_tested(format!("{} does not work here", starter.join(" ")), "run it as root, on Linux");
    }
    works
}

/// A section of a WebAssembly file.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &leb128(content.len())[..], content].concat()
}

/// A number as WebAssembly writes it, in four bytes, which may be more than necessary.
fn leb128(number: usize) -> [u8; 4] {
    assert!(number < 1 << 28, "{number}");
    [0, 7, 14, 21].map(|shift| (number >> shift) as u8 & 0x7f | if shift < 21 { 0x80 } else { 0 })
}

/// The sections of a WebAssembly file: the number and the content of each.
fn sections(file: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut sections, mut rest) = (Vec::new(), &file[8..]);
    while let Some((&id, behind)) = rest.split_first() {
        let digits = 1 + behind.iter().take_while(|&&byte| byte >= 0x80).count();
        let length = behind[..digits].iter().rev().fold(0, |length, &byte| length << 7 | usize::from(byte & 0x7f));
        sections.push((id, &behind[digits..digits + length]));
        rest = &behind[digits + length..];
    }
    sections
}

/// A component with these sections, behind the eight bytes with which each component begins.
fn component_of(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &sections.concat()].concat()
}

/// The sections of a component that import this interface, as an instance with these declarations.
fn import(interface: &str, declarations: &[u8]) -> [Vec<u8>; 2] {
    let name = [&[0], &leb128(interface.len())[..], interface.as_bytes()].concat();
    [section(7, &[&[1, 0x42], declarations].concat()), section(10, &[&[1], &name[..], &[5, 0]].concat())]
}

/// The section of a component that exports its imported instance under this name.
fn export(interface: &str) -> Vec<u8> {
    let name = [&[0], &leb128(interface.len())[..], interface.as_bytes()].concat();
    section(11, &[&[1], &name[..], &[5, 0, 0]].concat())
}

/// Asserts that the sandbox failed, with exactly two lines, cause and advice, behind the output of the component.
fn assert_failed(output: &Output, code: i32, cause: &str, advice: &str) {
    let lines: Vec<&str> = output.stderr.lines().skip_while(|line| !line.starts_with("hello-runner: ")).collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert!(lines[0].contains(cause), "{cause:?}: {output:?}");
    assert!(lines[1].starts_with("  ") && lines[1].contains(advice), "{advice:?}: {output:?}");
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}
