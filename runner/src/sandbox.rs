//! Runs a component in a sandbox: reads it, compiles it, gives it what it is granted, and waits for its end.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hello_failure::{Failure, report};
use wasmtime::component::{Component, Linker, ResourceTable, ResourceTableError};
use wasmtime::{Config, Engine, Store, Trap, WasmBacktrace, WasmBacktraceDetails};
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostWallClock, I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::cache::Kept;
use crate::denied;
use crate::grants::{Grants, Guard, join};
use crate::http::{self, Http};
use crate::limits::{self, Handles, Limits, MIB, MOST_ELEMENTS, MOST_HANDED_OVER, MOST_PARTS, OutOfMemory};
use crate::options::Options;
use crate::stdio::{Output, Stdout};
use crate::watch::{End, Watch, exit_code};
use crate::{NAME, system};

/// The packages and interfaces of WASI 0.2 that there is an answer for; what of them is allowed is another question.
const OFFERED: [&str; 8] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/outgoing-handler@",
    "wasi:http/types@",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// The most bytes of a component: what is named by mistake may be a disk, or have no end.
const MOST_BYTES: usize = 256 * MIB;

/// The most bytes in which a component may say what it needs.
const MOST_NEEDS: usize = 64 * 1024;

/// How long what is said about a component may take to be written, before it starts all the same.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// How long the last words of a component may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What belongs to the component on this side.
struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limits,
    guard: Guard,
    http: Http,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.http.view(&mut self.table)
    }
}

impl AsRef<Guard> for Host {
    fn as_ref(&self) -> &Guard {
        &self.guard
    }
}

/// The time of day. Wasmtime's own panics while the system's clock stands before 1970, which WASI has no number for: that
/// is 1970 here.
struct WallClock;

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// Runs a component as `options` say, to its end, and says what went wrong. Returns the exit code.
///
/// # Errors
/// What cannot be said here, because there is no thread to write it.
pub(crate) fn run(options: &Options) -> anyhow::Result<u8> {
    system::has_address_space()?;
    limits::raise_descriptors(options.max_connections);
    let name = options.component.file_name().unwrap_or(options.component.as_os_str()).to_string_lossy();
    let outputs = Output::stdout().and_then(|stdout| Ok((stdout, Output::stderr()?)));
    let (stdout, stderr) = outputs.map_err(|error| system::refused(&error))?;
    let watch = Watch::new();
    let outcome = run_with(options, &name, &stdout, &stderr, &watch);
    watch.settle();
    let code = code_of(outcome, &stderr);
    stdout.drain(LAST_WORDS);
    stderr.drain(LAST_WORDS);
    Ok(code)
}

/// The exit code for this outcome. Says what went wrong.
fn code_of(outcome: anyhow::Result<u8>, stderr: &Output) -> u8 {
    outcome.unwrap_or_else(|error| {
        let report = report(NAME, &error);
        stderr.say(report.text.lines());
        report.code
    })
}

/// Runs it, and returns its own exit code.
///
/// # Errors
/// Why it could not be started, or was ended.
fn run_with(
    options: &Options,
    name: &str,
    stdout: &Arc<Output>,
    stderr: &Arc<Output>,
    watch: &Arc<Watch>,
) -> anyhow::Result<u8> {
    let (title, last_stdout, last_stderr) = (name.to_owned(), Arc::clone(stdout), Arc::clone(stderr));
    let verbose = options.verbose;
    let last_words = move |end| {
        let code = code_of(ended(end, &title, verbose).map_err(Into::into), &last_stderr);
        last_stdout.drain(LAST_WORDS);
        last_stderr.drain(LAST_WORDS);
        code
    };
    let (engine, component) = caught(|| {
        watch.allow(options.grace);
        watch.begin(options.max_turn, options.stops_with_input, last_words).map_err(|error| system::refused(&error))?;
        load(options, stderr)
    })?;
    if options.verbose {
        watch.trap_in(&engine);
    }
    let program = Program::new(&engine, &component, name, stderr, watch)?;
    let Some(given) = options.needs else {
        return program.run(options, Stdout(Arc::clone(stdout)));
    };
    let (code, needs) = program.ask(options)?;
    if code != 0 {
        // WASI 0.2 only knows success and failure; this one is a mistake in the arguments.
        return Ok(if code == 1 { 2 } else { code });
    }
    let mut options = options.clone();
    options.grant(&needs, given).map_err(|error| Failure::usage(format!("{error}; see --help"), ""))?;
    watch.allow(options.grace);
    limits::raise_descriptors(options.max_connections);
    program.run(&options, Stdout(Arc::clone(stdout)))
}

/// A component that can be run, more than once.
struct Program<'p> {
    engine: &'p Engine,
    name: &'p str,
    asks: Asks,
    command: CommandPre<Host>,
    stderr: &'p Arc<Output>,
    watch: &'p Watch,
}

impl<'p> Program<'p> {
    /// Links the component with what there is for it.
    fn new(
        engine: &'p Engine,
        component: &Component,
        name: &'p str,
        stderr: &'p Arc<Output>,
        watch: &'p Watch,
    ) -> Result<Self, Failure> {
        let asks = asks(engine, component, name)?;
        let internal = |error: wasmtime::Error| Failure::new(format!("the sandbox cannot be set up: {error:#}"), BUG);
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(internal)?;
        denied::add_to_linker(&mut linker).map_err(internal)?;
        if asks.requests {
            http::add_to_linker(&mut linker).map_err(internal)?;
        }
        let lacking = |error: wasmtime::Error| {
            Failure::new(format!("{name} needs something that this sandbox does not have: {error:#}"), OFFER)
        };
        let nothing_to_start = |_| {
            Failure::new(
                format!("{name} has nothing to start: it does not export wasi:cli/run"),
                "build it as a program (with a main function), not as a library or for wasmtime serve",
            )
        };
        let command = linker.instantiate_pre(component).map_err(lacking)?;
        let command = CommandPre::new(command).map_err(nothing_to_start)?;
        Ok(Program { engine, name, asks, command, stderr, watch })
    }

    /// Asks the component what it needs for its arguments, with nothing granted. Returns its exit code, and what it says.
    fn ask(&self, options: &Options) -> anyhow::Result<(u8, String)> {
        let mut asking = Options { grants: Grants::default(), quiet: true, ..options.clone() };
        asking.arguments.insert(0, "--check-options".into());
        let said = MemoryOutputPipe::new(MOST_NEEDS);
        let code = self.run(&asking, said.clone())?;
        Ok((code, String::from_utf8_lossy(&said.contents()).into_owned()))
    }

    /// Runs the component to its end. Returns its own exit code.
    fn run(&self, options: &Options, stdout: impl StdoutStream + 'static) -> anyhow::Result<u8> {
        let name = self.name;
        let handles = Handles::new(options.max_connections, options.max_memory, self.asks.requests);
        let mut store = self.store(options, stdout, handles);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| system::refused(&error))?;
        // From here on nothing is opened but what the component asks for.
        let note = descriptors(options)?;
        if !options.quiet {
            self.stderr.say(sentences(options, name, &self.asks).iter().map(String::as_str));
            if let Some(note) = note {
                self.stderr.say([note.as_str(), "  raise the limit (ulimit -n), or take a smaller --max-connections"]);
            }
        }
        // What the component prints on the other stream comes behind it, also where both go to one place.
        self.stderr.drain(FIRST_WORDS);

        let (outcome, end) = runtime.block_on(self.watch.over(async {
            let command = self.command.instantiate_async(&mut store).await?;
            command.wasi_cli_run().call_run(&mut store).await
        }));
        let place = match &outcome {
            Some(Err(error)) if options.verbose => error.downcast_ref().map(WasmBacktrace::to_string),
            _ => None,
        };
        let ended = match (outcome, end) {
            (_, Some(end)) => ended(end, name, options.verbose),
            (Some(Ok(ended)), None) => Ok(u8::from(ended.is_err())),
            (Some(Err(error)), None) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(u8::try_from(exit.0).unwrap_or(1)),
                None => Err(failed(&error, options, name, handles)),
            },
            (None, None) => unreachable!("it ends, or is ended"),
        };
        Ok(ended.map_err(|failure| failure.with_details(place.unwrap_or_default()))?)
    }

    /// What belongs to one run of the component.
    fn store(&self, options: &Options, stdout: impl StdoutStream + 'static, handles: Handles) -> Store<Host> {
        let guard = Guard::new(self.name, self.stderr);
        let mut wasi = WasiCtx::builder();
        wasi.arg(self.name).args(&options.arguments);
        wasi.stdin(self.watch.stdin()).stdout(stdout).stderr(Stdout(Arc::clone(self.stderr)));
        wasi.wall_clock(WallClock);
        wasi.allow_tcp(true);
        let (grants, asked) = (options.grants.clone(), guard.clone());
        wasi.socket_addr_check(move |address, usage| {
            let allowed = asked.allows(&grants, address, usage);
            Box::pin(async move { allowed })
        });
        let host = Host {
            wasi: wasi.build(),
            table: handles.table(),
            limits: Limits::new(options.max_memory),
            http: Http::new(&options.grants, &guard, handles.connections),
            guard,
        };
        let mut store = Store::new(self.engine, host);
        if self.asks.requests {
            store.set_hostcall_fuel(MOST_HANDED_OVER);
        }
        store.limiter(|host| &mut host.limits);
        // Wasmtime counts a handle once more while it is lent to a call.
        store.set_max_component_handles(2 * handles.most);
        store.set_epoch_deadline(1);
        store
    }
}

/// What there is to say about the descriptors that are left for connections.
///
/// # Errors
/// There are none.
fn descriptors(options: &Options) -> Result<Option<String>, Failure> {
    let wanted = options.max_connections;
    match limits::room_for_connections(options.grants.listen.len()) {
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

/// Advice where only whoever made this program can help.
const BUG: &str = "this is a mistake in hello-runner: please report it";

/// What `set_up` comes to. What wasmtime is made of panics where the system has no thread or descriptor for it, and has
/// no other way to say so.
fn caught<T>(set_up: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
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

/// The engine, which keeps what it compiles in `kept`, if there is a place.
fn engine(options: &Options, kept: Option<&Kept>) -> Result<Engine, Failure> {
    let mut config = Config::new();
    if options.verbose {
        config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
        // Code that never pauses can then be ended where it is, which costs 5 % of the speed; see `watch.rs`.
        config.epoch_interruption(true);
    }
    // What WASI 0.3 would need costs WASI 0.2 some speed.
    config.concurrency_support(false);
    // WASI 0.2 has 32-bit addresses.
    config.wasm_memory64(false);
    // There will be one instance only, so nothing is gained by a file of what its memory begins with; and files may be limited.
    config.memory_init_cow(false);
    config.cache(kept.map(Kept::cache));
    Engine::new(&config).map_err(|error| Failure::new(format!("this machine cannot run WebAssembly: {error:#}"), BUG))
}

/// Reads the component at `path`, and compiles it, unless its code is there from an earlier time.
fn load(options: &Options, stderr: &Output) -> anyhow::Result<(Engine, Component)> {
    let path = &options.component;
    let bytes = read(path)?;
    let kept = Kept::find(&bytes);
    let engine = engine(options, kept.as_ref().ok())?;
    let component = compile(&engine, path, &bytes)?;
    if let (Err(problem), false) = (kept.and_then(|kept| kept.seal()), options.quiet) {
        let limit = problem.root_cause().downcast_ref().and_then(system::behind);
        let advice = match limit {
            Some(_) => system::RAISE,
            None => "set XDG_CACHE_HOME to a folder that only you can write to",
        };
        let limit = limit.map_or_else(String::new, |limit| format!("; {limit}"));
        stderr.say([
            format!("{NAME}: note: compiled code cannot be kept, so each start takes longer: {problem:#}{limit}")
                .as_str(),
            &format!("  {advice}"),
        ]);
    }
    Ok((engine, component))
}

/// Reads the component at `path`.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let give = "give the path of a component, a .wasm file; the server is built by: \
                cargo build --release --locked --target wasm32-wasip2";
    let unreadable = |error| system::could_not(&format!("cannot read {}", path.display()), &error, give);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // The preamble: magic number, version, layer (0 a module, 1 a component). What has another one is not read further.
    file.by_ref().take(8).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes[..] {
        [0, b'a', b's', b'm', _, _, 1, 0] => {}
        [0, b'a', b's', b'm', _, _, 0, 0] => {
            return Err(Failure::new(
                format!("{} is a WebAssembly module, not a component", path.display()),
                "build it for wasm32-wasip2, or make a component of it with: wasm-tools component new",
            ));
        }
        _ => return Err(Failure::new(format!("{} is not WebAssembly", path.display()), give)),
    }
    file.take(MOST_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MOST_BYTES {
        return Err(Failure::new(
            format!("{} is larger than {} MiB", path.display(), MOST_BYTES / MIB),
            "wasm-tools strip makes a component smaller",
        ));
    }
    Ok(bytes)
}

/// Compiles a component, whose file has this path.
fn compile(engine: &Engine, path: &Path, bytes: &[u8]) -> Result<Component, Failure> {
    Component::new(engine, bytes).map_err(|error| match system::cause_of(&error) {
        Some(error) if error.kind() != ErrorKind::PermissionDenied => system::refused(&error),
        Some(error) => Failure::new(
            format!("the system does not let this program run what it has compiled: {error}"),
            "allow it memory that is executable: MemoryDenyWriteExecute of systemd must be off, and so must its like",
        ),
        None => Failure::new(
            format!("{} is broken, or newer than this sandbox: {}", path.display(), error.root_cause()),
            "build it again; wasm-tools validate says more about it",
        ),
    })
}

/// What of the sandbox not every component asks for.
struct Asks {
    /// To draw random numbers.
    random: bool,
    /// To send requests by `wasi:http`.
    requests: bool,
}

/// Advice where a component wants something else.
const OFFER: &str =
    "it has WASI 0.2: cli, clocks, io, random, sockets, http to send requests (and filesystem, without files)";

/// What a component exports that answers requests: in WASI 0.2, and in 0.3.
const HANDLERS: [&str; 2] = ["wasi:http/incoming-handler@", "wasi:http/handler@"];

/// What the component asks for. It is an error if there is no answer for the name of it, or if the component is for another kind
/// of host.
fn asks(engine: &Engine, component: &Component, name: &str) -> Result<Asks, Failure> {
    let contract = component.component_type();
    if contract.exports(engine).any(|(export, _)| HANDLERS.iter().any(|handler| export.starts_with(handler))) {
        return Err(Failure::new(
            format!(
                "{name} is for a host that speaks wasi:http, which listens and hands it each request; this sandbox does not"
            ),
            "run it with wasmtime serve -S cli; for the hello-http.wasm of this project, runner/serve --http does that",
        ));
    }
    let mut imports = contract.imports(engine).map(|(import, _)| import);
    let offered = |import: &str| OFFERED.iter().any(|package| import.starts_with(package)) && !import.contains("@0.3");
    if let Some(import) = imports.find(|import| !offered(import)) {
        return Err(Failure::new(format!("{name} needs {import}, which this sandbox does not have"), OFFER));
    }
    let asks = |package: &str| contract.imports(engine).any(|(import, _)| import.starts_with(package));
    Ok(Asks { random: asks("wasi:random/"), requests: asks("wasi:http/") })
}

/// What the component may do, in sentences that can be read out.
fn sentences(options: &Options, name: &str, asks: &Asks) -> Vec<String> {
    let mut may = options.grants.words();
    may.extend(["print".into(), "read the clock".into()]);
    if asks.random {
        may.push("draw random numbers".into());
    }
    let mut sentences = vec![
        format!("The sandbox lets {name} {}.", join(&may)),
        format!(
            "It can do nothing else: no files, no environment, no other connections, no looking up of names, and no more than {} MiB of memory.",
            options.max_memory / MIB,
        ),
    ];
    let urls = options.grants.urls();
    if !urls.is_empty() {
        sentences.push(format!("Other machines find it at {}.", join(&urls)));
    }
    sentences
}

/// The exit code of a component that was ended by a signal, as a shell has it.
///
/// # Errors
/// Why it was ended otherwise.
fn ended(end: End, name: &str, verbose: bool) -> Result<u8, Failure> {
    let (cause, advice) = match end {
        End::Signal(signal) => return Ok(exit_code(signal)),
        End::Hostage => (
            format!("{name} was busy and did not listen, so it was ended"),
            format!("its code is probably in a loop without an end{}", says_where(verbose)),
        ),
        End::Turn(most) => (
            format!("{name} has been busy for {} without a pause, so it was ended", seconds(most)),
            format!("--max-turn allows more, but it is probably in a loop without an end{}", says_where(verbose)),
        ),
        End::Grace(grace) => (
            format!("{name} was asked to stop and did not within {}, so it was ended", seconds(grace)),
            "--grace allows more".into(),
        ),
    };
    Err(Failure::new(cause, advice))
}

/// The end of an advice: how to learn more, unless that follows anyway.
fn says_where(verbose: bool) -> &'static str {
    if verbose { "" } else { "; --verbose says where" }
}

/// `1 second`, `2 seconds`.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}

/// What went wrong when the component began, or while it ran.
fn failed(error: &wasmtime::Error, options: &Options, name: &str, handles: Handles) -> Failure {
    let in_its_code = error.downcast_ref::<WasmBacktrace>().is_some();
    if let Some(error) = error.downcast_ref::<OutOfMemory>() {
        let wanted = error.wanted.div_ceil(MIB);
        let cause = format!("{name} needs {wanted} MiB of memory, and may have {}", options.max_memory / MIB);
        Failure::new(cause, error.advice())
    } else if let Some(ResourceTableError::Full) = error.root_cause().downcast_ref() {
        let cause = format!("{name} holds more than {} handles of the host, such as sockets and streams", handles.most);
        Failure::new(cause, handles.advice())
    } else if let Some(error) = system::cause_of(error) {
        system::refused(&error)
    } else if !in_its_code && error.downcast_ref::<Trap>().is_none() {
        // None of its code runs yet, and all that it asks for is there.
        Failure::new(
            format!("{name} cannot be started: {}", error.root_cause()),
            format!(
                "there may be {MOST_PARTS} instances, memories and tables each, and {MOST_ELEMENTS} elements of a table"
            ),
        )
    } else {
        let advice = match error.downcast_ref::<Trap>() {
            // A panic of Rust, and `abort` of C.
            Some(Trap::UnreachableCodeReached) => "it gave up by itself: what it said before may tell why",
            Some(Trap::StackOverflow) => "a function probably calls itself without an end",
            // What a program has on its own stack lies in its memory, below everything else.
            Some(Trap::MemoryOutOfBounds) => "a pointer is wrong, or a function calls itself without an end",
            _ => "this is a mistake in the component",
        };
        let advice = format!("{advice}{}", says_where(options.verbose || !in_its_code));
        Failure::new(format!("{name} failed: {}", error.root_cause()), advice)
    }
}
