//! Makes lines of events for the page. Under load it makes them of a sample, and counts the rest: a server that answers a hundred
//! thousand requests a second must not spend its time on a page that nobody could read so fast.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;
use crate::events::{Event, Observer};
use crate::net::Runtime;
use crate::observers::events::EventLog;
use crate::observers::lines::Lines;

/// The time for which events are counted, and the most events that are shown in it.
const WINDOW: Duration = Duration::from_millis(500);
const MOST_IN_WINDOW: u32 = 200;

/// Passes the events of a server on to its live page.
pub struct LiveObserver<R> {
    hub: Arc<Hub>,
    log: EventLog<R>,
    lines: Rc<Lines>,
    runtime: R,
    /// When the window began, and how many events were shown in it.
    since: Cell<Duration>,
    shown: Cell<u32>,
    /// How many events were not shown in it, and how many responses there were.
    skipped: Rc<Cell<u64>>,
    responses: Rc<Cell<u64>>,
}

impl<R: Runtime> LiveObserver<R> {
    pub(super) fn new(hub: Arc<Hub>, runtime: R) -> Self {
        let lines = Rc::new(Lines::new(|_| String::new()));
        LiveObserver {
            hub,
            log: EventLog::new(&lines, runtime.clone()),
            lines,
            since: Cell::new(runtime.now()),
            runtime,
            shown: Cell::new(0),
            skipped: Rc::default(),
            responses: Rc::default(),
        }
    }

    /// Begins a new window if the last one is over.
    fn renew(&self) {
        let now = self.runtime.now();
        if now - self.since.get() < WINDOW {
            return;
        }
        self.since.set(now);
        self.shown.set(0);
        if self.skipped.get() == 0 {
            self.responses.set(0);
        }
    }

    /// Tells the page, at the end of this window, how many events it did not get.
    fn tell_later(&self) {
        let (hub, start, runtime) = (Arc::clone(&self.hub), self.since.get(), self.runtime.clone());
        let (skipped, responses) = (Rc::clone(&self.skipped), Rc::clone(&self.responses));
        let time = self.log.time();
        self.runtime.spawn(async move {
            runtime.sleep_until(start + WINDOW).await;
            let seconds = (runtime.now() - start).as_millis() as u64;
            let (count, requests) = (skipped.take(), responses.take());
            let (seconds, thousandths) = (seconds / 1000, seconds % 1000);
            hub.add(&format!(
                "{{\"v\":1,\"time\":{time},\"event\":\"skipped\",\"count\":{count},\"requests\":{requests},\
                 \"seconds\":{seconds}.{thousandths:03}}}"
            ));
        });
    }
}

impl<R: Runtime> Observer for LiveObserver<R> {
    fn observe(&self, event: Event<'_>) {
        self.renew();
        if let Event::Responded(_) = event {
            self.responses.set(self.responses.get() + 1);
        }
        // An end is worth more than a beginning that has no end.
        let most = if matches!(event, Event::Closed(..)) { 2 * MOST_IN_WINDOW } else { MOST_IN_WINDOW };
        if self.shown.get() >= most {
            self.log.skip(&event);
            if self.skipped.replace(self.skipped.get() + 1) == 0 {
                self.tell_later();
            }
            return;
        }
        self.shown.set(self.shown.get() + 1);
        self.log.observe(event);
        self.lines.take().lines().for_each(|line| self.hub.add(line));
    }
}
