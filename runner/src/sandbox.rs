//! Runs a component in a sandbox: from the options to the exit code.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hello_failure::report;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::audit::Audit;
use crate::component::load;
use crate::instances;
use crate::limits;
use crate::net::Listeners;
use crate::options::Options;
use crate::outcome::ended;
use crate::program::Program;
use crate::stdio::{NAME, Output};
use crate::system;
use crate::turns::End;
use crate::watch::Watch;

/// The time that the last output of a component may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The standard streams of the component, which it shares with the sandbox.
#[derive(Clone)]
struct Streams {
    stdout: Arc<Output>,
    stderr: Arc<Output>,
}

impl Streams {
    /// Prints the error, if any, and waits until it and the earlier output of the component are written. Returns the exit code.
    fn finish(&self, outcome: anyhow::Result<u8>) -> u8 {
        let code = outcome.unwrap_or_else(|error| {
            let report = report(NAME, &error);
            self.stderr.say(report.text.lines());
            report.code
        });
        self.stdout.drain(LAST_WORDS);
        self.stderr.drain(LAST_WORDS);
        code
    }
}

/// Runs a component with these `options` to its end, and prints the error if it failed. This process has `started` then.
/// Returns the exit code.
///
/// # Errors
/// The process has too little address space, no thread that could print an error, no file for the audit, or a socket of systemd
/// that it cannot use.
pub(crate) fn run(options: &Options, started: Instant) -> anyhow::Result<u8> {
    system::has_address_space()?;
    let listeners = Arc::new(Listeners::from_system(options.instances > 1)?);
    limits::raise_descriptors(options);
    let name = options.component.file_name().unwrap_or(options.component.as_os_str()).to_string_lossy();
    let outputs = Output::stdout().and_then(|stdout| Ok(Streams { stdout, stderr: Output::stderr()? }));
    let streams = outputs.map_err(|error| system::refused(&error))?;
    let audit = Audit::new(options.audit.as_deref(), options.audit_to_stdin, started, &streams.stderr)?;
    let watch = Watch::new(&audit);
    let outcome = run_component(options, &name, &streams, &watch, &audit, &listeners);
    watch.settle();
    Ok(streams.finish(outcome))
}

/// Runs the component, and returns its own exit code.
///
/// # Errors
/// The component could not be started, or failed, or the sandbox ended it.
fn run_component(
    options: &Options,
    name: &str,
    streams: &Streams,
    watch: &Arc<Watch>,
    audit: &Audit,
    listeners: &Arc<Listeners>,
) -> anyhow::Result<u8> {
    let (engine, component) = catch_setup_panic(|| set_up(options, name, streams, watch))?;
    if options.has_traps() {
        watch.trap_in(&engine);
    }
    let program = Program::new(&engine, &component, name, &streams.stderr, watch, audit, listeners)?;
    let Some(given) = options.needs else {
        listeners.check(&options.grants)?;
        return instances::run(&program, options, &streams.stdout);
    };
    let (code, needs) = program.ask(options)?;
    if code != 0 {
        // WASI 0.2 only knows success and failure; this failure is a mistake in the arguments.
        return Ok(if code == 1 { 2 } else { code });
    }
    let mut options = options.clone();
    options.grant(&needs, given)?;
    listeners.check(&options.grants)?;
    watch.allow(options.grace);
    limits::raise_descriptors(&options);
    instances::run(&program, &options, &streams.stdout)
}

/// Starts the watch, and then reads and compiles the component, which takes time.
fn set_up(options: &Options, name: &str, streams: &Streams, watch: &Arc<Watch>) -> anyhow::Result<(Engine, Component)> {
    let (last_streams, name, verbose) = (streams.clone(), name.to_owned(), options.verbose);
    let last_words = move |end: End| last_streams.finish(ended(end, &name, verbose).map_err(Into::into));
    watch.allow(options.grace);
    watch.begin(options.max_turn, options.stops_with_input, last_words).map_err(|error| system::refused(&error))?;
    load(options, &streams.stderr)
}

/// Runs `set_up`, and turns a panic into an error. Parts of wasmtime report in no other way that the system has no thread
/// or descriptor for them.
fn catch_setup_panic<T>(set_up: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(set_up));
    set_hook(hook);
    outcome.unwrap_or_else(|panic| {
        let words =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(system::panicked(words.and_then(|words| words.lines().next()).unwrap_or("it does not say why")).into())
    })
}
