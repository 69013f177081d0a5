//! Comparisons of two servers, round by round, and the bars that hello-server sets itself.

use std::array;

use crate::case::{Case, Kind, Run};
use crate::contender::{FLAGS, is_slow};
use crate::markdown;
use crate::statistics::{ENOUGH, pairs, spread};
use crate::wrk::{Errors, TIMEOUTS};

/// The condition that a value has to meet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// The median is at least this.
    AtLeast(f64),
    /// The median is more than this.
    MoreThan(f64),
    /// The median is at most this.
    AtMost(f64),
    /// The median is less than this.
    LessThan(f64),
    /// The value is 0 in every round.
    Zero,
}

impl Bound {
    /// The text for the table.
    pub(crate) fn text(self) -> String {
        match self {
            Bound::AtLeast(bound) => format!(">= {bound}"),
            Bound::MoreThan(bound) => format!("> {bound}"),
            Bound::AtMost(bound) => format!("<= {bound}"),
            Bound::LessThan(bound) => format!("< {bound}"),
            Bound::Zero => "none".to_owned(),
        }
    }

    /// Whether values with this median and this maximum meet the condition.
    pub(crate) fn is_met(self, median: f64, most: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => median >= bound,
            Bound::MoreThan(bound) => median > bound,
            Bound::AtMost(bound) => median <= bound,
            Bound::LessThan(bound) => median < bound,
            Bound::Zero => most == 0.0,
        }
    }
}

/// The result of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The bar was reached.
    Met,
    /// The bar was missed.
    Missed,
    /// The result is unknown: there were not enough rounds.
    TooFewRounds,
    /// The result is unknown: because of errors, not every request was measured.
    Errors,
}

impl Verdict {
    /// The word for this result.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::TooFewRounds => "too few rounds",
            Verdict::Errors => "errors",
        }
    }
}

/// A comparison, with or without a bar.
pub(crate) struct Bar {
    /// The kind of the load.
    kind: Kind,
    /// The number of connections.
    connections: u32,
    /// The text that names the compared values.
    what: String,
    /// A value for each round.
    values: Vec<f64>,
    /// The number of decimals to print.
    decimals: usize,
    /// The bar, if there is one.
    bound: Option<Bound>,
    /// Whether errors make the values doubtful.
    doubtful: bool,
}

impl Bar {
    /// A ratio of a case, without a bar and without doubt.
    fn new(case: &Case, what: impl Into<String>, values: Vec<f64>) -> Self {
        let (kind, connections) = (case.kind, case.connections);
        Bar { kind, connections, what: what.into(), values, decimals: 3, bound: None, doubtful: false }
    }

    /// A count of errors, which has to be 0.
    fn count(case: &Case, what: impl Into<String>, runs: &[Run], how: impl Fn(&Errors) -> u64) -> Self {
        let values = runs.iter().map(|run| how(&run.load.errors) as f64).collect();
        Bar { decimals: 0, bound: Some(Bound::Zero), ..Bar::new(case, what, values) }
    }

    /// The verdict on the bar; none if there is no bar.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let bound = self.bound?;
        let spread = spread(self.values.iter().copied());
        Some(match bound.is_met(spread.median, spread.most) {
            // One error is enough, however few the rounds.
            false if bound == Bound::Zero => Verdict::Missed,
            _ if self.values.len() < ENOUGH => Verdict::TooFewRounds,
            _ if self.doubtful => Verdict::Errors,
            met => {
                if met {
                    Verdict::Met
                } else {
                    Verdict::Missed
                }
            }
        })
    }
}

/// Servers that are compared with each other, besides those that are compared with hello-runner.
const PAIRS: [(&str, &str); 4] = [
    ("wasi-0.3", "wasi-0.2"),
    ("hyper-wasmtime", "wasmtime"),
    ("axum-wasmtime", "wasmtime"),
    ("hyper-hello-runner", "hyper"),
];

/// The errors of all rounds together.
pub(crate) fn errors(runs: &[Run]) -> Errors {
    array::from_fn(|kind| runs.iter().map(|run| run.load.errors[kind]).sum())
}

/// The rate of `ours` divided by the rate of `theirs`, round by round.
fn rates(ours: &[Run], theirs: &[Run]) -> Vec<f64> {
    pairs(ours, theirs, |ours, theirs| ours.load.rate / theirs.load.rate)
}

/// Whether errors make a ratio doubtful. The errors of a slow server are part of its result.
fn doubtful(ours: &[Run], name: &str, theirs: &[Run]) -> bool {
    errors(ours) != [0; 5] || (!is_slow(name) && errors(theirs) != [0; 5])
}

/// The bar of hello-runner against `peer`, as a ratio of requests per second.
fn bound(kind: Kind, connections: u32, peer: &str) -> Option<Bound> {
    let ratio = match (kind, peer, connections) {
        (Kind::KeptAlive, "hyper", 1..=2000) => 0.97,
        (Kind::KeptAlive, "hyper", _) => 0.92,
        // With one connection the kernel takes most of the time: it wakes the client and the server in turn.
        (Kind::KeptAlive, "wasmtime", 64 | 512) => 1.4,
        (Kind::KeptAlive, "hello-http", 64) => 10.0,
        (Kind::KeptAlive, "wstd", 64) => 40.0,
        (Kind::KeptAlive, "http.server", 64) => 30.0,
        (Kind::PerRequest, "hyper", _) => 0.9,
        (Kind::PerRequest, "lecture", _) => return Some(Bound::MoreThan(1.0)),
        _ => return None,
    };
    Some(Bound::AtLeast(ratio))
}

/// The servers of a case against each other.
pub(crate) fn within(case: &Case) -> Vec<Bar> {
    let (kind, connections) = (case.kind, case.connections);
    let mut bars = Vec::new();
    if let Some(ours) = case.of("hello-runner") {
        for (name, theirs) in case.servers.iter().filter(|(name, _)| *name != "hello-runner") {
            bars.push(Bar {
                bound: bound(kind, connections, name),
                doubtful: doubtful(ours, name, theirs),
                ..Bar::new(case, format!("req/s, hello-runner / {name}"), rates(ours, theirs))
            });
        }
        if let Some(theirs) = case.of("hyper").filter(|_| kind == Kind::KeptAlive && connections >= 64) {
            let doubtful = doubtful(ours, "hyper", theirs);
            let values = pairs(ours, theirs, |ours, theirs| ours.load.p99 / theirs.load.p99);
            let bound = Some(Bound::AtMost(1.3));
            bars.push(Bar { bound, doubtful, ..Bar::new(case, "p99, hello-runner / hyper", values) });
            let each = |run: &Run| run.cpu / run.load.requests;
            let values = pairs(ours, theirs, |ours, theirs| each(ours) / each(theirs));
            let bound = Some(Bound::AtMost(1.12));
            bars.push(Bar { bound, doubtful, ..Bar::new(case, "CPU per request, hello-runner / hyper", values) });
        }
        bars.push(Bar::count(case, "errors of hello-runner", ours, |errors| errors.iter().sum()));
    }
    if let (Kind::KeptAlive, Some(wasmtime)) = (kind, case.of("wasmtime")) {
        if let (64 | 512, Some(hyper)) = (connections, case.of("hyper")) {
            bars.push(Bar {
                bound: Some(Bound::AtLeast(0.65)),
                doubtful: doubtful(wasmtime, "hyper", hyper),
                ..Bar::new(case, "req/s, wasmtime / hyper", rates(wasmtime, hyper))
            });
        }
        if connections == 2000 {
            bars.push(Bar::count(case, "timeouts of wasmtime", wasmtime, |errors| errors[TIMEOUTS]));
        }
    }
    for (one, other) in PAIRS {
        if let (Some(ones), Some(others)) = (case.of(one), case.of(other)) {
            let doubtful = errors(ones) != [0; 5] || errors(others) != [0; 5];
            bars.push(Bar { doubtful, ..Bar::new(case, format!("req/s, {one} / {other}"), rates(ones, others)) });
        }
    }
    if let Some(plain) = case.of("hello-http") {
        for (name, flag) in FLAGS {
            let flagged = case.of(name).into_iter();
            bars.extend(
                flagged.map(|runs| Bar::new(case, format!("req/s, with {flag} / without"), rates(runs, plain))),
            );
        }
    }
    bars
}

/// The effect of connections on which nothing happens: `alone` is without them, `both` is with them. Only for idle ones there are
/// bars.
pub(crate) fn idle(alone: &Case, both: &Case) -> Vec<Bar> {
    let mut bars = Vec::new();
    let is_idle = both.kind == Kind::IdleAndActive;
    let others = if is_idle { "idle" } else { "those" };
    for (name, with) in &both.servers {
        let Some(without) = alone.of(name) else { continue };
        let judged = |bound| (*name == "hello-runner" && is_idle).then_some(bound);
        let doubtful = doubtful(with, name, without);
        let of_quiet =
            |how: fn(&crate::idle::Quiet) -> f64| with.iter().filter_map(|run| run.quiet.as_ref().map(how)).collect();
        bars.push(Bar {
            bound: judged(Bound::AtLeast(0.95)),
            doubtful,
            ..Bar::new(both, format!("req/s, {name}: with / without {others}"), rates(with, without))
        });
        bars.push(Bar {
            bound: judged(Bound::LessThan(5.0)),
            doubtful,
            ..Bar::new(
                both,
                format!("p99 ms, {name}: with - without {others}"),
                pairs(with, without, |with, without| with.load.p99 - without.load.p99),
            )
        });
        bars.push(Bar {
            bound: judged(Bound::AtMost(45.0)),
            decimals: 1,
            ..Bar::new(both, format!("resident MiB, {name}: only {others}"), of_quiet(|quiet| quiet.memory))
        });
        bars.push(Bar {
            decimals: 1,
            ..Bar::new(both, format!("KiB, {name}: each of {others}"), of_quiet(|quiet| quiet.each))
        });
        bars.push(Bar {
            bound: judged(Bound::LessThan(0.5)),
            ..Bar::new(both, format!("CPU %, {name}: only {others}"), of_quiet(|quiet| quiet.busy))
        });
        if *name == "hello-runner" {
            bars.push(Bar::count(both, "errors of hello-runner", with, |errors| errors.iter().sum()));
        }
    }
    bars
}

/// The cost of the log.
pub(crate) fn logging(off: &Case, on: &Case) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (name, with) in &on.servers {
        let Some(without) = off.of(name) else { continue };
        bars.push(Bar::new(on, format!("req/s, {name}: log on / off"), rates(with, without)));
        bars.push(Bar::count(on, format!("errors of {name}"), with, |errors| errors.iter().sum()));
    }
    bars
}

/// The use of a second core: twice as many instances against one.
pub(crate) fn instances(case: &Case) -> Vec<Bar> {
    let (Some(two), Some(one)) = (case.of("two-instances"), case.of("one-instance")) else { return Vec::new() };
    let doubtful = errors(two) != [0; 5] || errors(one) != [0; 5];
    let bound = Some(Bound::AtLeast(1.8));
    vec![Bar { bound, doubtful, ..Bar::new(case, "req/s, two instances / one", rates(two, one)) }]
}

/// The comparisons of the echo servers: the runtime against wstd in the same host, and each against tokio.
pub(crate) fn echo(case: &Case) -> Vec<Bar> {
    let pairs = [
        ("echo-wasmtime", "echo-wstd"),
        ("echo-hello-runner", "echo-tokio"),
        ("echo-wasmtime", "echo-tokio"),
        ("echo-wstd", "echo-tokio"),
    ];
    let bar = |(ours, theirs): (&str, &str)| {
        let values = rates(case.of(ours)?, case.of(theirs)?);
        Some(Bar::new(case, format!("req/s, {ours} / {theirs}"), values))
    };
    pairs.into_iter().filter_map(bar).collect()
}

/// The comparisons as a table.
pub(crate) fn table(bars: &[Bar]) -> String {
    let rows = bars.iter().map(|bar| {
        let spread = spread(bar.values.iter().copied());
        let number = |value| markdown::number(value, bar.decimals);
        [
            bar.kind.label().to_owned(),
            bar.connections.to_string(),
            bar.what.clone(),
            number(spread.median),
            number(spread.least),
            number(spread.most),
            bar.bound.map(Bound::text).unwrap_or_default(),
            bar.verdict().map(Verdict::text).unwrap_or_default().to_owned(),
        ]
    });
    markdown::table(["case", "connections", "compared", "median", "least", "most", "bar", ""], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::Quiet;
    use crate::wrk::Load;

    fn run(rate: f64, p99: f64) -> Run {
        let load = Load { requests: rate, rate, p50: 1.0, p99, errors: [0; 5] };
        Run { load, cpu: 1.0, memory: 1.0, quiet: Some(Quiet { memory: 40.0, each: 5.0, busy: 0.5 }) }
    }

    fn case(kind: Kind, connections: u32, servers: &[(&'static str, f64)], rounds: usize) -> Case {
        let runs = |rate| (0..rounds).map(|_| run(rate, 2.0)).collect();
        Case { kind, connections, servers: servers.iter().map(|(name, rate)| (*name, runs(*rate))).collect() }
    }

    fn verdict(bars: &[Bar], what: &str) -> Option<Verdict> {
        bars.iter().find(|bar| bar.what == what).unwrap_or_else(|| panic!("no {what}")).verdict()
    }

    #[test]
    fn a_bar_is_met_missed_or_not_judged() {
        let ratio = |rate, rounds| {
            let case = case(Kind::KeptAlive, 64, &[("hello-runner", rate), ("hyper", 100.0)], rounds);
            verdict(&within(&case), "req/s, hello-runner / hyper")
        };
        assert_eq!(ratio(97.0, 5), Some(Verdict::Met));
        assert_eq!(ratio(96.0, 5), Some(Verdict::Missed));
        assert_eq!(ratio(97.0, 4), Some(Verdict::TooFewRounds));
    }

    #[test]
    fn errors_are_counted_and_make_a_ratio_doubtful() {
        let mut case = case(Kind::KeptAlive, 64, &[("hello-runner", 100.0), ("hyper", 100.0), ("wstd", 1.0)], 5);
        case.servers[2].1[0].load.errors[TIMEOUTS] = 3;
        let bars = within(&case);
        assert_eq!(verdict(&bars, "req/s, hello-runner / wstd"), Some(Verdict::Met));
        assert_eq!(verdict(&bars, "errors of hello-runner"), Some(Verdict::Met));

        case.servers[1].1[0].load.errors[TIMEOUTS] = 3;
        assert_eq!(verdict(&within(&case), "req/s, hello-runner / hyper"), Some(Verdict::Errors));
        // One error in one round is enough, though the median is none.
        case.servers[0].1[0].load.errors[0] = 1;
        assert_eq!(verdict(&within(&case), "errors of hello-runner"), Some(Verdict::Missed));
    }

    #[test]
    fn p99_is_judged_where_there_are_many() {
        for (connections, judged) in [(1, false), (64, true), (10_000, true)] {
            let case = case(Kind::KeptAlive, connections, &[("hello-runner", 1.0), ("hyper", 1.0)], 5);
            assert_eq!(within(&case).iter().any(|bar| bar.what == "p99, hello-runner / hyper"), judged);
        }
    }

    #[test]
    fn wasmtime_has_bars_of_its_own() {
        let servers = [("wasmtime", 65.0), ("hyper", 100.0)];
        assert_eq!(
            verdict(&within(&case(Kind::KeptAlive, 512, &servers, 5)), "req/s, wasmtime / hyper"),
            Some(Verdict::Met)
        );
        assert_eq!(
            verdict(&within(&case(Kind::KeptAlive, 2000, &servers, 5)), "timeouts of wasmtime"),
            Some(Verdict::Met)
        );
    }

    #[test]
    fn idle_ones_may_cost_a_little() {
        let alone = case(Kind::ActiveAlone, 32, &[("hello-runner", 100.0), ("hyper", 100.0)], 5);
        let both = case(Kind::IdleAndActive, 32, &[("hello-runner", 95.0), ("hyper", 1.0)], 5);
        let bars = idle(&alone, &both);
        assert_eq!(verdict(&bars, "req/s, hello-runner: with / without idle"), Some(Verdict::Met));
        assert_eq!(verdict(&bars, "p99 ms, hello-runner: with - without idle"), Some(Verdict::Met));
        assert_eq!(verdict(&bars, "resident MiB, hello-runner: only idle"), Some(Verdict::Met));
        assert_eq!(verdict(&bars, "CPU %, hello-runner: only idle"), Some(Verdict::Missed));
        assert_eq!(verdict(&bars, "req/s, hyper: with / without idle"), None);
    }

    #[test]
    fn more_than_the_lecture_is_not_just_as_much() {
        let ratio = |rate| {
            let case = case(Kind::PerRequest, 32, &[("hello-runner", rate), ("lecture", 100.0)], 5);
            verdict(&within(&case), "req/s, hello-runner / lecture")
        };
        assert_eq!(ratio(100.0), Some(Verdict::Missed));
        assert_eq!(ratio(101.0), Some(Verdict::Met));
    }
}
