//! The reactor under thousands of random schedules, against the model of the host with its budget of 128 and its order, and with time
//! that passes during each poll.
//!
//! The rules that each schedule must keep:
//!
//! * A task whose pollable is hot and ready runs in the next round.
//! * A task whose pollable is cold and ready runs after as many sweeps as a lap has, however many are hot meanwhile; and in the next
//!   round when none is hot.
//! * No wake-up is lost, and no task runs whose pollable was not ready.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;

use crate::host::Host as _;
use crate::model::{BUDGET, Model};
use crate::reactor::Source;
use crate::runtime::Runtime;

/// How many nanoseconds it takes to ask about one thing, as in wasmtime 48.
const COST: u64 = 270;

/// For how long a wait is hot, in nanoseconds.
const HOT_FOR: u64 = 500_000_000;

/// How long it takes at the most until the next sweep is due.
const PAUSE: u64 = 25_000_000;

/// How many are asked about in one sweep at the least.
const SWEEP_PIECE: usize = 256;

/// Something that becomes ready, and is served.
struct Thing {
    ready: Rc<Cell<bool>>,
    served: Rc<Cell<u32>>,
    /// How often it became ready.
    raised: u32,
    /// When it was served last.
    since: u64,
    /// How many sweeps were due since it is ready.
    sweeps: usize,
}

/// Some things, a task for each, and a host.
struct World {
    model: Model,
    runtime: Runtime<Model>,
    things: Vec<Thing>,
}

impl World {
    fn new(things: usize) -> Self {
        let model = Model::new();
        model.set_cost(COST);
        let runtime = Runtime::new(model.clone());
        let things = (0..things).map(|_| Thing::new(&model, &runtime)).collect();
        // Something can happen some time.
        let clock = runtime.clone();
        runtime.spawn(async move {
            loop {
                clock.sleep_until(clock.now() + Duration::from_secs(3600)).await;
            }
        });
        let world = World { model, runtime, things };
        world.runtime.turn();
        world
    }

    /// A thing becomes ready, if it is not.
    fn raise(&mut self, index: usize) {
        let thing = &mut self.things[index];
        if !thing.ready.replace(true) {
            thing.raised += 1;
            thing.sweeps = 0;
        }
    }

    /// Polls the host, and runs the tasks whose pollables it reports.
    fn round(&self, idle: bool) -> bool {
        self.runtime.reactor().wait(idle);
        self.runtime.turn()
    }

    /// The same, and checks the rules.
    fn checked_round(&mut self, context: &str) {
        let now = self.model.now();
        let none_is_hot = self.things.iter().all(|thing| now - thing.since >= HOT_FOR);
        let due: Vec<bool> = self.things.iter().map(|thing| thing.ready.get()).collect();
        self.round(true);
        let lap = self.things.len().div_ceil(SWEEP_PIECE);
        for (index, (thing, due)) in self.things.iter_mut().zip(due).enumerate() {
            if thing.ready.get() && due {
                assert!(now - thing.since >= HOT_FOR, "{context}: {index} is hot, and was not served");
                assert!(!none_is_hot, "{context}: {index} was not served, and none was hot");
                thing.sweeps += 1;
                assert!(thing.sweeps <= lap, "{context}: {index} was not served in {lap} sweeps");
            } else if due {
                thing.since = self.runtime.reactor().now();
            }
            assert_eq!(thing.served.get() + u32::from(thing.ready.get()), thing.raised, "{context}: {index}");
        }
    }
}

impl Thing {
    fn new(model: &Model, runtime: &Runtime<Model>) -> Self {
        let thing = Thing { ready: Rc::default(), served: Rc::default(), raised: 0, since: model.now(), sweeps: 0 };
        let source = Source::new(runtime.reactor(), model.flag(&thing.ready));
        let (ready, served) = (Rc::clone(&thing.ready), Rc::clone(&thing.served));
        runtime.spawn(async move {
            loop {
                source.ready().await;
                if ready.replace(false) {
                    served.set(served.get() + 1);
                }
            }
        });
        thing
    }
}

#[test]
fn each_ready_task_runs_in_time_whatever_happens() {
    for seed in 0..2000 {
        let mut random = Rng::with_seed(seed);
        // Most worlds are small, some larger than the budget, and some than a piece.
        let most = *random.choice(&[3, 3, 30, 30, 30, 30, 200, 700]).expect("some");
        let mut world = World::new(random.usize(1..=most));
        let active = random.usize(1..=world.things.len());
        for round in 0..40 {
            let context = format!("seed {seed}, round {round}");
            let how_many = match random.u8(0..4) {
                0 => 0,
                1 => 1,
                2 => random.usize(0..=active),
                _ => active,
            };
            for _ in 0..how_many {
                let index = random.usize(0..active);
                world.raise(index);
            }
            // One that is not among them calls once in a while.
            let any = random.usize(0..world.things.len());
            if random.u8(0..4) == 0 || how_many == 0 {
                world.raise(any);
            }
            world.model.set_budget(random.u32(0..=BUDGET));
            // All that are ready have been ready since before the next sweep is due.
            world.model.pass(PAUSE + random.choice([0, 1_000_000, 200_000_000, 700_000_000]).expect("some"));
            world.checked_round(&context);
        }
        let ready = |world: &World| world.things.iter().any(|thing| thing.ready.get());
        for _ in 0..10 {
            if ready(&world) {
                world.model.pass(PAUSE);
                world.checked_round(&format!("seed {seed}, the end"));
            }
        }
        assert!(!ready(&world), "seed {seed}: something is lost");
    }
}

/// A world in which no pollable has become ready for long.
fn cold(things: usize) -> World {
    let world = World::new(things);
    world.model.pass(HOT_FOR);
    world
}

#[test]
fn a_wake_up_costs_what_the_active_ones_cost_however_many_are_idle() {
    const ROUNDS: u64 = 5_000;
    let questions = |idle: usize| {
        let mut world = cold(idle + 8);
        let before = world.model.questions();
        for _ in 0..ROUNDS {
            (0..8).for_each(|index| world.raise(index));
            // What it takes to serve eight.
            world.model.pass(80_000);
            world.round(true);
        }
        assert!(world.things[..8].iter().all(|thing| u64::from(thing.served.get()) >= ROUNDS - 2));
        (world.model.questions() - before) as f64 / ROUNDS as f64
    };
    let (alone, beside_many) = (questions(0), questions(10_000));
    let a_tenth_of_the_time = 80_000.0 / 270.0 / 9.0;
    assert!(beside_many < alone + 1.5 * a_tenth_of_the_time, "{alone} and {beside_many}");
}

#[test]
fn a_host_that_answers_fast_is_asked_about_one_piece_of_the_idle_ones_a_millisecond() {
    const ROUNDS: u64 = 5_000;
    for idle in [5_000, 200] {
        let mut world = cold(idle + 8);
        world.model.set_cost(30);
        let (questions, begin) = (world.model.questions(), world.model.now());
        for _ in 0..ROUNDS {
            (0..8).for_each(|index| world.raise(index));
            world.model.pass(80_000);
            world.round(true);
        }
        let sweeps = (world.model.now() - begin) / 1_000_000 + 1;
        // Each sweep and each round ask about a little more, and the first round about all.
        let (piece, all) = (SWEEP_PIECE.min(idle) as u64, idle as u64 + 8);
        let most = sweeps * (piece + 8) + ROUNDS * 12 + 2 * all;
        let asked = world.model.questions() - questions;
        assert!(asked < most, "{idle} idle: {asked} questions, and not {most}");
    }
}

#[test]
fn when_no_connection_is_active_the_host_is_polled_once_and_never_again() {
    let world = cold(5_000);
    world.round(true);
    let (polls, now) = (world.model.polls(), world.model.now());
    world.round(true);
    assert_eq!(world.model.polls() - polls, 1);
    assert!(world.model.now() - now > 3_000_000_000_000, "it waited for the only deadline");
}

#[test]
fn a_cold_pollable_is_noticed_within_a_sweep_although_the_hot_ones_leave_no_pause() {
    let mut world = cold(10_000);
    let last = world.things.len() - 1;
    world.raise(last);
    let begin = world.model.now();
    while world.things[last].ready.get() {
        (0..100).for_each(|index| world.raise(index));
        world.model.pass(1_000_000);
        world.round(false);
    }
    // 10,000 at 270 nanoseconds, ten times, and the rounds that it takes.
    assert!(world.model.now() - begin < 60_000_000, "{} ns", world.model.now() - begin);
}
