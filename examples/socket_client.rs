//! The lecture's first client, which is all that a browser does, in three steps: call the number, speak first, listen
//! until they hang up.
//!
//! A socket is a telephone. `runner/client socket` calls the server of this project; `runner/client socket URL`, another
//! one.
//!
//! What is marked `cfg(target_family = "wasm")` exists only in a component, where there is a WASI to call with.

mod shared;

#[cfg(target_family = "wasm")]
use std::io::{ErrorKind, Write as _, stdout};
use std::process::ExitCode;

#[cfg(target_family = "wasm")]
use shared::{Failure, Url};
#[cfg(target_family = "wasm")]
use wstd::{
    io::{AsyncRead as _, AsyncWrite as _},
    net::TcpStream,
};

/// One call, from the number to the end.
#[cfg(target_family = "wasm")]
async fn call(url: &Url) -> Result<(), Failure> {
    let failed = |error| url.failure(&error);

    // Call the number. It has two parts, like one with an extension: the address is the machine, the port is the
    // program there that shall pick up.
    let mut phone = TcpStream::connect(url.ipv4_address()?).await.map_err(failed)?;

    // Speak first: a web server says nothing until it is asked. This is the lecture's request, to the byte. It is one
    // line (what we want, and in which language: HTTP/1.0), and then an empty one, which means: now it is your turn.
    let request = format!("GET http://{}{} HTTP/1.0\r\n\r\n", url.host, url.path);
    phone.write_all(request.as_bytes()).await.map_err(failed)?;

    // Listen until they hang up. What they say comes in pieces, and nobody knows how many: a piece of nothing is the
    // sound of the receiver being put down.
    let mut piece = [0; 512];
    let mut heard = false;
    loop {
        let read = phone.read(&mut piece).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        heard = true;
        stdout().write_all(&piece[..read]).map_err(Failure::print)?;
    }
    if !heard {
        return Err(failed(ErrorKind::UnexpectedEof.into()));
    }
    stdout().flush().map_err(Failure::print)
}

/// Starts here.
#[cfg(target_family = "wasm")]
fn main() -> ExitCode {
    shared::run("socket_client", |url| Ok([url.ipv4_address()?]), call)
}

/// Outside a component there is nothing to call with.
#[cfg(not(target_family = "wasm"))]
fn main() -> ExitCode {
    shared::not_here("socket")
}
