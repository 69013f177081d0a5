//! What is said, through whichever door it was asked: the sockets of `hello-server`, and `wasi:http` (`src/bin/hello-http.rs`).
//!
//! `hello.rs` answers. What HTTP itself has an answer to stands here, so that both doors have the same.

use crate::hello;
use crate::http::{ALLOW, Request, Response, Target};

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// The answer to a request.
    pub answer: for<'r, 'b> fn(&'r Request<'b>) -> Response,
    /// How many bytes of a body it wants to see. A longer one is refused with 413. If this is 0, bodies are thrown away, and one
    /// longer than [`MAX_BODY`](crate::http::MAX_BODY) is refused.
    pub body_limit: usize,
}

impl Site {
    /// `hello.rs`.
    pub const HELLO: Site = Site { answer: hello::answer, body_limit: hello::BODY_LIMIT };

    /// The answer to `request`, but for what belongs to the wire. To HEAD it has a body, too, which is not sent.
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
