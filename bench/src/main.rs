//! Measures hello-server in its sandbox side by side with its peers. `bench/README.md` says what, how and why.

mod first;
mod report;
mod server;
mod wrk;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;
use std::{fs, thread};

use report::{Case, Run};
use server::Server;

/// What `--help` prints.
const HELP: &str = "\
hello-bench: measures hello-server side by side with its peers; prints Markdown

Usage: hello-bench [options]
       hello-bench first-answer [--port N] -- COMMAND...

  --rounds N            how often each server gets its turn (default 5; with fewer, no bar is judged)
  --seconds N           how long a turn is (default 5)
  --connections LIST    how many connections there are (default 1,64,512)
  --only NAMES          some of hyper,hello-runner,wasmtime
  --port N              the first of three ports that are free (default 21000)
  --component FILE      hello-server.wasm
  --hyper FILE, --runner FILE, --wasmtime FILE
                        other programs than those that bench/run builds
  --help

first-answer launches a server, asks it, ends it at the first byte of its answer, and says how long that took. Without
--port, the server has to say it: `Access http://localhost:PORT` on standard output.
";

/// The servers, in the order of the first round.
const NAMES: [&str; 3] = ["hyper", "hello-runner", "wasmtime"];

/// How cargo launches a component, which is the one list of flags for wasmtime.
const CARGO_CONFIG: &str = include_str!("../../.cargo/config.toml");

/// Which version of hyper this was built with, among others.
const CARGO_LOCK: &str = include_str!("../../Cargo.lock");

/// Why there is nothing more to measure, and what to do about it.
#[derive(Debug)]
struct Failure(String, &'static str);

/// What the command line asks for.
enum Task {
    /// To print [`HELP`].
    Help,
    /// To measure everything.
    Measure(Options),
    /// To start a server, which may listen at a port that is known, and see when it answers.
    FirstAnswer(Option<u16>, Vec<OsString>),
}

/// What to measure.
struct Options {
    /// How many turns each server gets.
    rounds: usize,
    /// How long a turn is.
    seconds: u32,
    /// The numbers of connections.
    connections: Vec<u32>,
    /// The names of the servers that take part; all of them if this is empty.
    only: Vec<String>,
    /// Where the first server listens; the others follow.
    port: u16,
    /// The component.
    component: PathBuf,
    /// The programs, in the order of [`NAMES`].
    programs: [PathBuf; 3],
}

/// A server that takes part.
struct Contender {
    /// One of [`NAMES`].
    name: &'static str,
    /// Where it listens.
    port: u16,
    /// How it is launched.
    command: Vec<OsString>,
}

/// Does what the command line asks for.
fn main() -> ExitCode {
    let done = match parse() {
        Ok(Task::Help) => {
            print!("{HELP}");
            Ok(())
        }
        Ok(Task::Measure(options)) => measure(&options),
        Ok(Task::FirstAnswer(port, command)) => {
            first::answer(port, &command).map(|time| println!("{:.1} ms", time.as_secs_f64() * 1000.0))
        }
        Err(error) => {
            eprintln!("hello-bench: {error}\n  hello-bench --help lists the options");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(cause, advice)) => {
            eprintln!("hello-bench: {cause}\n  {advice}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line.
fn parse() -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;

    // This program stands in target/runner, and so do the others; the component in target/wasm32-wasip2/release.
    let here = std::env::current_exe().unwrap_or_default();
    let beside = |file| here.with_file_name(file);
    let mut options = Options {
        rounds: report::ENOUGH,
        seconds: 5,
        connections: vec![1, 64, 512],
        only: Vec::new(),
        port: 21000,
        component: beside("../wasm32-wasip2/release/hello-server.wasm"),
        programs: [beside("hyper-baseline"), beside("hello-runner"), wasmtime_command()[0].into()],
    };
    let mut parser = lexopt::Parser::from_env();
    let mut port = None;
    let mut first_answer = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Task::Help),
            Long("port") => port = Some(parser.value()?.parse_with(|text| at_least_one(text, 65_533))? as u16),
            Value(command) if first_answer => {
                return Ok(Task::FirstAnswer(port, [command].into_iter().chain(parser.raw_args()?).collect()));
            }
            other if first_answer => return Err(other.unexpected()),
            Value(word) if word == "first-answer" => first_answer = true,
            Long("rounds") => options.rounds = parser.value()?.parse_with(|text| at_least_one(text, 1000))? as usize,
            Long("seconds") => options.seconds = parser.value()?.parse_with(|text| at_least_one(text, 3600))?,
            Long("connections") => {
                let numbers = |text: &str| text.split(',').map(|number| at_least_one(number, 10_000)).collect();
                options.connections = parser.value()?.parse_with::<_, Vec<u32>, _>(numbers)?;
            }
            Long("only") => {
                options.only = parser.value()?.string()?.split(',').map(str::to_owned).collect();
                if let Some(name) = options.only.iter().find(|name| !NAMES.contains(&name.as_str())) {
                    return Err(format!("no server is called {name:?}; there are {}", NAMES.join(", ")).into());
                }
            }
            Long("component") => options.component = parser.value()?.into(),
            Long("hyper") => options.programs[0] = parser.value()?.into(),
            Long("runner") => options.programs[1] = parser.value()?.into(),
            Long("wasmtime") => options.programs[2] = parser.value()?.into(),
            other => return Err(other.unexpected()),
        }
    }
    if first_answer {
        return Err("first-answer of which command? Give it after --".into());
    }
    options.port = port.unwrap_or(options.port);
    Ok(Task::Measure(options))
}

/// Reads a number from 1 to `most`.
fn at_least_one(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("it takes a number from 1 to {most}"))
}

/// wasmtime and its flags: the words of the list in `.cargo/config.toml`.
fn wasmtime_command() -> Vec<&'static str> {
    let list = CARGO_CONFIG.split_once("runner = [").and_then(|(_, rest)| rest.split_once(']'));
    list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).collect()
}

/// Measures everything, and prints it.
fn measure(options: &Options) -> Result<(), Failure> {
    let wrk = version("wrk").ok_or_else(wrk::missing)?;
    let hyperfine = version("hyperfine");
    if hyperfine.is_none() {
        eprintln!("Without hyperfine, the first answers are not measured. To get it: apt-get install hyperfine");
    }
    let mut contenders = contenders(options);
    same_answers(&mut contenders)?;
    let turns = options.connections.len() * options.rounds * contenders.len();
    let minutes = (turns * options.seconds as usize).div_ceil(60);
    eprintln!("Turns of {} s each: {turns}. This takes about {minutes} min.", options.seconds);

    let mut cases = Vec::new();
    for &connections in &options.connections {
        let mut case = Case { connections, servers: contenders.iter().map(|c| (c.name, Vec::new())).collect() };
        for round in 0..options.rounds {
            // Who comes first is another one every round.
            for turn in 0..contenders.len() {
                let which = (round + turn) % contenders.len();
                let run = turn_of(&contenders[which], connections, options.seconds)?;
                let errors = wrk::errors(&run.load.errors);
                eprintln!("{connections} x {}: {:.0} req/s, errors: {errors}", contenders[which].name, run.load.rate);
                case.servers[which].1.push(run);
            }
        }
        cases.push(case);
    }
    let (rounds, seconds) = (options.rounds, options.seconds);
    let versions = contenders.iter().map(|contender| match contender.name {
        "hyper" => hyper_version(),
        _ => version(&contender.command[0]),
    });
    let versions: Vec<String> = versions.chain([Some(wrk), hyperfine.clone()]).flatten().collect();
    println!("# Results\n\n{}.\n{}. Rounds: {rounds}, of {seconds} s.\n", machine(), versions.join(", "));
    println!("## Speed\n\n{}\n{}", report::servers(&cases), report::bars(&cases));

    if hyperfine.is_some() {
        eprintln!("And the first answers, which take about 10 s.");
        let mut times = Vec::new();
        for contender in &contenders {
            times.push((contender.name, first::hyperfine(contender.port, &contender.command)?));
        }
        println!("## First answer, of {} starts\n\n{}", first::RUNS, report::first_answers(&times).trim_end());
    }
    Ok(())
}

/// Those that take part, each with a port of its own.
fn contenders(options: &Options) -> Vec<Contender> {
    let takes_part = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let numbered = NAMES.into_iter().zip(&options.programs).zip(options.port..);
    let some = numbered.filter(|((name, _), _)| takes_part(name));
    some.map(|((name, program), port)| {
        let mut command = vec![program.into()];
        let mut add = |words: &str| command.extend(words.split(' ').map(OsString::from));
        match name {
            "hyper" => add(&format!("127.0.0.1:{port}")),
            "wasmtime" => add(&wasmtime_command()[1..].join(" ")),
            _ => add(&format!("--quiet --allow-listen 127.0.0.1:{port} --allow-listen [::1]:{port}")),
        }
        if name != "hyper" {
            command.push(options.component.clone().into());
            command.extend(format!("--port {port} --log off").split(' ').map(OsString::from));
        }
        Contender { name, port, command }
    })
    .collect()
}

/// Launches a contender, and gets its first answer.
fn launch(contender: &Contender) -> Result<(Server, String), Failure> {
    let mut server = Server::launch(&contender.command, Some(contender.port), Stdio::null())?;
    let mut stream = server.ask(contender.port)?;
    let answer = server::answer(&mut stream).map_err(|error| server.silent(&error))?;
    Ok((server, answer))
}

/// Fails if the contenders do not give the same answer, byte for byte; then there is nothing to compare.
fn same_answers(contenders: &mut [Contender]) -> Result<(), Failure> {
    let mut first = None;
    for contender in contenders {
        let (server, answer) = launch(contender)?;
        if *first.get_or_insert_with(|| answer.clone()) != answer {
            let cause = format!("{} gives another answer than the first server: {answer:?}", contender.name);
            return Err(Failure(cause, "make bench/src/bin/hyper.rs say what src/hello.rs says"));
        }
        // The script before wasmtime looks which one to take, which is not what its first answer shall be blamed for.
        if let ("wasmtime", Some(program)) = (contender.name, server.program()) {
            contender.command[0] = program.into();
        }
    }
    Ok(())
}

/// Gives a contender one turn, in a process of its own.
fn turn_of(contender: &Contender, connections: u32, seconds: u32) -> Result<Run, Failure> {
    let (mut server, _) = launch(contender)?;
    let before = server.cpu()?;
    let load = wrk::run(contender.port, connections, seconds)?;
    server.check()?;
    Ok(Run { load, cpu: server.cpu()? - before, memory: server.peak_memory()? })
}

/// What a program says of its version; nothing if it does not start.
fn version(program: impl AsRef<OsStr>) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    // wrk says more than that, and names its author.
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.split(" [").next()?.trim().to_owned())
}

/// What the baseline was built with.
fn hyper_version() -> Option<String> {
    let (_, rest) = CARGO_LOCK.split_once("name = \"hyper\"\nversion = \"")?;
    Some(format!("hyper {}", rest.split_once('"')?.0))
}

/// When and where this is.
fn machine() -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = processor.map_or("unknown processor", |(_, name)| name);
    format!("{date}, {cores} cores of {processor}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
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
}
