//! `--watch`: builds the source when it changes, and replaces the running server gracefully. Cargo decides whether a build is up
//! to date, so files that an editor writes beside the source make no difference.

use std::path::Path;
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::spawn;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context as _;
use hello_failure::{Failure, report};
use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use shared_child::SharedChild;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGTERM};

use crate::cargo::{self, Build, Built};
use crate::print_error;
use crate::process::{SIGINT, cannot_start, exit_code, exit_code_of};
use crate::serve::{Server, Start, Stop};

/// The time without changes before a build: to save a file is more than one event.
const CALM: Duration = Duration::from_millis(100);

/// The exit code of `wasmtime run` for a component that failed while it ran, with a panic for example: that of `abort`.
const TRAP: u8 = if cfg!(windows) { 3 } else { 134 };

/// The flag of Windows for a process that Ctrl-C does not reach.
#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

/// An event for the watch.
#[derive(Debug)]
enum Event {
    /// The source has changed.
    Changed,
    /// A signal came, with this number.
    Signal(i32),
    /// The server has ended.
    Ended(ExitStatus),
}

/// A server that runs.
struct Running {
    process: Arc<SharedChild>,
    /// Its standard input, if the end of the input asks it to stop. The input also ends when this program is killed.
    input: Option<ChildStdin>,
    /// The time that it may take to stop, if nothing else limits this time.
    patience: Option<Duration>,
}

/// A server, and the events that it follows.
struct Watch<'s> {
    server: &'s Server,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// An event that came while the watch waited for another one.
    early: Option<Event>,
    running: Option<Running>,
    /// The component that was started last.
    started: Option<Vec<u8>>,
}

/// Runs the server, and follows the source, until a signal comes, or the server ends without a failure. Returns the exit code.
///
/// # Errors
/// The signals or the source cannot be watched, or the server could not be started the first time.
pub(crate) fn run(server: &Server) -> anyhow::Result<u8> {
    let (sender, events) = channel();
    pass_signals(&sender)?;
    let _watcher = watch_source(&sender)?;
    let mut watch = Watch { server, sender, events, early: None, running: None, started: None };
    let mut outcome = watch.update();
    loop {
        match outcome {
            // If the server has never been started, the mistake is not in the source: it may be in the options.
            Err(error) if watch.started.is_none() => return Err(error),
            // The signal that has ended a build is the next event.
            Err(_) if cargo::is_cancelled() => {}
            Err(error) => print_error(&report("runner/serve", &error).text),
            Ok(()) => {}
        }
        outcome = match watch.next() {
            Event::Changed => watch.update(),
            Event::Signal(signal) => return Ok(watch.end(signal)),
            Event::Ended(status) => {
                watch.running = None;
                // The next change may fix a failure; any other end was on purpose.
                if ![1, TRAP].contains(&exit_code(status)) {
                    return Ok(exit_code(status));
                }
                print_error("The server has ended; it is started anew when something in src has changed.\n");
                Ok(())
            }
        };
    }
}

impl Watch<'_> {
    /// Waits for the next event. Changes in quick succession are one event.
    fn next(&mut self) -> Event {
        let mut event = self.early.take().unwrap_or_else(|| self.events.recv().expect("a sender is kept"));
        while let Event::Changed = event {
            match self.events.recv_timeout(CALM) {
                Ok(Event::Changed) => {}
                Ok(other) => {
                    self.early = Some(event);
                    event = other;
                }
                Err(_) => break,
            }
        }
        event
    }

    /// Builds the component, and replaces the running server if the component is not the same.
    fn update(&mut self) -> anyhow::Result<()> {
        let announcement = match self.started {
            None => self.server.product.announcement,
            Some(_) => || "Something has changed in src.".into(),
        };
        let Built { path, is_fresh } = match Build::start(self.server.product, announcement)?.finish() {
            Ok(built) => built,
            Err(_) if cargo::is_cancelled() => return Ok(()),
            Err(_) => {
                let then = if self.running.is_some() {
                    ", so the server goes on as it was."
                } else {
                    "; that is tried again when something in src has changed."
                };
                print_error(&format!("It does not build{then}\n"));
                return Ok(());
            }
        };
        let component = fs::read(&path).with_context(|| path.display().to_string())?;
        let is_same = self.started.as_ref() == Some(&component);
        if is_same && (is_fresh || self.running.is_some()) {
            return Ok(());
        }
        if let Some(running) = self.running.take()
            && let (_, Some(signal)) = self.stop(running, None)
        {
            self.early = Some(Event::Signal(signal));
            return Ok(());
        }
        let start = self.server.start(&path, self.started.is_none())?;
        self.running = Some(self.launch(start)?);
        self.started = Some(component);
        Ok(())
    }

    /// Starts the server. Its end becomes an event.
    fn launch(&self, start: Start) -> anyhow::Result<Running> {
        let Start { mut command, stop, patience } = start;
        command.stdin(if stop == Stop::Input { Stdio::piped() } else { Stdio::null() });
        // Ctrl-C reaches this program alone, which asks the server to stop in its own way (see `Stop`).
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        #[cfg(windows)]
        if stop == Stop::Input {
            std::os::windows::process::CommandExt::creation_flags(&mut command, CREATE_NEW_PROCESS_GROUP);
        }
        let process = SharedChild::spawn(&mut command).map_err(|error| cannot_start(&command, &error))?;
        let process = Arc::new(process);
        let (waiting, sender) = (Arc::clone(&process), self.sender.clone());
        spawn(move || {
            if let Ok(status) = waiting.wait() {
                // The receiver is gone when this program ends.
                let _ = sender.send(Event::Ended(status));
            }
        });
        let input = process.take_stdin();
        Ok(Running { process, input, patience })
    }

    /// Asks the server to stop, because `signal` came or because there is a newer build, and waits for its end. A second signal
    /// ends the server at once, except one from a terminal that closes, as in the sandbox. Returns the exit code, and the last
    /// signal that came.
    fn stop(&mut self, mut running: Running, signal: Option<i32>) -> (u8, Option<i32>) {
        running.ask_to_stop(signal.is_some());
        let (mut last, mut is_urgent, mut at_once) = (signal, signal.is_some_and(self::is_urgent), None);
        loop {
            let event = match running.patience {
                Some(patience) => self.events.recv_timeout(patience),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Ended(status)) => return (at_once.map_or_else(|| exit_code(status), exit_code_of), last),
                Ok(Event::Signal(signal)) => {
                    if self::is_urgent(signal) && std::mem::replace(&mut is_urgent, true) {
                        let _ = running.process.kill();
                        at_once = Some(signal);
                    }
                    last = Some(signal);
                }
                Ok(Event::Changed) => self.early = Some(Event::Changed),
                // The server does not stop in time. If it has just ended, `kill` has nothing to do.
                Err(_) => _ = running.process.kill(),
            }
        }
    }

    /// Ends the server, because `signal` came. Returns the exit code.
    fn end(&mut self, signal: i32) -> u8 {
        match self.running.take() {
            Some(running) => self.stop(running, Some(signal)).0,
            None => exit_code_of(signal),
        }
    }
}

impl Running {
    /// Asks the server to stop. The server may have ended meanwhile.
    fn ask_to_stop(&mut self, is_by_signal: bool) {
        if self.input.take().is_none() {
            let _ = interrupt(&self.process, is_by_signal);
        }
    }
}

/// Sends Ctrl-C to a server.
#[cfg(unix)]
fn interrupt(process: &SharedChild, _is_by_signal: bool) -> std::io::Result<()> {
    shared_child::unix::SharedChildExt::send_signal(process, SIGINT)
}

/// Sends Ctrl-C to a server. A Ctrl-C of the user has reached all programs of the console, also the server. Without one, this
/// ends the server.
#[cfg(windows)]
fn interrupt(process: &SharedChild, is_by_signal: bool) -> std::io::Result<()> {
    if is_by_signal { Ok(()) } else { process.kill() }
}

/// Whether this signal, as the second one, ends the server at once. A terminal that closes sends SIGHUP more than once.
#[cfg(unix)]
fn is_urgent(signal: i32) -> bool {
    signal != SIGHUP
}

/// Always true: a console that closes ends this program.
#[cfg(windows)]
fn is_urgent(_signal: i32) -> bool {
    true
}

/// Turns the signals that ask a program to end into events. The signals also end the build that is under way.
#[cfg(unix)]
fn pass_signals(sender: &Sender<Event>) -> anyhow::Result<()> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_hangup_ignored() {
        signals.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(signals).context("signals")?;
    let sender = sender.clone();
    spawn(move || {
        for signal in signals.forever() {
            let _ = sender.send(Event::Signal(signal));
            cargo::cancel(signal);
        }
    });
    Ok(())
}

/// Turns Ctrl-C and Ctrl-Break into events. They have reached cargo as well.
#[cfg(windows)]
fn pass_signals(sender: &Sender<Event>) -> anyhow::Result<()> {
    let sender = sender.clone();
    let pass = move || {
        let _ = sender.send(Event::Signal(SIGINT));
        cargo::cancel(SIGINT);
    };
    ctrlc::set_handler(pass).context("Ctrl-C")
}

/// Whether this program was started to survive the end of its terminal, as `nohup` does it. Known on Linux only.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 << (SIGHUP - 1) != 0)
}

/// Turns changes in `src`, `runtime` and `Cargo.toml` into events, until the returned watcher is dropped.
fn watch_source(sender: &Sender<Event>) -> anyhow::Result<RecommendedWatcher> {
    let top = env::current_dir()?;
    let sources = [top.join("src"), top.join("runtime/src")];
    let (below, other) = (sources.clone(), top.join("Cargo.toml"));
    let sender = sender.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = event.is_ok_and(|event| {
            let is_source = |path: &Path| {
                below.iter().any(|folder| path.starts_with(folder)) && !is_of_an_editor(path) || path == other
            };
            is_of_content(event.kind) && (event.need_rescan() || event.paths.iter().any(|path| is_source(path)))
        });
        if is_change {
            let _ = sender.send(Event::Changed);
        }
    });
    let watch = |mut watcher: RecommendedWatcher| {
        for folder in sources.iter().filter(|folder| folder.exists()) {
            watcher.watch(folder, RecursiveMode::Recursive)?;
        }
        // An editor may replace a file by another one of the same name, so this watches the folder.
        watcher.watch(&top, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    };
    watcher.and_then(watch).map_err(|error| {
        let advice = "raise its limits for that (fs.inotify.max_user_watches and max_user_instances on Linux), or leave --watch out";
        Failure::new(format!("the system does not tell what changes in src: {error}"), advice).into()
    })
}

/// Whether an event may have changed the content of a file. Reads, and changes of permissions or times, need no build.
fn is_of_content(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// Whether a file of this name belongs to an editor. This only avoids a run of cargo, which knows the files that it builds.
fn is_of_an_editor(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(['.', '#']) || name.ends_with('~')
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, MetadataKind, RenameMode};

    use super::*;

    #[test]
    fn to_read_a_file_and_to_change_its_permissions_is_no_change() {
        for kind in [
            EventKind::Access(AccessKind::Read),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        ] {
            assert!(!is_of_content(kind), "{kind:?}");
        }
        for kind in [
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Any,
        ] {
            assert!(is_of_content(kind), "{kind:?}");
        }
    }

    #[test]
    fn the_backup_files_of_an_editor_start_no_build() {
        for name in [".hello.rs.swp", ".#hello.rs", "#hello.rs#", "hello.rs~"] {
            assert!(is_of_an_editor(&Path::new("/a/src").join(name)), "{name}");
        }
        assert!(!is_of_an_editor(Path::new("/a/.b/src/hello.rs")));
    }
}
