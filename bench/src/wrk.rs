//! The load: wrk, and the results that it prints.

use std::process::{Command, Stdio};

use crate::Failure;

/// The result of one run of wrk, or of the load of the echo servers.
#[derive(Debug, PartialEq)]
pub(crate) struct Load {
    /// The number of responses.
    pub(crate) requests: f64,
    /// The responses per second.
    pub(crate) rate: f64,
    /// The median latency, in milliseconds.
    pub(crate) p50: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub(crate) p99: f64,
    /// The number of errors of each kind.
    pub(crate) errors: Errors,
}

/// The number of errors of each of the [`KINDS`].
pub(crate) type Errors = [u64; 5];

/// The kinds of errors: connecting, reading, writing, [`TIMEOUT`] without a response, a status that is no success.
const KINDS: [&str; 5] = ["connect", "read", "write", "timeout", "status"];

/// The index of connecting in [`KINDS`].
pub(crate) const CONNECT: usize = 0;

/// The index of reading in [`KINDS`].
pub(crate) const READ: usize = 1;

/// The index of writing in [`KINDS`].
pub(crate) const WRITE: usize = 2;

/// The index of timeouts in [`KINDS`].
pub(crate) const TIMEOUTS: usize = 3;

/// The index of responses without success in [`KINDS`].
pub(crate) const STATUS: usize = 4;

/// The errors, in words.
pub(crate) fn errors(errors: &Errors) -> String {
    let some = KINDS.iter().zip(errors).filter(|(_, count)| **count > 0);
    let some: Vec<String> = some.map(|(kind, count)| format!("{kind} {count}")).collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// The timeout of a response. It is shorter than a turn, so that timeouts can occur within a turn.
const TIMEOUT: &str = "1s";

/// The way in which the requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One after the other, on connections that stay open.
    KeptAlive,
    /// Each on a connection of its own.
    PerRequest,
    /// Many at once, on connections that stay open.
    Pipelined,
    /// One after the other, for an answer that takes work.
    Work,
}

impl Manner {
    /// The arguments of wrk for this manner.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Manner::KeptAlive | Manner::Work => &[],
            Manner::PerRequest => &["-H", "Connection: close"],
            Manner::Pipelined => &["-s", "bench/pipelined.lua"],
        }
    }

    /// The path that is asked for.
    fn path(self) -> &'static str {
        if self == Manner::Work { "work" } else { "" }
    }
}

/// Loads the server at `port`.
pub(crate) fn run(port: u16, manner: Manner, connections: u32, seconds: u32) -> Result<Load, Failure> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--latency", "--timeout", TIMEOUT]);
    wrk.args(manner.arguments()).arg(format!("http://127.0.0.1:{port}/{}", manner.path()));
    let output = wrk.stdin(Stdio::null()).output().map_err(|_| missing())?;
    // A server that sent no response at all has no ratio.
    parse(&String::from_utf8_lossy(&output.stdout)).filter(|load| load.requests > 0.0).ok_or_else(|| {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().replace('\n', " | ");
        Failure(format!("wrk did not measure anything: {said}"), "try the server by itself; wrk 4.1 is known to work")
    })
}

impl Load {
    /// The load of a server that ends its responses by closing the connection: wrk counts each such end as an error of
    /// reading.
    pub(crate) fn of_answers_without_length(mut self) -> Self {
        self.errors[READ] = self.errors[READ].saturating_sub(self.requests as u64);
        self
    }
}

/// The failure when there is no wrk.
pub(crate) fn missing() -> Failure {
    Failure("wrk, which makes the load, does not start".into(), "apt-get install wrk, or https://github.com/wg/wrk")
}

/// Reads the results that wrk prints in the end; nothing if they are incomplete.
pub(crate) fn parse(output: &str) -> Option<Load> {
    let behind = |label: &str| output.lines().find_map(|line| line.trim_start().strip_prefix(label)).map(str::trim);
    let requests = output.lines().find_map(|line| line.trim_start().split_once(" requests in "))?.0.parse().ok()?;
    let mut errors = [0; 5];
    for part in behind("Socket errors:").unwrap_or_default().split(", ").filter(|part| !part.is_empty()) {
        let (kind, count) = part.split_once(' ')?;
        errors[KINDS.iter().position(|known| *known == kind)?] = count.parse().ok()?;
    }
    errors[STATUS] = behind("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse().ok())?;
    Some(Load {
        requests,
        rate: behind("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(behind("50%")?)?,
        p99: milliseconds(behind("99%")?)?,
        errors,
    })
}

/// Reads a time in the format of wrk: `930.00us`, `1.20ms`, `3.01s`, `1.50m`, `0.20h`.
fn milliseconds(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 5] = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3600e3)];
    UNITS.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Running 5s test @ http://127.0.0.1:21000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.42ms    3.00ms  21.03ms   85.08%
    Req/Sec    42.47k    25.55k   97.23k    99.50%
  Latency Distribution
     50%  930.00us
     75%    3.53ms
     90%    6.78ms
     99%    1.20s 
  338735 requests in 8.04s, 50.72MB read
  Socket errors: connect 0, read 3, write 0, timeout 17
  Non-2xx or 3xx responses: 5
Requests/sec:  42140.91
Transfer/sec:      6.31MB
";

    #[test]
    fn the_report_of_wrk_is_read_with_its_errors() {
        let load = parse(OUTPUT).unwrap();
        assert_eq!((load.requests, load.rate, load.p50, load.p99), (338_735.0, 42_140.91, 0.93, 1200.0));
        assert_eq!(errors(&load.errors), "read 3, timeout 17, status 5");
    }

    #[test]
    fn lines_about_errors_are_missing_when_there_are_none() {
        let (clean, _) = OUTPUT.split_once("  Socket").unwrap();
        let load = parse(&format!("{clean}Requests/sec:  1.00\n")).unwrap();
        assert_eq!(errors(&load.errors), "none");
    }

    #[test]
    fn an_end_that_is_no_error_does_not_count_as_one() {
        let errors = |read| Load { requests: 100.0, rate: 1.0, p50: 1.0, p99: 1.0, errors: [0, read, 0, 1, 0] };
        assert_eq!(errors(103).of_answers_without_length().errors, [0, 3, 0, 1, 0]);
        assert_eq!(errors(99).of_answers_without_length().errors, [0, 0, 0, 1, 0]);
    }

    #[test]
    fn half_of_an_output_is_no_measurement() {
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(parse(&OUTPUT.replace("1.20s", "soon")), None);
        assert_eq!(parse(&OUTPUT.replace("read 3", "red 3")), None);
    }
}
