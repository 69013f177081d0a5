//! Reactor and executor against the model of the host, and what happens to a loop that does without them.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::host::Host;
use crate::model::{BUDGET, Model, NetworkListener, ROOM};
use crate::reactor::Source;
use crate::runtime::Runtime;
use crate::task::{Either, race};
use crate::timers::Timers;

/// So many that the budget suffices for a fraction of them.
const MANY: usize = 1000;

/// Pollables that are always ready, like connections under full load.
fn busy(model: &Model) -> Vec<crate::model::Pollable> {
    let up = Rc::new(Cell::new(true));
    (0..MANY).map(|_| model.flag(&up)).collect()
}

#[test]
fn a_loop_that_ignores_the_budget_of_a_poll_starves_most_tasks() {
    let model = Model::new();
    let pollables = busy(&model);
    let pollables: Vec<_> = pollables.iter().collect();
    let mut served = vec![0; MANY];
    for _ in 0..100 {
        for index in model.poll(&pollables) {
            served[index as usize] += 1;
        }
    }
    let starved = served.iter().filter(|&&times| times == 0).count();
    assert_eq!(starved, MANY - BUDGET as usize, "the model is as unfair as the host");
}

#[test]
fn no_task_runs_twice_while_another_ready_task_waits() {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let served = Rc::new(RefCell::new(vec![0u32; MANY]));
    for (index, pollable) in busy(&model).into_iter().enumerate() {
        let source = Source::new(runtime.reactor(), pollable);
        let served = Rc::clone(&served);
        runtime.spawn(async move {
            loop {
                source.ready().await;
                let mut served = served.borrow_mut();
                served[index] += 1;
                let fewest = *served.iter().min().expect("many");
                assert!(served[index] <= fewest + 1, "{index} was served twice");
            }
        });
    }
    let clock = runtime.clone();
    let rounds = Rc::clone(&served);
    runtime.block_on(async move {
        // The model's clock stands still while a task is ready, so count the rounds by the last one's.
        while rounds.borrow()[MANY - 1] < 20 {
            clock.sleep_until(clock.now()).await;
            next_turn().await;
        }
    });
    assert!(served.borrow().iter().all(|&times| times >= 19));
}

/// Lets the others go first, once.
async fn next_turn() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn tasks_that_keep_waking_each_other_do_not_keep_out_the_reactor() {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    runtime.spawn(async {
        loop {
            next_turn().await;
        }
    });
    let up = Rc::new(Cell::new(true));
    let source = Source::new(runtime.reactor(), model.flag(&up));
    runtime.block_on(async move { source.ready().await });
}

#[test]
fn deadlines_pass_in_order_and_not_before_their_time() {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let passed = Rc::new(RefCell::new(Vec::new()));
    let start = runtime.now();
    for second in [5, 1, 4, 2, 3, 3] {
        let clock = runtime.clone();
        let passed = Rc::clone(&passed);
        runtime.spawn(async move {
            clock.sleep_until(start + Duration::from_secs(second)).await;
            passed.borrow_mut().push((clock.now() - start).as_secs());
        });
    }
    let clock = runtime.clone();
    runtime.block_on(async move { clock.sleep_until(start + Duration::from_secs(6)).await });
    assert_eq!(*passed.borrow(), [1, 2, 3, 3, 4, 5]);
}

#[test]
fn a_cleared_deadline_wakes_no_task() {
    let model = Model::new();
    let runtime = Runtime::new(model);
    let start = runtime.now();
    {
        // Asked once, so that it is set, and then dropped.
        let clock = runtime.clone();
        runtime.block_on(async move {
            let mut sleep = Box::pin(clock.sleep_until(start + Duration::from_secs(1)));
            std::future::poll_fn(|context| {
                assert!(sleep.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        });
    }
    assert_eq!(runtime.reactor().earliest_deadline(), None);
}

#[test]
fn with_one_connection_a_wait_costs_one_poll_and_no_more() {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let up = Rc::new(Cell::new(true));
    let source = Source::new(runtime.reactor(), model.flag(&up));
    let polls = model.polls();
    runtime.block_on(async move {
        for _ in 0..10 {
            source.ready().await;
        }
    });
    assert_eq!(model.polls() - polls, 10);
}

#[test]
fn cleared_deadlines_do_not_pile_up_and_never_wake_a_task() {
    let mut timers = Timers::default();
    let late = timers.set(1_000_000, Waker::noop().clone());
    for deadline in 0..10_000 {
        let key = timers.set(deadline, Waker::noop().clone());
        if deadline % 100 != 7 {
            timers.clear(key);
            timers.clear(key);
        }
        assert!(timers.len() <= 2 * 102 + 64, "{}", timers.len());
    }
    assert_eq!(timers.earliest(), Some(7));
    let passed = std::iter::from_fn(|| timers.take_passed(999_999)).count();
    assert_eq!((passed, timers.earliest()), (100, Some(1_000_000)));
    let renewed = timers.renew(late, Waker::noop());
    assert_eq!(renewed, late);
    timers.clear(late);
    assert_eq!(timers.earliest(), None);
}

#[test]
fn a_stream_may_be_dropped_with_a_write_in_flight() {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let (mut listener, network) = NetworkListener::listen(&model, &runtime);
    let client = network.connect();
    let clock = runtime.clone();
    runtime.block_on(async move {
        let (mut stream, _) = listener.try_accept().expect("no error").expect("a connection");
        let write = async { stream.write_all(&[b'x'; 64 * ROOM]).await };
        let timeout = clock.sleep_until(clock.now() + Duration::from_secs(1));
        assert!(matches!(race(pin!(write), pin!(timeout)).await, Either::Second(())), "the client never reads");
        // The model panics where a host would stop the whole component.
        drop(stream);
        clock.sleep_until(clock.now() + Duration::from_secs(1)).await;
    });
    drop(client);
}

#[test]
fn a_connection_that_is_reset_before_it_is_accepted_is_passed_over() {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let (mut listener, network) = NetworkListener::listen(&model, &runtime);
    // More than the budget of one poll suffices for.
    for _ in 0..MANY {
        network.connect().reset();
    }
    let client = network.connect();
    client.send(b"hello");
    runtime.block_on(async move {
        let (mut stream, _) = listener.accept().await.expect("no error");
        assert_eq!(stream.read_chunk(5).await.expect("the bytes of the last client"), b"hello");
        network.connect().reset();
        let error = listener.try_accept().expect_err("try_accept tells what has happened");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    });
    drop(client);
}

#[test]
fn the_echo_server_of_the_readme_is_the_example() {
    let (_, block) = include_str!("../README.md").split_once("```rust,no_run\n").expect("a block of Rust");
    let (block, _) = block.split_once("```").expect("the end of the block");
    let (example, _) =
        include_str!("../examples/echo.rs").split_once("\n/// Outside a component").expect("a native part");
    let is_code = |line: &&str| !line.starts_with("//!") && *line != "#[cfg(target_family = \"wasm\")]";
    let example: Vec<_> = example.lines().filter(is_code).collect();
    assert_eq!(example.join("\n").trim(), block.trim());
}
