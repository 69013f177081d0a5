//! A program that tries what a web server has no need to do: read your files, look around, call somebody, answer at
//! another number. What comes of it is not up to the program, but to the sandbox that it runs in.
//!
//! `runner/client intruder` runs it in hello-runner, `runner/client --wasmtime intruder` in plain `wasmtime run`.

use std::fs;
use std::io::{Error, ErrorKind};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};

/// Tells what came of an attempt.
fn tell<T>(attempt: &str, outcome: Result<T, Error>) {
    match outcome {
        Ok(_) => println!("{attempt}: allowed"),
        Err(_) => println!("{attempt}: refused"),
    }
}

fn main() {
    tell("read the file /etc/passwd", fs::read("/etc/passwd"));
    tell("write the file /tmp/intruder", fs::write("/tmp/intruder", "I was here"));
    tell("see your environment", std::env::vars_os().next().ok_or(ErrorKind::NotFound.into()));
    tell("look up the name example.com", ("example.com", 80).to_socket_addrs());
    tell("call the server at 127.0.0.1:9000", TcpStream::connect(("127.0.0.1", 9000)));
    tell("answer calls at 0.0.0.0:9001, for anybody", TcpListener::bind(("0.0.0.0", 9001)));
}
