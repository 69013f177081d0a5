//! The course of the test: rounds of hostile peers and honest clients, each with a time of more connections than permits,
//! and one with hostile clients alone, and an end without clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, panicking, spawn};
use std::time::Duration;

use hello_test_support::{Output, Server, command_for, is_wasmtime};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::figures::{Latencies, Milliseconds};
use super::honest::{CLIENTS, Client};
use super::hostile;
use super::log::Log;
use super::watch::{Sample, Watch, growth};

/// The most growth of the memory from the first round to the last, in KiB. The greatest need of a round differs a bit from
/// round to round.
const GROWTH: u64 = 4096;

/// The bar for the latency of honest clients, for 99 of 100 responses.
const BAR: Duration = Duration::from_millis(50);

/// The longest time that a client should hold the server, as the metronome measures it. Other programs on the machine add
/// to this time.
const HOLD: Duration = Duration::from_millis(5);

/// The numbers of peers, and the times.
struct Plan {
    is_full: bool,
    rounds: usize,
    /// The number of hostile peers, the number at crowded times, and the number of permits.
    hostile: usize,
    crowd: usize,
    places: usize,
    /// The times with enough permits, with too few, and with hostile peers alone, in each round.
    steady: Duration,
    crowded: Duration,
    quiet: Duration,
    /// The timeouts of the server: for a head, for an idle connection, for a write.
    timeouts: [Duration; 3],
}

impl Plan {
    fn new() -> Self {
        let seconds = Duration::from_secs;
        let Ok(minutes) = std::env::var("HELLO_SOAK_MINUTES") else {
            return Plan {
                is_full: false,
                rounds: 3,
                hostile: 250,
                crowd: 350,
                places: 300,
                steady: seconds(4),
                crowded: seconds(1),
                quiet: seconds(1),
                timeouts: [3, 2, 2].map(seconds),
            };
        };
        let minutes: u64 = minutes.parse().expect("HELLO_SOAK_MINUTES is a number of minutes");
        Plan {
            is_full: true,
            // At the end of each round, the peers that never stop sending stay for half a minute.
            rounds: (minutes * 60).div_ceil(120 + 40).max(2) as usize,
            hostile: 1000,
            crowd: 1200,
            places: 1100,
            steady: seconds(90),
            crowded: seconds(15),
            quiet: seconds(15),
            timeouts: [10, 10, 5].map(seconds),
        }
    }
}

/// The phase of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The hostile peers connect.
    Gathering,
    /// All hostile peers are connected.
    Steady,
    /// There are more peers than permits.
    Crowded,
    /// Only hostile clients are there.
    Quiet,
    /// No new client connects.
    Over,
}

impl Phase {
    /// Whether honest clients are there.
    pub(crate) fn has_honest(self) -> bool {
        matches!(self, Phase::Gathering | Phase::Steady | Phase::Crowded)
    }
}

/// The state that all clients share.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) is_full: bool,
    pub(crate) idle_timeout: Duration,
    phase: Mutex<Phase>,
    /// The wanted number of hostile peers, and the current number.
    pub(crate) wanted: AtomicUsize,
    pub(crate) there: AtomicUsize,
    /// The number of connections of all clients.
    pub(crate) calls: AtomicU64,
    /// Whether a thread has failed.
    failed: AtomicBool,
}

impl Load {
    fn new(plan: &Plan, address: SocketAddr) -> Arc<Self> {
        Arc::new(Load {
            address,
            is_full: plan.is_full,
            idle_timeout: plan.timeouts[1],
            phase: Mutex::new(Phase::Quiet),
            wanted: AtomicUsize::new(0),
            there: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.has_failed() {
            return Phase::Over;
        }
        *self.phase.lock().expect("no thread panics with it")
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase() == Phase::Over
    }

    /// Whether a thread has panicked.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn begin(&self, phase: Phase, wanted: usize) {
        *self.phase.lock().expect("no thread panics with it") = phase;
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Whether this many hostile peers are connected.
    fn is_there(&self, hostile: usize) -> bool {
        self.there.load(Ordering::Relaxed) >= hostile
    }

    /// Runs the task in a thread of its own. Its panic ends the test at once.
    fn spawn<T: Send + 'static>(self: &Arc<Self>, task: impl FnOnce(&Load) -> T + Send + 'static) -> JoinHandle<T> {
        struct Alarm(Arc<Load>);
        impl Drop for Alarm {
            fn drop(&mut self) {
                self.0.failed.fetch_or(panicking(), Ordering::Relaxed);
            }
        }
        let alarm = Alarm(Arc::clone(self));
        spawn(move || task(&alarm.0))
    }
}

/// The command that runs the server for this plan.
fn command(plan: &Plan) -> Command {
    let [header, idle, write] = plan.timeouts.map(|time| time.as_secs().to_string());
    let timeouts = ["--header-timeout", &header, "--idle-timeout", &idle, "--write-timeout", &write];
    let options = ["--port", "0", "--stop-when-stdin-closes", "--max-connections", &plan.places.to_string()];
    command_for(plan.places, &[&options[..], &timeouts].concat())
}

/// The result of the test.
struct Course {
    clients: Vec<Client>,
    hostile: hostile::Report,
    log: Log,
    output: Output,
    /// The number of connections.
    calls: u64,
    /// The resources of the server at first; with all clients; and after each round.
    before: Sample,
    steady: Vec<Sample>,
    rests: Vec<Sample>,
    /// The use of a processor with all clients, and with hostile peers alone, in each round.
    busy: Vec<f64>,
    busy_alone: Vec<f64>,
}

/// Runs all rounds, and stops the server.
fn run(plan: &Plan) -> Course {
    let mut server = Server::launch(&mut command(plan));
    let load = Load::new(plan, server.address());
    let mut watch = Watch::new(server.pid(), &load);
    let before = watch.look();
    let lines = server.take_lines();
    let log = load.spawn(|_| Log::read(lines));
    let hostile = load.spawn(hostile::run);
    let mut clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
    let (mut rests, mut busy, mut busy_alone) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        load.begin(Phase::Gathering, plan.hostile);
        let ask = |mut client: Client| {
            load.spawn(move |load| {
                client.run(load);
                client
            })
        };
        let asking: Vec<_> = clients.into_iter().map(ask).collect();
        watch.until("all are there", |load| load.is_there(plan.hostile));
        load.begin(Phase::Steady, plan.hostile);
        busy.push(watch.pass(plan.steady));
        load.begin(Phase::Crowded, plan.crowd);
        watch.pass(plan.crowded);
        load.begin(Phase::Quiet, plan.hostile);
        clients = asking.into_iter().map(|client| client.join().expect("all is well")).collect();
        busy_alone.push(watch.pass(plan.quiet));
        load.begin(Phase::Quiet, 0);
        watch.until("all have gone", |load| !load.is_there(1));
        watch.until_back(before);
        let rest = watch.look();
        println!(
            "round {round} of {}: {} descriptors and {} KiB are left",
            plan.rounds, rest.descriptors, rest.resident
        );
        rests.push(rest);
    }

    load.begin(Phase::Over, 0);
    let output = server.stop();
    let log = log.join().expect("all is well");
    let hostile = hostile.join().expect("all is well");
    let (calls, steady) = (load.calls.load(Ordering::Relaxed), watch.steady);
    Course { clients, hostile, log, output, calls, before, steady, rests, busy, busy_alone }
}

impl Course {
    fn sum(&self, of: impl Fn(&Client) -> u64) -> u64 {
        self.clients.iter().map(of).sum()
    }

    /// The resources after the first round, and after the last.
    fn first_and_last_rest(&self) -> (Sample, Sample) {
        (self.rests[0], self.rests[self.rests.len() - 1])
    }

    /// Prints the measurements.
    fn print(&self, plan: &Plan) {
        let Course { before, calls, .. } = self;
        let (first, last) = self.first_and_last_rest();
        let [mut steady, mut crowded] = [Latencies::default(), Latencies::default()];
        for client in &self.clients {
            steady.add_all(&client.seen.steady);
            crowded.add_all(&client.seen.crowded);
        }
        let metronome = &self.clients.last().expect("it is the last one").seen.steady;
        let percent = |of: &[f64]| 100.0 * of.iter().sum::<f64>() / of.len() as f64;
        let host = if is_wasmtime() { "wasmtime run" } else { "hello-runner" };
        println!("\n{}", self.hostile);
        println!("{host}, {:.1} minutes, {} hostile peers at a time", last.minutes, plan.hostile);
        println!("{calls} calls, {} lines in the log", self.log.lines);
        println!("honest clients, with places for all: {steady}");
        println!("honest clients, at other times:      {crowded}");
        println!("the metronome, with places for all:  {metronome}\n{}", metronome.histogram());
        println!("let go to make room, and back again: {} times", self.sum(|client| client.seen.let_go));
        let (busy, alone) = (percent(&self.busy), percent(&self.busy_alone));
        println!("of a processor: {busy:.1} % with all clients, {alone:.1} % with hostile peers alone");
        let later: Vec<Sample> = self.steady.iter().filter(|sample| sample.minutes > first.minutes).copied().collect();
        println!("growth while all are there, from the second round on: {}", growth(&later));
        println!("growth from rest to rest: {}", growth(&self.rests));
        println!("KiB: {} at first, {} after a round, {} at last\n", before.resident, first.resident, last.resident);

        let p99 = steady.percentile(99.0);
        let grown = last.resident.saturating_sub(first.resident);
        let answered = self.sum(|client| client.answered);
        println!("bar | measured | met");
        let bar = |what: &str, measured: String, is_met: bool| {
            println!("{what} | {measured} | {}", if is_met { "yes" } else { "no" });
        };
        bar("no reply is lost or mixed up", format!("{answered} as they should be"), true);
        bar("no descriptor stays", format!("{} and {}", before.descriptors, last.descriptors), true);
        bar(&format!("at most {GROWTH} KiB more after the last round"), format!("{grown} KiB"), grown <= GROWTH);
        bar("99 % of honest replies within 50 ms", Milliseconds(p99).to_string(), p99 < BAR);
        let held = metronome.longest();
        bar(
            "no client holds the server for 5 ms (if the machine is idle)",
            Milliseconds(held).to_string(),
            held < HOLD,
        );
    }

    /// Checks everything that was not checked during the rounds.
    fn check(&self) {
        let Course { clients, log, output, .. } = self;
        let (first, last) = self.first_and_last_rest();
        assert!(last.resident <= first.resident + GROWTH, "{first:?}, then {last:?}");

        // The server has ended without a failure, and printed its counts.
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let words: Vec<&str> = log.summary.split(' ').collect();
        let ["Served", requests, "requests", "in", calls, "calls."] = words[..] else { panic!("{:?}", log.summary) };
        let (requests, calls): (u64, u64) = (requests.parse().expect("a number"), calls.parse().expect("a number"));
        let answered = self.sum(|client| client.seen.calls);
        assert!((answered..=self.calls).contains(&calls), "{calls} calls, of {answered} and {}", self.calls);

        // Each request with a response has its line, and there are no other lines.
        assert_eq!(log.lines, requests);
        let mut stars = HashMap::new();
        for (client, next) in clients.iter().zip(log.next) {
            client.assert_logged(next);
            client.seen.stars.iter().for_each(|(line, count)| *stars.entry(line.clone()).or_default() += count);
        }
        assert_eq!(log.stars, stars);

        // The server prints notes for an operator, but not a thousand times. (If a connection still held a permit, the
        // server would report a connection that was cut off.)
        assert!(output.stderr.lines().all(|line| line.contains(" speaks TLS, ")), "{}", output.stderr);
        assert!(output.stderr.lines().count() <= self.rests.len(), "{}", output.stderr);
    }
}

#[test]
fn hostile_peers_cost_an_honest_one_no_response_and_leave_nothing_behind() {
    let plan = Plan::new();
    // Each peer takes a descriptor of this process, too.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let course = run(&plan);
    course.print(&plan);
    course.check();
}
