//! The access log: a line for each request.
//!
//! All bytes from the network are escaped: a request can never forge a line.

use std::fmt::Write as _;
use std::rc::Rc;

use super::lines::Lines;
use super::{escape_json, escape_line};
use crate::events::{Event, Exchange, Observer};

/// The format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Common Log Format of the first web servers, which every log reader knows:
    /// `127.0.0.1 - - [23/Nov/2026:20:31:47 +0000] "GET / HTTP/1.1" 200 41`. Times are UTC.
    Common,
    /// One JSON object a line, with the fields `time`, `peer`, `request`, `status` and `bytes`; or with the field `lost`, the
    /// greatest number of lines that may be missing.
    Json,
    /// No lines.
    Off,
}

impl Format {
    /// Makes the line that gives the number of lost lines, in this format.
    pub fn loss(self) -> fn(u64) -> String {
        match self {
            Format::Json => |lines| format!("{{\"lost\":{lines}}}\n"),
            Format::Common | Format::Off => |lines| format!("# up to {lines} lines lost\n"),
        }
    }
}

/// Writes a line for each response.
pub struct AccessLog {
    format: Format,
    lines: Rc<Lines>,
}

impl AccessLog {
    /// An observer that adds to `lines`.
    pub fn new(format: Format, lines: &Rc<Lines>) -> Self {
        AccessLog { format, lines: Rc::clone(lines) }
    }
}

impl Observer for AccessLog {
    fn observe(&self, event: Event<'_>) {
        let Event::Responded(exchange) = event else {
            return;
        };
        match self.format {
            Format::Common => self.lines.add(|out| common(out, &exchange)),
            Format::Json => self.lines.add(|out| json(out, &exchange)),
            Format::Off => {}
        }
    }
}

/// A line in the Common Log Format. `date` is `Mon, 23 Nov 2026 20:31:47 GMT`, so each of its parts has a fixed place.
fn common(out: &mut String, exchange: &Exchange<'_>) -> std::fmt::Result {
    let date = exchange.date;
    write!(out, "{} - - [", exchange.peer.address.ip())?;
    for (part, behind) in [(5..7, '/'), (8..11, '/'), (12..16, ':'), (17..25, ' ')] {
        out.push_str(date.get(part).unwrap_or_default());
        out.push(behind);
    }
    out.push_str("+0000] \"");
    escape_line(out, exchange.line);
    let status = exchange.status;
    match exchange.bytes {
        0 => writeln!(out, "\" {status} -"),
        bytes => writeln!(out, "\" {status} {bytes}"),
    }
}

/// A line of JSON (RFC 8259).
fn json(out: &mut String, exchange: &Exchange<'_>) -> std::fmt::Result {
    let date = exchange.date;
    let part = |range| date.get(range).unwrap_or_default();
    let mut months = b"JanFebMarAprMayJunJulAugSepOctNovDec".chunks(3);
    let month = months.position(|month| month == part(8..11).as_bytes()).unwrap_or_default() + 1;
    write!(
        out,
        "{{\"time\":\"{}-{month:02}-{}T{}Z\",\"peer\":\"{}\",\"request\":\"",
        part(12..16),
        part(5..7),
        part(17..25),
        exchange.peer.address
    )?;
    let mut line = String::new();
    escape_line(&mut line, exchange.line);
    escape_json(out, &line);
    let Exchange { status, bytes, .. } = exchange;
    writeln!(out, "\",\"status\":{status},\"bytes\":{bytes}}}")
}
