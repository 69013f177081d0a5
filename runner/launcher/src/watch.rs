//! `--watch`: when the source changes, builds it, and replaces the server that runs, gracefully. What is up to date is for cargo
//! to say, so what an editor writes beside the source makes no difference.

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
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cargo::{self, Build, Built};
use crate::print_error;
use crate::process::{cannot_start, exit_code};
use crate::serve::{Server, Start, Stop};

/// For how long nothing may have changed until it is built: to save a file is more than one event.
const CALM: Duration = Duration::from_millis(100);

/// What happens meanwhile.
#[derive(Debug)]
enum Event {
    /// Something changed in the source.
    Changed,
    /// A signal came, with this number.
    Signal(i32),
    /// The server has ended.
    Ended(ExitStatus),
}

/// A server that runs.
struct Running {
    process: Arc<SharedChild>,
    /// Where it reads, if the end of that tells it to stop.
    input: Option<ChildStdin>,
    stop: Stop,
    /// How long it may take to stop, when nothing else bounds that.
    patience: Option<Duration>,
}

/// A server, and what it follows.
struct Watch<'s> {
    server: &'s Server,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// An event that came while another one was waited for.
    early: Option<Event>,
    running: Option<Running>,
    /// The component that was started last.
    started: Option<Vec<u8>>,
}

/// Serves, and follows the source, until a signal comes, or the server ends otherwise than by a failure. Returns the exit code.
///
/// # Errors
/// Why it cannot begin.
pub(crate) fn run(server: &Server) -> anyhow::Result<u8> {
    let (sender, events) = channel();
    pass_signals(&sender)?;
    let _watcher = watch_source(&sender)?;
    let mut watch = Watch { server, sender, events, early: None, running: None, started: None };
    let mut outcome = watch.update();
    loop {
        match outcome {
            // Why the server has never been started, such as a mistake in the options, is not in the source.
            Err(error) if watch.started.is_none() => return Err(error),
            // What has ended a build is the next event.
            Err(_) if cargo::is_cancelled() => {}
            Err(error) => print_error(&report("runner/serve", &error).text),
            Ok(()) => {}
        }
        outcome = match watch.next() {
            Event::Changed => watch.update(),
            Event::Signal(signal) => return Ok(watch.end(signal)),
            Event::Ended(status) => {
                watch.running = None;
                // When it has failed, the next change may mend that; anything else was meant to end it.
                if exit_code(status) != 1 {
                    return Ok(exit_code(status));
                }
                print_error("The server has ended; it is started anew when something in src has changed.\n");
                Ok(())
            }
        };
    }
}

impl Watch<'_> {
    /// The next event. Changes that come one upon the other are one.
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

    /// Builds, and starts what was built, in the place of what runs if that is something else.
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
            && let (_, Some(signal)) = self.stop(running, SIGTERM)
        {
            self.early = Some(Event::Signal(signal));
            return Ok(());
        }
        let start = self.server.start(&path, self.started.is_none())?;
        self.running = Some(self.launch(start)?);
        self.started = Some(component);
        Ok(())
    }

    /// Starts the server, whose end becomes an event.
    fn launch(&self, start: Start) -> anyhow::Result<Running> {
        let Start { mut command, stop, patience } = start;
        command.stdin(if stop == Stop::Input { Stdio::piped() } else { Stdio::null() });
        // Ctrl-C comes to this program alone, which passes it on: the server gets each signal once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
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
        Ok(Running { process, input, stop, patience })
    }

    /// Asks the server to stop, as `signal` would, and waits for its end. Returns how it ended, and the last signal that came
    /// meanwhile, which it has got, too.
    fn stop(&mut self, mut running: Running, signal: i32) -> (ExitStatus, Option<i32>) {
        running.ask_to_stop(signal);
        let mut last = None;
        loop {
            let event = match running.patience {
                Some(patience) => self.events.recv_timeout(patience),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Ended(status)) => return (status, last),
                Ok(Event::Signal(signal)) => {
                    running.ask_to_stop(signal);
                    last = Some(signal);
                }
                Ok(Event::Changed) => self.early = Some(Event::Changed),
                // It does not heed that. When it has ended just now, there is nothing to end.
                Err(_) => _ = running.process.kill(),
            }
        }
    }

    /// Ends the server, because `signal` came. Returns the exit code.
    fn end(&mut self, signal: i32) -> u8 {
        match self.running.take() {
            Some(running) => exit_code(self.stop(running, signal).0),
            None => u8::try_from(128 + signal).unwrap_or(1),
        }
    }
}

impl Running {
    /// Asks it to stop, as `signal` would; when that was done before, asks for its end. It may have ended meanwhile.
    fn ask_to_stop(&mut self, signal: i32) {
        let _ = match self.stop {
            Stop::Input if self.input.take().is_some() => Ok(()),
            Stop::Input => self.process.kill(),
            Stop::Interrupt => send(&self.process, SIGINT),
            Stop::Signal => send(&self.process, if signal == SIGINT { SIGINT } else { SIGTERM }),
        };
    }
}

/// Sends a signal to a server.
#[cfg(unix)]
fn send(process: &SharedChild, signal: i32) -> std::io::Result<()> {
    shared_child::unix::SharedChildExt::send_signal(process, signal)
}

/// Where there are no signals, Ctrl-C has reached the server as well, and what remains is to end it.
#[cfg(not(unix))]
fn send(process: &SharedChild, signal: i32) -> std::io::Result<()> {
    if signal == SIGINT { Ok(()) } else { process.kill() }
}

/// Makes events of the signals that ask a program to end. They also end the build that is under way.
#[cfg(unix)]
fn pass_signals(sender: &Sender<Event>) -> anyhow::Result<()> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_hangup_ignored() {
        signals.push(signal_hook::consts::SIGHUP);
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

/// Makes events of Ctrl-C. It has reached cargo and the server as well.
#[cfg(not(unix))]
fn pass_signals(sender: &Sender<Event>) -> anyhow::Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering};
    let came = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&came)).context("signals")?;
    let sender = sender.clone();
    spawn(move || {
        loop {
            // There is nothing here that could be waited for.
            std::thread::sleep(CALM);
            if came.swap(false, Ordering::Relaxed) {
                let _ = sender.send(Event::Signal(SIGINT));
                cargo::cancel(SIGINT);
            }
        }
    });
    Ok(())
}

/// Whether this was started to survive the end of its terminal, as `nohup` does it. Known on Linux only.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 << (signal_hook::consts::SIGHUP - 1) != 0)
}

/// Makes events of the changes in `src` and `Cargo.toml`, as long as what is returned is kept.
fn watch_source(sender: &Sender<Event>) -> anyhow::Result<RecommendedWatcher> {
    let top = env::current_dir()?;
    let (source, manifest) = (top.join("src"), top.join("Cargo.toml"));
    let sender = sender.clone();
    let (below, other) = (source.clone(), manifest);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = event.is_ok_and(|event| {
            let is_source = |path: &Path| path.starts_with(&below) && !is_of_an_editor(path) || path == other;
            is_of_content(event.kind) && (event.need_rescan() || event.paths.iter().any(|path| is_source(path)))
        });
        if is_change {
            let _ = sender.send(Event::Changed);
        }
    });
    let watch = |mut watcher: RecommendedWatcher| {
        watcher.watch(&source, RecursiveMode::Recursive)?;
        // An editor may replace a file by another one of this name, so its folder is what is watched.
        watcher.watch(&top, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    };
    watcher.and_then(watch).map_err(|error| {
        let advice = "raise its limits for that (fs.inotify.max_user_watches and max_user_instances on Linux), or leave --watch out";
        Failure::new(format!("the system does not tell what changes in src: {error}"), advice).into()
    })
}

/// Whether an event may have changed what is in a file. That it was read, and what its permissions and times are, is nothing to build.
fn is_of_content(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// Whether an editor keeps a file of this name for itself. What is not known here is known to cargo: this only spares a build.
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
    fn what_an_editor_keeps_for_itself_is_not_built() {
        for name in [".hello.rs.swp", ".#hello.rs", "#hello.rs#", "hello.rs~"] {
            assert!(is_of_an_editor(&Path::new("/a/src").join(name)), "{name}");
        }
        assert!(!is_of_an_editor(Path::new("/a/.b/src/hello.rs")));
    }
}
