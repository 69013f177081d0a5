//! A server with hyper. `POST /echo` sends the body back while it comes; every other request gets the page of the lecture.
//!
//! ```console
//! $ cd examples/frameworks
//! $ cargo run --release --locked --bin hyper
//! ```

use std::convert::Infallible;

use hello_frameworks::{BoxError, PAGE, run};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};

fn main() -> Result<(), BoxError> {
    run(service_fn(answer))
}

/// The answer to `request`.
async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Incoming>>, Infallible> {
    if (request.method(), request.uri().path()) == (&Method::POST, "/echo") {
        return Ok(Response::new(Either::Right(request.into_body())));
    }
    let mut response = Response::new(Either::Left(Full::from(PAGE)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}
