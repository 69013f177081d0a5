//! The second component: the same application behind `wasi:http`. A host such as `wasmtime serve` reads requests from the wire,
//! on every core, and calls this component for the response to each. `src/hello.rs` makes the responses.

#[cfg(target_family = "wasm")]
use hello_server::{
    app::App,
    http::{Content, Fault, Request, Response},
    stream::{Step, StreamBody},
};
#[cfg(target_family = "wasm")]
use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
};
#[cfg(target_family = "wasm")]
use wstd::{
    http::body::{Bytes, Frame, HttpBody, util::BodyExt as _},
    http::{self, Body, Error},
    task::sleep,
    time::Wait,
};

/// Responds to one request.
///
/// # Errors
/// The client gives up in the middle of the body; or the response has an invalid status or media type.
#[cfg(target_family = "wasm")]
#[wstd::http_server]
async fn main(request: http::Request<Body>) -> Result<http::Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let fields: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let answered = match Request::new(head.method.as_str(), target, &fields) {
        Ok(request) => read(body).await?.map(|body| App::HELLO.answer(&request.with_body(&body))),
        Err(fault) => Err(fault),
    };
    respond(answered.unwrap_or_else(Fault::response))
}

/// The whole body, if `hello.rs` asks for it; or an error if it is too long.
#[cfg(target_family = "wasm")]
async fn read(body: Body) -> Result<Result<Vec<u8>, Fault>, Error> {
    let mut content = Content::new(App::HELLO.body_limit);
    // Refuse a body that is too long before the client sends it.
    if let Some(length) = body.content_length()
        && let Err(fault) = Content::new(App::HELLO.body_limit).announce(length)
    {
        return Ok(Err(fault));
    }
    let mut body = body.into_boxed_body();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data() {
            if let Err(fault) = content.announce(bytes.len() as u64) {
                return Ok(Err(fault));
            }
            content.add(&bytes);
        }
    }
    Ok(Ok(content.into_bytes()))
}

/// Converts our response for the host, which adds the date, and sends no body in response to HEAD.
#[cfg(target_family = "wasm")]
fn respond(response: Response) -> Result<http::Response<Body>, Error> {
    let mut head = http::Response::builder().status(response.status());
    for (name, value) in response.fields() {
        head = head.header(name, value.as_bytes());
    }
    if let Some(body) = response.body_stream() {
        return Ok(head.body(Body::from_http_body(Pieces { body: body.clone(), pause: None }))?);
    }
    let Some(length) = response.content_length() else {
        return Ok(head.body(Body::empty())?);
    };
    // Without `Content-Length`, the host would send chunks.
    Ok(head.header("Content-Length", length).body(response.body().into())?)
}

/// A body that is made while it is sent, for the host.
#[cfg(target_family = "wasm")]
struct Pieces {
    body: StreamBody,
    /// The pause that its producer waits for.
    pause: Option<Pin<Box<Wait>>>,
}

#[cfg(target_family = "wasm")]
impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.body.poll_step(context)) {
                Some(Step::Piece(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                Some(Step::Pause(time)) => self.pause = Some(Box::pin(sleep(time.into()))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Outside a component there is no host that sends requests.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("hello-http: this is a WebAssembly component, built here as a native program");
    eprintln!("  start it with runner/serve --http, which builds it for wasm32-wasip2 and launches it");
    std::process::ExitCode::FAILURE
}
