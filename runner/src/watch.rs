//! Watches over the instances of the component from a thread of its own, which they cannot block. The watch receives signals and the
//! end of standard input, asks the component to stop, and ends it if it does not stop, or if its code never pauses.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use wasmtime::Engine;

use crate::audit::{Audit, What};
use crate::signals::{Request, Signals, exit_code};
use crate::stdio::{Stdin, discard_input};
use crate::turns::{End, SameTurn, Turns};

/// The longest turn of a component that was asked to stop: it does not notice in the middle of a turn. A turn of a server is over in
/// a few milliseconds, but to close ten thousand connections is one turn, too, and the system may run other programs meanwhile.
const STOPPING_TURN: Duration = Duration::from_secs(1);

/// The longest turn of an ended component: it is not waited for any longer.
const ENDED_TURN: Duration = Duration::from_millis(250);

/// The time that an ended component may take to exit, with its last output. After this time the process exits without it.
const EXIT_DEADLINE: Duration = Duration::from_secs(3);

/// The number of looks at a turn within its time limit. A turn is too long when this many looks in a row have found it:
/// the time in which the whole process stood still (a laptop that slept) counts as one look.
const LOOKS: u32 = 10;

/// The option that allows a turn of any length.
pub(crate) const NO_TURN_LIMIT: &str = "--max-turn 0";

/// The state that the watch and the component share.
pub(crate) struct Watch {
    /// Those of each instance, by its number.
    turns: Mutex<Vec<Arc<Turns>>>,
    /// True asks the component to stop.
    stop: watch::Sender<bool>,
    /// Whether the component would notice `stop`.
    heeded: Arc<AtomicBool>,
    /// Notified when the component is to be asked to stop, but not by a signal.
    asked: Notify,
    /// The engine of wasmtime, if a trap can end the code of the component. If not, the process ends with it.
    traps: OnceLock<Engine>,
    /// The time that the component may take to end after it was asked to stop, in milliseconds.
    grace: AtomicU64,
    /// Whether a thread has claimed the end of the process, with [`Watch::settle`].
    settled: AtomicBool,
    audit: Audit,
}

impl Watch {
    /// A watch over a component, from when an instance of it [starts](Watch::start). Lists a turn that is too long in `audit`.
    pub(crate) fn new(audit: &Audit) -> Arc<Self> {
        Arc::new(Watch {
            turns: Mutex::default(),
            stop: watch::Sender::new(false),
            heeded: Arc::default(),
            asked: Notify::new(),
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

    fn all_turns(&self) -> MutexGuard<'_, Vec<Arc<Turns>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turns of an instance that starts, in the place of those of an earlier instance with this number.
    pub(crate) fn start(&self, number: usize) -> Arc<Turns> {
        let (turns, mut all) = (Arc::new(Turns::default()), self.all_turns());
        if all.len() <= number {
            all.resize_with(number + 1, Arc::default);
        }
        all[number] = Arc::clone(&turns);
        turns
    }

    /// Asks the component to stop, as the end of standard input does.
    pub(crate) fn ask_to_stop(&self) {
        self.asked.notify_one();
    }

    /// Whether the component was asked to stop.
    pub(crate) fn has_asked(&self) -> bool {
        *self.stop.borrow()
    }

    /// Ends the instances with these numbers, for this reason. Their code traps at the next loop or function, if it runs, and was
    /// compiled to do so.
    fn end_instances(&self, instances: &[usize], end: End) {
        let all = self.all_turns();
        for turns in instances.iter().filter_map(|&number| all.get(number)) {
            turns.end(end);
        }
        if let Some(engine) = self.traps.get() {
            engine.increment_epoch();
        }
    }

    /// Ends some instances, and the process with them if there are no others.
    async fn end(&self, instances: &[usize], end: End, signals: &mut Signals, last_words: &impl Fn(End) -> u8) {
        self.end_instances(instances, end);
        if instances.len() < self.all_turns().len() {
            return;
        }
        let deadline = Instant::now() + EXIT_DEADLINE;
        let mut looks = Looks::default();
        while Instant::now() < deadline {
            let request = timeout(ENDED_TURN / LOOKS, self.request(signals)).await;
            if let Some(signal) = request.ok().and_then(Request::urgent) {
                self.exit(|| exit_code(signal));
            }
            // The component is in the middle of a turn, and will not notice.
            if !looks.long(&self.all_turns()).is_empty() && self.traps.get().is_none() {
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
                watch.ask_to_stop();
            };
            std::thread::Builder::new().spawn(read)?;
        }
        Ok(())
    }

    /// Waits for the next request to stop.
    async fn request(&self, signals: &mut Signals) -> Request {
        let mut asked = pin!(self.asked.notified());
        poll_fn(|context| match signals.poll(context) {
            Poll::Ready(signal) => Poll::Ready(Request::Signal(signal)),
            Poll::Pending => asked.as_mut().poll(context).map(|()| Request::Other),
        })
        .await
    }

    /// Waits for the first request to stop, and ends instances whose turns take longer than `max_turn` meanwhile.
    async fn first_request(
        &self,
        signals: &mut Signals,
        max_turn: Option<Duration>,
        last_words: &impl Fn(End) -> u8,
    ) -> Request {
        let Some(most) = max_turn else {
            return self.request(signals).await;
        };
        let mut looks = Looks::default();
        loop {
            if let Ok(request) = timeout(most / LOOKS, self.request(signals)).await {
                return request;
            }
            let long = looks.long(&self.all_turns());
            for _ in &long {
                self.audit.asked(What::Turn, &most.as_secs(), Err(Some(NO_TURN_LIMIT)));
            }
            if !long.is_empty() {
                self.end(&long, End::Turn(most), signals, last_words).await;
            }
        }
    }

    async fn run(&self, signals: &mut Signals, max_turn: Option<Duration>, last_words: &impl Fn(End) -> u8) {
        let request = self.first_request(signals, max_turn, last_words).await;
        let all = || (0..self.all_turns().len()).collect::<Vec<_>>();
        // Another request only asks: a component that does not run yet finds the end when it reads its input.
        if let Request::Signal(signal) = request {
            if !self.all_turns().iter().any(|turns| turns.have_begun()) {
                // Nothing runs yet, so there is nothing to end.
                self.exit(|| exit_code(signal));
            }
            if !self.heeded.load(Ordering::Relaxed) {
                return self.end(&all(), End::Signal(signal), signals, last_words).await;
            }
        }
        self.stop.send_replace(true);
        self.all_turns().iter().for_each(|turns| turns.wake());
        let grace = Duration::from_millis(self.grace.load(Ordering::Relaxed));
        let deadline = Instant::now() + grace;
        let mut looks = Looks::default();
        let mut asked = request.urgent().is_some();
        while Instant::now() < deadline {
            match timeout(STOPPING_TURN / LOOKS, self.request(signals)).await {
                Ok(request) => match request.urgent() {
                    // A second urgent signal ends the process at once.
                    Some(signal) if asked || !self.heeded.load(Ordering::Relaxed) => self.exit(|| exit_code(signal)),
                    Some(_) => asked = true,
                    None => {}
                },
                Err(_) => {
                    let long = looks.long(&self.all_turns());
                    if !long.is_empty() {
                        self.end(&long, End::StuckInTurn, signals, last_words).await;
                    }
                }
            }
        }
        self.end(&all(), End::Grace(grace), signals, last_words).await;
    }
}

/// The looks at the turns of each instance, by its number.
#[derive(Default)]
struct Looks(Vec<SameTurn>);

impl Looks {
    /// Looks at the turns of `all` instances. Returns the numbers of those that are in the same turn for too long.
    fn long(&mut self, all: &[Arc<Turns>]) -> Vec<usize> {
        self.0.resize_with(all.len(), SameTurn::default);
        let looks = self.0.iter_mut().zip(all).enumerate();
        let long = looks.filter_map(|(number, (look, turns))| {
            let turn = turns.current();
            let times = look.found(turn);
            let is_long = turn.is_some() && times > LOOKS;
            if is_long {
                // The instance is ended now; the next one in its place begins with its first turn.
                *look = SameTurn::default();
            }
            is_long.then_some(number)
        });
        long.collect()
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
}
