//! The servers of the benchmark: their names, their commands, and whether they are there.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::case::Part;
use crate::options::{Options, Programs};
use crate::scratch::Scratch;
use crate::server::{self, Server};
use crate::{Failure, nginx};

/// The servers, in the order of the first round.
pub(crate) const NAMES: [&str; 25] = [
    "hello-runner",
    QUICK,
    "wasmtime",
    "wasi-0.2",
    "wasi-0.3",
    "hyper-hello-runner",
    "hyper-wasmtime",
    "axum-hello-runner",
    "axum-wasmtime",
    "std_net",
    "hyper",
    "epoll",
    "nginx",
    "wstd",
    "hello-http",
    "hello-http-reused",
    "hello-http-unpooled",
    "http.server",
    "lecture",
    "one-instance",
    "two-instances",
    "echo-hello-runner",
    "echo-wasmtime",
    "echo-wstd",
    "echo-tokio",
];

/// The number of kept-alive connections for servers of which one such number tells enough.
const ONCE: u32 = 64;

/// The name of the less optimized sandbox, which is built in a few minutes.
pub(crate) const QUICK: &str = "hello-runner-quick";

/// hello-http with one flag of `wasmtime serve` each, to be compared with hello-http without the flags.
pub(crate) const FLAGS: [(&str, &str); 2] =
    [("hello-http-reused", "--max-instance-reuse-count 1000"), ("hello-http-unpooled", "-O pooling-allocator=n")];

/// The configuration with which cargo launches a component, which has the only list of flags for wasmtime.
const CARGO_CONFIG: &str = include_str!("../../.cargo/config.toml");

/// A server of the benchmark.
pub(crate) struct Contender {
    /// One of [`NAMES`].
    pub(crate) name: &'static str,
    /// The port on which the server listens.
    pub(crate) port: u16,
    /// The command that launches the server.
    pub(crate) command: Vec<OsString>,
}

/// Whether a server is much slower than the others.
pub(crate) fn is_slow(name: &str) -> bool {
    is_http(name) || matches!(name, "std_net" | "wstd" | "http.server" | "lecture")
}

/// Whether a server is measured with one number of connections only, which tells enough about it.
fn is_asked_once(name: &str) -> bool {
    is_slow(name) || name == QUICK
}

/// Whether a server is measured with this number of kept-alive connections.
pub(crate) fn is_asked_for(name: &str, connections: u32) -> bool {
    match name {
        _ if is_asked_once(name) => connections == ONCE,
        _ if is_framework(name) => (ONCE..=2000).contains(&connections),
        _ => true,
    }
}

/// The library and the host of a server of `examples/frameworks/` with hyper or axum.
fn framework(name: &str) -> Option<(&str, &str)> {
    let (library, host) = name.split_once('-')?;
    (library == "hyper" || library == "axum").then_some((library, host))
}

/// Whether a server is one of `examples/frameworks/` with hyper or axum.
fn is_framework(name: &str) -> bool {
    framework(name).is_some()
}

/// Whether a server is hello-http, the second component of this project.
fn is_http(name: &str) -> bool {
    name.starts_with("hello-http")
}

/// Whether a server is one of those that work for each answer, and have no page.
fn is_worker(name: &str) -> bool {
    name.ends_with("-instance") || name.ends_with("-instances")
}

/// Whether a server is an echo server, and has no page.
fn is_echo(name: &str) -> bool {
    name.starts_with("echo-")
}

/// Whether a server gives the same response as hello-server to the byte, and not only the same page.
fn is_exact(name: &str) -> bool {
    matches!(name, "hello-runner" | QUICK | "wasmtime" | "wasi-0.2" | "wasi-0.3" | "hyper" | "epoll")
        || framework(name).is_some_and(|(library, _)| library == "hyper")
}

/// Whether a server runs a component, which has to be compiled before it runs for the first time.
pub(crate) fn is_compiled(name: &str) -> bool {
    matches!(name, "hello-runner" | QUICK | "wasmtime" | "wasi-0.3" | "wstd" | "hello-http")
        || framework(name).is_some_and(|(_, host)| host == "hello-runner")
}

/// Whether the benchmark measures a server in this part.
pub(crate) fn takes_part_in(name: &str, part: Part) -> bool {
    match part {
        _ if is_echo(name) => part == Part::Echo,
        _ if is_worker(name) => part == Part::Instances,
        Part::KeptAlive => name != "lecture",
        Part::Idle => {
            matches!(name, "hello-runner" | "wasmtime" | "wasi-0.2" | "wasi-0.3" | "hyper-hello-runner" | "hyper")
        }
        Part::PerRequest => name != "wstd" && name != QUICK && !is_http(name) && !name.starts_with("axum-"),
        // The examples write each response by itself, so the second waits for the acknowledgement of the first.
        Part::Pipelined => !is_asked_once(name) && !is_framework(name) && name != "wasi-0.3",
        Part::Logging => name == "hello-runner",
        Part::FirstAnswer => name != "wasi-0.2" && framework(name).is_none_or(|(_, host)| host == "hello-runner"),
        Part::Instances | Part::Echo | Part::Size => false,
    }
}

/// wasmtime and its flags: the words of the list in `.cargo/config.toml`.
fn wasmtime_command() -> Vec<&'static str> {
    let list = CARGO_CONFIG.split_once("runner = [").and_then(|(_, rest)| rest.split_once(']'));
    list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).collect()
}

/// The servers of the benchmark, each with a port of its own; and sentences about the servers that are not there.
pub(crate) fn contenders(options: &Options, scratch: &Scratch) -> Result<(Vec<Contender>, Vec<String>), Failure> {
    let mut there = Vec::new();
    let mut missing = Vec::new();
    for (name, port) in NAMES.into_iter().zip(options.port..) {
        let named = options.only.iter().any(|only| only == name);
        if !named && !options.only.is_empty() {
            continue;
        }
        match absence(name, options) {
            Some(reason) if named => return Err(Failure(reason, "leave it out of --only")),
            Some(reason) => missing.push(format!("{reason}.")),
            None => there.push(Contender { name, port, command: command(name, port, options, scratch)? }),
        }
    }
    Ok((there, missing))
}

/// The reason why a server that not every machine has cannot take part.
fn absence(name: &str, options: &Options) -> Option<String> {
    let programs = &options.programs;
    let serve = serve(options);
    let starts = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let (program, arguments, advice): (_, &[&str], _) = match name {
        "nginx" => (&programs.nginx, &["-v"], "apt-get install nginx, or --nginx FILE"),
        _ if is_http(name) => {
            (&serve, &["serve", "--help"], "that takes a wasmtime with `serve`: --wasmtime-serve FILE")
        }
        "http.server" | "lecture" => (&programs.python, &["--version"], "apt-get install python3, or --python FILE"),
        _ => return None,
    };
    let command = format!("{} {}", program.display(), arguments.join(" "));
    (!starts(program, arguments)).then(|| format!("{name} is left out, because `{command}` fails ({advice})"))
}

/// The wasmtime that has `serve`.
fn serve(options: &Options) -> PathBuf {
    let Programs { wasmtime, wasmtime_serve, .. } = &options.programs;
    wasmtime_serve.clone().or_else(|| wasmtime.clone()).unwrap_or_else(|| wasmtime_command()[0].into())
}

/// The command of a server that listens at `port`.
fn command(name: &str, port: u16, options: &Options, scratch: &Scratch) -> Result<Vec<OsString>, Failure> {
    let programs = &options.programs;
    let words = |program: &Path, words: &str| {
        let mut command = vec![program.into()];
        command.extend(words.split(' ').map(OsString::from));
        command
    };
    // The component follows the options of its host, and its own options follow the component.
    let component = |mut host: Vec<OsString>, component: &Path, words: &str| {
        host.push(component.into());
        host.extend(words.split(' ').filter(|word| !word.is_empty()).map(OsString::from));
        host
    };
    let ours = |host| component(host, &options.component, &format!("--port {port} --log off"));
    let flags = wasmtime_command();
    let wasmtime = programs.wasmtime.clone().unwrap_or_else(|| flags[0].into());
    Ok(match name {
        "hello-runner" | QUICK => ours(words(
            if name == QUICK { &programs.quick_runner } else { &programs.runner },
            &format!("--quiet --allow-listen 127.0.0.1:{port} --allow-listen [::1]:{port}"),
        )),
        "wasmtime" => ours(words(&wasmtime, &flags[1..].join(" "))),
        "wasi-0.2" => ours(words(&wasmtime, "run -S inherit-network")),
        "wasi-0.3" => {
            let host = words(&wasmtime, "run -S inherit-network");
            component(host, &options.peers.join("hello_wasi_03.wasm"), &port.to_string())
        }
        "std_net" => {
            component(words(&wasmtime, &flags[1..].join(" ")), &options.peers.join("std_net.wasm"), &port.to_string())
        }
        _ if let Some((library, host)) = framework(name) => {
            let host = match host {
                "hello-runner" => words(&programs.runner, &format!("--quiet --allow-listen 127.0.0.1:{port}")),
                _ => words(&wasmtime, &flags[1..].join(" ")),
            };
            component(host, &options.peers.join(format!("{library}.wasm")), &port.to_string())
        }
        "hyper" => words(&programs.hyper, &format!("127.0.0.1:{port}")),
        "epoll" => words(&programs.epoll, &format!("127.0.0.1:{port}")),
        "nginx" => nginx::command(&programs.nginx, port, scratch)?,
        "wstd" => {
            let peer = options.peers.join("peer-wstd.wasm");
            component(words(&wasmtime, "run -S inherit-network"), &peer, &format!("127.0.0.1:{port}"))
        }
        _ if is_http(name) => {
            let flag = FLAGS
                .iter()
                .find(|(flagged, _)| *flagged == name)
                .map_or(String::new(), |(_, flag)| format!(" {flag}"));
            let host = words(&serve(options), &format!("serve -S cli --addr 127.0.0.1:{port}{flag}"));
            component(host, &options.component.with_file_name("hello-http.wasm"), "")
        }
        "one-instance" | "two-instances" => {
            let instances = if name == "one-instance" { 1 } else { 2 };
            let host = format!("--quiet --instances {instances} --allow-listen 127.0.0.1:{port}");
            component(
                words(&programs.runner, &host),
                &options.peers.join("hello-worker.wasm"),
                &format!("127.0.0.1:{port}"),
            )
        }
        "echo-hello-runner" => {
            let host = words(&programs.runner, &format!("--quiet --allow-listen 127.0.0.1:{port}"));
            component(host, &options.peers.join("examples/echo.wasm"), &format!("127.0.0.1:{port}"))
        }
        "echo-wasmtime" | "echo-wstd" => {
            let server = if name == "echo-wstd" { "echo-wstd.wasm" } else { "examples/echo.wasm" };
            let host = words(&wasmtime, "run -S inherit-network");
            component(host, &options.peers.join(server), &format!("127.0.0.1:{port}"))
        }
        "echo-tokio" => words(&programs.tokio, &format!("127.0.0.1:{port}")),
        "http.server" => words(&programs.python, &format!("bench/python/http_server.py {port}")),
        _ => words(&programs.python, &format!("bench/python/lecture.py {port}")),
    })
}

impl Contender {
    /// Launches the server, and reads its first response.
    pub(crate) fn launch(&self, stdout: Stdio) -> Result<(Server, String), Failure> {
        let mut server = Server::launch(&self.command, Some(self.port), stdout)?;
        let mut stream = server.ask(self.port)?;
        let read = if is_echo(self.name) { server::echo } else { server::answer };
        let answer = read(&mut stream).map_err(|error| server.silent(&error))?;
        if self.name == "two-instances" {
            // The load generator may connect only once.
            server.find_another(self.port, &answer)?;
        }
        Ok((server, answer))
    }

    /// The same server, with the log that users see.
    pub(crate) fn with_log(&self) -> Contender {
        let common = |word: &OsString| if word == OsStr::new("off") { "common".into() } else { word.clone() };
        Contender { command: self.command.iter().map(common).collect(), ..*self }
    }
}

/// Fails if the servers do not give the same response: some of them byte for byte, and all of them the same page. Different
/// servers cannot be compared.
pub(crate) fn same_answers(contenders: &mut [Contender]) -> Result<(), Failure> {
    let (mut exact, mut page) = (None, None);
    for contender in contenders {
        let (server, answer) = contender.launch(Stdio::null())?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        // `launch` has already compared the echo with the request. A worker answers with a number that it draws.
        if is_echo(contender.name) || is_worker(contender.name) {
            continue;
        }
        let same_head = !is_exact(contender.name) || *exact.get_or_insert_with(|| answer.clone()) == answer;
        if !same_head || *page.get_or_insert_with(|| body.clone()) != body {
            let cause = format!("{} gives another answer than those before it: {answer:?}", contender.name);
            return Err(Failure(cause, "make the servers in bench/ say what src/hello.rs says"));
        }
        // A script in front of the program may choose which program to run; the first response must not count that time.
        if let Some(program) = server.program() {
            contender.command[0] = program.into();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_wasmtime_are_those_of_cargo() {
        let words = wasmtime_command();
        assert_eq!(words[..4], ["runner/wasmtime", "run", "-S", "inherit-network,udp=n,allow-ip-name-lookup=n,p3=n"]);
        assert_eq!(words[4..].len(), 2);
    }

    #[test]
    fn a_log_is_all_that_is_different() {
        let command = ["hello-runner", "x.wasm", "--port", "1", "--log", "off"].map(OsString::from).to_vec();
        let contender = Contender { name: "hello-runner", port: 1, command }.with_log();
        assert_eq!(contender.command, ["hello-runner", "x.wasm", "--port", "1", "--log", "common"]);
    }
}
