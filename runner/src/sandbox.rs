//! Runs a component in a sandbox: reads it, compiles it, gives it what it is granted, and waits for its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store, Trap, WasmBacktrace, WasmBacktraceDetails};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use crate::Failure;
use crate::denied;
use crate::grants::{Guard, join};
use crate::limits::{self, Limits, MIB, OutOfMemory};
use crate::options::{MOST_MEMORY, Options};
use crate::stdio::{Output, Stdout};
use crate::watch::{End, Watch, exit_code};

/// The packages of WASI 0.2 that there is an answer for; what of them is allowed is another question.
const OFFERED: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// How long the last words of a component may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What belongs to the component on this side.
struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limits,
    guard: Guard,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl AsRef<Guard> for Host {
    fn as_ref(&self) -> &Guard {
        &self.guard
    }
}

/// Runs a component as `options` say, to its end, and says what went wrong. Returns the exit code.
pub(crate) fn run(options: &Options) -> u8 {
    let name = options.component.file_name().unwrap_or(options.component.as_os_str()).to_string_lossy();
    let (stdout, stderr) = (Output::stdout(), Output::stderr());
    let code = run_with(options, &name, &stdout, &stderr).unwrap_or_else(|failure| failure.tell(&stderr));
    stdout.drain(LAST_WORDS);
    stderr.drain(LAST_WORDS);
    code
}

/// Runs it, and returns its own exit code.
///
/// # Errors
/// Why it could not be started, or was ended.
fn run_with(options: &Options, name: &str, stdout: &Arc<Output>, stderr: &Arc<Output>) -> Result<u8, Failure> {
    let engine = engine(options, stderr)?;
    let component = load(&engine, &options.component)?;
    let draws = check_contract(&engine, &component, name)?;
    let note = limits::raise_descriptors(options.max_connections);

    let guard = Guard::new(name, stderr);
    let watch = Watch::new(&engine);
    let mut wasi = WasiCtx::builder();
    wasi.arg(name).args(&options.arguments);
    wasi.stdin(watch.stdin()).stdout(Stdout(Arc::clone(stdout))).stderr(Stdout(Arc::clone(stderr)));
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
    let table = limits::table(options.max_connections);
    let mut store =
        Store::new(&engine, Host { wasi: wasi.build(), table, limits: Limits::new(options.max_memory), guard });
    store.limiter(|host| &mut host.limits);
    store.set_epoch_deadline(1);

    if !options.quiet {
        stderr.say(&sentence(options, name, draws));
    }
    if let Some(note) = note.filter(|_| !options.quiet) {
        stderr.say(&format!(
            "hello-runner: note: {note}\n  raise the limit (ulimit -n), or take a smaller --max-connections\n"
        ));
    }

    let (title, last_stdout, last_stderr) = (name.to_owned(), Arc::clone(stdout), Arc::clone(stderr));
    let verbose = options.verbose;
    let last_words = move |end| {
        let code = ended(end, &title, verbose).tell(&last_stderr);
        last_stdout.drain(LAST_WORDS);
        last_stderr.drain(LAST_WORDS);
        code
    };
    let system = |error: std::io::Error| Failure::new(format!("the system refuses to help: {error}"), RESOURCES);
    watch.begin(options.max_turn, options.grace, last_words).map_err(system)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    let outcome = runtime.block_on(watch.over(async {
        let command = Command::instantiate_async(&mut store, &component, &linker).await?;
        command.wasi_cli_run().call_run(&mut store).await
    }));
    let mut failure = match outcome {
        (_, Some(end)) => ended(end, name, options.verbose),
        (Some(Ok(Ok(()))), None) => return Ok(0),
        (Some(Ok(Err(()))), None) => return Ok(1),
        (Some(Err(ref error)), None) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => return Ok(u8::try_from(exit.0).unwrap_or(1)),
            None => trapped(error, options, name),
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

/// The engine: code is compiled once and kept in the user's cache folder, by its content and by wasmtime's version.
fn engine(options: &Options, stderr: &Output) -> Result<Engine, Failure> {
    let mut config = Config::new();
    if options.verbose {
        config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    }
    // What WASI 0.3 would need costs WASI 0.2 some speed.
    config.concurrency_support(false);
    // So that code that never pauses can be ended; see `watch.rs`.
    config.epoch_interruption(true);
    let mut cache = CacheConfig::new();
    // Where there is no home, as in a service or a container, wasmtime does not ask for this by itself.
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute()) {
        cache.with_directory(folder.join("wasmtime"));
    }
    match Cache::new(cache) {
        Ok(cache) => _ = config.cache(Some(cache)),
        Err(error) => stderr.say(&format!(
            "hello-runner: note: compiled code cannot be kept, so each start takes longer: {}\n",
            error.root_cause()
        )),
    }
    Engine::new(&config).map_err(|error| Failure::new(format!("this machine cannot run WebAssembly: {error:#}"), BUG))
}

/// Reads and compiles the component at `path`.
fn load(engine: &Engine, path: &Path) -> Result<Component, Failure> {
    let build = "build the server with: cargo build --release --locked --target wasm32-wasip2";
    let bytes =
        std::fs::read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display()), build))?;
    // The preamble: magic number, version, layer (0 a module, 1 a component).
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => {}
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => {
            return Err(Failure::new(
                format!("{} is a WebAssembly module, not a component", path.display()),
                "build it for wasm32-wasip2, or make a component of it with: wasm-tools component new",
            ));
        }
        _ => return Err(Failure::new(format!("{} is not WebAssembly", path.display()), build)),
    }
    Component::new(engine, &bytes).map_err(|error| match error.root_cause().downcast_ref::<std::io::Error>() {
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

/// Whether there is an answer for all that the component asks for, and something to start. Says whether it asks for
/// random numbers.
fn check_contract(engine: &Engine, component: &Component, name: &str) -> Result<bool, Failure> {
    let contract = component.component_type();
    let mut imports = contract.imports(engine).map(|(import, _)| import);
    let offered = |import: &str| OFFERED.iter().any(|package| import.starts_with(package)) && !import.contains("@0.3");
    if let Some(import) = imports.find(|import| !offered(import)) {
        return Err(Failure::new(
            format!("{name} needs {import}, which this sandbox does not have"),
            "it has WASI 0.2: cli, clocks, io, random and sockets (and filesystem, without files)",
        ));
    }
    let run = |(export, item): (&str, ComponentItem)| {
        matches!(item, ComponentItem::ComponentInstance(_)) && export.starts_with("wasi:cli/run@0.2.")
    };
    let mut exports = contract.exports(engine).map(|(export, item)| (export, item.ty));
    if !exports.any(run) {
        return Err(Failure::new(
            format!("{name} has nothing to start: it does not export wasi:cli/run"),
            "build it as a program (with a main function), not as a library or for wasmtime serve",
        ));
    }
    Ok(contract.imports(engine).any(|(import, _)| import.starts_with("wasi:random/")))
}

/// What the component may do, in a sentence that can be read out.
fn sentence(options: &Options, name: &str, draws: bool) -> String {
    let mut may = options.grants.words();
    may.extend(["print".into(), "read the clock".into()]);
    if draws {
        may.push("draw random numbers".into());
    }
    format!(
        "The sandbox lets {name} {}.\n\
         It can do nothing else: no files, no environment, no other connections, no names, and no more than {} MiB of memory.\n",
        join(&may),
        options.max_memory / MIB,
    )
}

/// Why the component was ended, and the exit code for that: of a signal as a shell has it.
fn ended(end: End, name: &str, verbose: bool) -> Failure {
    match end {
        End::Signal(signal) => Failure::silent(exit_code(signal)),
        End::Hostage(signal) => Failure {
            code: exit_code(signal),
            ..Failure::new(
                format!("{name} was busy and did not listen, so it was ended"),
                format!("its code is probably in a loop without an end{}", says_where(verbose)),
            )
        },
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

/// What went wrong inside the component.
fn trapped(error: &wasmtime::Error, options: &Options, name: &str) -> Failure {
    if let Some(OutOfMemory { wanted }) = error.downcast_ref() {
        let wanted = wanted.div_ceil(MIB);
        Failure::new(
            format!("{name} needs {wanted} MiB of memory, and may have {}", options.max_memory / MIB),
            format!("allow it more, such as --max-memory {}", (2 * wanted).min(MOST_MEMORY)),
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
        let advice = format!("{advice}{}", says_where(options.verbose));
        Failure::new(format!("{name} failed: {}", error.root_cause()), advice)
    }
}
