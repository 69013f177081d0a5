//! `--instances`: runs a component several times at once. Each instance has a thread, memory, handles and limits of its own; they share
//! the compiled code, the listening sockets and the standard streams. An instance that fails does not stop the others.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hello_failure::report;

use crate::options::Options;
use crate::program::Program;
use crate::stdio::{NAME, Output};
use crate::system;
use crate::watch::Watch;

/// The time before an instance that has failed starts again. It doubles with each failure, up to [`LONGEST_PAUSE`], until an instance
/// has run for that long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// The time between two looks whether the component has to stop.
const LOOK: Duration = Duration::from_millis(25);

/// Runs as many instances of the component as `options` say, to the end of all. When one returns, which a server does only when it is
/// asked to stop, or cannot listen, the others are asked to stop. Returns the highest exit code.
///
/// # Errors
/// An instance has failed before it listened, so that another start would not help; or while it was to stop; or the system
/// has no thread for it.
pub(crate) fn run(program: &Program<'_>, options: &Options, stdout: &Arc<Output>) -> anyhow::Result<u8> {
    if options.instances == 1 {
        return program.run(options, stdout, &program.instance(0));
    }
    thread::scope(|scope| {
        let threads = (0..options.instances).map(|number| {
            thread::Builder::new().spawn_scoped(scope, move || {
                let _others = AskedToStop(program.watch);
                keep_running(program, options, stdout, number)
            })
        });
        let threads: Vec<_> = threads.collect();
        let mut code = Ok(0);
        for thread in threads {
            let outcome = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(error) => {
                    program.watch.ask_to_stop();
                    Err(system::refused(&error).into())
                }
            };
            // The first failure is the cause of the others.
            code = code.and_then(|code| Ok(outcome?.max(code)));
        }
        code
    })
}

/// Asks all instances to stop when one has ended, also by a panic of this program.
struct AskedToStop<'w>(&'w Watch);

impl Drop for AskedToStop<'_> {
    fn drop(&mut self) {
        self.0.ask_to_stop();
    }
}

/// Runs an instance, and another one in its place when it fails.
fn keep_running(program: &Program<'_>, options: &Options, stdout: &Arc<Output>, number: usize) -> anyhow::Result<u8> {
    let mut pause = FIRST_PAUSE;
    loop {
        let (instance, started) = (program.instance(number), Instant::now());
        let error = match program.run(options, stdout, &instance) {
            Err(error) if instance.turns.has_listened() && !program.watch.has_asked() => error,
            outcome => return outcome,
        };
        if started.elapsed() >= LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        let report = report(NAME, &error).text;
        program.stderr.say(report.lines().chain(["  the others serve on, and it starts again"]));
        let next = Instant::now() + pause;
        while Instant::now() < next {
            if program.watch.has_asked() {
                return Ok(0);
            }
            thread::sleep(LOOK);
        }
        pause = LONGEST_PAUSE.min(2 * pause);
    }
}
