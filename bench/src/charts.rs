//! Two charts: the rate of requests, and the latency of the slowest of them, against the number of connections.

use std::fmt::Display;
use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::Failure;
use crate::case::{Case, Run};
use crate::statistics::spread;

/// The file of the first chart.
const THROUGHPUT: &str = "throughput.svg";

/// The file of the second chart.
const LATENCY: &str = "latency.svg";

/// The width and height of a chart.
const SIZE: (u32, u32) = (860, 460);

/// The part of the width that the names of the servers take, at the right.
const NAMES: u32 = 180;

/// The servers in the charts, which are those measured with more than one number of connections. Each has a colour, and the
/// colour-blind can tell the colours apart.
const SHOWN: [(&str, RGBColor); 7] = [
    ("hello-runner", RGBColor(0xd5, 0x5e, 0x00)),
    ("wasmtime", RGBColor(0xcc, 0x79, 0xa7)),
    ("wasi-0.3", RGBColor(0xe6, 0x9f, 0x00)),
    ("hyper", RGBColor(0x00, 0x72, 0xb2)),
    ("hyper-hello-runner", RGBColor(0x56, 0xb4, 0xe9)),
    ("epoll", RGBColor(0x44, 0x44, 0x44)),
    ("nginx", RGBColor(0x00, 0x9e, 0x73)),
];

/// The line of one server in a chart.
struct Line {
    /// The name of the server.
    name: &'static str,
    /// The colour of the line.
    color: RGBColor,
    /// Connections, and the median of the rounds.
    points: Vec<(f64, f64)>,
}

/// The alternative text of a chart.
pub(crate) fn description(name: &str) -> &'static str {
    if name == THROUGHPUT {
        "Requests per second against the number of connections, a line for each server"
    } else {
        "Milliseconds within which 99 of 100 requests are answered against the number of connections, \
         a line for each server"
    }
}

/// Both charts of the kept-alive connections, with the names of their files; none if there is nothing to show.
pub(crate) fn all(cases: &[Case]) -> Result<Vec<(&'static str, String)>, Failure> {
    let (rates, latencies) = (lines(cases, |run| run.load.rate), lines(cases, |run| run.load.p99));
    if rates.is_empty() {
        return Ok(Vec::new());
    }
    let most = values(&rates).fold(0.0, f64::max);
    let least = values(&latencies).fold(f64::INFINITY, f64::min);
    let longest = values(&latencies).fold(0.0, f64::max);
    let whole = |value: &f64| thousands(*value);
    let throughput = draw("Requests per second (more is better)", &rates, 0.0..most * 1.1, whole)?;
    // The space below and above makes room for points at the edge.
    let span = (least / 1.5..longest * 1.5).log_scale();
    let latency =
        draw("99 of 100 requests are answered within ... ms (less is better)", &latencies, span, f64::to_string)?;
    Ok(vec![(THROUGHPUT, throughput), (LATENCY, latency)])
}

/// The lines of the servers in the charts.
fn lines(cases: &[Case], value: fn(&Run) -> f64) -> Vec<Line> {
    let line = |(name, color)| {
        let point = |case: &Case| Some((case.connections.into(), spread(case.of(name)?.iter().map(value)).median));
        let mut points: Vec<(f64, f64)> = cases.iter().filter_map(point).filter(|(_, value)| *value > 0.0).collect();
        points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Line { name, color, points }
    };
    SHOWN.into_iter().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// All values of these lines.
fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value))
}

/// The connections, on an axis where ten times as many are always the same step, with a label where they were measured.
struct Connections {
    /// The axis.
    axis: plotters::coord::combinators::LogCoord<f64>,
    /// The values with a label.
    measured: Vec<f64>,
}

impl Connections {
    /// The axis for these lines.
    fn of(lines: &[Line]) -> Self {
        let mut measured: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x)).collect();
        measured.sort_by(f64::total_cmp);
        measured.dedup();
        let (first, last) = (measured.first().copied().unwrap_or(1.0), measured.last().copied().unwrap_or(1.0));
        Connections { axis: (first / 1.5..last * 1.5).log_scale().into(), measured }
    }
}

impl Ranged for Connections {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        // Two labels whose numbers are nearly the same would overlap.
        let apart = |value: &&f64| !self.measured.iter().any(|other| *other > **value && other / **value < 1.5);
        self.measured.iter().filter(apart).copied().collect()
    }

    fn range(&self) -> Range<f64> {
        self.axis.range()
    }
}

/// Draws one chart.
fn draw<Y>(title: &str, lines: &[Line], y: Y, label: impl Fn(&f64) -> String) -> Result<String, Failure>
where
    Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // The page behind the chart may be dark.
        area.fill(&WHITE).map_err(undrawn)?;
        let (picture, names) = area.split_horizontally(SIZE.0 - NAMES);
        let mut builder = ChartBuilder::on(&picture);
        builder.caption(title, ("sans-serif", 20)).margin(14).x_label_area_size(46).y_label_area_size(70);
        let mut chart = builder.build_cartesian_2d(Connections::of(lines), y).map_err(undrawn)?;
        let mut mesh = chart.configure_mesh();
        mesh.label_style(("sans-serif", 14)).axis_desc_style(("sans-serif", 16));
        mesh.light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.12));
        mesh.x_desc("connections").x_label_formatter(&|value| thousands(*value)).y_label_formatter(&label);
        mesh.draw().map_err(undrawn)?;
        // The first line is drawn last, above the others. Its name stands first.
        for (place, line) in lines.iter().enumerate().rev() {
            let width = if line.name == "hello-runner" { 4 } else { 2 };
            let style = line.color.filled().stroke_width(width);
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(4)).map_err(undrawn)?;
            let y = 60 + 26 * place as i32;
            names.draw(&PathElement::new([(0, y), (24, y)], style)).map_err(undrawn)?;
            names.draw(&Text::new(line.name, (32, y - 7), ("sans-serif", 15))).map_err(undrawn)?;
        }
        area.present().map_err(undrawn)?;
    }
    Ok(svg)
}

/// A whole number, with a comma at every third digit.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let comma = |(index, digit): (usize, char)| {
        let before = index > 0 && (digits.len() - index) % 3 == 0;
        before.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(comma).collect()
}

/// The failure when a chart cannot be drawn.
fn undrawn(error: impl Display) -> Failure {
    Failure(format!("the charts cannot be drawn: {error}"), "this is a mistake in bench/src/charts.rs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Kind;
    use crate::wrk::Load;

    fn case(connections: u32, servers: &[(&'static str, f64)]) -> Case {
        let run = |rate| Run {
            load: Load { requests: rate, rate, p50: 1.0, p99: 2.5, errors: [0; 5] },
            cpu: 1.0,
            memory: 1.0,
            quiet: None,
        };
        Case {
            kind: Kind::KeptAlive,
            connections,
            servers: servers.iter().map(|(name, rate)| (*name, vec![run(*rate)])).collect(),
        }
    }

    #[test]
    fn a_line_goes_from_few_connections_to_many() {
        let cases = [case(64, &[("hyper", 5.0), ("wstd", 1.0)]), case(1, &[("hyper", 2.0)])];
        let lines = lines(&cases, |run| run.load.rate);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].points, [(1.0, 2.0), (64.0, 5.0)]);
    }

    #[test]
    fn the_pictures_have_a_background_of_their_own_and_name_the_servers() {
        let cases = [case(1, &[("hyper", 2000.0), ("nginx", 1500.0)]), case(10_000, &[("hyper", 1000.0)])];
        let charts = all(&cases).unwrap();
        assert_eq!(charts.len(), 2);
        for (name, svg) in charts {
            let first = svg.split_once("<rect").unwrap().1;
            assert!(first.split_once("/>").unwrap().0.contains("fill=\"#FFFFFF\""), "{name}: {first}");
            for text in ["hyper", "nginx", "connections", "10,000"] {
                assert!(svg.contains(text), "no {text} in {name}");
            }
        }
        assert!(all(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_number_can_be_read() {
        assert_eq!([0.0, 999.0, 1000.0, 123_456.0].map(thousands), ["0", "999", "1,000", "123,456"]);
    }
}
