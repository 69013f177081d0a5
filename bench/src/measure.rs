//! The measurements: one server at a time, in turns.

use std::process::Stdio;
use std::{fs, path::PathBuf};

use crate::case::{Case, Group, Kind, Part, Run, failed, groups};
use crate::contender::{Contender, contenders, is_compiled, same_answers, takes_part_in};
use crate::first::Answered;
use crate::machine::{machine, version, versions};
use crate::options::Options;
use crate::report::{Measured, Results};
use crate::scratch::Scratch;
use crate::{Failure, echo, first, idle, limits, wrk};

/// The approximate seconds that a turn takes besides its load: a start, an end, and many connections.
const BESIDES: f64 = 0.4;

/// Measures everything that the options name.
pub(crate) fn everything(options: &Options) -> Result<Results, Failure> {
    let wrk = version("wrk", "--version").ok_or_else(wrk::missing)?;
    let hyperfine = version("hyperfine", "--version");
    let descriptors = limits::raise_descriptors();
    let scratch = Scratch::new(options.port)?;
    let (mut contenders, mut left_out) = contenders(options, &scratch)?;
    if hyperfine.is_none() && options.parts.contains(&Part::FirstAnswer) {
        left_out.push("The first answers are left out: hyperfine is not there (apt-get install hyperfine).".into());
    }
    left_out.iter().for_each(|sentence| eprintln!("{sentence}"));
    same_answers(&mut contenders)?;

    let there: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
    let mut plan = Vec::new();
    for &part in &options.parts {
        let (groups, sentences) = groups(part, options, &there, descriptors);
        sentences.iter().for_each(|sentence| eprintln!("{sentence}"));
        left_out.extend(sentences);
        plan.push((part, groups));
    }
    announce(&plan, options);
    let mut turns = Turns { options, contenders: &contenders, scratch: &scratch, left_out };
    let mut parts = Vec::new();
    for (part, groups) in &plan {
        let cases: Vec<Case> = groups.iter().flat_map(|group| turns.of(group)).collect();
        if !cases.is_empty() {
            parts.push((*part, cases));
        }
    }
    let left_out = turns.left_out;
    let first_answers = match options.parts.contains(&Part::FirstAnswer) && hyperfine.is_some() {
        true => first_answers(&contenders, &scratch)?,
        false => Vec::new(),
    };
    let sizes = if options.parts.contains(&Part::Size) { sizes(options) } else { Vec::new() };
    let circumstances = format!(
        "{}.\n{}. Rounds: {}, of {} s.",
        machine(),
        versions(&contenders, [Some(wrk), hyperfine]),
        options.rounds,
        options.seconds
    );
    Results::of(&Measured { circumstances, left_out, parts, first_answers, sizes }, options.results.is_some())
}

/// Prints how long the measurements will take.
fn announce(plan: &[(Part, Vec<Group>)], options: &Options) {
    let mut turns = 0;
    let mut seconds = 0.0;
    for group in plan.iter().flat_map(|(_, groups)| groups) {
        let its = group.names.len() * group.kinds.len() * options.rounds;
        turns += its;
        seconds += its as f64 * (f64::from(group.seconds(options.seconds)) + BESIDES);
        let quiet = group.kinds.iter().filter(|kind| matches!(kind, Kind::IdleAndActive | Kind::DeafAndActive)).count();
        seconds += (group.names.len() * options.rounds * quiet) as f64 * idle::QUIET.as_secs_f64();
    }
    eprintln!("Turns: {turns}. They take less than {:.0} min.", (seconds / 60.0).ceil());
}

/// The turns, and the state that they share.
struct Turns<'a> {
    /// The options of the benchmark.
    options: &'a Options,
    /// All servers of the benchmark.
    contenders: &'a [Contender],
    /// The folder for temporary files.
    scratch: &'a Scratch,
    /// Sentences about the servers that were left out so far.
    left_out: Vec<String>,
}

impl Turns<'_> {
    /// Gives each server of a group its turns. After a server has failed, the group and the results leave it out.
    fn of(&mut self, group: &Group) -> Vec<Case> {
        let mut there: Vec<&Contender> = self.contenders.iter().filter(|one| group.names.contains(&one.name)).collect();
        let none = |kind: &Kind| Case {
            kind: *kind,
            connections: group.connections,
            servers: there.iter().map(|contender| (contender.name, Vec::new())).collect(),
        };
        let mut cases: Vec<Case> = group.kinds.iter().map(none).collect();
        for round in 0..self.options.rounds {
            // Each round begins with another server, and each server with another case.
            for turn in 0..group.names.len() {
                let name = group.names[(round + turn) % group.names.len()];
                let Some(contender) = there.iter().find(|contender| contender.name == name).copied() else { continue };
                for step in 0..cases.len() {
                    let case = (round + step) % cases.len();
                    if let Err(failure) = self.turn(contender, &mut cases[case], group) {
                        let sentence = failed(name, cases[case].kind, group.connections, &failure);
                        eprintln!("{sentence}");
                        self.left_out.push(sentence);
                        there.retain(|contender| contender.name != name);
                        cases.iter_mut().for_each(|case| case.servers.retain(|(its, _)| *its != name));
                        break;
                    }
                }
            }
        }
        cases.retain(|case| !case.servers.is_empty());
        cases
    }

    /// Gives a contender one turn, and adds the result to the case.
    fn turn(&self, contender: &Contender, case: &mut Case, group: &Group) -> Result<(), Failure> {
        let run = self.run(contender, case.kind, group)?;
        let (rate, errors) = (run.load.rate, wrk::errors(&run.load.errors));
        let Case { kind, connections, servers } = case;
        eprintln!("{}, {connections} x {}: {rate:.0} req/s, errors: {errors}", kind.label(), contender.name);
        if let Some((_, runs)) = servers.iter_mut().find(|(name, _)| *name == contender.name) {
            runs.push(run);
        }
        Ok(())
    }

    /// One turn, in a process of its own.
    fn run(&self, contender: &Contender, kind: Kind, group: &Group) -> Result<Run, Failure> {
        let (mut server, _) = match kind {
            Kind::LogOn => contender.with_log().launch(self.scratch.create("log")?.into())?,
            _ => contender.launch(Stdio::null())?,
        };
        let memory = server.memory()?;
        let streams = match kind {
            Kind::IdleAndActive => idle::call(&mut server, contender.port)?,
            Kind::DeafAndActive => idle::call_and_never_read(&mut server, contender.port)?,
            _ => Vec::new(),
        };
        let quiet = match streams.len() {
            0 => None,
            connections => Some(idle::watch(&server, memory, connections)?),
        };
        let before = server.cpu()?;
        let seconds = group.seconds(self.options.seconds);
        let mut load = match kind {
            Kind::Echo => echo::run(contender.port, group.connections, seconds)?,
            _ => wrk::run(contender.port, kind.manner(), group.connections, seconds)?,
        };
        server.check()?;
        idle::check(&streams, kind == Kind::DeafAndActive)?;
        if contender.name == "lecture" {
            load = load.of_answers_without_length();
        }
        Ok(Run { load, cpu: server.cpu()? - before, memory: server.peak_memory()?, quiet })
    }
}

/// The time to the first response of each server: with a component that is compiled already, and then, for servers that run
/// a component, without.
fn first_answers(contenders: &[Contender], scratch: &Scratch) -> Result<Vec<Answered>, Failure> {
    eprintln!("And the first answers, which take about a minute.");
    let mut answers = Vec::new();
    let takes_part = |contender: &&Contender| takes_part_in(contender.name, Part::FirstAnswer);
    for cold in [false, true] {
        for contender in contenders.iter().filter(takes_part).filter(|contender| !cold || is_compiled(contender.name)) {
            answers.push(first::hyperfine(contender, cold, scratch)?);
        }
    }
    Ok(answers)
}

/// The components that are there, and their sizes.
fn sizes(options: &Options) -> Vec<(PathBuf, u64)> {
    let http = options.component.with_file_name("hello-http.wasm");
    let peers = ["hyper.wasm", "axum.wasm", "std_net.wasm", "hello_wasi_03.wasm", "peer-wstd.wasm"];
    let peers = peers.map(|name| options.peers.join(name));
    let files = [options.component.clone(), http].into_iter().chain(peers);
    files.filter_map(|file| fs::metadata(&file).ok().map(|of| (file, of.len()))).collect()
}
