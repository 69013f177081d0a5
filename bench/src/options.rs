//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::case::{PARTS, Part};
use crate::contender::NAMES;
use crate::statistics::ENOUGH;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
hello-bench: measures hello-server side by side with its peers; prints Markdown

Usage: hello-bench [options]
       hello-bench first-answer [--port N] -- COMMAND...

  --rounds N            how many turns each server gets (default 5; with fewer, no bar is judged)
  --seconds N           seconds of a turn (default 2), and one more for each 5000 connections
  --cases LIST          some of kept-alive,idle,per-request,pipelined,logging,instances,echo,first-answer,size
  --connections LIST    how many connections are kept alive (default 1,64,512,2000,8000,10000)
  --only NAMES          some of hello-runner,hello-runner-quick,wasmtime,wasi-0.2,wasi-0.3,hyper-hello-runner,
                        hyper-wasmtime,axum-hello-runner,axum-wasmtime,std_net,hyper,epoll,nginx,wstd,hello-http,
                        hello-http-reused,hello-http-unpooled,http.server,lecture,
                        one-instance,two-instances,echo-hello-runner,echo-wasmtime,echo-wstd,echo-tokio
  --results FOLDER      where RESULTS.md and the charts go (default bench when everything is measured, else nowhere)
  --port N              the first of 25 ports that are free (default 21000)
  --component FILE      hello-server.wasm; hello-http.wasm is beside it
  --peers FOLDER        where all other components are: peer-wstd.wasm, hyper.wasm, examples/echo.wasm and so on
  --hyper FILE, --epoll FILE, --tokio FILE, --runner FILE, --quick-runner FILE, --wasmtime FILE, --wasmtime-serve FILE
                        programs to use instead of those that bench/run builds; with one of the last two, it is used for both
  --nginx FILE, --python FILE
                        other programs than nginx and python3 on PATH
  --help

first-answer launches a server, sends a request, ends the server at the first byte of the response, and prints the time. Without
--port, the server has to print its port: `Access http://localhost:PORT` on standard output.
";

/// The action of the command line.
pub(crate) enum Task {
    /// Print [`HELP`].
    Help,
    /// Measure.
    Measure(Box<Options>),
    /// Start a server, which may listen at a known port, and time its first response.
    FirstAnswer(Option<u16>, Vec<OsString>),
}

/// The options of a measurement.
pub(crate) struct Options {
    /// The number of turns of each server.
    pub(crate) rounds: usize,
    /// The seconds of a turn.
    pub(crate) seconds: u32,
    /// The parts to measure.
    pub(crate) parts: Vec<Part>,
    /// The numbers of kept-alive connections.
    pub(crate) connections: Vec<u32>,
    /// The names of the servers; all servers if this is empty.
    pub(crate) only: Vec<String>,
    /// The file for the results.
    pub(crate) results: Option<PathBuf>,
    /// The port of the first server; the ports of the others follow.
    pub(crate) port: u16,
    /// The component.
    pub(crate) component: PathBuf,
    /// The folder with the other components, which has the echo server of the runtime in `examples`.
    pub(crate) peers: PathBuf,
    /// The programs.
    pub(crate) programs: Programs,
}

/// The programs that are launched.
pub(crate) struct Programs {
    /// The native baseline.
    pub(crate) hyper: PathBuf,
    /// The limit.
    pub(crate) epoll: PathBuf,
    /// The native echo server.
    pub(crate) tokio: PathBuf,
    /// The sandbox of this project.
    pub(crate) runner: PathBuf,
    /// The sandbox of this project, as `runner/serve` builds it.
    pub(crate) quick_runner: PathBuf,
    /// The wasmtime that has `run`. The default is the one of `.cargo/config.toml`.
    pub(crate) wasmtime: Option<PathBuf>,
    /// The wasmtime that has `serve`. The default is the one of `.cargo/config.toml`.
    pub(crate) wasmtime_serve: Option<PathBuf>,
    /// nginx.
    pub(crate) nginx: PathBuf,
    /// Python.
    pub(crate) python: PathBuf,
}

impl Options {
    /// The default options. The programs are in `folder`, which is `target/dist`.
    fn default_in(folder: &Path) -> Self {
        let components = folder.join("../wasm32-wasip2/release");
        Options {
            rounds: ENOUGH,
            seconds: 2,
            parts: PARTS.map(|(_, part)| part).to_vec(),
            connections: vec![1, 64, 512, 2000, 8000, 10_000],
            only: Vec::new(),
            results: None,
            port: 21000,
            component: components.join("hello-server.wasm"),
            peers: components,
            programs: Programs {
                hyper: folder.join("hyper-baseline"),
                epoll: folder.join("epoll-limit"),
                tokio: folder.join("echo-tokio"),
                runner: folder.join("hello-runner"),
                quick_runner: folder.join("../runner/hello-runner"),
                wasmtime: None,
                wasmtime_serve: None,
                nginx: "nginx".into(),
                python: "python3".into(),
            },
        }
    }
}

/// Reads the command line.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options::default_in(&std::env::current_exe().unwrap_or_default().with_file_name(""));
    let mut whole = true;
    let mut port = None;
    let mut first_answer = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Task::Help),
            Long("port") => port = Some(parser.value()?.parse_with(|text| at_least_one(text, 65_500))? as u16),
            Value(command) if first_answer => {
                return Ok(Task::FirstAnswer(port, [command].into_iter().chain(parser.raw_args()?).collect()));
            }
            other if first_answer => return Err(other.unexpected()),
            Value(word) if word == "first-answer" => first_answer = true,
            Long("rounds") => options.rounds = parser.value()?.parse_with(|text| at_least_one(text, 1000))? as usize,
            Long("seconds") => options.seconds = parser.value()?.parse_with(|text| at_least_one(text, 3600))?,
            Long("cases") => (options.parts, whole) = (parser.value()?.parse_with(parts)?, false),
            Long("connections") => {
                let numbers = |text: &str| text.split(',').map(|number| at_least_one(number, 10_000)).collect();
                options.connections = parser.value()?.parse_with::<_, Vec<u32>, _>(numbers)?;
                whole = false;
            }
            Long("only") => {
                options.only = parser.value()?.string()?.split(',').map(str::to_owned).collect();
                if let Some(name) = options.only.iter().find(|name| !NAMES.contains(&name.as_str())) {
                    return Err(format!("no server is called {name:?}; there are {}", NAMES.join(", ")).into());
                }
                whole = false;
            }
            Long("results") => options.results = Some(parser.value()?.into()),
            Long("component") => options.component = parser.value()?.into(),
            Long("peers") => options.peers = parser.value()?.into(),
            Long("hyper") => options.programs.hyper = parser.value()?.into(),
            Long("epoll") => options.programs.epoll = parser.value()?.into(),
            Long("tokio") => options.programs.tokio = parser.value()?.into(),
            Long("runner") => options.programs.runner = parser.value()?.into(),
            Long("quick-runner") => options.programs.quick_runner = parser.value()?.into(),
            Long("wasmtime") => options.programs.wasmtime = Some(parser.value()?.into()),
            Long("wasmtime-serve") => options.programs.wasmtime_serve = Some(parser.value()?.into()),
            Long("nginx") => options.programs.nginx = parser.value()?.into(),
            Long("python") => options.programs.python = parser.value()?.into(),
            other => return Err(other.unexpected()),
        }
    }
    if first_answer {
        return Err("first-answer of which command? Give it after --".into());
    }
    options.port = port.unwrap_or(options.port);
    if whole && options.rounds >= ENOUGH && options.results.is_none() {
        options.results = Some("bench".into());
    }
    Ok(Task::Measure(Box::new(options)))
}

/// Reads a number from 1 to `most`.
fn at_least_one(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("it takes a number from 1 to {most}"))
}

/// Reads the names of cases.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let part = |name| {
        let known = PARTS.iter().find(|(known, _)| *known == name);
        known.map(|(_, part)| *part).ok_or_else(|| {
            let names = PARTS.map(|(name, _)| name).join(", ");
            format!("no case is called {name:?}; there are {names}")
        })
    };
    text.split(',').map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(arguments: &[&str]) -> Result<Options, String> {
        match parse(lexopt::Parser::from_args(arguments)) {
            Ok(Task::Measure(options)) => Ok(*options),
            Ok(_) => Err("another task".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn only_all_that_there_is_becomes_the_results() {
        let written = |arguments: &[&str]| measure(arguments).unwrap().results;
        assert_eq!(written(&[]), Some("bench".into()));
        assert_eq!(written(&["--rounds", "15", "--seconds", "5"]), Some("bench".into()));
        for part in [["--rounds", "4"], ["--only", "hyper"], ["--cases", "idle"], ["--connections", "64"]] {
            assert_eq!(written(&part), None, "{part:?}");
        }
        assert_eq!(written(&["--only", "hyper", "--results", "x"]), Some("x".into()));
    }

    #[test]
    fn cases_and_servers_have_names() {
        assert_eq!(measure(&["--cases", "idle,size"]).unwrap().parts, [Part::Idle, Part::Size]);
        assert!(measure(&["--cases", "idle,"]).is_err_and(|error| error.contains("there are kept-alive, idle")));
        assert!(measure(&["--only", "apache"]).is_err_and(|error| error.contains("there are hello-runner")));
    }

    #[test]
    fn a_number_is_within_its_bounds() {
        for wrong in [["--rounds", "0"], ["--port", "65501"], ["--connections", "64,10001"], ["--seconds", "x"]] {
            assert!(measure(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn first_answer_is_of_a_command_with_its_own_options() {
        let parsed = parse(lexopt::Parser::from_args(["first-answer", "--port", "7", "--", "a", "--help"]));
        assert!(matches!(parsed, Ok(Task::FirstAnswer(Some(7), command)) if command == ["a", "--help"]));
        assert!(parse(lexopt::Parser::from_args(["first-answer"])).is_err());
    }
}
