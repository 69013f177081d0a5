//! The one runtime of a component.

use std::cell::OnceCell;
use std::future::Future;

use crate::{Runtime, Wasi};

thread_local! {
    static CURRENT: OnceCell<Runtime<Wasi>> = const { OnceCell::new() };
}

impl Runtime<Wasi> {
    /// A handle to the runtime of this component. The first call makes the runtime.
    pub fn current() -> Self {
        CURRENT.with(|current| current.get_or_init(|| Runtime::new(Wasi)).clone())
    }
}

/// Runs `main`, and the tasks that it [spawns](spawn), until `main` has ended. Returns the output of `main`.
///
/// The other tasks stay where they are, and go on when `block_on` is called again.
pub fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
    Runtime::current().block_on(main)
}

/// Adds a task. It runs as long as [`block_on`] runs, whether or not anything waits for it.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    Runtime::current().spawn(task);
}
