//! What this server says. **To make it say something else, edit this file and no other.**
//!
//! A request comes in, a response goes out. Everything else (who called, how the bytes are framed, when to hang up) is
//! done by the time [`answer`] is asked, or after it.
//!
//! The response is [`Response::html`], or [`Response::new`] for something that is not HTML. The request is plain data: [`request.method`](Request::method), [`request.path()`](Request::path),
//! [`request.field("user-agent")`](Request::field). Whatever you take from it was written by a stranger: escape it
//! before you put it into HTML.

use crate::http::{Request, Response};

/// The lecture's page: 41 bytes, for whatever was asked.
const PAGE: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// The answer to `request`.
pub fn answer(_request: &Request<'_>) -> Response {
    Response::html(200, PAGE)
}
