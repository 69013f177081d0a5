//! The lecture's first client, which is all that a browser does, in three steps: call the number, speak first, listen
//! until they hang up.
//!
//! A socket is a telephone. `runner/client socket` calls the server of this project; `runner/client socket URL`, another
//! one. This is an ordinary program: as a native one it does the same, without a sandbox.

mod shared;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;

use shared::{response::Response, screen::Screen, url::Url};

/// One call, from the number to the end.
fn call(url: &Url) -> anyhow::Result<()> {
    // Call the number. It has two parts, like one with an extension: the address is the machine, the port is the
    // program there that shall pick up. `localhost` has two addresses: the first one that answers will do.
    let mut phone = TcpStream::connect(&url.addresses[..]).map_err(|error| url.no_connection(&error))?;

    // Speak first: a web server says nothing until it is asked. This is the lecture's request, to the byte. It is one
    // line (what we want, and in which language: HTTP/1.0), and then an empty one, which means: now it is your turn.
    let request = format!("GET http://{}{} HTTP/1.0\r\n\r\n", url.host(), url.path());
    // If they have hung up by now, their last words explain more than this failure.
    let _ = phone.write_all(request.as_bytes());

    // Listen until they hang up. Their words come in pieces, of any number: an empty piece is the sound of the
    // receiver being put down.
    let (mut screen, mut response) = (Screen::new(), Response::default());
    let mut piece = [0; 512];
    let closed = loop {
        match phone.read(&mut piece) {
            Ok(0) => break true,
            Ok(length) => {
                screen.print(&piece[..length])?;
                response.follow(&piece[..length]);
            }
            // The line is dead.
            Err(_) => break false,
        }
    };

    // Was that all? The response says itself how long it is.
    match response.missing(closed) {
        Some(missing) => Err(url.not_whole(&missing).into()),
        None => Ok(()),
    }
}

/// Runs the program.
fn main() -> ExitCode {
    shared::run("socket_client", call)
}
