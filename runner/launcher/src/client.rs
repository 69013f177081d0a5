//! `client`: builds a client, and becomes the host that runs it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use hello_failure::Failure;

use crate::cargo::{self, INTRUDER, Product, SOCKET_CLIENT, URL_CLIENT};
use crate::host::{self, Host};
use crate::process::become_program;
use crate::{print, print_error};

/// The text of `--help`.
const HELP: &str = "\
Builds a client and sends a request with it.

  runner/client [--wasmtime] [--quiet] [--audit FILE] socket|url [--port N] [URL]
  runner/client [--wasmtime] [--quiet] [--audit FILE] intruder [--port N]

`socket` writes HTTP by hand, as the lecture does; `url` leaves HTTP to the HTTP client of WASI. Each runs in hello-runner,
which lets it connect to the address of the URL and to no other; --wasmtime runs it in plain `wasmtime run`.
`intruder` is no client: it tries what a sandbox forbids. --port N means that port of this machine. --quiet leaves out the
grants at the start. --audit FILE lists what the client asks of the sandbox, and the answers, a line of JSON each; FILE is
created or emptied, - is standard error. These three may stand anywhere. (Or: cargo client url, with the same arguments.)
";

/// The end of the advice for a mistake in the command line.
const SEE_HELP: &str = "runner/client --help says more";

/// A client, with its needs in plain wasmtime.
struct Client {
    name: &'static str,
    product: &'static Product,
    /// Whether it uses `wasi:http`, and not sockets.
    sends_requests: bool,
}

const CLIENTS: [Client; 3] = [
    Client { name: "socket", product: &SOCKET_CLIENT, sends_requests: false },
    Client { name: "url", product: &URL_CLIENT, sends_requests: true },
    Client { name: "intruder", product: &INTRUDER, sends_requests: false },
];

/// Runs a client.
///
/// # Errors
/// The command line is wrong, or the client or its host cannot be built or started.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let (mut host, mut quiet, mut audit, mut rest) = (Host::Sandbox, false, None, Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--wasmtime") => host = Host::Wasmtime,
            Some("--quiet") => quiet = true,
            Some("--audit") => audit = Some(words.next().unwrap_or_default()),
            Some(text) if text.starts_with("--audit=") => audit = text.split_once('=').map(|(_, file)| file.into()),
            Some("--help" | "-h") => {
                print(HELP);
                return Ok(0);
            }
            Some(text) if text.starts_with("--wasmtime=") || text.starts_with("--quiet=") => {
                let name = text.split('=').next().unwrap_or_default();
                return Err(Failure::usage(format!("{name} takes no value"), SEE_HELP).into());
            }
            _ => rest.push(word),
        }
    }
    if audit.as_ref().is_some_and(|file| file.is_empty()) {
        return Err(Failure::usage("--audit takes a file, or -", SEE_HELP).into());
    }
    if audit.is_some() && host == Host::Wasmtime {
        return Err(Failure::usage("wasmtime does not know --audit: leave that out, or --wasmtime", SEE_HELP).into());
    }
    let client = choose(&rest)?;
    rest.remove(0);
    cargo::add_target()?;
    let component = cargo::build(client.product)?;
    become_program(match host {
        Host::Sandbox => client.in_sandbox(&component, &rest, quiet, audit.as_deref())?,
        _ => client.in_wasmtime(&component, &rest, quiet)?,
    })
}

/// Finds the client that the first of these words names.
fn choose(words: &[OsString]) -> anyhow::Result<&'static Client> {
    let advice = format!("say socket or url, and perhaps a URL; {SEE_HELP}");
    let name = words.first().ok_or_else(|| Failure::usage("which client?", &advice))?.to_string_lossy();
    let client = CLIENTS.iter().find(|client| client.name == name);
    client.ok_or_else(|| Failure::usage(format!("there is no client called {name}"), advice).into())
}

impl Client {
    fn in_sandbox(
        &self,
        component: &Path,
        words: &[OsString],
        quiet: bool,
        audit: Option<&OsStr>,
    ) -> anyhow::Result<Command> {
        let mut command = Command::new(host::sandbox(false)?);
        command.args(audit.into_iter().flat_map(|file| [OsStr::new("--audit"), file]));
        command.args(quiet.then_some("--quiet")).args([
            "--grant-needs",
            "--max-connections",
            "10",
            "--max-memory",
            "64",
        ]);
        command.arg(component).args(words);
        Ok(command)
    }

    fn in_wasmtime(&self, component: &Path, words: &[OsString], quiet: bool) -> anyhow::Result<Command> {
        host::provide_wasmtime("run")?;
        let wasmtime = || {
            let mut command = host::wasmtime();
            match self.sends_requests {
                true => command.args(["run", "-S", "http,tcp=n,udp=n"]),
                // Plain wasmtime cannot grant fewer sockets than these flags do.
                false => command.args(host::socket_flags()),
            };
            command
        };
        host::check(wasmtime(), self.product.name, component, words)?;
        let mut command = wasmtime();
        command.arg(component).args(words);
        if !quiet {
            let grants = match self.sends_requests {
                true => "HTTP requests to any address, but no sockets",
                false => "TCP sockets on any address",
            };
            print_error(&format!(
                "The sandbox grants {grants}; and the clock, random numbers, standard output and error.\n\
                 It does not grant files or environment variables. The command is:\n  {}\n",
                host::typed(&command)
            ));
        }
        Ok(command)
    }
}
