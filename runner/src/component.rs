//! Loads a component: reads its file, compiles it (or takes its code from the cache), and lists its imports.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use hello_failure::Failure;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::cache::CodeCache;
use crate::limits::MIB;
use crate::options::Options;
use crate::stdio::{NAME, Output};
use crate::system;

/// The packages and interfaces of WASI 0.2 that a component may import. The grants decide which of their functions succeed.
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

/// The exports of a component that handles requests, in WASI 0.2 and in 0.3.
const HANDLERS: [&str; 2] = ["wasi:http/incoming-handler@", "wasi:http/handler@"];

/// Advice where a component needs something that the sandbox does not offer.
pub(crate) const OFFER: &str =
    "it has WASI 0.2: cli, clocks, io, random, sockets, http to send requests (and filesystem, without files)";

/// The most bytes of a component: a file that is named by mistake may be a disk, or have no end.
const MOST_BYTES: usize = 256 * MIB;

/// Advice for a bug in this program.
pub(crate) const BUG: &str = "this is a mistake in hello-runner: please report it";

/// Reads the component of `options`, and compiles it, unless the cache has its code.
pub(crate) fn load(options: &Options, stderr: &Output) -> anyhow::Result<(Engine, Component)> {
    let path = &options.component;
    let bytes = read(path)?;
    let cache = CodeCache::find(&bytes);
    let engine = engine(options, cache.as_ref().ok())?;
    let component = compile(&engine, path, &bytes)?;
    if let (Err(problem), false) = (cache.and_then(|cache| cache.seal()), options.quiet) {
        say_not_kept(&problem, stderr);
    }
    Ok((engine, component))
}

/// Prints why compiled code cannot be cached, and what helps.
fn say_not_kept(problem: &anyhow::Error, stderr: &Output) {
    let limit = problem.root_cause().downcast_ref().and_then(system::behind);
    let advice = match limit {
        Some(_) => system::RAISE,
        None => "set XDG_CACHE_HOME to a folder that only you can write to",
    };
    let limit = limit.map_or_else(String::new, |limit| format!("; {limit}"));
    let note = format!("{NAME}: note: compiled code cannot be kept, so each start takes longer: {problem:#}{limit}");
    stderr.say([note.as_str(), &format!("  {advice}")]);
}

/// Reads the component at `path`.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let give = "give the path of a component, a .wasm file; the server is built by: \
                cargo build --release --locked --target wasm32-wasip2";
    let unreadable = |error| system::could_not(&format!("cannot read {}", path.display()), &error, give);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // The preamble: magic number, version, layer (0 a module, 1 a component). A file with another preamble is not read further.
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

/// The engine of wasmtime, which stores compiled code in `cache`, if there is one.
fn engine(options: &Options, cache: Option<&CodeCache>) -> Result<Engine, Failure> {
    let mut config = Config::new();
    if options.verbose {
        config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    }
    // The sandbox can then stop code that never pauses without the process, which costs 5 % of the speed; see `watch.rs`.
    config.epoch_interruption(options.has_traps());
    // Concurrency is for WASI 0.3 only, and makes WASI 0.2 slower.
    config.concurrency_support(false);
    // WASI 0.2 has 32-bit addresses.
    config.wasm_memory64(false);
    // There are few instances, so a file with its initial memory would gain nothing; and files may be limited.
    config.memory_init_cow(false);
    config.cache(cache.map(CodeCache::cache));
    Engine::new(&config).map_err(|error| Failure::new(format!("this machine cannot run WebAssembly: {error:#}"), BUG))
}

/// Compiles the component with the file at `path`.
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

/// The imports that only some components have.
pub(crate) struct OptionalImports {
    /// Random numbers.
    pub(crate) random: bool,
    /// Requests over `wasi:http`.
    pub(crate) requests: bool,
}

impl OptionalImports {
    /// Lists the optional imports of `component`.
    ///
    /// # Errors
    /// The sandbox does not have an import, or the component is for another kind of host.
    pub(crate) fn of(engine: &Engine, component: &Component, name: &str) -> Result<Self, Failure> {
        let contract = component.component_type();
        if contract.exports(engine).any(|(export, _)| HANDLERS.iter().any(|handler| export.starts_with(handler))) {
            return Err(Failure::new(
                format!(
                    "{name} is for a host that speaks wasi:http, which listens and hands it each request; this sandbox does not"
                ),
                "run it with wasmtime serve -S cli; for the hello-http.wasm of this project, runner/serve --http does that",
            ));
        }
        if let Some((import, _)) = contract.imports(engine).find(|(import, _)| !is_offered(import)) {
            return Err(Failure::new(format!("{name} needs {import}, which this sandbox does not have"), OFFER));
        }
        let imports = |package: &str| contract.imports(engine).any(|(import, _)| import.starts_with(package));
        Ok(OptionalImports { random: imports("wasi:random/"), requests: imports("wasi:http/") })
    }
}

/// Whether the sandbox offers this import.
fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|package| import.starts_with(package)) && !import.contains("@0.3")
}
