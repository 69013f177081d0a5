//! Runs a component in a sandbox: reads it, compiles it, gives it what it is granted, and waits for its end.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wasmtime::component::{Component, Linker, ResourceTable, ResourceTableError};
use wasmtime::{Config, Engine, Store, Trap, WasmBacktrace, WasmBacktraceDetails};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{HostWallClock, I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::cache::Kept;
use crate::denied;
use crate::grants::{Guard, join};
use crate::http::{self, Http};
use crate::limits::{self, Handles, Limits, MIB, MOST_ELEMENTS, MOST_HANDED_OVER, MOST_PARTS, OutOfMemory};
use crate::options::{MOST_MEMORY, Options};
use crate::stdio::{Output, Stdout};
use crate::watch::{End, Watch, exit_code};
use crate::{Failure, print};

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
pub(crate) fn run(options: &Options) -> u8 {
    let name = options.component.file_name().unwrap_or(options.component.as_os_str()).to_string_lossy();
    // A name may be anything, and shall not look like another line, or do something to a terminal.
    let name = name.replace(char::is_control, "?");
    let outputs = Output::stdout().and_then(|stdout| Ok((stdout, Output::stderr()?)));
    let (stdout, stderr) = match outputs {
        Ok(outputs) => outputs,
        Err(error) => {
            // Nobody else is there to write it.
            let failure = system(&error);
            print(std::io::stderr(), &failure.words());
            return failure.code;
        }
    };
    let watch = Watch::new();
    let outcome = run_with(options, &name, &stdout, &stderr, &watch);
    watch.settle();
    let code = outcome.unwrap_or_else(|failure| failure.tell(&stderr));
    stdout.drain(LAST_WORDS);
    stderr.drain(LAST_WORDS);
    code
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
) -> Result<u8, Failure> {
    let (title, last_stdout, last_stderr) = (name.to_owned(), Arc::clone(stdout), Arc::clone(stderr));
    let verbose = options.verbose;
    let last_words = move |end| {
        let code = ended(end, &title, verbose).tell(&last_stderr);
        last_stdout.drain(LAST_WORDS);
        last_stderr.drain(LAST_WORDS);
        code
    };
    let (engine, component) = caught(|| {
        watch.begin(options.max_turn, options.grace, last_words).map_err(|error| system(&error))?;
        load(options, stderr)
    })?;
    if options.verbose {
        watch.trap_in(&engine);
    }
    let asks = asks(&engine, &component, name)?;
    let note = limits::raise_descriptors(options.max_connections);

    let guard = Guard::new(name, stderr);
    let mut wasi = WasiCtx::builder();
    wasi.arg(name).args(&options.arguments);
    wasi.stdin(watch.stdin()).stdout(Stdout(Arc::clone(stdout))).stderr(Stdout(Arc::clone(stderr)));
    wasi.wall_clock(WallClock);
    wasi.allow_tcp(true);
    let (grants, asked) = (options.grants.clone(), guard.clone());
    wasi.socket_addr_check(move |address, usage| {
        let allowed = asked.allows(&grants, address, usage);
        Box::pin(async move { allowed })
    });

    let internal = |error: wasmtime::Error| Failure::new(format!("the sandbox cannot be set up: {error:#}"), BUG);
    let mut linker = Linker::new(&engine);
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
    let command = linker.instantiate_pre(&component).map_err(lacking)?;
    let command = CommandPre::new(command).map_err(nothing_to_start)?;
    let handles = Handles::new(options.max_connections, options.max_memory, asks.requests);
    let host = Host {
        wasi: wasi.build(),
        table: handles.table(),
        limits: Limits::new(options.max_memory),
        http: Http::new(&options.grants, &guard, handles.connections),
        guard,
    };
    let mut store = Store::new(&engine, host);
    if asks.requests {
        store.set_hostcall_fuel(MOST_HANDED_OVER);
    }
    store.limiter(|host| &mut host.limits);
    // Wasmtime counts a handle once more while it is lent to a call.
    store.set_max_component_handles(2 * handles.most);
    store.set_epoch_deadline(1);

    if !options.quiet {
        stderr.say(&sentence(options, name, &asks));
    }
    if let Some(note) = note.filter(|_| !options.quiet) {
        stderr.say(&format!(
            "hello-runner: note: {note}\n  raise the limit (ulimit -n), or take a smaller --max-connections\n"
        ));
    }
    // What the component prints on the other stream comes behind it, also where both go to one place.
    stderr.drain(FIRST_WORDS);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| system(&error))?;
    let outcome = runtime.block_on(watch.over(async {
        let command = command.instantiate_async(&mut store).await?;
        command.wasi_cli_run().call_run(&mut store).await
    }));
    let mut failure = match outcome {
        (_, Some(end)) => ended(end, name, options.verbose),
        (Some(Ok(Ok(()))), None) => return Ok(0),
        (Some(Ok(Err(()))), None) => return Ok(1),
        (Some(Err(ref error)), None) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => return Ok(u8::try_from(exit.0).unwrap_or(1)),
            None => failed(error, options, name, handles),
        },
        (None, None) => unreachable!("it ends, or is ended"),
    };
    if let (true, (Some(Err(error)), _)) = (options.verbose, &outcome) {
        failure.place = error.downcast_ref().map(WasmBacktrace::to_string);
    }
    Err(failure)
}

/// Advice where only whoever made this program can help.
const BUG: &str = "this is a mistake in hello-runner: please report it";

/// Advice where the machine has run out of something.
const RESOURCES: &str = "it may have run out of memory, threads or file descriptors: end other programs, and try again";

/// Why something could not be done for which the system is needed.
fn system(error: &std::io::Error) -> Failure {
    Failure::new(format!("the system refuses to help: {error}"), RESOURCES)
}

/// What the system said, if that is at the bottom of `error`.
fn of_the_system(error: &wasmtime::Error) -> Option<std::io::Error> {
    let cause = error.root_cause();
    #[cfg(unix)]
    if let Some(&number) = cause.downcast_ref::<rustix::io::Errno>() {
        return Some(number.into());
    }
    let error = cause.downcast_ref::<std::io::Error>()?;
    Some(error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error))
}

/// What `set_up` comes to. What wasmtime is made of panics where the system has no thread or descriptor for it, and has
/// no other way to say so.
fn caught<T>(set_up: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(set_up));
    set_hook(hook);
    outcome.unwrap_or_else(|panic| {
        let words =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let words = words.and_then(|words| words.lines().next()).unwrap_or("it does not say why");
        Err(Failure::new(format!("the sandbox cannot be set up: {words}"), RESOURCES))
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
    config.cache(kept.map(Kept::cache));
    Engine::new(&config).map_err(|error| Failure::new(format!("this machine cannot run WebAssembly: {error:#}"), BUG))
}

/// Reads the component at `path`, and compiles it, unless its code is there from an earlier time.
fn load(options: &Options, stderr: &Output) -> Result<(Engine, Component), Failure> {
    let path = &options.component;
    let bytes = read(path)?;
    let kept = match Kept::find(&bytes) {
        Ok(kept) => Some(kept),
        Err(_) if options.quiet => None,
        Err(problem) => {
            stderr.say(&format!(
                "hello-runner: note: compiled code cannot be kept, so each start takes longer: {problem}\n  \
                 set XDG_CACHE_HOME to a folder that only you can write to\n"
            ));
            None
        }
    };
    let engine = engine(options, kept.as_ref())?;
    let component = compile(&engine, path, &bytes)?;
    if let Some(kept) = kept {
        kept.seal();
    }
    Ok((engine, component))
}

/// Reads the component at `path`.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let give = "give the path of a component, a .wasm file; the server is built by: \
                cargo build --release --locked --target wasm32-wasip2";
    let unreadable = |error| Failure::new(format!("cannot read {}: {error}", path.display()), give);
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
    Component::new(engine, bytes).map_err(|error| match of_the_system(&error) {
        Some(error) if error.kind() != ErrorKind::PermissionDenied => system(&error),
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

/// What the component asks for. It is an error if there is no answer for the name of it.
fn asks(engine: &Engine, component: &Component, name: &str) -> Result<Asks, Failure> {
    let contract = component.component_type();
    let mut imports = contract.imports(engine).map(|(import, _)| import);
    let offered = |import: &str| OFFERED.iter().any(|package| import.starts_with(package)) && !import.contains("@0.3");
    if let Some(import) = imports.find(|import| !offered(import)) {
        return Err(Failure::new(format!("{name} needs {import}, which this sandbox does not have"), OFFER));
    }
    let asks = |package: &str| contract.imports(engine).any(|(import, _)| import.starts_with(package));
    Ok(Asks { random: asks("wasi:random/"), requests: asks("wasi:http/") })
}

/// What the component may do, in a sentence that can be read out.
fn sentence(options: &Options, name: &str, asks: &Asks) -> String {
    let mut may = options.grants.words();
    may.extend(["print".into(), "read the clock".into()]);
    if asks.random {
        may.push("draw random numbers".into());
    }
    format!(
        "The sandbox lets {name} {}.\n\
         It can do nothing else: no files, no environment, no other connections, no looking up of names, and no more than {} MiB of memory.\n",
        join(&may),
        options.max_memory / MIB,
    )
}

/// Why the component was ended, and the exit code for that: of a signal as a shell has it.
fn ended(end: End, name: &str, verbose: bool) -> Failure {
    match end {
        End::Signal(signal) => Failure::silent(exit_code(signal)),
        End::Hostage => Failure::new(
            format!("{name} was busy and did not listen, so it was ended"),
            format!("its code is probably in a loop without an end{}", says_where(verbose)),
        ),
        End::Turn(most) => Failure::new(
            format!("{name} has been busy for {} without a pause, so it was ended", seconds(most)),
            format!("--max-turn allows more, but it is probably in a loop without an end{}", says_where(verbose)),
        ),
        End::Grace(grace) => Failure::new(
            format!("{name} was asked to stop and did not within {}, so it was ended", seconds(grace)),
            "--grace allows more",
        ),
    }
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
    if let Some(OutOfMemory { wanted }) = error.downcast_ref() {
        let wanted = wanted.div_ceil(MIB);
        Failure::new(
            format!("{name} needs {wanted} MiB of memory, and may have {}", options.max_memory / MIB),
            format!("allow it more, such as --max-memory {}", (2 * wanted).min(MOST_MEMORY)),
        )
    } else if let Some(ResourceTableError::Full) = error.root_cause().downcast_ref() {
        Failure::new(
            format!("{name} holds more than {} handles of the host, such as sockets and streams", handles.most),
            format!(
                "it probably does not let go of them; if it does, a --max-connections above {} allows more",
                handles.connections
            ),
        )
    } else if let Some(error) = of_the_system(error) {
        system(&error)
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
