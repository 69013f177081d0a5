//! The application of both components: `hello-server`, which has sockets, and `hello-http` (`src/bin/hello-http.rs`), behind
//! `wasi:http`.
//!
//! `hello.rs` makes most responses. This file makes those that HTTP itself prescribes, which both components share.

use std::fmt;

use crate::hello;
use crate::http::{ALLOW, Request, Response, Target};

/// An application: a function that responds to requests, and the limit on their bodies.
#[derive(Clone, Copy)]
pub struct App {
    /// Makes the response to a request.
    pub answer: &'static dyn Fn(&Request<'_>) -> Response,
    /// The most bytes of a body that `answer` gets. A longer body is refused with 413. With 0, bodies are read and thrown away, and a
    /// body longer than [`MAX_BODY`](crate::http::MAX_BODY) is refused.
    pub body_limit: usize,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("body_limit", &self.body_limit).finish_non_exhaustive()
    }
}

impl App {
    /// The application of `hello.rs`.
    pub const HELLO: App = App { answer: &hello::answer, body_limit: hello::BODY_LIMIT };

    /// Makes the response to `request`, without the fields of the wire. The response to HEAD has a body, too, but the server does
    /// not send it.
    pub fn answer(&self, request: &Request<'_>) -> Response {
        let response = match request.target {
            // The request is about the server, not about a page.
            Target::Asterisk => Response::empty(200),
            _ => (self.answer)(request),
        };
        match request.method {
            "OPTIONS" => response.with_field("Allow", ALLOW),
            _ => response,
        }
    }
}
