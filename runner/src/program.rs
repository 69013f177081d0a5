//! Links a component with its imports, asks for its needs, and runs it to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hello_failure::Failure;
use wasmtime::component::Component;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;

use crate::audit::Audit;
use crate::component::OptionalImports;
use crate::grants::{Grants, Guard, join};
use crate::host::{ByWay, Command, Host, WallClock};
use crate::http::Http;
use crate::limits::{self, Handles, Limits, MIB, MOST_HANDED_OVER};
use crate::net::{Ended, Listeners, Net};
use crate::options::Options;
use crate::outcome;
use crate::stdio::{NAME, Output, OutputHandle, Stdout};
use crate::system;
use crate::turns::Turns;
use crate::watch::Watch;

/// The most bytes that a component may print about its needs.
const MOST_NEEDS: usize = 64 * 1024;

/// The time that messages about a component may take to be written, before the component starts all the same.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// One of the instances of a component.
pub(crate) struct Instance {
    number: usize,
    pub(crate) turns: Arc<Turns>,
}

/// A linked component, which can be run more than once.
pub(crate) struct Program<'p> {
    engine: &'p Engine,
    name: &'p str,
    imports: OptionalImports,
    command: Command,
    pub(crate) stderr: &'p Arc<Output>,
    pub(crate) watch: &'p Arc<Watch>,
    audit: &'p Audit,
    listeners: &'p Arc<Listeners>,
    /// Whether the grants were printed.
    has_spoken: Mutex<bool>,
}

impl<'p> Program<'p> {
    /// Links the component with its imports.
    pub(crate) fn new(
        engine: &'p Engine,
        component: &Component,
        name: &'p str,
        stderr: &'p Arc<Output>,
        watch: &'p Arc<Watch>,
        audit: &'p Audit,
        listeners: &'p Arc<Listeners>,
    ) -> Result<Self, Failure> {
        let imports = OptionalImports::of(engine, component, name)?;
        if imports.requests && !listeners.is_empty() {
            return Err(Failure::usage(
                format!("{name} sends requests, so it cannot take the sockets that systemd hands over"),
                "start it without the socket unit: its service opens the sockets",
            ));
        }
        let command = Command::link(engine, component, name, &imports)?;
        let has_spoken = Mutex::default();
        Ok(Program { engine, name, imports, command, stderr, watch, audit, listeners, has_spoken })
    }

    /// Asks the component for its needs with these arguments, with nothing granted. Returns its exit code and its output.
    pub(crate) fn ask(&self, options: &Options) -> anyhow::Result<(u8, String)> {
        let mut asking = Options { grants: Grants::default(), quiet: true, ..options.clone() };
        asking.arguments.insert(0, "--check-options".into());
        let (stdout, said) = Output::in_memory(MOST_NEEDS).map_err(|error| system::refused(&error))?;
        self.audit.mark_check(true);
        let code = self.run(&asking, &stdout, &self.instance(0))?;
        self.audit.mark_check(false);
        stdout.drain(FIRST_WORDS);
        Ok((code, said.text()))
    }

    /// The instance with this number, which starts now.
    pub(crate) fn instance(&self, number: usize) -> Instance {
        Instance { number, turns: self.watch.start(number) }
    }

    /// Runs an instance of the component to its end. Returns its own exit code.
    pub(crate) fn run(&self, options: &Options, stdout: &Arc<Output>, instance: &Instance) -> anyhow::Result<u8> {
        let name = &match options.instances {
            1 => self.name.to_owned(),
            _ => format!("instance {} of {}", instance.number + 1, self.name),
        };
        let handles = Handles::new(options.max_connections, options.max_memory, self.imports.requests);
        let mut store =
            self.store(options, stdout, handles, &instance.turns).map_err(|error| system::refused(&error))?;
        let (outcome, end) = match &self.command {
            Command::Waits(command) => {
                self.say_first_words(options)?;
                let (outcome, end) = instance.turns.over_turns(|| {
                    let command = command.instantiate(&mut store)?;
                    command.wasi_cli_run().call_run(&mut store)
                });
                if end.is_none() {
                    store.data_mut().view().net.finish();
                }
                (Some(outcome).filter(|outcome| !outcome.as_ref().is_err_and(|error| error.is::<Ended>())), end)
            }
            Command::IsPolled(command) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| system::refused(&error))?;
                // From here on the process opens only what the component asks for.
                self.say_first_words(options)?;
                runtime.block_on(instance.turns.over(async {
                    let command = command.instantiate_async(&mut store).await?;
                    command.wasi_cli_run().call_run(&mut store).await
                }))
            }
        };
        let place = match &outcome {
            Some(Err(error)) if options.verbose => outcome::place(error),
            _ => None,
        };
        let code = match (outcome, end) {
            (_, Some(end)) => outcome::ended(end, name, options.verbose),
            (Some(outcome), None) => outcome::returned(outcome, options, name, handles),
            (None, None) => unreachable!("it ends, or is ended"),
        };
        Ok(code.map_err(|failure| failure.with_details(place.unwrap_or_default()))?)
    }

    /// Prints the grants of the component, and a note if there are too few descriptors.
    ///
    /// # Errors
    /// There is no file descriptor for a connection.
    fn say_first_words(&self, options: &Options) -> Result<(), Failure> {
        let mut has_spoken = self.has_spoken.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *has_spoken, !options.quiet) {
            return Ok(());
        }
        let note = descriptors(options)?;
        if !options.quiet {
            self.stderr.say(sentences(options, self.name, &self.imports).iter().map(String::as_str));
            if let Some(note) = note {
                self.stderr.say([note.as_str(), "  raise the limit (ulimit -n), or take a smaller --max-connections"]);
            }
        }
        // The output of the component on the other stream comes behind this one, also if both go to one file.
        self.stderr.drain(FIRST_WORDS);
        Ok(())
    }

    /// The state of one run of the component.
    ///
    /// # Errors
    /// The system has no descriptor left for the sockets.
    fn store(
        &self,
        options: &Options,
        stdout: &Arc<Output>,
        handles: Handles,
        turns: &Arc<Turns>,
    ) -> std::io::Result<Store<Host>> {
        let guard = Guard::new(self.name, self.stderr, self.audit);
        let mut wasi = WasiCtx::builder();
        wasi.arg(self.name).args(&options.arguments);
        wasi.stdin(self.watch.stdin()).stdout(Stdout(Arc::clone(stdout))).stderr(Stdout(Arc::clone(self.stderr)));
        wasi.wall_clock(WallClock);
        let by_way = match &self.command {
            Command::Waits(_) => {
                let shares = options.instances > 1;
                let [stdout, stderr] = [stdout, self.stderr].map(|output| OutputHandle::new(output, shares));
                let stdin = self.watch.stdin();
                ByWay::Waits(Net::new(&options.grants, &guard, turns, stdin, self.listeners, stdout, stderr)?)
            }
            Command::IsPolled(_) => {
                let (grants, asked) = (options.grants.clone(), guard.clone());
                wasi.allow_tcp(true).socket_addr_check(move |address, usage| {
                    let allowed = asked.allows(&grants, address, usage);
                    Box::pin(async move { allowed })
                });
                ByWay::IsPolled(Http::new(&options.grants, &guard, handles.connections))
            }
        };
        let host = Host {
            wasi: wasi.build(),
            table: handles.table(),
            limits: Limits::new(options.max_memory, self.audit),
            guard,
            by_way,
        };
        let mut store = Store::new(self.engine, host);
        if self.imports.requests {
            store.set_hostcall_fuel(MOST_HANDED_OVER);
        }
        store.limiter(|host| &mut host.limits);
        // Wasmtime counts a handle twice while it is lent to a call.
        store.set_max_component_handles(2 * handles.most);
        if options.has_traps() {
            let turns = Arc::clone(turns);
            store.epoch_deadline_callback(move |_| match turns.has_ended() {
                true => Ok(UpdateDeadline::Interrupt),
                // Another instance has ended.
                false => Ok(UpdateDeadline::Continue(1)),
            });
        }
        store.set_epoch_deadline(1);
        Ok(store)
    }
}

/// A note if fewer descriptors are left than all connections need.
///
/// # Errors
/// No descriptor is left for a connection.
fn descriptors(options: &Options) -> Result<Option<String>, Failure> {
    let wanted = options.all_connections();
    match limits::room_for_connections(wanted, limits::others_to_open(options)) {
        Some((0, most)) => Err(Failure::new(
            format!("this process may have {most} file descriptors (ulimit -n), which leaves none for a connection"),
            system::RAISE,
        )),
        Some((room, most)) if room < wanted => Ok(Some(format!(
            "{NAME}: note: the system grants {most} file descriptors, so there can be {room} connection{} at a time, not {wanted}",
            if room == 1 { "" } else { "s" }
        ))),
        _ => Ok(None),
    }
}

/// The least width of a terminal, in columns.
const TERMINAL: usize = 80;

/// The grants of the component, as lines.
fn sentences(options: &Options, name: &str, imports: &OptionalImports) -> Vec<String> {
    let mut may = options.grants.words();
    may.extend(["print".into(), "read the clock".into()]);
    if imports.random {
        may.push("draw random numbers".into());
    }
    let mut sentences = vec![
        format!("The sandbox lets {name} {}.", join(&may)),
        format!(
            "It can do nothing else: no files, no environment, no other connections, no name lookup, and at most {} MiB of memory{}.",
            options.max_memory / MIB,
            if options.instances == 1 { String::new() } else { format!(" in each of {} instances", options.instances) },
        ),
    ];
    let urls = options.grants.urls();
    if !urls.is_empty() {
        sentences.push(format!("Other machines find it at {}.", join(&urls)));
    }
    sentences.iter().flat_map(|sentence| wrapped(sentence)).collect()
}

/// A sentence as lines of a terminal. Each line but the first is indented.
fn wrapped(sentence: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= TERMINAL => *line += &format!(" {word}"),
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
