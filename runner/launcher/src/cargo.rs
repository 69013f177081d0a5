//! Builds the programs of this project with cargo. Cargo decides which are up to date, and prints their paths. Settings of the
//! user for programs of this system do not reach a component, nor the other way round.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};

use anyhow::Context as _;
use hello_failure::{Failure, escape};
use shared_child::SharedChild;
use tinyjson::JsonValue;

use crate::process::cannot_start;
use crate::{Told, print_error};
use crate::{host, kit};

/// Rust's target for components of WASI 0.2.
const COMPONENT: &str = "wasm32-wasip2";

/// Cargo's name for the system that it runs on. It overrides a `[build] target`.
const THIS_SYSTEM: &str = "host-tuple";

/// A program that cargo builds.
#[derive(Debug)]
pub(crate) struct Product {
    /// The name of the binary or example.
    pub(crate) name: &'static str,
    /// Its name in a sentence.
    title: &'static str,
    /// The line to print before cargo builds it.
    pub(crate) announcement: fn() -> String,
    /// Whether it is a component. All other programs are for this system.
    is_component: bool,
    /// The options of cargo that build it.
    options: &'static [&'static str],
    /// Its default path in the target folder of cargo.
    path: &'static str,
}

/// The server.
pub(crate) const SERVER: Product = Product {
    name: "hello-server",
    title: "the server",
    announcement: || "Building the server: about 10 seconds on 2 cores, the first time.".into(),
    is_component: true,
    options: &["--release", "--bin", "hello-server"],
    path: "wasm32-wasip2/release/hello-server",
};

/// The server, with line numbers.
pub(crate) const VERBOSE_SERVER: Product = Product {
    options: &["--profile", "verbose", "--bin", "hello-server"],
    path: "wasm32-wasip2/verbose/hello-server",
    ..SERVER
};

/// The server, with the live page.
pub(crate) const LIVE_SERVER: Product = Product {
    announcement: || "Building the server with its live page: about 15 seconds on 2 cores, the first time.".into(),
    options: &["--profile", "live", "--features", "live", "--bin", "hello-server"],
    path: "wasm32-wasip2/live/hello-server",
    ..SERVER
};

/// The server for `wasi:http`.
pub(crate) const HTTP_SERVER: Product = Product {
    name: "hello-http",
    title: "the server for wasi:http",
    announcement: || "Building the server for wasi:http: about 20 seconds on 2 cores, the first time.".into(),
    options: &["--release", "--bin", "hello-http", "--features", "http"],
    path: "wasm32-wasip2/release/hello-http",
    ..SERVER
};

/// The sandbox.
pub(crate) const SANDBOX: Product = Product {
    name: "hello-runner",
    title: "the sandbox",
    announcement: || {
        let hint = if host::has_wasmtime() {
            "\nA wasmtime is on PATH: with --wasmtime this starts at once, but it grants TCP sockets on any address."
        } else {
            ""
        };
        format!("Building the sandbox: once, 2 to 4 minutes on 2 cores.{hint}")
    },
    is_component: false,
    options: &["--profile", "runner", "--package", "hello-runner"],
    path: "runner/hello-runner",
};

/// The sandbox, optimized.
pub(crate) const RELEASE_SANDBOX: Product = Product {
    announcement: || "Building the optimized sandbox: once, 6 to 10 minutes on 2 cores.".into(),
    options: &["--profile", "dist", "--package", "hello-runner"],
    path: "dist/hello-runner",
    ..SANDBOX
};

/// The common part of the clients.
const CLIENT: Product = Product {
    title: "the client",
    announcement: || "Building the client: about 20 seconds on 2 cores, the first time.".into(),
    ..SERVER
};

/// An example of cargo that is a component, with its name.
macro_rules! example {
    ($name:literal, $common:expr) => {
        Product {
            name: $name,
            options: &["--release", "--example", $name],
            path: concat!("wasm32-wasip2/release/examples/", $name),
            ..$common
        }
    };
}

/// The client that speaks HTTP by hand.
pub(crate) const SOCKET_CLIENT: Product = example!("socket_client", CLIENT);

/// The client with the HTTP client of WASI.
pub(crate) const URL_CLIENT: Product = example!("url_client", CLIENT);

/// The intruder, which tries what a sandbox forbids.
pub(crate) const INTRUDER: Product = example!("intruder", CLIENT);

/// The common part of the programs of `docs/steps.md`.
const STEP: Product = Product {
    title: "the example",
    announcement: || "Building the example: about 20 seconds on 2 cores, the first time.".into(),
    ..SERVER
};

/// The programs of `docs/steps.md`: the lecture's server on one page, and each step by its number.
pub(crate) static STEPS: [Product; 11] = [
    example!("one_page", STEP),
    example!("step_1", STEP),
    example!("step_2", STEP),
    example!("step_3", STEP),
    example!("step_4", STEP),
    example!("step_5", STEP),
    example!("step_6", STEP),
    example!("step_7", STEP),
    example!("step_8", STEP),
    example!("step_9", STEP),
    example!("step_10", STEP),
];

/// Builds `product`, unless it is up to date or belongs to a [kit], and returns its path. Prints the announcement and then the
/// output of cargo, or nothing if there is nothing to do. If this machine cannot build, an earlier build will do, up to date or
/// not.
///
/// # Errors
/// The build has failed, and the messages of the compiler have been printed; or it cannot start, and there is no earlier build.
pub(crate) fn build(product: &Product) -> anyhow::Result<PathBuf> {
    if let Some(kit) = kit::folder() {
        return Ok(kit.join(product.file_name()));
    }
    let before = product.built_before();
    let target = target();
    if let Some(path) = before.as_ref().filter(|_| is_read_only(&target)) {
        let (title, target) = (product.title, escape(&target.to_string_lossy()));
        print_error(&format!("The folder {target} is read-only, so {title} is the one that was built there before.\n"));
        return Ok(path.clone());
    }
    match Build::start(product, product.announcement) {
        Ok(build) => Ok(build.finish()?.path),
        Err(error) => before.ok_or(error),
    }
}

/// A program that was built.
pub(crate) struct Built {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Whether it was up to date before.
    pub(crate) is_fresh: bool,
}

/// The state that a signal handler and the builds share.
struct UnderWay {
    /// The cargo that is running.
    cargo: Option<Arc<SharedChild>>,
    /// The signal that has ended all builds.
    signal: Option<i32>,
}

static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { cargo: None, signal: None });

fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the build that is under way, because `signal` came, and prevents others.
pub(crate) fn cancel(signal: i32) {
    let mut under_way = under_way();
    under_way.signal = Some(signal);
    if let Some(cargo) = &under_way.cargo {
        // Cargo may have ended by itself.
        let _ = cargo.kill();
    }
}

/// Whether a signal has come that ends every build.
pub(crate) fn is_cancelled() -> bool {
    under_way().signal.is_some()
}

/// A build that is under way.
pub(crate) struct Build<'p> {
    product: &'p Product,
    cargo: Arc<SharedChild>,
    shown: JoinHandle<()>,
}

impl<'p> Build<'p> {
    /// Starts to build `product`. Prints `announcement` first, if there is something to build.
    pub(crate) fn start(product: &'p Product, announcement: fn() -> String) -> anyhow::Result<Self> {
        if product.is_of_another_checkout() {
            product.clean();
        }
        let mut command = Command::new("cargo");
        command.args(["build", "--locked", "--message-format", "json-render-diagnostics"]).args(product.options);
        if product.is_component {
            for_component(&mut command);
        } else {
            for_this_system(&mut command);
        }
        let is_terminal = stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        if is_terminal {
            // Cargo writes to a pipe, whose bytes go to the terminal.
            command.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "70")]);
            if std::env::var_os("NO_COLOR").is_none() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
                command.env("CARGO_TERM_COLOR", "always");
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut under_way = under_way();
        if let Some(signal) = under_way.signal {
            return Err(ended_by(signal));
        }
        let cargo = SharedChild::spawn(&mut command).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_cargo(),
            _ => cannot_start(&command, &error),
        })?;
        let cargo = Arc::new(cargo);
        under_way.cargo = Some(Arc::clone(&cargo));
        let said = cargo.take_stderr().expect("it is piped");
        let shown = spawn(move || show(said, announcement));
        Ok(Build { product, cargo, shown })
    }

    /// Waits until it is built. Errors are those of [`build`].
    pub(crate) fn finish(self) -> anyhow::Result<Built> {
        let mut built = None;
        let messages = BufReader::new(self.cargo.take_stdout().expect("it is piped"));
        for line in messages.lines().map_while(Result::ok) {
            built = built.or_else(|| self.product.built(&line));
        }
        let status = self.cargo.wait().context("cargo")?;
        // The thread does not panic, and has printed everything.
        let _ = self.shown.join();
        let signal = {
            let mut under_way = under_way();
            under_way.cargo = None;
            under_way.signal
        };
        match (built, signal) {
            (Some(built), _) if status.success() => Ok(built),
            (_, Some(signal)) => Err(ended_by(signal)),
            _ => {
                Err(Failure::new(format!("cargo has not built {}; it says above why", self.product.title), ADVICE)
                    .into())
            }
        }
    }
}

/// The end by a signal, which needs no message.
fn ended_by(signal: i32) -> anyhow::Error {
    Told(u8::try_from(128 + signal).unwrap_or(1)).into()
}

impl Product {
    /// The program that cargo reports in this line as built, if it is this one.
    fn built(&self, line: &str) -> Option<Built> {
        let message: JsonValue = line.parse().ok()?;
        let text = |path: &[&str]| member(&message, path)?.get::<String>();
        let is_it = text(&["reason"])? == "compiler-artifact" && text(&["target", "name"])? == self.name;
        let is_fresh = member(&message, &["fresh"]).and_then(JsonValue::get) == Some(&true);
        is_it.then_some(())?;
        Some(Built { path: text(&["executable"])?.into(), is_fresh })
    }

    /// Its default path, absolute.
    fn path(&self) -> PathBuf {
        target().join(self.path).with_extension(self.extension())
    }

    /// Its path, if an earlier build is there.
    fn built_before(&self) -> Option<PathBuf> {
        Some(self.path()).filter(|path| path.is_file())
    }

    /// Whether another checkout, which shares the target folder, has built it there last. Cargo has noted its path and its
    /// sources. In a copy of a checkout, with its target folder, both paths are others.
    fn is_of_another_checkout(&self) -> bool {
        let path = self.path();
        let note = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
        let (Some((built, sources)), Ok(here)) = (note.split_once(": "), std::env::current_dir()) else { return false };
        let noted = |path: &Path| path.to_string_lossy().replace(' ', r"\ ");
        built == noted(&path) && !sources.contains(&noted(&here.join("")))
    }

    /// Removes the build of the other checkout. Cargo compares the times of sources: it would take that build for this checkout
    /// if the sources of this one are older. If cargo fails here, it also fails when it builds, and reports why.
    fn clean(&self) {
        let mut command = Command::new("cargo");
        let mut folders = self.path.split('/');
        command.args(["clean", "--quiet", "--locked", "--package", "hello-failure", "--package"]);
        if self.is_component {
            for_component(command.args(["hello-runtime", "--package", "hello-server"]));
            folders.next();
        } else {
            for_this_system(command.arg(self.name));
        }
        // The folder has the name of the profile.
        command.arg("--profile").args(folders.next()).stdin(Stdio::null());
        let _ = command.status();
    }

    /// The extension of its file.
    fn extension(&self) -> &'static str {
        if self.is_component { "wasm" } else { std::env::consts::EXE_EXTENSION }
    }

    /// The name of its file.
    pub(crate) fn file_name(&self) -> PathBuf {
        Path::new(self.name).with_extension(self.extension())
    }
}

/// The member of a JSON object at this path of names.
fn member<'v>(value: &'v JsonValue, path: &[&str]) -> Option<&'v JsonValue> {
    path.iter().try_fold(value, |value, name| value.get::<HashMap<String, JsonValue>>()?.get(*name))
}

/// Advice if a build fails: the requirements. (`runner/launch` prints the same.)
const ADVICE: &str = "unless the source has a mistake: that takes Rust 1.95 or newer, a C compiler, the internet once, and 3 GB that you \
                      can write to (where CARGO_TARGET_DIR says)";

/// The failure if there is no cargo.
fn no_cargo() -> Failure {
    Failure::new(
        "there is no cargo on PATH, which builds this",
        "install Rust from https://rustup.rs, and open a new terminal",
    )
}

/// Makes cargo build a component, without the compiler flags of the user: those, such as the choice of a linker, are for
/// programs of this system.
fn for_component(cargo: &mut Command) {
    cargo.args(["--target", COMPONENT]).env("CARGO_ENCODED_RUSTFLAGS", "");
}

/// Makes cargo build for this system, whatever its default target is.
fn for_this_system(cargo: &mut Command) {
    cargo.env_remove("CARGO_BUILD_TARGET");
    // Not always: `--target` has a folder of its own, without the builds of the tests.
    if is_target_configured() {
        cargo.args(["--target", THIS_SYSTEM]);
    }
}

/// Whether a configuration of cargo has a `[build] target`. Cargo itself does not report this.
pub(crate) fn is_target_configured() -> bool {
    let here = std::env::current_dir().unwrap_or_default();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folders = here.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    let files = folders.flat_map(|folder| ["config.toml", "config"].map(|name| folder.join(name)));
    files.filter_map(|file| fs::read_to_string(file).ok()).any(|config| has_target(&config))
}

/// Whether this file has a `[build] target`.
fn has_target(config: &str) -> bool {
    let mut table = "";
    config.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            table = line;
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        key == "build.target" || key == "target" && table == "[build]"
    })
}

/// Prints the announcement and then the output of cargo. Prints nothing if there is nothing to do, and cargo only reports that
/// it has finished.
fn show(mut said: ChildStderr, announcement: fn() -> String) {
    let (mut held, mut piece) = (Vec::new(), [0; 4096]);
    let mut is_announced = false;
    while let Ok(read @ 1..) = said.read(&mut piece) {
        held.extend_from_slice(&piece[..read]);
        while let Some(end) = held.iter().position(|&byte| byte == b'\n').filter(|_| !is_announced) {
            let line = &held[..=end];
            let text = String::from_utf8_lossy(line);
            match first_word(&text) {
                "Finished" => {}
                // Cargo waits for another one, which only looks something up.
                "Blocking" if text.contains("package cache") => {}
                // Cargo waits for another one, and may have nothing to do after that.
                "Blocking" => write(line),
                _ => {
                    is_announced = true;
                    print_error(&format!("{}\n", announcement()));
                    continue;
                }
            }
            held.drain(..=end);
        }
        // Behind the announcement all output is printed at once: a progress bar, for example, ends no line.
        if is_announced {
            write(&held);
            held.clear();
        }
    }
}

/// Writes to standard error. A closed standard error does not stop the build.
fn write(bytes: &[u8]) {
    let _ = stderr().write_all(bytes);
}

/// The first word of a line as a terminal shows it: text before a carriage return has been overwritten.
fn first_word(line: &str) -> &str {
    let mut visible = line.trim_end().rsplit('\r').next().unwrap_or_default().trim_start();
    // A sequence that clears the line, or changes the colour.
    while let Some(sequence) = visible.strip_prefix("\x1b[") {
        let end = sequence.find(|character: char| character.is_ascii_alphabetic());
        visible = end.map_or("", |end| sequence[end + 1..].trim_start());
    }
    visible.split(|character: char| !character.is_ascii_alphabetic()).next().unwrap_or_default()
}

/// The target folder of cargo, unless a configuration of cargo names another one.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    std::path::absolute(target).unwrap_or_default()
}

/// Whether cargo cannot write to this folder, because it is on a read-only disk, or belongs to another user. Cargo has made the
/// file.
fn is_read_only(target: &Path) -> bool {
    let opened = fs::OpenOptions::new().append(true).open(target.join("CACHEDIR.TAG"));
    let kind = opened.map_err(|error| error.kind());
    matches!(kind, Err(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied))
}

/// Whether `product` has been built, up to date or not.
pub(crate) fn has_built(product: &Product) -> bool {
    target_folder().is_some_and(|target| target.join(product.path).with_extension(product.extension()).is_file())
}

/// The target folder, as cargo reports it.
pub(crate) fn target_folder() -> Option<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]).stderr(Stdio::null());
    let metadata: JsonValue = String::from_utf8(command.output().ok()?.stdout).ok()?.parse().ok()?;
    Some(member(&metadata, &["target_directory"])?.get::<String>()?.into())
}

/// Adds Rust's target for components, if it is not there.
///
/// # Errors
/// The target cannot be added.
pub(crate) fn add_target() -> anyhow::Result<()> {
    if kit::folder().is_some() || has_component_target() {
        return Ok(());
    }
    print_error(&format!("Adding Rust's target {COMPONENT} (a download of about 20 MB).\n"));
    let added = Command::new("rustup").args(["target", "add", COMPONENT]).stdin(Stdio::null()).status();
    match added {
        _ if has_component_target() => Ok(()),
        Err(_) => Err(Failure::new(
            format!("Rust's target {COMPONENT} is missing, and there is no rustup on PATH that could add it"),
            "install it as Rust was installed, or take Rust from https://rustup.rs",
        )
        .into()),
        Ok(_) => Err(Failure::new(
            format!("rustup has not added Rust's target {COMPONENT}"),
            format!("see to it that the internet can be reached, and that this works: rustup target add {COMPONENT}"),
        )
        .into()),
    }
}

/// Whether the compiler has the target for components. True if there is no compiler, which cargo reports later.
fn has_component_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", COMPONENT]).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = rustc.output() else { return true };
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_figure_is_the_one_that_a_reader_sees_first() {
        for (line, word) in [
            ("    Finished `release` profile [optimized] target(s) in 0.05s\n", "Finished"),
            ("\r\x1b[K\x1b[1m\x1b[92m    Finished\x1b[0m `release` profile\n", "Finished"),
            ("    Building [=>   ] 3/10: httparse\r\x1b[K\x1b[1m   Compiling\x1b[0m hello-server\r\n", "Compiling"),
            ("\x1b[1m\x1b[91merror\x1b[0m: no\n", "error"),
            ("warning: unused\n", "warning"),
            ("\n", ""),
            ("\x1b[1", ""),
        ] {
            assert_eq!(first_word(line), word, "{line:?}");
        }
    }

    #[test]
    fn a_target_to_build_for_is_found_in_a_configuration() {
        for config in
            ["[build]\njobs = 2\n  target=\"wasm32-wasip2\"\n", "build.target = [\"x86_64-unknown-linux-musl\"]"]
        {
            assert!(has_target(config), "{config}");
        }
        for config in [
            "",
            "[build]\ntarget-dir = \"/tmp\"\n",
            "[target.wasm32-wasip2]\nrunner = \"x\"\n",
            "[other]\ntarget = 1\n",
        ] {
            assert!(!has_target(config), "{config}");
        }
    }
}
