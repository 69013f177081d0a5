//! Picking up the phone, as long as there is a place free.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::places::Place;
use super::{Call, Caller, Event, Listener, Observer, Runtime, Server, Stream, connection, either};

/// How long to wait after a call that could not be picked up, before the next try. Such failures pass by themselves: the
/// system has no descriptor left, until somebody hangs up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long picking up has to have worked until the next failure is worth a word again.
const CALM: Duration = Duration::from_secs(60);

/// How many calls are picked up in a row before everybody else has a turn. That takes 3 milliseconds; and 50 such turns a
/// second are enough for ten thousand callers at once, of whom the system keeps only some in line, and lets the others try
/// again a second later.
const CALLS_IN_A_ROW: usize = 256;

/// The most calls that are picked up after the server was told to stop: as many as may have been waiting in the
/// kernel's queue then.
const LAST_CALLS: usize = u16::MAX as usize;

/// Picks up every call that comes to `listener`, until the server stops; and then everybody who is in line already,
/// because they were told that somebody is there.
pub async fn accept<L, R, O>(server: Rc<Server<R, O>>, mut listener: L)
where
    L: Listener,
    R: Runtime,
    O: Observer + 'static,
{
    let _open = server.stop.listener();
    either(pin!(pick_up(&server, &mut listener)), pin!(server.stop.begun())).await;
    for _ in 0..LAST_CALLS {
        let place = server.places.take().await;
        match listener.accept() {
            Ok(Call::From(stream, peer)) => server.talk(stream, peer, place),
            Ok(Call::Gone) => {}
            // As little as can be lies between this look and the end of the line: whoever calls in between is let in by
            // the kernel, and then reset.
            Ok(Call::None) if listener.look() => {}
            Ok(Call::None) | Err(_) => break,
        }
    }
}

/// Picks up every call and starts a conversation. It never ends: no failure to pick up one call is a reason not to pick
/// up the next.
async fn pick_up<L, R, O>(server: &Rc<Server<R, O>>, listener: &mut L) -> Infallible
where
    L: Listener,
    R: Runtime,
    O: Observer + 'static,
{
    let mut in_a_row = 0;
    let mut calm_from = Duration::ZERO;
    loop {
        // The place comes first: without one the caller stays in the kernel's queue.
        let place = match server.places.try_take() {
            Some(place) => place,
            None => {
                listener.ready().await;
                server.places.take().await
            }
        };
        in_a_row += 1;
        match listener.accept() {
            Ok(Call::From(stream, peer)) => server.talk(stream, peer, place),
            Ok(Call::Gone) => drop(place),
            Ok(Call::None) => {
                drop(place);
                in_a_row = CALLS_IN_A_ROW;
            }
            Err(cause) => {
                drop(place);
                let now = server.runtime.now();
                if now >= calm_from {
                    server.observer.observe(Event::AcceptFailed { cause: &cause });
                }
                calm_from = now + CALM;
                server.places.make_room();
                server.runtime.sleep_until(now + ACCEPT_PAUSE).await;
            }
        }
        if in_a_row >= CALLS_IN_A_ROW {
            in_a_row = 0;
            listener.ready().await;
        }
    }
}

impl<R: Runtime, O: Observer + 'static> Server<R, O> {
    /// Starts a conversation.
    fn talk(self: &Rc<Self>, stream: impl Stream + 'static, address: SocketAddr, place: Place) {
        self.calls.set(self.calls.get() + 1);
        let caller = Caller { number: self.calls.get(), address };
        self.observer.observe(Event::PickedUp(caller));
        self.runtime.spawn(connection::converse(Rc::clone(self), stream, caller, place));
    }
}
