//! Medians, ratios, and the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::contender::Measured;

/// What came of one round: a measurement for each contender, in the same minute.
pub(crate) type Round = BTreeMap<&'static str, Measured>;

/// What the median ratio of the rates has to be at least, by the one that is compared with.
fn bar(against: &str, connections: usize) -> Option<f64> {
    match (against, connections) {
        ("hyper", 1 | 64) => Some(0.95),
        ("hyper", 512) => Some(0.85),
        ("wasmtime", _) => Some(1.4),
        _ => None,
    }
}

/// A table of the medians, in Markdown, and below it the ratios of our sandbox to the others.
pub(crate) fn table(connections: usize, names: &[&str], rounds: &[Round]) -> String {
    let mut text = format!(
        "\n### {connections} {}\n\n| | requests/s | p50 | p99 | CPU for 100,000 | memory | errors |\n|---|---|---|---|---|---|---|\n",
        if connections == 1 { "connection" } else { "connections" }
    );
    for name in names {
        let of = |figure: fn(&Measured) -> f64| median(rounds.iter().map(|round| figure(&round[name])));
        let errors: u64 = rounds.iter().map(|round| round[name].load.errors).sum();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.2} ms | {:.2} ms | {:.2} s | {:.0} MiB | {errors} |",
            of(|measured| measured.load.rate),
            of(|measured| measured.load.p50),
            of(|measured| measured.load.p99),
            of(|measured| measured.cpu),
            of(|measured| measured.memory),
        );
    }
    text.push('\n');
    for against in names.iter().filter(|name| **name != "hello-runner" && names.contains(&"hello-runner")) {
        let ratios = rounds.iter().map(|round| round["hello-runner"].load.rate / round[against].load.rate);
        let ratio = median(ratios);
        let verdict = match bar(against, connections) {
            Some(bar) if ratio >= bar => format!("; at least {bar} was wanted: met"),
            Some(bar) => format!("; at least {bar} was wanted: missed"),
            None => String::new(),
        };
        let _ = writeln!(text, "hello-runner / {against}: {ratio:.2}{verdict}\n");
    }
    text
}

/// The middle one, or the mean of both in the middle; of nothing it is nothing.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => numbers[length / 2],
        length => (numbers[length / 2 - 1] + numbers[length / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;

    fn round(hyper: f64, runner: f64) -> Round {
        let measured = |rate| {
            let load = Load { requests: 1, rate, p50: 1.0, p99: 2.0, errors: 0 };
            Measured { load, cpu: 1.0, memory: 1.0 }
        };
        Round::from([("hyper", measured(hyper)), ("hello-runner", measured(runner))])
    }

    #[test]
    fn the_ratio_is_the_median_of_the_ratios_of_the_rounds() {
        // A machine that is three times as fast in one round does not change the ratio.
        let rounds = [round(100.0, 96.0), round(300.0, 288.0), round(100.0, 50.0)];
        let text = table(64, &["hyper", "hello-runner"], &rounds);
        assert!(text.contains("| hyper | 100 |"), "{text}");
        assert!(text.contains("hello-runner / hyper: 0.96; at least 0.95 was wanted: met"), "{text}");
        assert!(table(1, &["hyper", "hello-runner"], &[round(2.0, 1.0)]).contains("missed"));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }
}
