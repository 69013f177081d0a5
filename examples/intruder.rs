//! A program that tries actions that a web server does not need: read your files, see the environment, connect to another
//! server, listen on another port. The sandbox decides which of them succeed.
//!
//! `runner/client intruder` runs it in hello-runner, `runner/client --wasmtime intruder` in plain `wasmtime run`.

mod shared;

use std::fs;
use std::io::{Error, ErrorKind, Write as _, stdout};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;

use hello_failure::Failure;
use shared::arguments::Arguments;

/// Prints the outcome of an attempt.
fn tell<T>(attempt: &str, outcome: Result<T, Error>) -> Result<(), Error> {
    let words = match outcome.map_err(|error| error.kind()) {
        Ok(_) => "allowed",
        // The sandbox has allowed the connection.
        Err(ErrorKind::ConnectionRefused) => "allowed, but nothing listens there",
        Err(ErrorKind::AddrInUse) => "allowed, but that port is in use",
        Err(_) => "refused",
    };
    writeln!(stdout(), "{attempt}: {words}")
}

/// Makes all attempts. The server is on `port` of this machine, and this program tries to listen on port `next`.
fn intrude(port: u16, next: u16) -> Result<(), Error> {
    tell("read the file /etc/passwd", fs::read("/etc/passwd"))?;
    tell("write the file /tmp/intruder", fs::write("/tmp/intruder", "I was here"))?;
    // Every program may read its environment, but the sandbox gives it an empty one.
    let variables = std::env::vars_os().count();
    let words = if variables == 0 { "there is nothing in it".into() } else { format!("{variables} variables") };
    writeln!(stdout(), "see your environment: {words}")?;
    tell("look up the name example.com", ("example.com", 80).to_socket_addrs())?;
    tell(&format!("call the server at 127.0.0.1:{port}"), TcpStream::connect(("127.0.0.1", port)))?;
    tell(&format!("answer calls at 0.0.0.0:{next}, from other machines"), TcpListener::bind(("0.0.0.0", next)))
}

/// Runs the program.
fn main() -> ExitCode {
    shared::exit("intruder", || {
        let arguments = Arguments::parse(std::env::args_os().skip(1))?;
        let port = arguments.port_only()?;
        let no_next =
            || Failure::usage("there is no port after 65535, for this program to listen on", "give --port 9000");
        let next = port.checked_add(1).ok_or_else(no_next)?;
        // This program needs no grant, so with --check-options it prints nothing.
        if !arguments.check {
            intrude(port, next)?;
        }
        Ok(())
    })
}
