//! The lecture's second client: the same call, but the telephone has vanished. Who has an HTTP client, here the one of
//! WASI itself (`wasi:http`), says which page they want, and gets the page: no socket, no request line, no head.
//!
//! `runner/client url` asks the server of this project; `runner/client url URL`, another one.
//!
//! What is marked `cfg(target_family = "wasm")` exists only in a component, where there is a WASI to call with.

mod shared;

#[cfg(target_family = "wasm")]
use std::io::{Error, Write as _, stdout};
use std::process::ExitCode;

#[cfg(target_family = "wasm")]
use shared::{Failure, Url};
#[cfg(target_family = "wasm")]
use wstd::http::body::{Body, Bytes, util::Empty};
#[cfg(target_family = "wasm")]
use wstd::http::{Client, ErrorCode, Request};

/// Asks for the page at `url`, and prints it.
#[cfg(target_family = "wasm")]
async fn get(url: &Url) -> Result<(), Failure> {
    let failed = |error| url.failure(&why(error));

    // There is nothing to send with the question. (`()` says that, too, but wstd would write that nothing to a stream,
    // which may be closed already, and then that is all that one learns of what went wrong.)
    let nothing = Body::from_http_body(Empty::<Bytes>::new());
    let request = Request::get(&url.text).body(nothing).map_err(|error| failed(error.into()))?;
    let mut response = Client::new().send(request).await.map_err(failed)?;
    let page = response.body_mut().contents().await.map_err(failed)?;
    stdout().write_all(page).and_then(|()| stdout().flush()).map_err(Failure::print)?;

    // The page is there, but it may be one that says why there is no other.
    let status = response.status();
    if !status.is_success() {
        let advice = "it is not the page that was asked for: what was printed, if anything, says more";
        return Err(Failure::new(format!("the server answered {status}"), advice));
    }
    Ok(())
}

/// The same words for the codes of `wasi:http` as for a socket.
#[cfg(target_family = "wasm")]
fn why(error: wstd::http::Error) -> Error {
    use std::io::ErrorKind::{ConnectionRefused, PermissionDenied, TimedOut, UnexpectedEof};
    match error.downcast_ref::<ErrorCode>() {
        Some(ErrorCode::ConnectionRefused) => ConnectionRefused.into(),
        Some(ErrorCode::HttpRequestDenied) => PermissionDenied.into(),
        Some(ErrorCode::HttpResponseIncomplete | ErrorCode::ConnectionTerminated) => UnexpectedEof.into(),
        Some(ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout) => TimedOut.into(),
        _ => Error::other(format!("{error:#}")),
    }
}

/// Starts here.
#[cfg(target_family = "wasm")]
fn main() -> ExitCode {
    shared::run("url_client", |url| Ok(url.addresses().collect::<Vec<_>>()), get)
}

/// Outside a component there is nothing to ask with.
#[cfg(not(target_family = "wasm"))]
fn main() -> ExitCode {
    shared::not_here("url")
}
