//! The response of this server. **To change it, edit this file and no other.**
//!
//! The server calls [`answer`] with each request, and sends the response that it returns. The server does everything else: it
//! accepts and closes connections, and reads and writes their bytes. So to change the response, change this function. For
//! example, write this below these lines, in the place of the code that is there:
//!
//! ```
//! use hello_server::http::{Request, Response, escape_html};
//!
//! /// Bodies of requests are thrown away.
//! pub const BODY_LIMIT: usize = 0;
//!
//! /// The answer to `request`.
//! pub fn answer(request: &Request<'_>) -> Response {
//!     match request.path() {
//!         "/" => Response::html(200, "<h1>Welcome</h1>"),
//!         "/you" => {
//!             // The value of a field is bytes; nothing promises that they are text.
//!             let browser = request.field("user-agent").unwrap_or(b"a client without a name");
//!             Response::text(200, format!("You are {}", String::from_utf8_lossy(browser)))
//!         }
//!         // Decode text from a client, so that people can read it, and escape it before it becomes a part of a page.
//!         _ => {
//!             let path = request.decoded_path();
//!             Response::html(404, format!("<p>There is no {} here</p>", escape_html(&path)))
//!         }
//!     }
//! }
//! ```
//!
//! The server reads the body of a request and throws it away, because [`BODY_LIMIT`] is 0. With another limit the body is in
//! `request.body`, and the server refuses a longer body with 413:
//!
//! ```
//! use hello_server::http::{Request, Response};
//!
//! /// The most bytes of a body.
//! pub const BODY_LIMIT: usize = 16 * 1024;
//!
//! /// The answer to `request`.
//! pub fn answer(request: &Request<'_>) -> Response {
//!     Response::text(200, format!("You say: {}", String::from_utf8_lossy(request.body)))
//! }
//! ```
//!
//! A body can also be made while it is sent. This clock ticks in the browser, once a second, until the browser goes away:
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use hello_server::http::{Request, Response};
//!
//! /// Bodies of requests are thrown away.
//! pub const BODY_LIMIT: usize = 0;
//!
//! /// The answer to `request`.
//! pub fn answer(_request: &Request<'_>) -> Response {
//!     Response::stream(200, "text/plain; charset=utf-8", async |mut body| {
//!         loop {
//!             body.send(format!("{}\n", httpdate::fmt_http_date(SystemTime::now()))).await;
//!             body.pause(Duration::from_secs(1)).await;
//!         }
//!     })
//! }
//! ```

use crate::http::{Request, Response};

/// The most bytes of a body that [`answer`] gets. With 0, bodies are read and thrown away.
pub const BODY_LIMIT: usize = 0;

/// The page of the lecture that this server follows: 41 bytes, for every request.
const PAGE: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// The answer to `request`.
pub fn answer(_request: &Request<'_>) -> Response {
    Response::html(200, PAGE)
}
