//! The command line of a client, and of the intruder.

use std::ffi::OsString;

use hello_failure::Failure;
use lexopt::prelude::*;

use super::url::Url;

/// The port of the lecture, which is the default of the server of this project.
pub(crate) const PORT: u16 = 9000;

/// The options and URLs of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Whether to print only what the sandbox has to grant (`--check-options`), as hello-server does.
    pub(crate) check: bool,
    /// The port of `--port`.
    port: Option<u16>,
    /// The URLs. One is enough.
    urls: Vec<String>,
}

impl Arguments {
    /// Reads the command line; `arguments` are those behind the name of the program.
    ///
    /// # Errors
    /// An option does not exist, or its value is no port.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        let see_usage = |error: lexopt::Error| Failure::usage(error.to_string(), "--port N is the only option");
        let mut found = Arguments { check: false, port: None, urls: Vec::new() };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(see_usage)? {
            match argument {
                Long("check-options") => found.check = true,
                Long("port") => found.port = Some(port(&parser.value().map_err(see_usage)?)?),
                Value(url) => found.urls.push(url.to_string_lossy().into_owned()),
                other => return Err(see_usage(other.unexpected()).into()),
            }
        }
        Ok(found)
    }

    /// The URL to call. Default is the page of the lecture, on this machine.
    ///
    /// # Errors
    /// The URL is none that a client can call, there are several URLs, or there is a port beside the URL.
    pub(crate) fn url(&self) -> anyhow::Result<Url> {
        let (cause, advice) = match (&self.urls[..], self.port) {
            ([], _) => return Url::parse(&lecture(self.port())),
            ([url], None) => return Url::parse(url),
            ([_], Some(port)) => (
                "there is a URL, and --port, too".into(),
                format!("give the port in the URL, as in http://localhost:{port}/, or leave the URL out"),
            ),
            (urls, _) => (
                format!("one URL is enough, and there are {}", urls.len()),
                format!("give one such as {}, or none, which is that one", lecture(PORT)),
            ),
        };
        Err(Failure::usage(cause, advice).into())
    }

    /// The port, for a program that takes no URL. Default is 9000.
    ///
    /// # Errors
    /// The command line has a URL.
    pub(crate) fn port_only(&self) -> anyhow::Result<u16> {
        match self.urls[..] {
            [] => Ok(self.port()),
            _ => Err(Failure::usage("this program takes no URL", "give --port N, or nothing").into()),
        }
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }
}

/// The page of the lecture on `port` of this machine.
fn lecture(port: u16) -> String {
    format!("http://127.0.0.1:{port}/romeo.txt")
}

/// Reads a port that a client can connect to.
fn port(text: &OsString) -> anyhow::Result<u16> {
    let text = text.to_string_lossy();
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Failure::usage(
            format!("--port takes a number from 1 to 65535, not \"{text}\""),
            "give the port that the server has printed, such as --port 9000",
        )
        .into()),
    }
}
