//! What is said, through whichever door it was asked: the sockets of `hello-server`, and `wasi:http` (`src/bin/hello-http.rs`).
//!
//! `hello.rs` answers. What HTTP itself has an answer to stands here, so that both doors have the same.

use crate::hello;
use crate::http::{ALLOW, Request, Response, Target};

/// How many bytes of a body the answer wants to see, unless `hello.rs` has a constant of this name: none. They are read and
/// thrown away then.
pub const BODY: usize = 0;

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// The answer to a request.
    pub answer: for<'r, 'b> fn(&'r Request<'b>) -> Response,
    /// How many bytes of a body it wants to see. A longer one is refused with 413. If this is 0, bodies are thrown away, and one
    /// longer than [`MAX_BODY`](crate::http::MAX_BODY) is refused.
    pub body: usize,
}

impl Site {
    /// `hello.rs`.
    pub const HELLO: Site = {
        // A name in a block counts more than one outside, so this is the constant of `hello.rs`, if it has one.
        #[allow(unused_imports, reason = "it may have none")]
        use crate::hello::*;
        Site { answer: hello::answer, body: BODY }
    };

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
