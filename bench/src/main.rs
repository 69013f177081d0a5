//! Measures hello-server in its sandbox side by side with its peers. `bench/README.md` says what, how and why.

mod bars;
mod case;
mod charts;
mod contender;
mod echo;
mod first;
mod idle;
mod limits;
mod machine;
mod markdown;
mod measure;
mod nginx;
mod options;
mod report;
mod scratch;
mod server;
mod statistics;
mod wrk;

use std::process::ExitCode;

use options::{HELP, Task};

/// A failure: its cause, and advice.
#[derive(Debug)]
struct Failure(String, &'static str);

/// Runs the action of the command line.
fn main() -> ExitCode {
    let done = match options::parse(lexopt::Parser::from_env()) {
        Ok(Task::Help) => {
            print!("{HELP}");
            Ok(())
        }
        Ok(Task::Measure(options)) => measure::everything(&options).and_then(|results| {
            print!("{}", results.markdown);
            options.results.iter().try_for_each(|folder| results.write(folder))
        }),
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
