//! The same page without a socket: a handler of `wasi:http`, whose host speaks HTTP and asks it for each request.
//!
//! `wasmtime serve -Scli peer-wasi-http.wasm` is such a host.

#[cfg(target_family = "wasm")]
use wstd::http::{Body, Error, Request, Response};

/// The page of the lecture.
#[cfg(target_family = "wasm")]
const PAGE: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// Says Hello World, and how long that is; otherwise the host would send it in chunks. It adds the date.
#[cfg(target_family = "wasm")]
#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    let head = Response::builder().header("Content-Type", "text/html; charset=utf-8");
    Ok(head.header("Content-Length", PAGE.len()).body(PAGE.into())?)
}

/// Outside a component nobody asks.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("peer-wasi-http: this is a component, and was built for something else");
    eprintln!("  build it with --target wasm32-wasip2; bench/run does");
    std::process::ExitCode::FAILURE
}
