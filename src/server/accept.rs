//! Picking up the phone, as long as there is a place free.

use std::rc::Rc;
use std::time::Duration;

use super::{Call, Event, Listener, Observer, Runtime, Server, connection};

/// How long to wait after a call that could not be picked up, before the next try. Such failures pass by themselves: the
/// system has no descriptor left, until somebody hangs up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long picking up has to have worked until the next failure is worth a word again.
const CALM: Duration = Duration::from_secs(60);

/// How many calls are picked up in a row before everybody else has a turn.
const CALLS_IN_A_ROW: usize = 64;

/// Picks up every call that comes to `listener` and starts a conversation. It never ends: no failure to pick up one
/// call is a reason not to pick up the next.
pub async fn accept<L, R, O>(server: Rc<Server<R, O>>, mut listener: L)
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
            Ok(Call::From(stream, peer)) => {
                let conversation = connection::converse(Rc::clone(&server), stream, peer, place);
                server.runtime.spawn(conversation);
            }
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
