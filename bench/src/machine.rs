//! The time, the machine and the versions of a measurement.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use std::{fs, thread};

use crate::contender::Contender;

/// The version of each library in this build.
const CARGO_LOCK: &str = include_str!("../../Cargo.lock");

/// The version of each library of the examples with hyper and axum.
const FRAMEWORKS_LOCK: &str = include_str!("../../examples/frameworks/Cargo.lock");

/// The version of each library of the example on WASI 0.3.
const WASI_0_3_LOCK: &str = include_str!("../../examples/wasi-0.3/Cargo.lock");

/// The version that a program prints; nothing if the program does not start.
pub(crate) fn version(program: impl AsRef<OsStr>, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).stdin(Stdio::null()).output().ok()?;
    // nginx prints its version on standard error.
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    // wrk also prints its author; wasmtime also prints its commit.
    let said = String::from_utf8_lossy(&said);
    let version = said.lines().next()?.split(['[', '(']).next()?.trim();
    Some(version.trim_start_matches("nginx version: ").to_owned())
}

/// The version of a library in a lock file.
fn library(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(format!("{name} {}", rest.split_once('"')?.0))
}

/// The versions of all programs and libraries of the benchmark, each once.
pub(crate) fn versions(contenders: &[Contender], tools: [Option<String>; 2]) -> String {
    let of = |contender: &Contender| match contender.name {
        "hyper" => library(CARGO_LOCK, "hyper"),
        "epoll" => library(CARGO_LOCK, "mio"),
        "axum-hello-runner" | "axum-wasmtime" => library(FRAMEWORKS_LOCK, "axum"),
        "hyper-hello-runner" | "hyper-wasmtime" => library(FRAMEWORKS_LOCK, "hyper"),
        "wasi-0.3" => library(WASI_0_3_LOCK, "wasip3"),
        "wstd" | "echo-wstd" => library(CARGO_LOCK, "wstd"),
        "echo-tokio" => library(CARGO_LOCK, "tokio"),
        "nginx" => version(&contender.command[0], "-v"),
        _ => version(&contender.command[0], "--version"),
    };
    let mut versions = Vec::new();
    for version in contenders.iter().map(of).chain(tools).flatten() {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions.join(", ")
}

/// The time and the machine.
pub(crate) fn machine() -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = processor.map_or("unknown processor", |(_, name)| name);
    format!("{date}, {cores} cores of {processor}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_libraries_are_those_of_the_lock_file() {
        assert!(library(FRAMEWORKS_LOCK, "axum").is_some_and(|version| version.starts_with("axum 0.8.")));
        assert!(library(WASI_0_3_LOCK, "wasip3").is_some_and(|version| version.starts_with("wasip3 0.7.")));
        assert!(library(CARGO_LOCK, "wstd").is_some_and(|version| version.starts_with("wstd 0.6.")));
        assert_eq!(library(CARGO_LOCK, "no-such-library"), None);
    }
}
