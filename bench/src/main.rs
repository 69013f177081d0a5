//! Measures hello-server side by side with its peers, in the same run and on the same machine: only ratios mean anything
//! elsewhere, and only medians of several rounds mean anything at all.
//!
//! | file | what it does |
//! |---|---|
//! | `main` | the command line, the rounds |
//! | `contender` | starts a server, and says what it used |
//! | `load` | what wrk found |
//! | `report` | medians, ratios, the table |
//! | `first_answer` | how long a server takes from its launch to its first answer, for hyperfine |
//! | `bin/hyper` | the native baseline |

mod contender;
mod first_answer;
mod load;
mod report;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use contender::Contender;
use report::Round;

const HELP: &str = "\
hello-bench: measures servers side by side

Usage: hello-bench [options] --component FILE --runner FILE --wasmtime FILE --hyper FILE
       hello-bench first-answer [--quiet] -- COMMAND [arguments]

  --rounds N             how often each is measured; at least 5 for a result (default 5)
  --seconds N            how long, each time (default 3)
  --connections A,B,...  kept-alive connections (default 1,64,512)
  --only A,B,...         of hyper, hello-runner and wasmtime

first-answer starts a server that prints where it listens, asks it once, and ends it.
";

/// Why nothing was measured: one line of cause, one of advice, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: String,
    advice: &'static str,
    code: u8,
}

impl Failure {
    pub(crate) fn new(cause: impl fmt::Display, advice: &'static str) -> Self {
        Failure { cause: cause.to_string(), advice, code: 1 }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure { cause: error.to_string(), advice: "see --help", code: 2 }
    }
}

/// What to measure.
struct Options {
    rounds: usize,
    seconds: u64,
    connections: Vec<usize>,
    only: Vec<String>,
    component: PathBuf,
    runner: PathBuf,
    wasmtime: PathBuf,
    hyper: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hello-bench: {}\n  {}", failure.cause, failure.advice);
            ExitCode::from(failure.code)
        }
    }
}

fn run() -> Result<(), Failure> {
    use lexopt::prelude::*;

    let mut options = Options {
        rounds: 5,
        seconds: 3,
        connections: vec![1, 64, 512],
        only: Vec::new(),
        component: PathBuf::new(),
        runner: PathBuf::new(),
        wasmtime: PathBuf::new(),
        hyper: PathBuf::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Value(mode) if mode == "first-answer" => return first_answer::run(parser.raw_args()?),
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("connections") => {
                let list = parser.value()?.string()?;
                let numbers: Result<_, _> = list.split(',').map(str::parse).collect();
                options.connections =
                    numbers.map_err(|_| lexopt::Error::from("--connections takes numbers, such as 1,64,512"))?;
            }
            Long("only") => options.only = parser.value()?.string()?.split(',').map(str::to_owned).collect(),
            Long("component") => options.component = parser.value()?.into(),
            Long("runner") => options.runner = parser.value()?.into(),
            Long("wasmtime") => options.wasmtime = parser.value()?.into(),
            Long("hyper") => options.hyper = parser.value()?.into(),
            other => return Err(other.unexpected().into()),
        }
    }
    measure(&options)
}

/// Measures all contenders at each number of connections, and prints a table for each.
fn measure(options: &Options) -> Result<(), Failure> {
    let mut contenders = Contender::all(options);
    contenders.retain(|contender| options.only.is_empty() || options.only.iter().any(|name| name == contender.name));
    for &connections in &options.connections {
        let mut rounds = Vec::new();
        for number in 0..options.rounds {
            // Who is first is another one each time: a machine is not the same at the beginning of a round and at its end.
            let mut order: Vec<usize> = (0..contenders.len()).collect();
            order.rotate_left(number % contenders.len().max(1));
            let mut round = Round::default();
            for index in order {
                // Only one server runs at a time: the others would have its caches.
                let contender = &contenders[index];
                round.insert(contender.name, contender.measure(connections, options.seconds)?);
            }
            eprintln!("{connections} connections, round {} of {} done", number + 1, options.rounds);
            rounds.push(round);
        }
        let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
        print!("{}", report::table(connections, &names, &rounds));
    }
    Ok(())
}
