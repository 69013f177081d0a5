//! Many numbers become few: medians, ratios, bars, tables.

use std::array;

use crate::first::Times;
use crate::wrk::{self, Errors, Load};

/// What one server did in one round.
pub(crate) struct Run {
    /// What wrk says.
    pub(crate) load: Load,
    /// The seconds of processor time that the server took for it.
    pub(crate) cpu: f64,
    /// The most memory the server had, in MiB.
    pub(crate) memory: f64,
}

/// What the servers did with so many connections: for each of them its name, and a run a round.
pub(crate) struct Case {
    /// How many connections there were.
    pub(crate) connections: u32,
    /// What each server did.
    pub(crate) servers: Vec<(&'static str, Vec<Run>)>,
}

/// With fewer rounds than this, no bar is judged.
pub(crate) const ENOUGH: usize = 5;

/// Within how many milliseconds hello-runner has to have answered.
const FIRST_ANSWER: f64 = 25.0;

/// How many times the requests of `peer` hello-runner has to answer, with so many connections.
fn bar(peer: &str, connections: u32) -> Option<f64> {
    match (peer, connections) {
        ("hyper", 1 | 64) => Some(0.95),
        ("hyper", 512) => Some(0.85),
        ("wasmtime", 1 | 64 | 512) => Some(1.4),
        _ => None,
    }
}

/// The value in the middle, or between the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// For each round, how many times the requests of `theirs` there were in `ours`.
pub(crate) fn ratios(ours: &[Run], theirs: &[Run]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(our, their)| our.load.rate / their.load.rate).collect()
}

/// What went wrong in all rounds together.
fn errors(runs: &[Run]) -> Errors {
    array::from_fn(|kind| runs.iter().map(|run| run.load.errors[kind]).sum())
}

/// What each server did with each number of connections.
pub(crate) fn servers(cases: &[Case]) -> String {
    let head = ["connections", "server", "req/s", "p50 ms", "p99 ms", "CPU s / 100k req", "peak MiB", "errors"];
    let servers = cases.iter().flat_map(|case| case.servers.iter().map(|server| (case.connections, server)));
    let rows = servers.map(|(connections, (name, runs))| {
        let middle = |value: fn(&Run) -> f64| median(runs.iter().map(value));
        [
            connections.to_string(),
            (*name).to_owned(),
            format!("{:.0}", middle(|run| run.load.rate)),
            format!("{:.3}", middle(|run| run.load.p50)),
            format!("{:.3}", middle(|run| run.load.p99)),
            format!("{:.3}", middle(|run| run.cpu / run.load.requests * 100_000.0)),
            format!("{:.1}", runs.iter().map(|run| run.memory).fold(0.0, f64::max)),
            wrk::errors(&errors(runs)),
        ]
    });
    table(head, rows.collect())
}

/// hello-runner against each of the others, round by round.
pub(crate) fn bars(cases: &[Case]) -> String {
    let mut rows = Vec::new();
    for Case { connections, servers } in cases {
        let (ours, theirs): (Vec<_>, Vec<_>) = servers.iter().partition(|(name, _)| *name == "hello-runner");
        let [(_, ours)] = ours[..] else { continue };
        for (name, theirs) in theirs {
            let ratios = ratios(ours, theirs);
            let ratio = median(ratios.iter().copied());
            let bar = bar(name, *connections);
            let verdict = match bar {
                None => "",
                Some(_) if ratios.len() < ENOUGH => "too few rounds",
                Some(_) if [ours, theirs].iter().any(|runs| errors(runs) != [0; 5]) => "errors",
                Some(bar) => verdict(ratio >= bar),
            };
            rows.push([
                connections.to_string(),
                (*name).to_owned(),
                format!("{ratio:.3}"),
                format!("{:.3}", ratios.iter().copied().fold(f64::INFINITY, f64::min)),
                format!("{:.3}", ratios.iter().copied().fold(0.0, f64::max)),
                bar.map_or(String::new(), |bar| format!(">= {bar}")),
                verdict.to_owned(),
            ]);
        }
    }
    table(["connections", "hello-runner /", "ratio", "least", "most", "bar", ""], rows)
}

/// How soon each server answered.
pub(crate) fn first_answers(servers: &[(&'static str, Times)]) -> String {
    let rows = servers.iter().map(|(name, [median, least, most])| {
        let (bar, verdict) = match *name {
            "hello-runner" => (format!("<= {FIRST_ANSWER}"), verdict(*median <= FIRST_ANSWER)),
            _ => Default::default(),
        };
        let [median, least, most] = [median, least, most].map(|time| format!("{time:.1}"));
        [(*name).to_owned(), median, least, most, bar, verdict.to_owned()]
    });
    table(["server", "median ms", "least", "most", "bar", ""], rows.collect())
}

/// The word for a bar that was reached, or was not.
fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// A table in Markdown, with its columns below each other. Nothing if there are no rows.
fn table<const N: usize>(head: [&str; N], mut rows: Vec<[String; N]>) -> String {
    // A column of numbers stands to the right.
    let Some(right) = rows.first().map(|row| row.each_ref().map(|cell| cell.parse::<f64>().is_ok())) else {
        return String::new();
    };
    rows.insert(0, head.map(str::to_owned));
    let widths: [usize; N] = array::from_fn(|column| rows.iter().map(|row| row[column].len()).fold(3, usize::max));
    let end = |column: usize| if right[column] { ":" } else { "-" };
    let rule = array::from_fn(|column| "-".repeat(widths[column] - 1) + end(column));
    rows.insert(1, rule);
    let line = |row: &[String; N]| {
        let cells = (0..N).map(|column| match (&row[column], widths[column]) {
            (cell, width) if right[column] => format!("| {cell:>width$} "),
            (cell, width) => format!("| {cell:<width$} "),
        });
        cells.collect::<String>() + "|\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64) -> Run {
        let load = Load { requests: rate, rate, p50: 1.0, p99: 2.0, errors: [0; 5] };
        Run { load, cpu: 1.0, memory: 1.0 }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }

    /// The machine got slower by half with each round; the servers did not.
    #[test]
    fn a_ratio_is_of_one_round() {
        let (ours, theirs) = ([run(90.0), run(45.0), run(20.0)], [run(100.0), run(50.0), run(25.0)]);
        assert_eq!(ratios(&ours, &theirs), [0.9, 0.9, 0.8]);
    }

    #[test]
    fn a_bar_is_met_missed_or_not_judged() {
        let verdict = |rate, rounds| {
            let runs = |rate| (0..rounds).map(|_| run(rate)).collect();
            let servers = vec![("hello-runner", runs(rate)), ("hyper", runs(100.0))];
            bars(&[Case { connections: 64, servers }])
        };
        assert!(verdict(95.0, 5).contains("| >= 0.95 | met"));
        assert!(verdict(94.0, 5).contains("| >= 0.95 | missed"));
        assert!(verdict(95.0, 4).contains("| >= 0.95 | too few rounds"));
    }

    #[test]
    fn a_table_can_be_read_as_it_is() {
        assert_eq!(table(["server"], Vec::new()), "");
        let row = ["hyper".into(), "7".into(), "".into()];
        assert_eq!(
            table(["server", "req/s", ""], vec![row]),
            "| server | req/s |     |\n| ------ | ----: | --- |\n| hyper  |     7 |     |\n"
        );
    }
}
