//! A program that tries what a web server has no need to do: read your files, look around, call somebody, answer at
//! another number. What comes of it is not up to the program, but to the sandbox that it runs in.
//!
//! `runner/client intruder` runs it in hello-runner, `runner/client --wasmtime intruder` in plain `wasmtime run`.

use std::fs;
use std::io::{Error, ErrorKind};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};

/// Tells what came of an attempt.
fn tell<T>(attempt: &str, outcome: Result<T, Error>) {
    let words = match outcome.map_err(|error| error.kind()) {
        Ok(_) => "allowed",
        // The sandbox would have let it through.
        Err(ErrorKind::ConnectionRefused) => "allowed, but nobody is there",
        Err(ErrorKind::AddrInUse) => "allowed, but somebody else has that number",
        Err(_) => "refused",
    };
    println!("{attempt}: {words}");
}

fn main() {
    tell("read the file /etc/passwd", fs::read("/etc/passwd"));
    tell("write the file /tmp/intruder", fs::write("/tmp/intruder", "I was here"));
    // To look is not forbidden; there is nothing to see.
    let variables = std::env::vars_os().count();
    let words = if variables == 0 { "there is nothing in it".into() } else { format!("{variables} variables") };
    println!("see your environment: {words}");
    tell("look up the name example.com", ("example.com", 80).to_socket_addrs());
    tell("call the server at 127.0.0.1:9000", TcpStream::connect(("127.0.0.1", 9000)));
    tell("answer calls at 0.0.0.0:9001, for anybody", TcpListener::bind(("0.0.0.0", 9001)));
}
