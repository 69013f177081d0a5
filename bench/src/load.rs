//! Load: wrk with one thread, on the machine of the server.

use std::net::SocketAddr;
use std::process::Command;

use crate::Failure;

/// What wrk found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// All answers.
    pub(crate) requests: u64,
    /// Answers a second.
    pub(crate) rate: f64,
    /// Half of the answers took no longer than this, in milliseconds.
    pub(crate) p50: f64,
    /// And all but one in a hundred no longer than this.
    pub(crate) p99: f64,
    /// What wrk complains of: failed connections, and answers that are no success.
    pub(crate) errors: u64,
}

/// Calls the server at `address` for so long, with so many connections.
pub(crate) fn run(address: SocketAddr, connections: usize, seconds: u64) -> Result<Load, Failure> {
    let output = Command::new("wrk")
        .args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s")])
        .arg(format!("http://{address}/"))
        .output()
        .map_err(|error| Failure::new(format!("wrk: {error}"), "install it: apt-get install wrk"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| Failure::new(format!("wrk says: {text:?}"), "this is not the wrk that was expected"))
}

/// Reads what wrk prints.
fn parse(text: &str) -> Option<Load> {
    let behind = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
        Some(line.trim())
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    // "Socket errors: connect 0, read 1, write 2, timeout 3"
    let socket = behind("Socket errors:").unwrap_or_default();
    let socket: u64 = socket.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum();
    let other = behind("Non-2xx or 3xx responses:").and_then(|number| number.parse::<u64>().ok());
    Some(Load {
        requests,
        rate: behind("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(behind("50%")?)?,
        p99: milliseconds(behind("99%")?)?,
        errors: socket + other.unwrap_or_default(),
    })
}

/// `12.34us`, `1.23ms` or `1.23s` in milliseconds.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, scale) = match (text.strip_suffix("us"), text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _, _) => (number, 0.001),
        (_, Some(number), _) => (number, 1.0),
        (_, _, number) => (number?, 1000.0),
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let text = "Running 3s test @ http://127.0.0.1:9000/\n  1 threads and 64 connections\n  \
                    Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.19ms  500.00us  9.00ms   70.00%\n  \
                    Latency Distribution\n     50%  612.00us\n     75%    1.50ms\n     90%    2.00ms\n     99%    1.02s\n  \
                    300123 requests in 3.00s, 50.00MB read\n  Socket errors: connect 1, read 2, write 0, timeout 3\n  \
                    Non-2xx or 3xx responses: 4\nRequests/sec: 100041.00\nTransfer/sec:     16.67MB\n";
        let load = Load { requests: 300_123, rate: 100_041.0, p50: 0.612, p99: 1020.0, errors: 10 };
        assert_eq!(parse(text), Some(load));
        assert_eq!(parse("unable to connect"), None);
    }
}
