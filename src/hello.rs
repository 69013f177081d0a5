//! What this server says. **To make it say something else, edit this file and no other.**
//!
//! A request comes in, a response goes out. Everything else (who called, how the bytes are framed, when to hang up) is
//! done by the time [`answer`] is asked, or after it. So another answer is another body of that function:
//!
//! ```
//! use hello_server::http::{Request, Response, escape_html};
//!
//! fn answer(request: &Request<'_>) -> Response {
//!     match request.path() {
//!         "/" => Response::html(200, "<h1>Welcome</h1>"),
//!         "/you" => {
//!             // The value of a field is bytes; nothing promises that they are text.
//!             let browser = request.field("user-agent").unwrap_or(b"nobody I know");
//!             Response::text(200, format!("You are {}", String::from_utf8_lossy(browser)))
//!         }
//!         // What a stranger wrote is escaped before it becomes a part of a page.
//!         path => Response::html(404, format!("<p>There is no {} here</p>", escape_html(path))),
//!     }
//! }
//! ```
//!
//! The body of a request is read and thrown away, unless this file says how many bytes of one [`answer`] wants to see. Then
//! they are in `request.body`, and a longer body is refused with 413:
//!
//! ```
//! use hello_server::http::{Request, Response};
//!
//! pub const BODY: usize = 16 * 1024;
//!
//! fn answer(request: &Request<'_>) -> Response {
//!     Response::text(200, format!("You say: {}", String::from_utf8_lossy(request.body)))
//! }
//! ```

use crate::http::{Request, Response};

/// The page of the lecture that this server follows: 41 bytes, for whatever was asked.
const PAGE: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// The answer to `request`.
pub fn answer(_request: &Request<'_>) -> Response {
    Response::html(200, PAGE)
}
