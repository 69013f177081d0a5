//! The lecture's second client: the same call, but the telephone has vanished. A program with an HTTP client, here the one
//! of WASI itself (`wasi:http`), names the page that it wants, and gets the page: no socket, no request line, no head.
//!
//! `runner/client url` asks the server of this project; `runner/client url URL`, another one.
//!
//! Code that is marked `cfg(target_family = "wasm")` exists only in a component, which has WASI to call with.

mod shared;

use std::process::ExitCode;

#[cfg(target_family = "wasm")]
use {
    shared::{screen::Screen, url::Url},
    wstd::http::body::{Body, Bytes, util::Empty},
    wstd::http::{BodyExt as _, Client, Request},
};

/// Asks for the page at `url`, and prints it.
#[cfg(target_family = "wasm")]
async fn get(url: &Url) -> anyhow::Result<()> {
    // The request has no body. (`()` means the same, but wstd would write this empty body to a stream, which may be
    // closed already, and then the error would only be about the stream.)
    let nothing = Body::from_http_body(Empty::<Bytes>::new());
    let request = Request::get(url.text()).body(nothing)?;
    let response = Client::new().send(request).await.map_err(|error| why(url, error))?;
    let (head, page) = response.into_parts();

    // The page comes in pieces, and this prints each one at once: so no page is too large.
    let mut screen = Screen::new();
    let mut page = page.into_boxed_body();
    while let Some(piece) = page.frame().await {
        let piece = piece.map_err(|_| url.not_whole("it stopped in the body"))?;
        // Behind the last piece there may be fields, which are no part of the page.
        if let Some(bytes) = piece.data_ref() {
            screen.print(bytes)?;
        }
    }

    // The page is there, but it may be an error, or a redirect to another page.
    let link = head.headers.get("location").map(|link| String::from_utf8_lossy(link.as_bytes()));
    Ok(url.judge(head.status.as_u16(), &head.status.to_string(), link.as_deref())?)
}

/// The error for a code of `wasi:http`, in the same words as for a socket.
#[cfg(target_family = "wasm")]
fn why(url: &Url, error: anyhow::Error) -> anyhow::Error {
    use std::io::{Error, ErrorKind};
    use wstd::http::ErrorCode;

    let failure = match error.downcast_ref() {
        Some(ErrorCode::ConnectionRefused) => url.no_connection(&ErrorKind::ConnectionRefused.into()),
        Some(ErrorCode::HttpRequestDenied) => url.no_connection(&ErrorKind::PermissionDenied.into()),
        Some(ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout) => {
            url.no_connection(&ErrorKind::TimedOut.into())
        }
        Some(ErrorCode::DestinationIpUnroutable | ErrorCode::DnsError(_)) => {
            url.no_connection(&ErrorKind::HostUnreachable.into())
        }
        Some(ErrorCode::HttpResponseIncomplete | ErrorCode::ConnectionTerminated) => {
            url.not_whole("it closed the connection too early")
        }
        Some(ErrorCode::HttpResponseHeaderSectionSize(_)) => url.not_whole("its head is too long"),
        // Plain wasmtime has this code for all errors in a head.
        Some(ErrorCode::HttpProtocolError) => url.not_whole(""),
        _ => url.no_connection(&Error::other(format!("{error:#}"))),
    };
    failure.into()
}

/// Runs the program.
#[cfg(target_family = "wasm")]
fn main() -> ExitCode {
    shared::run("url_client", |url| wstd::runtime::block_on(get(url)))
}

/// Reports that this program has no HTTP client outside of a component.
#[cfg(not(target_family = "wasm"))]
fn main() -> ExitCode {
    eprintln!("url_client: this is a WebAssembly component, built here as a native program");
    eprintln!("  start it with runner/client url, which builds it for wasm32-wasip2 and launches it");
    ExitCode::FAILURE
}
