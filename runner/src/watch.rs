//! Watches over the component from a thread of its own, which the component cannot block. The watch receives signals and the end
//! of standard input, asks the component to stop, and ends it if it does not stop, or if its code never pauses.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use mio::Waker;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use wasmtime::Engine;

use crate::audit::{Audit, What};
use crate::stdio::{Stdin, discard_input, wake};

/// The time that a turn may still take if it was under way when a signal came. A turn of a server is over in a few
/// milliseconds; code in a longer turn will not notice a signal either.
const LAST_TURN: Duration = Duration::from_millis(250);

/// The factor by which a later turn may take longer: to close ten thousand connections is one turn, too.
const CLOSING: u32 = 4;

/// The time that an ended component may take to exit, with its last output. After this time the process exits without it.
const EXIT_DEADLINE: Duration = Duration::from_secs(3);

/// The number of looks at a turn within its time limit. A turn is too long when this many looks in a row have found it:
/// the time in which the whole process stood still (a laptop that slept) counts as one look.
const LOOKS: u32 = 10;

/// The option that allows a turn of any length.
pub(crate) const NO_TURN_LIMIT: &str = "--max-turn 0";

/// The reason for which the sandbox ended a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// This signal, because the component does not read standard input, whose end would ask it to stop.
    Signal(i32),
    /// The component was asked to stop in the middle of a turn, and that turn did not end.
    StuckInTurn,
    /// A turn took longer than this time.
    Turn(Duration),
    /// The component was asked to stop, and this time has passed.
    Grace(Duration),
}

/// The state that the watch and the component share.
pub(crate) struct Watch {
    /// Counts the begin and the end of each turn: odd while code of the component runs, even while it waits.
    turns: AtomicU64,
    /// True asks the component to stop.
    stop: watch::Sender<bool>,
    /// Whether the component would notice `stop`.
    heeded: Arc<AtomicBool>,
    end: OnceLock<End>,
    ended: Notify,
    /// Notified when standard input has ended, which asks the component to stop.
    input_ended: Notify,
    /// Wakes the component where it waits, if it does so without a future.
    waker: Mutex<Option<Arc<Waker>>>,
    /// The engine of wasmtime, if a trap can end the code of the component. If not, the process ends with it.
    traps: OnceLock<Engine>,
    /// The time that the component may take to end after it was asked to stop, in milliseconds.
    grace: AtomicU64,
    /// Whether a thread has claimed the end of the process, with [`Watch::settle`].
    settled: AtomicBool,
    audit: Audit,
}

impl Watch {
    /// A watch over a component, from when it [runs](Watch::over). Lists a turn that is too long in `audit`.
    pub(crate) fn new(audit: &Audit) -> Arc<Self> {
        Arc::new(Watch {
            turns: AtomicU64::new(0),
            stop: watch::Sender::new(false),
            heeded: Arc::default(),
            end: OnceLock::new(),
            ended: Notify::new(),
            input_ended: Notify::new(),
            waker: Mutex::default(),
            traps: OnceLock::new(),
            grace: AtomicU64::new(0),
            settled: AtomicBool::new(false),
            audit: audit.clone(),
        })
    }

    /// Sets the time that the component may take to end after it was asked to stop.
    pub(crate) fn allow(&self, grace: Duration) {
        self.grace.store(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sets the engine of the component, which traps its code when an epoch is over.
    pub(crate) fn trap_in(&self, engine: &Engine) {
        self.traps.get_or_init(|| engine.clone());
    }

    /// Returns only for the first caller, which reports why the process ends, and with which code. Later callers block until the
    /// process exits. The audit is finished then: there is no other way to the end of the process.
    pub(crate) fn settle(&self) {
        while !self.is_first() {
            std::thread::park();
        }
        self.audit.finish();
    }

    fn is_first(&self) -> bool {
        !self.settled.swap(true, Ordering::Relaxed)
    }

    /// Ends the process with the exit code of `last_words`, unless another thread ends it already.
    fn exit(&self, last_words: impl FnOnce() -> u8) -> ! {
        self.settle();
        std::process::exit(last_words().into())
    }

    /// The standard input of the component, whose end asks it to stop.
    pub(crate) fn stdin(&self) -> Stdin {
        Stdin::new(self.audit.input(), self.stop.subscribe(), Arc::clone(&self.heeded))
    }

    /// Lets the component `run` until it ends, or the watch ends it. Returns its output, if there is one (a trap, if the watch
    /// ended its code in the middle of a turn), and the reason if the watch ended it.
    pub(crate) async fn over<T>(&self, run: impl Future<Output = T>) -> (Option<T>, Option<End>) {
        let mut run = pin!(run);
        let mut ended = pin!(self.ended.notified());
        let output = poll_fn(|context| {
            // A component that was ended gets no further turn: it might never end.
            if ended.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            self.turns.fetch_add(1, Ordering::Relaxed);
            let polled = run.as_mut().poll(context);
            self.turns.fetch_add(1, Ordering::Relaxed);
            polled.map(Some)
        })
        .await;
        (output, self.end.get().copied())
    }

    /// Lets the component `run`, which returns when it ends, or when it next waits after the watch has ended it. Returns its output,
    /// and the reason if the watch ended it.
    pub(crate) fn over_turns<T>(&self, run: impl FnOnce() -> T) -> (T, Option<End>) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        let output = run();
        self.turns.fetch_add(1, Ordering::Relaxed);
        (output, self.end.get().copied())
    }

    /// Lets the component `wait`: one turn ends here, and the next one begins.
    pub(crate) fn pause<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.turns.fetch_add(1, Ordering::Relaxed);
        let output = wait();
        self.turns.fetch_add(1, Ordering::Relaxed);
        output
    }

    /// Whether the watch has ended the component, so that it gets no further turn: it might never end.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Sets what wakes the component where it waits.
    pub(crate) fn wake_by(&self, waker: &Arc<Waker>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(waker));
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            wake(waker);
        }
    }

    /// The number of the turn that is under way, if one is.
    fn turn(&self) -> Option<u64> {
        let turns = self.turns.load(Ordering::Relaxed);
        (turns % 2 == 1).then_some(turns)
    }

    /// Ends the component; only the first reason counts. Calls `last_words` if the component does not end.
    async fn end(&self, end: End, signals: &mut Signals, last_words: &impl Fn(End) -> u8) {
        if self.end.set(end).is_ok() {
            self.ended.notify_one();
            self.wake();
            // Its code traps at the next loop or function, if it runs, and was compiled to do so.
            if let Some(engine) = self.traps.get() {
                engine.increment_epoch();
            }
        }
        let deadline = Instant::now() + EXIT_DEADLINE;
        let mut looks = SameTurn::default();
        while Instant::now() < deadline {
            let request = timeout(LAST_TURN / LOOKS, self.request(signals)).await;
            if let Some(signal) = request.ok().and_then(Request::urgent) {
                self.exit(|| exit_code(signal));
            }
            // The component is in the middle of a turn, and will not notice.
            if looks.found(self.turn()) > LOOKS && self.traps.get().is_none() {
                break;
            }
        }
        self.exit(|| last_words(end));
    }

    /// Starts the watch. `last_words` prints why the component was ended, and returns the exit code; the watch calls it only
    /// when the process has to end without the component.
    ///
    /// Call this before everything that takes time: a signal without a handler does not end process 1 of a container.
    ///
    /// With `stops_with_input`, the watch reads standard input, whose end asks the component to stop.
    ///
    /// # Errors
    /// The system does not let this process handle signals, or has no thread for the watch.
    pub(crate) fn begin(
        self: &Arc<Self>,
        max_turn: Option<Duration>,
        stops_with_input: bool,
        last_words: impl Fn(End) -> u8 + Send + 'static,
    ) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _guard = runtime.enter();
            Signals::new()?
        };
        let watch = Arc::clone(self);
        // The thread ends with the process.
        let run = move || runtime.block_on(watch.run(&mut signals, max_turn, &last_words));
        std::thread::Builder::new().spawn(run)?;
        if stops_with_input {
            let watch = Arc::clone(self);
            let read = move || {
                discard_input(std::io::stdin().lock());
                watch.input_ended.notify_one();
            };
            std::thread::Builder::new().spawn(read)?;
        }
        Ok(())
    }

    /// Waits for the next request to stop.
    async fn request(&self, signals: &mut Signals) -> Request {
        let mut input_ended = pin!(self.input_ended.notified());
        poll_fn(|context| match signals.poll(context) {
            Poll::Ready(signal) => Poll::Ready(Request::Signal(signal)),
            Poll::Pending => input_ended.as_mut().poll(context).map(|()| Request::InputEnd),
        })
        .await
    }

    async fn run(&self, signals: &mut Signals, max_turn: Option<Duration>, last_words: &impl Fn(End) -> u8) {
        let request = match max_turn {
            None => self.request(signals).await,
            Some(most) => {
                let mut looks = SameTurn::default();
                loop {
                    match timeout(most / LOOKS, self.request(signals)).await {
                        Ok(request) => break request,
                        Err(_) if looks.found(self.turn()) > LOOKS => {
                            self.audit.asked(What::Turn, &most.as_secs(), Err(Some(NO_TURN_LIMIT)));
                            return self.end(End::Turn(most), signals, last_words).await;
                        }
                        Err(_) => {}
                    }
                }
            }
        };
        // The end of the input only asks: a component that does not run yet finds the end when it reads its input.
        if let Request::Signal(signal) = request {
            if self.turns.load(Ordering::Relaxed) == 0 {
                // Nothing runs yet, so there is nothing to end.
                self.exit(|| exit_code(signal));
            }
            if !self.heeded.load(Ordering::Relaxed) {
                return self.end(End::Signal(signal), signals, last_words).await;
            }
        }
        let busy = self.turn();
        self.stop.send_replace(true);
        self.wake();
        let grace = Duration::from_millis(self.grace.load(Ordering::Relaxed));
        let deadline = Instant::now() + grace;
        let mut looks = SameTurn::default();
        let mut asked = request.urgent().is_some();
        let end = loop {
            match timeout(LAST_TURN / LOOKS, self.request(signals)).await {
                Ok(request) => match request.urgent() {
                    // A second urgent signal ends the process at once.
                    Some(signal) if asked || !self.heeded.load(Ordering::Relaxed) => self.exit(|| exit_code(signal)),
                    Some(_) => asked = true,
                    None => {}
                },
                Err(_) => {
                    let turn = self.turn();
                    let most = if turn == busy { LOOKS } else { CLOSING * LOOKS };
                    if looks.found(turn) >= most {
                        break End::StuckInTurn;
                    }
                }
            }
            if Instant::now() >= deadline {
                break End::Grace(grace);
            }
        };
        self.end(end, signals, last_words).await;
    }
}

/// Counts the looks in a row that have found the same turn under way.
#[derive(Default)]
struct SameTurn {
    turn: Option<u64>,
    times: u32,
}

impl SameTurn {
    /// Counts one look, which has found `turn`. Returns the number of looks in a row that have.
    fn found(&mut self, turn: Option<u64>) -> u32 {
        self.times = match turn {
            Some(_) if turn == self.turn => self.times + 1,
            Some(_) => 1,
            None => 0,
        };
        self.turn = turn;
        self.times
    }
}

/// A request to the component to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// A signal, with this number.
    Signal(i32),
    /// The end of standard input.
    InputEnd,
}

impl Request {
    /// The number of the signal, if a second such signal ends the component at once: a person in a hurry sends it. A terminal
    /// that closes sends SIGHUP more than once, and some programs send SIGTERM to the processes in it.
    fn urgent(self) -> Option<i32> {
        match self {
            Request::Signal(signal) => (signal != SIGHUP).then_some(signal),
            Request::InputEnd => None,
        }
    }
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if this process was started to outlive its terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

/// The events with which a console and Windows ask a program to end, each as the signal that means the same.
#[cfg(windows)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    logoff: tokio::signal::windows::CtrlLogoff,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

/// The exit code of a shell for the end by a signal.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

/// The signals of a terminal that closes, of Ctrl-C, and of an init system.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};

        // Each of these signals would end the process without a handler.
        // * XFSZ: a file has grown as large as files may be (`ulimit -f`). Now writing fails, as on a full disk.
        // * USR1 and USR2: other servers open their log anew, or start anew. Here there is nothing to do.
        for unheeded in [Signal::XFSZ, Signal::USR1, Signal::USR2] {
            let _ = signal(SignalKind::from_raw(unheeded.as_raw()))?;
        }
        let hangup = match ignores_hangup() {
            Some(false) => Some(signal(SignalKind::hangup())?),
            // SIGHUP keeps its action: under nohup the process ignores it, and else it ends the process.
            Some(true) | None => None,
        };
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// The number of the next signal.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<i32> {
        let heard =
            [(SIGINT, Some(&mut self.interrupt)), (SIGTERM, Some(&mut self.terminate)), (SIGHUP, self.hangup.as_mut())];
        let mut heard = heard.into_iter().filter_map(|(number, signal)| Some((number, signal?)));
        let first = heard.find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(number));
        first.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Whether this process was started so that it ignores SIGHUP, as `nohup` starts it. `None` if neither way below finds out.
#[cfg(unix)]
fn ignores_hangup() -> Option<bool> {
    listed_as_ignored().or_else(found_out_by_a_shell)
}

/// Whether SIGHUP is ignored, from the list of Linux: a number in which each signal is a bit.
#[cfg(unix)]
fn listed_as_ignored() -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (SIGHUP - 1) & 1 == 1)
}

/// Whether SIGHUP is ignored, from a shell: a program ignores the signals that the process that starts it ignores. (To ask the
/// system itself takes `unsafe` code.)
#[cfg(unix)]
fn found_out_by_a_shell() -> Option<bool> {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -s HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = shell.status().ok()?;
    match (status.success(), status.signal()) {
        (true, _) => Some(true),
        (_, Some(SIGHUP)) => Some(false),
        _ => None,
    }
}

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

        Ok(Signals {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// The number of the next signal. Windows itself ends this process a few seconds after the last three.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<i32> {
        if self.ctrl_c.poll_recv(context).is_ready() || self.ctrl_break.poll_recv(context).is_ready() {
            Poll::Ready(SIGINT)
        } else if self.close.poll_recv(context).is_ready() || self.logoff.poll_recv(context).is_ready() {
            Poll::Ready(SIGHUP)
        } else {
            self.shutdown.poll_recv(context).map(|_| SIGTERM)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_process_ends_is_settled_once() {
        let watch = Watch::new(&Audit::default());
        assert_eq!([watch.is_first(), watch.is_first(), watch.is_first()], [true, false, false]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_shell_finds_out_the_same_as_linux_lists() {
        let listed = listed_as_ignored();
        assert!(listed.is_some());
        assert_eq!(listed, found_out_by_a_shell());
    }

    #[test]
    fn only_one_turn_that_is_found_again_and_again_is_long() {
        let mut looks = SameTurn::default();
        let found = [Some(1), Some(1), None, Some(3), Some(3), Some(3), Some(5)].map(|turn| looks.found(turn));
        assert_eq!(found, [1, 2, 0, 1, 2, 3, 1]);
    }
}
