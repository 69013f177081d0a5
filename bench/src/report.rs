//! The report of a benchmark: sections of tables.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::bars::{self, Bar, Bound, Verdict, errors};
use crate::case::{Case, Part};
use crate::first::Answered;
use crate::scratch::unwritable;
use crate::statistics::spread;
use crate::wrk::Manner;
use crate::{charts, markdown, wrk};

/// The milliseconds within which hello-runner has to send its first response, if the component is compiled already.
const FIRST_ANSWER: Bound = Bound::AtMost(25.0);

/// Everything that was measured.
pub(crate) struct Measured {
    /// The time, the machine and the versions.
    pub(crate) circumstances: String,
    /// Sentences about what was left out.
    pub(crate) left_out: Vec<String>,
    /// The results of the servers under load, part by part.
    pub(crate) parts: Vec<(Part, Vec<Case>)>,
    /// The times to the first response of each server.
    pub(crate) first_answers: Vec<Answered>,
    /// The components, and their sizes in bytes.
    pub(crate) sizes: Vec<(PathBuf, u64)>,
}

/// The report of these results.
pub(crate) struct Results {
    /// The text.
    pub(crate) markdown: String,
    /// The charts and the names of their files; none if no measured value belongs in a chart.
    pub(crate) charts: Vec<(&'static str, String)>,
}

impl Results {
    /// Makes the text from the results, and the charts if they can be written somewhere.
    pub(crate) fn of(measured: &Measured, drawn: bool) -> Result<Self, Failure> {
        let kept_alive = measured.parts.iter().find(|(part, _)| drawn && *part == Part::KeptAlive);
        let charts = kept_alive.map_or(Ok(Vec::new()), |(_, cases)| charts::all(cases))?;
        let mut verdicts = Vec::new();
        let mut sections = String::new();
        for (part, cases) in &measured.parts {
            let bars = compared(*part, cases);
            verdicts.extend(bars.iter().filter_map(Bar::verdict));
            sections += &format!("\n## {}\n\n{}", heading(*part), servers(cases));
            if *part == Part::KeptAlive {
                for (name, _) in &charts {
                    sections += &format!("\n![{}]({name})\n", charts::description(name));
                }
            }
            if !bars.is_empty() {
                sections += &format!("\n{}", bars::table(&bars));
            }
        }
        if !measured.first_answers.is_empty() {
            let (table, verdict) = first_answers(&measured.first_answers);
            verdicts.extend(verdict);
            sections += &format!("\n## {}\n\n{table}", heading(Part::FirstAnswer));
        }
        if !measured.sizes.is_empty() {
            sections += &format!("\n## {}\n\n{}", heading(Part::Size), sizes(&measured.sizes));
        }
        let mut markdown = format!("# Results\n\n{}\n", measured.circumstances);
        markdown += &summary(&verdicts);
        if !measured.left_out.is_empty() {
            let sentences = measured.left_out.iter().map(|sentence| format!("* {sentence}\n"));
            markdown += &format!("\n{}", sentences.collect::<String>());
        }
        Ok(Results { markdown: markdown + &sections, charts })
    }

    /// Writes the report into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let files = self.charts.iter().map(|(name, chart)| (*name, chart));
        for (name, text) in files.chain([("RESULTS.md", &self.markdown)]) {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
            eprintln!("Written: {}", path.display());
        }
        Ok(())
    }
}

/// The title of a part in the text.
fn heading(part: Part) -> &'static str {
    match part {
        Part::KeptAlive => "Connections that are kept alive",
        Part::Idle => "Connections on which nothing happens",
        Part::PerRequest => "A connection per request",
        Part::Pipelined => "Pipelined",
        Part::Logging => "The log",
        Part::Instances => "Instances",
        Part::Echo => "Echo servers",
        Part::FirstAnswer => "First answer",
        Part::Size => "Size",
    }
}

/// All comparisons of a part.
fn compared(part: Part, cases: &[Case]) -> Vec<Bar> {
    match (part, cases) {
        // Each case follows the one that it is compared with.
        (Part::Idle, cases) => cases.chunks_exact(2).flat_map(|pair| bars::idle(&pair[0], &pair[1])).collect(),
        (Part::Logging, [off, on]) => bars::logging(off, on),
        (Part::Logging, _) => Vec::new(),
        (Part::Instances, cases) => cases.iter().flat_map(bars::instances).collect(),
        (Part::Echo, cases) => cases.iter().flat_map(bars::echo).collect(),
        _ => cases.iter().flat_map(bars::within).collect(),
    }
}

/// The sentence with the number of bars and their results.
fn summary(verdicts: &[Verdict]) -> String {
    let count = |verdict| verdicts.iter().filter(|its| **its == verdict).count();
    let (met, missed) = (count(Verdict::Met), count(Verdict::Missed));
    match verdicts.len() {
        0 => String::new(),
        all => {
            format!("\nOf {all} bars, {met} were met and {missed} missed; {} were not judged.\n", all - met - missed)
        }
    }
}

/// The results of each server in each case.
fn servers(cases: &[Case]) -> String {
    let head = ["case", "connections", "server", "req/s", "p50 ms", "p99 ms", "CPU s / 100k req", "peak MiB", "errors"];
    let servers = cases.iter().flat_map(|case| case.servers.iter().map(move |server| (case, server)));
    let rows = servers.map(|(case, (name, runs))| {
        let middle = |value: fn(&crate::case::Run) -> f64| spread(runs.iter().map(value)).median;
        // wrk does not know the latency of each pipelined request.
        let timed = case.kind.manner() != Manner::Pipelined;
        let time = |time: f64| if timed { markdown::number(time, 3) } else { String::new() };
        [
            case.kind.label().to_owned(),
            case.connections.to_string(),
            (*name).to_owned(),
            format!("{:.0}", middle(|run| run.load.rate)),
            time(middle(|run| run.load.p50)),
            time(middle(|run| run.load.p99)),
            markdown::number(middle(|run| run.cpu / run.load.requests * 100_000.0), 3),
            format!("{:.1}", spread(runs.iter().map(|run| run.memory)).most),
            wrk::errors(&errors(runs)),
        ]
    });
    markdown::table(head, rows.collect())
}

/// The time to the first response of each server, and whether the bar was reached.
fn first_answers(answers: &[Answered]) -> (String, Option<Verdict>) {
    let mut verdict = None;
    let rows = answers.iter().map(|Answered { name, cold, starts, times }| {
        let judged = *name == "hello-runner" && !cold;
        if judged {
            let met = FIRST_ANSWER.is_met(times.median, times.most);
            verdict = Some(if met { Verdict::Met } else { Verdict::Missed });
        }
        let [median, least, most] = [times.median, times.least, times.most].map(|time| format!("{time:.1}"));
        let compiled = if *cold { "when it starts" } else { "before" };
        let (bar, said) =
            if judged { (FIRST_ANSWER.text(), verdict.map_or("", Verdict::text)) } else { Default::default() };
        [(*name).to_owned(), compiled.to_owned(), starts.to_string(), median, least, most, bar, said.to_owned()]
    });
    let head = ["server", "compiled", "starts", "median ms", "least", "most", "bar", ""];
    (markdown::table(head, rows.collect()), verdict)
}

/// The size of each component.
fn sizes(sizes: &[(PathBuf, u64)]) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rows = sizes.iter().map(|(path, bytes)| [name(path), bytes.to_string()]).collect();
    markdown::table(["component", "bytes"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Kind, Run};
    use crate::statistics::Spread;
    use crate::wrk::Load;

    fn measured() -> Measured {
        let load = || Load { requests: 100_000.0, rate: 1000.0, p50: 1.0, p99: 2.0, errors: [0; 5] };
        let runs = || (0..5).map(|_| Run { load: load(), cpu: 0.5, memory: 8.0, quiet: None }).collect();
        let case =
            Case { kind: Kind::KeptAlive, connections: 64, servers: vec![("hello-runner", runs()), ("hyper", runs())] };
        let times = Spread { median: 25.5, least: 20.0, most: 30.0 };
        Measured {
            circumstances: "Today, here.".into(),
            left_out: vec!["nginx is left out.".into()],
            parts: vec![(Part::KeptAlive, vec![case])],
            first_answers: vec![Answered { name: "hello-runner", cold: false, starts: 40, times }],
            sizes: vec![("a/b.wasm".into(), 7)],
        }
    }

    #[test]
    fn the_text_has_a_summary_and_a_section_for_each_part() {
        let results = Results::of(&measured(), true).unwrap();
        let text = results.markdown;
        assert!(
            text.starts_with(
                "# Results\n\nToday, here.\n\nOf 5 bars, 4 were met and 1 missed; 0 were not judged.\n\n* nginx"
            ),
            "{text}"
        );
        for line in [
            "| kept alive |          64 | hello-runner |  1000 |  1.000 |  2.000 |            0.500 |      8.0 | none   |",
            "| hello-runner | before   |     40 |      25.5 |  20.0 | 30.0 | <= 25 | missed |",
            "| b.wasm    |     7 |",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(results.charts.len(), 2);
        assert!(text.contains("](throughput.svg)"));
    }

    #[test]
    fn a_figure_that_was_not_measured_is_not_drawn() {
        let results = Results::of(&measured(), false).unwrap();
        assert!(results.charts.is_empty() && !results.markdown.contains(".svg"));
    }

    #[test]
    fn of_pipelined_requests_no_time_is_told() {
        let mut measured = measured();
        measured.parts[0].1[0].kind = Kind::Pipelined;
        let text = servers(&measured.parts[0].1);
        assert!(text.contains("|  1000 |        |        |            0.500 |"), "{text}");
    }

    #[test]
    fn an_echo_server_that_answers_nothing_is_told_with_a_rate_of_0_and_without_the_rest() {
        let runs = |rate: f64, time| {
            let load = || Load { requests: rate, rate, p50: time, p99: time, errors: [0, 0, 0, rate as u64 / 100, 0] };
            (0..5).map(|_| Run { load: load(), cpu: 1.0, memory: 8.0, quiet: None }).collect()
        };
        let servers = [("echo-wasmtime", 100.0, 2.0), ("echo-wstd", 0.0, f64::NAN), ("echo-tokio", 200.0, 1.0)];
        let servers = servers.map(|(name, rate, time)| (name, runs(rate, time))).into();
        let parts = vec![(Part::Echo, vec![Case { kind: Kind::Echo, connections: 512, servers }])];
        let nothing = Measured { left_out: Vec::new(), first_answers: Vec::new(), sizes: Vec::new(), ..measured() };
        let text = Results::of(&Measured { parts, ..nothing }, false).unwrap().markdown;
        assert_eq!(
            text,
            "# Results

Today, here.

## Echo servers

| case | connections | server        | req/s | p50 ms | p99 ms | CPU s / 100k req | peak MiB | errors     |
| ---- | ----------: | ------------- | ----: | -----: | -----: | ---------------: | -------: | ---------- |
| echo |         512 | echo-wasmtime |   100 |  2.000 |  2.000 |         1000.000 |      8.0 | timeout 5  |
| echo |         512 | echo-wstd     |     0 |        |        |                  |      8.0 | none       |
| echo |         512 | echo-tokio    |   200 |  1.000 |  1.000 |          500.000 |      8.0 | timeout 10 |

| case | connections | compared                          | median | least |  most | bar |     |
| ---- | ----------: | --------------------------------- | -----: | ----: | ----: | --- | --- |
| echo |         512 | req/s, echo-wasmtime / echo-wstd  |        |       |       |     |     |
| echo |         512 | req/s, echo-wasmtime / echo-tokio |  0.500 | 0.500 | 0.500 |     |     |
| echo |         512 | req/s, echo-wstd / echo-tokio     |  0.000 | 0.000 | 0.000 |     |     |
"
        );
    }

    #[test]
    fn a_case_that_was_not_measured_has_no_section() {
        let nothing = Measured {
            left_out: Vec::new(),
            parts: Vec::new(),
            first_answers: Vec::new(),
            sizes: Vec::new(),
            ..measured()
        };
        let results = Results::of(&nothing, true).unwrap();
        assert_eq!(results.markdown, "# Results\n\nToday, here.\n");
        assert!(results.charts.is_empty());
    }
}
