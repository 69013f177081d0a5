//! The cases that are measured, the servers that take part in each, and the results.

use crate::Failure;
use crate::contender::{is_asked_for, takes_part_in};
use crate::idle::{IDLE, Quiet};
use crate::limits;
use crate::options::Options;
use crate::wrk::{Load, Manner};

/// A part of the benchmark, which can be chosen by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Requests on connections that stay open.
    KeptAlive,
    /// The slowdown of active connections by idle ones, and by clients that never read.
    Idle,
    /// A connection for each request.
    PerRequest,
    /// Many requests at once.
    Pipelined,
    /// The cost of the log.
    Logging,
    /// Answers that take long, by one instance and by two.
    Instances,
    /// Messages that echo servers send back.
    Echo,
    /// The time from the start of a server to its first response.
    FirstAnswer,
    /// The sizes of the components.
    Size,
}

/// All parts, with their names.
pub(crate) const PARTS: [(&str, Part); 9] = [
    ("kept-alive", Part::KeptAlive),
    ("idle", Part::Idle),
    ("per-request", Part::PerRequest),
    ("pipelined", Part::Pipelined),
    ("logging", Part::Logging),
    ("instances", Part::Instances),
    ("echo", Part::Echo),
    ("first-answer", Part::FirstAnswer),
    ("size", Part::Size),
];

/// The load of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests on connections that stay open.
    KeptAlive,
    /// The same, as a measure for [`Kind::IdleAndActive`].
    ActiveAlone,
    /// The same, while [`IDLE`] other connections are open and idle.
    IdleAndActive,
    /// The same, while [`DEAF`](crate::idle::DEAF) other clients have sent requests and read no responses.
    DeafAndActive,
    /// A connection for each request.
    PerRequest,
    /// Many requests at once.
    Pipelined,
    /// Requests on connections that stay open, and no log.
    LogOff,
    /// The same with a log, into a file.
    LogOn,
    /// Requests whose answers take about 300 microseconds of work each.
    Work,
    /// Messages of 64 bytes on connections that stay open.
    Echo,
}

impl Kind {
    /// The name of this load in a table.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::KeptAlive => "kept alive",
            Kind::ActiveAlone => "32 active",
            Kind::IdleAndActive => "5,000 idle + 32 active",
            Kind::DeafAndActive => "20 never read + 32 active",
            Kind::PerRequest => "a connection per request",
            Kind::Pipelined => "pipelined, 16 deep",
            Kind::LogOff => "log off",
            Kind::LogOn => "log on",
            Kind::Work => "300 µs of work",
            Kind::Echo => "echo",
        }
    }

    /// The way in which the requests are sent.
    pub(crate) fn manner(self) -> Manner {
        match self {
            Kind::PerRequest => Manner::PerRequest,
            Kind::Pipelined => Manner::Pipelined,
            Kind::Work => Manner::Work,
            _ => Manner::KeptAlive,
        }
    }
}

/// The turns of each server of a part in each round, one kind right after the other.
#[derive(Debug)]
pub(crate) struct Group {
    /// The loads.
    pub(crate) kinds: &'static [Kind],
    /// The number of connections.
    pub(crate) connections: u32,
    /// The servers that take part.
    pub(crate) names: Vec<&'static str>,
}

impl Group {
    /// The seconds of one turn: one more for each 5000 connections, because opening them takes time.
    pub(crate) fn seconds(&self, seconds: u32) -> u32 {
        seconds + self.connections / 5000
    }
}

/// The groups of a part, with those servers that are there; and sentences about the servers that have to be left out.
pub(crate) fn groups(
    part: Part,
    options: &Options,
    there: &[&'static str],
    descriptors: u64,
) -> (Vec<Group>, Vec<String>) {
    let (kinds, numbers): (&[Kind], &[u32]) = match part {
        Part::KeptAlive => (&[Kind::KeptAlive], &options.connections),
        Part::Idle => (&[Kind::ActiveAlone, Kind::IdleAndActive], &[32]),
        Part::PerRequest => (&[Kind::PerRequest], &[32]),
        Part::Pipelined => (&[Kind::Pipelined], &[64]),
        Part::Logging => (&[Kind::LogOff, Kind::LogOn], &[64]),
        Part::Instances => (&[Kind::Work], &[64]),
        Part::Echo => (&[Kind::Echo], &[64, 512]),
        Part::FirstAnswer | Part::Size => (&[], &[]),
    };
    let mut left_out = Vec::new();
    let mut groups = Vec::new();
    for &connections in numbers {
        let needed = connections + if part == Part::Idle { IDLE } else { 0 };
        if !limits::fits(needed, descriptors) {
            let name = kinds.last().map_or("", |kind| kind.label());
            left_out.push(format!(
                "\"{name}\" with {needed} connections is left out: a process may have {descriptors} file descriptors."
            ));
            continue;
        }
        let is_left_out = |name: &str| part == Part::KeptAlive && !is_asked_for(name, connections);
        let takes_part = |name: &&&str| takes_part_in(name, part) && !is_left_out(name);
        let names: Vec<_> = there.iter().filter(takes_part).copied().collect();
        if !names.is_empty() {
            groups.push(Group { kinds, connections, names: names.clone() });
        }
        // hyper as it is set up here reads on while it cannot write, and keeps all responses.
        let names: Vec<_> = names.into_iter().filter(|name| *name != "hyper").collect();
        if part == Part::Idle && !names.is_empty() {
            groups.push(Group { kinds: &[Kind::ActiveAlone, Kind::DeafAndActive], connections, names });
        }
    }
    (groups, left_out)
}

/// The result of one server in one turn.
pub(crate) struct Run {
    /// The result of wrk, or of the load of the echo servers.
    pub(crate) load: Load,
    /// The seconds of processor time that the server used.
    pub(crate) cpu: f64,
    /// The most memory the server had, in MiB.
    pub(crate) memory: f64,
    /// The cost of the connections that were idle or never read, if there were some.
    pub(crate) quiet: Option<Quiet>,
}

/// The results with this number of connections: for each server its name, and one run per round.
pub(crate) struct Case {
    /// The load.
    pub(crate) kind: Kind,
    /// The number of connections.
    pub(crate) connections: u32,
    /// The runs of each server.
    pub(crate) servers: Vec<(&'static str, Vec<Run>)>,
}

impl Case {
    /// The runs of one server.
    pub(crate) fn of(&self, name: &str) -> Option<&[Run]> {
        self.servers.iter().find(|(its, _)| *its == name).map(|(_, runs)| runs.as_slice())
    }
}

/// The sentence about a server that failed in a case and is left out of it.
pub(crate) fn failed(name: &str, kind: Kind, connections: u32, Failure(cause, _): &Failure) -> String {
    format!("{name} is left out of \"{}\" with {connections} connections: {cause}.", kind.label())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::NAMES;
    use crate::idle::DEAF;
    use crate::options::{Task, parse};

    fn plan(part: Part, descriptors: u64) -> (Vec<Group>, Vec<String>) {
        let Ok(Task::Measure(options)) = parse(lexopt::Parser::from_args([""; 0])) else { panic!("no options") };
        groups(part, &options, &NAMES, descriptors)
    }

    #[test]
    fn slow_servers_are_not_asked_for_much() {
        let (groups, left_out) = plan(Part::KeptAlive, 20_000);
        let counts: Vec<_> = groups.iter().map(|group| (group.connections, group.names.len())).collect();
        assert_eq!(counts, [(1, 7), (64, 18), (512, 11), (2000, 11), (8000, 7), (10_000, 7)]);
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn echo_servers_are_measured_side_by_side_and_with_nothing_else() {
        let (groups, left_out) = plan(Part::Echo, 20_000);
        let echo = ["echo-hello-runner", "echo-wasmtime", "echo-wstd", "echo-tokio"];
        let found: Vec<_> = groups.iter().map(|group| (group.connections, group.names.as_slice())).collect();
        assert_eq!((found, left_out), (vec![(64, &echo[..]), (512, &echo[..])], vec![]));
        for (_, part) in PARTS.into_iter().filter(|(_, part)| *part != Part::Echo) {
            assert!(!echo.iter().any(|name| takes_part_in(name, part)), "{part:?}");
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_with_a_note() {
        let (groups, left_out) = plan(Part::KeptAlive, 4096);
        assert_eq!(groups.len(), 4);
        assert_eq!(left_out.len(), 2);
        assert!(left_out[0].starts_with("\"kept alive\" with 8000 connections is left out: a process may have 4096"));
        // The idle connections count, too.
        assert_eq!(plan(Part::Idle, 5100).0.len(), 0);
    }

    #[test]
    fn a_turn_with_many_connections_is_longer() {
        let seconds = |connections| Group { kinds: &[], connections, names: Vec::new() }.seconds(2);
        assert_eq!([64, 4999, 5000, 8000, 10_000].map(seconds), [2, 2, 3, 3, 4]);
    }

    #[test]
    fn a_label_tells_the_numbers() {
        assert!(Kind::IdleAndActive.label().replace(',', "").starts_with(&IDLE.to_string()));
        assert!(Kind::DeafAndActive.label().starts_with(&DEAF.to_string()));
    }
}
