//! `serve`: builds the server, and becomes the host that runs it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hello_failure::Failure;

use crate::cargo::{self, Product};
use crate::host::{self, Host};
use crate::process::become_program;
use crate::relay::{self, Address};
use crate::{example, kit, print, print_error, watch};

/// The part of `--help` about options that the server does not have.
const HELP: &str = "\
runner/serve: builds the server, and runs it in a sandbox that grants what its options need and nothing else

Usage: runner/serve [options], in any order (or: cargo serve [options])

Of this program
  --watch            build and restart the server whenever a file in src changes
  --wasmtime         run it in plain `wasmtime run`, and not in hello-runner, the sandbox of this project
  --http             run hello-http in `wasmtime serve`: the same answers behind `wasi:http`, on every core; takes --watch,
                     --quiet, and one --port N or --listen ADDR:PORT
  --live[=N]         also serve a page that shows what happens while it happens, on the next port (9001); N may watch it at
                     a time (default 8)
  --quiet            do not print the grants at the start
  --one-page         run examples/one_page.rs, the lecture's server on one page, and not the server of this project
  --step N           run examples/steps/step_N.rs, a step from that page to a server (docs/steps.md); N is 1 to 10
                     (these two take --port, --quiet, --wasmtime, --instances, --max-memory and --max-turn)
";

/// The part of `--help` about the sandbox, if that is the host. The help of the server follows.
const SANDBOX_HELP: &str = "
Of the sandbox
  --release          optimized: a third more requests a second; takes 6 to 10 minutes to build, once
  --verbose          print where in its code the server failed (built with line numbers, and 5 % slower)
  --instances N      run N servers at once on the same address, each in a thread (default 1); --max-memory and
                     --max-connections hold for each
  --max-memory MIB   the limit on memory (default 8 MiB, and 64 KiB for each connection; at most 4096 MiB)
  --max-turn SECS    the limit on code that runs without waiting; 0 is no limit (default 10)
  --audit FILE       list what the server asks of the sandbox, and the answers, a line of JSON each; FILE is created or
                     emptied at each start, - is standard error
";

/// The help of the server. It is here, too, so that there is help before anything has been built.
const SERVER_HELP: &str = include_str!("../../../src/help.txt");

/// The options of the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    watch: bool,
    host: Host,
    quiet: bool,
    release: bool,
    verbose: bool,
    /// Whether the server has a live page. Its option is among the words for the server, too.
    live: bool,
    /// The number of the program to run in place of the server: `--one-page` or `--step`.
    step: Option<usize>,
    /// `--instances`, `--max-memory`, `--max-turn` and `--audit`, each with its value: for the sandbox.
    sandbox: Vec<OsString>,
    /// All other words, in their order: for the server.
    server: Vec<OsString>,
}

/// Runs the server.
///
/// # Errors
/// The command line is wrong, or the server or its host cannot be built or started.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let mut options = parse(words)?;
    if options.asks_for_help() {
        print(&options.help());
        return Ok(0);
    }
    if let Some(option) = options.of_building().first().filter(|_| kit::folder().is_some()) {
        let cause = format!("{option} builds the project, and a kit has no source");
        return Err(Failure::usage(cause, kit::WHOLE_PROJECT).into());
    }
    if let Some(step) = options.step {
        return options.run_step(step);
    }
    let address = (options.host == Host::Http).then(|| Address::parse(&options.server)).transpose()?;
    // The server sees no environment, so NO_COLOR becomes an option. An option that was typed comes behind it, and wins.
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        options.server.splice(..0, ["--color", "never"].map(OsString::from));
    }
    cargo::add_target()?;
    let server = Server { product: options.product(), options, address };
    match server.options.watch {
        true => watch::run(&server),
        false => {
            let component = cargo::build(server.product)?;
            become_program(server.start(&component, true)?.command)
        }
    }
}

/// A server with the options of the command line.
pub(crate) struct Server {
    pub(crate) product: &'static Product,
    options: Options,
    /// The address at which `wasmtime serve` listens.
    address: Option<Address>,
}

/// The command that starts a server, and the way to stop it for a program that does not become it.
pub(crate) struct Start {
    pub(crate) command: Command,
    pub(crate) stop: Stop,
    /// The time that it may take to stop, unless its host limits this time.
    pub(crate) patience: Option<Duration>,
}

/// The way to ask a server to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The end of its standard input.
    Input,
    /// Ctrl-C, the only request that `wasmtime serve` understands.
    Interrupt,
}

/// The time that a server without a sandbox may take to stop, beyond its own `--grace`.
const PATIENCE: Duration = Duration::from_secs(5);

impl Server {
    /// The command that starts `component`, a build of the product. Prints the grants if it `is_first`.
    pub(crate) fn start(&self, component: &Path, is_first: bool) -> anyhow::Result<Start> {
        let speaks = is_first && !self.options.quiet && !self.options.asks_for_words();
        if speaks && kit::folder().is_some() {
            print_error(kit::GREETING);
        }
        match (self.options.host, self.address) {
            (Host::Sandbox, _) => self.in_sandbox(component, speaks),
            (_, None) => self.in_wasmtime(component, speaks),
            (_, Some(address)) => behind_http(address, component, speaks),
        }
    }

    fn in_sandbox(&self, component: &Path, speaks: bool) -> anyhow::Result<Start> {
        let Options { server, sandbox, verbose, release, .. } = &self.options;
        let mut command = Command::new(host::sandbox(*release)?);
        command.args((!speaks).then_some("--quiet")).args(verbose.then_some("--verbose")).args(sandbox);
        command.args(self.options.watch.then_some("--stop-when-stdin-closes"));
        // The live page shows what the server asks of the sandbox.
        command.args(self.options.live.then_some("--audit-to-stdin"));
        command.arg("--grant-needs").arg(component).arg("--stop-when-stdin-closes").args(server);
        Ok(Start { command, stop: Stop::Input, patience: None })
    }

    fn in_wasmtime(&self, component: &Path, speaks: bool) -> anyhow::Result<Start> {
        host::provide_wasmtime("run")?;
        let server = &self.options.server;
        let wasmtime = || {
            let mut command = host::wasmtime();
            command.args(host::socket_flags());
            command
        };
        let needs = host::check(wasmtime(), self.product.name, component, server)?;
        let mut command = wasmtime();
        command.arg(component).args(self.options.watch.then_some("--stop-when-stdin-closes")).args(server);
        if speaks {
            print_error(&format!("{}{}\n", host::SOCKET_GRANTS, host::typed(&command)));
        }
        let grace = needs.lines().find_map(|need| need.strip_prefix("grace ")?.parse().ok());
        let patience = PATIENCE + grace.map_or(Duration::ZERO, Duration::from_secs);
        Ok(Start { command, stop: Stop::Input, patience: Some(patience) })
    }
}

/// The command that starts `component` in `wasmtime serve`, which listens at `address`.
fn behind_http(address: Address, component: &Path, speaks: bool) -> anyhow::Result<Start> {
    host::provide_wasmtime("serve")?;
    let mut command = host::wasmtime();
    command.args(["serve", "-S", "cli", "--max-concurrent-requests", "300", "--addr", &address.socket.to_string()]);
    command.arg(component);
    if speaks {
        print_error(&format!(
            "wasmtime serve asks hello-http.wasm for the answer to each request that comes to {}.\n\
             It also grants the clock, random numbers, standard output and standard error; no files, no environment, no \
             sockets. The command is:\n  {}\n",
            address.socket,
            host::typed(&command)
        ));
    }
    command.stderr(relay::start(address)?);
    Ok(Start { command, stop: Stop::Interrupt, patience: Some(PATIENCE) })
}

/// The name of a flag, if it was given.
fn given((name, is_given): (&str, bool)) -> Option<&str> {
    is_given.then_some(name)
}

/// Whether the server's option `--name` takes a value: the word behind the option is that value, whatever it looks like.
fn takes_value(name: &str) -> bool {
    let named = ["listen", "port", "backlog", "max-connections", "grace", "log", "color"];
    named.contains(&name) || name.ends_with("-timeout")
}

/// Reads the command line. The words for the server stay as they are.
fn parse(words: Vec<OsString>) -> Result<Options, Failure> {
    use lexopt::prelude::*;

    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(words);
    loop {
        let word = parser.try_raw_args().and_then(|words| words.peek().map(OsStr::to_owned));
        let Some(argument) = parser.next()? else { break };
        match argument {
            Long("watch") => options.watch = true,
            Long("quiet") => options.quiet = true,
            Long("release") => options.release = true,
            Long("verbose") => options.verbose = true,
            Long("one-page") => options.choose_step(example::ONE_PAGE)?,
            Long("step") => options.choose_step(example::step(parser.value().ok())?)?,
            Long("live") => {
                options.live = true;
                options.server.extend(word);
                let _ = parser.optional_value();
            }
            Long("wasmtime") => options.choose(Host::Wasmtime)?,
            Long("http") => options.choose(Host::Http)?,
            Long(name @ ("instances" | "max-memory" | "max-turn" | "audit")) => {
                let takes = if name == "audit" { "a file, or -" } else { "a number" };
                let name = format!("--{name}");
                let value = parser.value().ok().filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| Failure::see_help(format_args!("{name} takes {takes}")))?;
                options.sandbox.extend([name.into(), value]);
            }
            Long(name) => {
                let takes_value = takes_value(name);
                options.server.extend(word);
                if parser.optional_value().is_none() && takes_value {
                    options.server.extend(parser.value().ok());
                }
            }
            // Of options in one word, such as `-hV`, the word comes with the first one.
            Short(_) => options.server.extend(word),
            Value(word) => options.server.push(word),
        }
    }
    if let Some(option) = options.step.and_then(|_| options.not_of_steps()) {
        return Err(example::has_no(option));
    }
    if options.live && options.verbose {
        return Err(Failure::see_help("--live and --verbose are two builds of the server: give one of them"));
    }
    if options.live && options.sandbox.iter().any(|word| word == "--instances") {
        return Err(Failure::see_help("--live shows one server: leave --instances out"));
    }
    if options.live && options.host == Host::Http {
        return Err(does_not_go_with_http("--live"));
    }
    let refused = match (options.host, options.of_sandbox().first()) {
        (Host::Sandbox, _) | (_, None) => None,
        (Host::Wasmtime, Some(option)) => {
            Some(Failure::see_help(format_args!("wasmtime does not know {option}: leave that out, or --wasmtime")))
        }
        (Host::Http, Some(option)) => Some(does_not_go_with_http(option)),
    };
    refused.map_or(Ok(options), Err)
}

/// The failure for an option that `wasmtime serve` has no counterpart for.
pub(crate) fn does_not_go_with_http(option: &str) -> Failure {
    Failure::see_help(format_args!("{option} does not go with --http: --watch, --quiet, --port and --listen do"))
}

impl Options {
    /// Takes the host that an option names. An option may be repeated, but two hosts are a mistake.
    fn choose(&mut self, host: Host) -> Result<(), Failure> {
        if self.host != Host::Sandbox && self.host != host {
            return Err(Failure::see_help("--wasmtime and --http are two hosts: give one of them"));
        }
        self.host = host;
        Ok(())
    }

    /// Takes the program that an option names, in place of the server.
    fn choose_step(&mut self, step: usize) -> Result<(), Failure> {
        if self.step.replace(step).is_some() {
            return Err(Failure::see_help("--one-page and --step are one program each: give one of them, once"));
        }
        Ok(())
    }

    /// An option that was given, and that no step has.
    fn not_of_steps(&self) -> Option<&'static str> {
        let flags = [("--watch", self.watch), ("--release", self.release), ("--verbose", self.verbose)];
        flags.into_iter().chain([("--http", self.host == Host::Http)]).find_map(given)
    }

    /// Builds a step, and becomes the host that runs it.
    fn run_step(&self, step: usize) -> anyhow::Result<u8> {
        let port = example::port(&self.server)?;
        cargo::add_target()?;
        let component = cargo::build(&cargo::STEPS[step])?;
        become_program(example::start(&component, port, self.host, self.quiet, &self.sandbox)?)
    }

    /// The names of the options that only the sandbox has.
    fn of_sandbox(&self) -> Vec<&str> {
        let with_value = self.sandbox.iter().step_by(2).filter_map(|name| name.to_str());
        [("--release", self.release), ("--verbose", self.verbose)]
            .into_iter()
            .filter_map(given)
            .chain(with_value)
            .collect()
    }

    /// The names of the options that need a build, which a kit cannot do.
    fn of_building(&self) -> Vec<&str> {
        let flags =
            [("--watch", self.watch), ("--live", self.live), ("--release", self.release), ("--verbose", self.verbose)];
        self.step.map(example::option).into_iter().chain(flags.into_iter().filter_map(given)).collect()
    }

    /// The text of `--help`, with the options of each part.
    fn help(&self) -> String {
        let server = SERVER_HELP.splitn(3, "\n\n").last().unwrap_or_default();
        match self.host {
            Host::Sandbox => [HELP, SANDBOX_HELP, "\n", server].concat(),
            Host::Wasmtime => [HELP, "\n", server].concat(),
            Host::Http => HELP.into(),
        }
    }

    /// Whether `--help` is among the words for the server.
    fn asks_for_help(&self) -> bool {
        self.server.iter().any(|word| word == "--help" || word == "-h")
    }

    /// Whether the server is to print its help or version, and exit.
    fn asks_for_words(&self) -> bool {
        self.asks_for_help() || self.server.iter().any(|word| word == "--version" || word == "-V")
    }

    /// The program to build.
    fn product(&self) -> &'static Product {
        match self.host {
            Host::Http => &cargo::HTTP_SERVER,
            _ if self.live => &cargo::LIVE_SERVER,
            _ if self.verbose => &cargo::VERBOSE_SERVER,
            _ => &cargo::SERVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Options, Failure> {
        parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn options_come_in_any_order_and_what_is_the_servers_stays_as_it_is() {
        let words = [
            "--max-turn=7",
            "--port",
            "0",
            "--watch",
            "--log=off",
            "--max-memory",
            "32",
            "x",
            "--audit",
            "-",
            "--quiet",
        ];
        let expected = Options {
            watch: true,
            quiet: true,
            sandbox: ["--max-turn", "7", "--max-memory", "32", "--audit", "-"].map(OsString::from).to_vec(),
            server: ["--port", "0", "--log=off", "x"].map(OsString::from).to_vec(),
            ..Options::default()
        };
        assert_eq!(options(&words).expect("options"), expected);
    }

    #[test]
    fn a_step_takes_the_place_of_the_server() {
        let of = |words: &[&str]| options(words).expect("options");
        let step = of(&["--step", "4", "--max-memory", "16", "--port", "0", "--quiet"]);
        assert_eq!((step.step, step.server), (Some(4), ["--port", "0"].map(OsString::from).to_vec()));
        assert_eq!(of(&["--one-page", "--wasmtime"]).step, Some(0));
        assert_eq!(of(&["--step=1"]).of_building(), ["--step"]);
    }

    #[test]
    fn words_for_the_server_are_passed_on_once_and_as_they_were_typed() {
        for words in [
            &["-hV"][..],
            &["--log="],
            &["--log=a=b"],
            &["--explain=yes"],
            &["--events", "x"],
            &["-"],
            &[""],
            &["--port"],
        ] {
            assert_eq!(options(words).expect("options").server, words);
        }
    }

    #[cfg(unix)]
    #[test]
    fn words_that_are_not_unicode_are_passed_on_as_they_were_typed() {
        use std::os::unix::ffi::OsStringExt as _;
        for (before, after) in [("--log=", ""), ("--", "=off"), ("x", "y")] {
            let word = OsString::from_vec([before.as_bytes(), b"\xff", after.as_bytes()].concat());
            let words = vec!["--port".into(), word.clone(), word];
            assert_eq!(parse(words.clone()).expect("options").server, words);
        }
    }

    #[test]
    fn the_value_of_an_option_of_the_server_is_never_an_option_of_this_program() {
        for option in ["--listen", "--port", "--log", "--header-timeout", "--grace"] {
            let options = options(&[option, "--watch"]).expect("options");
            assert_eq!((options.watch, options.server), (false, vec![option.into(), "--watch".into()]), "{option}");
        }
    }

    #[test]
    fn options_that_exclude_each_other_are_a_usage_error() {
        for (words, cause) in [
            (&["--watch=yes"][..], "--watch takes no value"),
            (&["--max-turn"], "--max-turn takes a number"),
            (&["--live", "--instances", "2"], "--live shows one server: leave --instances out"),
            (&["--max-memory", ""], "--max-memory takes a number"),
            (&["--audit="], "--audit takes a file, or -"),
            (&["--http", "--wasmtime"], "give one of them"),
            (&["--wasmtime", "--audit", "-"], "wasmtime does not know --audit"),
            (&["--wasmtime", "--verbose"], "wasmtime does not know --verbose"),
            (&["--http", "--max-turn", "3"], "--max-turn does not go with --http"),
            (&["--http", "--release"], "--release does not go with --http"),
            (&["--http", "--live"], "--live does not go with --http"),
            (&["--live", "--verbose"], "--live and --verbose are two builds"),
            (&["--one-page=1"], "--one-page takes no value"),
            (&["--step"], "--step"),
            (&["--step", "11"], "--step"),
            (&["--step", "1", "--one-page"], "give one of them, once"),
            (&["--step", "1", "--watch"], "--watch does not go with --one-page or --step"),
            (&["--one-page", "--http"], "--http does not go with --one-page or --step"),
            (&["--wasmtime", "--step=1", "--max-memory", "16"], "wasmtime does not know --max-memory"),
        ] {
            let error = options(words).expect_err(cause).to_string();
            assert!(error.contains(cause) && error.ends_with("; see --help"), "{words:?}: {error}");
        }
    }
}
