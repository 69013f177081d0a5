//! The table of requests and responses of both builds: with the `hello.rs` of this project, and with another.

use hello_test_support::HELLO;

/// A request, and its response.
pub(crate) struct Row {
    /// The method and the target, as in `GET /romeo.txt`.
    pub(crate) line: &'static str,
    /// The field lines, except Host.
    pub(crate) fields: &'static str,
    pub(crate) body: &'static str,
    pub(crate) status: u16,
    /// The field lines of the response, in small letters, except those that a host may choose.
    pub(crate) answers: &'static str,
    pub(crate) says: Says,
}

impl Row {
    /// The bytes of the request.
    pub(crate) fn request(&self) -> String {
        let Row { line, fields, body, .. } = self;
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n{body}")
    }
}

/// The body of a response.
pub(crate) enum Says {
    /// This text.
    Text(&'static str),
    /// A page that explains a fault, with this in it.
    Page(&'static str),
}
pub(crate) use Says::{Page, Text};

/// A row of the table.
pub(crate) const fn row(
    line: &'static str,
    fields: &'static str,
    body: &'static str,
    status: u16,
    answers: &'static str,
    says: Says,
) -> Row {
    Row { line, fields, body, status, answers, says }
}

/// The fields of every response to an accepted request.
const HTML: &str = "content-length: 41\ncontent-type: text/html; charset=utf-8";
const HTML_AND_ALLOW: &str =
    "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\ncontent-length: 41\ncontent-type: text/html; charset=utf-8";
const NOTHING_AND_ALLOW: &str = "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\ncontent-length: 0";
/// The fields of a page about a fault, which has its own length.
const FAULT: &str = "content-type: text/html; charset=utf-8";
const FAULT_AND_ALLOW: &str = "allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\ncontent-type: text/html; charset=utf-8";

/// The rows for Hello World, the response to every path, and for the responses of HTTP itself.
pub(crate) const HELLO_WORLD: &[Row] = &[
    row("GET /", "", "", 200, HTML, Text(HELLO)),
    row("GET /romeo.txt?act=2&scene=2", "Accept: */*", "", 200, HTML, Text(HELLO)),
    row("GET http://localhost/romeo.txt", "", "", 200, HTML, Text(HELLO)),
    row("HEAD /", "", "", 200, HTML, Text("")),
    row("POST /", "Content-Length: 5", "hello", 200, HTML, Text(HELLO)),
    row("PUT /", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", 200, HTML, Text(HELLO)),
    row("DELETE /", "", "", 200, HTML, Text(HELLO)),
    row("PATCH /", "Content-Length: 0", "", 200, HTML, Text(HELLO)),
    row("HELLO /", "", "", 200, HTML, Text(HELLO)),
    row("OPTIONS /", "", "", 200, HTML_AND_ALLOW, Text(HELLO)),
    row("OPTIONS *", "", "", 200, NOTHING_AND_ALLOW, Text("")),
    row("GET /caf\u{e9}", "", "", 400, FAULT, Page("any other byte is percent-encoded")),
    row("GET *", "", "", 400, FAULT, Page("goes with OPTIONS only")),
    row("TRACE /", "Content-Length: 1", "1", 405, FAULT_AND_ALLOW, Page("TRACE for an echo")),
    row("TOKENS_OF_MORE_THAN_THIRTY_TWO_BYTES /", "", "", 501, FAULT, Page("longer than 32 bytes")),
    row(
        "POST /",
        "Expect: 100-continue\r\nContent-Length: 1048577",
        "",
        413,
        FAULT,
        Page("longer than this server takes"),
    ),
];

/// Another `hello.rs`, which responds with the parts of the request.
pub(crate) const ECHO: &str = r#"//! What this server says: what it was asked.

use crate::http::{Request, Response};

/// Up to a line of a form.
pub const BODY_LIMIT: usize = 16;

/// The answer to `request`.
pub fn answer(request: &Request<'_>) -> Response {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said = format!("{} {}\n", request.method, request.path());
    let fields = request.fields().filter(|(name, _)| name.starts_with(['x', 'X']));
    let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect();
    // The order of those with different names means nothing (RFC 9110 section 5.3).
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in fields {
        said += &format!("{name}={value}\n");
    }
    said += &text(request.body);
    match request.path() {
        "/nothing" => Response::empty(204),
        "/unchanged" => Response::text(304, said).with_field("ETag", "\"1\""),
        "/teapot" => Response::text(418, said),
        "/mistake" => panic!("no such thing"),
        path if path.starts_with("/hello/") => Response::text(200, request.decoded_path().into_owned()),
        _ => {
            let name = text(request.field("x-name").unwrap_or_default());
            Response::text(200, said).with_field("X-Name", name).with_field("Upgrade", "h2c")
        }
    }
}
"#;

/// The rows for [`ECHO`].
pub(crate) const ECHOED: &[Row] = &[
    row(
        "GET /a?b",
        "",
        "",
        200,
        "content-length: 7\ncontent-type: text/plain; charset=utf-8\nx-name:",
        Text("GET /a\n"),
    ),
    row(
        "GET /a",
        "X-Name: Zo\u{eb} \r\nx-b:1\r\nX-B: 2",
        "",
        200,
        "content-length: 31\ncontent-type: text/plain; charset=utf-8\nx-name: Zo\u{eb}",
        Text("GET /a\nx-b=1\nx-b=2\nx-name=Zo\u{eb}\n"),
    ),
    row(
        "GET /hello/Jos%C3%A9%2F%zz%ff?%41",
        "",
        "",
        200,
        "content-length: 19\ncontent-type: text/plain; charset=utf-8",
        Text("/hello/Jos\u{e9}/%zz\u{fffd}"),
    ),
    row("GET /nothing", "", "", 204, "", Text("")),
    row("GET /unchanged", "", "", 304, "content-type: text/plain; charset=utf-8\netag: \"1\"", Text("")),
    row(
        "POST /teapot",
        "Content-Length: 16",
        "0123456789abcdef",
        418,
        "content-length: 29\ncontent-type: text/plain; charset=utf-8",
        Text("POST /teapot\n0123456789abcdef"),
    ),
    row(
        "POST /teapot",
        "Transfer-Encoding: chunked",
        "3;a=b\r\n012\r\n0d\r\n3456789abcdef\r\n0\r\nX-Trailer: 1\r\n\r\n",
        418,
        "content-length: 29\ncontent-type: text/plain; charset=utf-8",
        Text("POST /teapot\n0123456789abcdef"),
    ),
    row("POST /teapot", "Content-Length: 17", "0123456789abcdefg", 413, FAULT, Page("longer than this server takes")),
    row(
        "POST /teapot",
        "Transfer-Encoding: chunked",
        "11\r\n0123456789abcdefg\r\n0\r\n\r\n",
        413,
        FAULT,
        Page("longer than this server takes"),
    ),
];
