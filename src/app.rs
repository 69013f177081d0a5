//! What both components answer: `hello-server`, which has sockets, and `hello-http` (`src/bin/hello-http.rs`), behind `wasi:http`.
//!
//! `hello.rs` answers. The answers that HTTP itself prescribes stand here, so that both components give the same.

use crate::hello;
use crate::http::{ALLOW, Request, Response, Target};

/// An application: a function that answers requests, and the limit on their bodies.
#[derive(Debug, Clone, Copy)]
pub struct App {
    /// The answer to a request.
    pub answer: for<'r, 'b> fn(&'r Request<'b>) -> Response,
    /// The most bytes of a body that `answer` gets. A longer body is refused with 413. With 0, bodies are read and thrown away, and a
    /// body longer than [`MAX_BODY`](crate::http::MAX_BODY) is refused.
    pub body_limit: usize,
}

impl App {
    /// `hello.rs`.
    pub const HELLO: App = App { answer: hello::answer, body_limit: hello::BODY_LIMIT };

    /// The answer to `request`, without the fields that belong to the wire. The answer to HEAD has a body, too; the server does not
    /// send it.
    pub fn answer(&self, request: &Request<'_>) -> Response {
        let response = match request.target {
            // The question is about the server, not about a page of it.
            Target::Asterisk => Response::empty(200),
            _ => (self.answer)(request),
        };
        match request.method {
            "OPTIONS" => response.with_field("Allow", ALLOW),
            _ => response,
        }
    }
}
