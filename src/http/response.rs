//! A response, and its form on the wire (RFC 9112 section 4).

use std::borrow::Cow;
use std::future::Future;
use std::io::Write as _;

use super::{Version, is_token};
use crate::stream::{BodyWriter, StreamBody};

/// A response, as [`crate::hello::answer`] returns it: a status, some fields, a body.
///
/// The fields of the wire (`Content-Length`, `Date`, `Connection`) are added by [`encode`](Response::encode), or by a host with
/// `wasi:http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    content_type: &'static str,
    fields: Vec<(&'static str, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
    /// The body that is made while it is sent, in the place of `body`.
    stream: Option<StreamBody>,
}

/// Whether the connection stays open after a response (RFC 9112 section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// The connection stays open: the default of HTTP/1.1.
    Keep,
    /// The connection stays open, with `Connection: keep-alive`, because the client speaks HTTP/1.0 and asked for it.
    KeepAndSay,
    /// The connection is closed, with `Connection: close`.
    Close,
}

/// The fields that [`encode`](Response::encode) writes as needed, and those about the connection and not about the response
/// (RFC 9110 section 7.6.1), which hosts with `wasi:http` take from no component.
pub const OWN_FIELDS: [&str; 12] = [
    "Connection",
    "Content-Length",
    "Content-Type",
    "Date",
    "Transfer-Encoding",
    "Host",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Upgrade",
];

impl Response {
    /// A response with `body`, which is of the media type `content_type`, such as `text/plain; charset=utf-8`. `status` is a
    /// final status code (200 to 599).
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Response { status, content_type, fields: Vec::new(), body: body.into(), stream: None }
    }

    /// A page: `body` is HTML in UTF-8. Escape text from a request with [`escape_html`] first.
    pub fn html(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Response::utf8(status, "text/html; charset=utf-8", body.into())
    }

    /// Plain text in UTF-8, which needs no escaping.
    pub fn text(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Response::utf8(status, "text/plain; charset=utf-8", body.into())
    }

    fn utf8(status: u16, content_type: &'static str, body: Cow<'static, str>) -> Self {
        let body: Cow<'static, [u8]> = match body {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::new(status, content_type, body)
    }

    /// A response without a body, such as the one to `OPTIONS *`.
    pub fn empty(status: u16) -> Self {
        Response::new(status, "", &b""[..])
    }

    /// A response whose body is made while it is sent: `make` gets the writer of the body, and returns the producer, which sends
    /// pieces until the body is whole. The client sees each piece as soon as it is sent. A client that does not read makes the
    /// producer wait, for the write timeout at most; and when the client has gone, the producer is dropped.
    ///
    /// The length is not known, so the body comes in chunks (RFC 9112 section 7.1), or, for a client that speaks HTTP/1.0, ends
    /// with the connection.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hello_server::http::Response;
    ///
    /// let countdown = Response::stream(200, "text/plain; charset=utf-8", async |mut body| {
    ///     for number in (1..=3).rev() {
    ///         body.send(format!("{number}\n")).await;
    ///         body.pause(Duration::from_secs(1)).await;
    ///     }
    /// });
    /// assert_eq!(countdown.content_length(), None);
    /// ```
    pub fn stream<F>(status: u16, content_type: &'static str, make: impl FnOnce(BodyWriter) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Response { stream: Some(StreamBody::new(make)), ..Response::new(status, content_type, &b""[..]) }
    }

    /// The same response with one more field.
    ///
    /// A control byte in the value becomes a blank, so that no byte from a request can end the line and begin another. The
    /// fields about the end of the response and about the connection ([`OWN_FIELDS`]) are not for `hello.rs` to set: these, and
    /// a field whose name is no token, are left out.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let is_name = !name.is_empty() && name.bytes().all(is_token);
        if !is_name || OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return self;
        }
        let mut value = value.into();
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            value = Cow::Owned(value.replace(|c: char| c.is_ascii_control(), " "));
        }
        self.fields.push((name, value));
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The fields, in their order on the wire: the media type of the body, and the fields of
    /// [`with_field`](Response::with_field).
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let content_type = Some(("Content-Type", self.content_type)).filter(|(_, of)| !of.is_empty());
        content_type.into_iter().chain(self.fields.iter().map(|(name, value)| (*name, value.as_ref())))
    }

    /// The value of `Content-Length`, if the response has it. RFC 9110 section 8.6: a 204 has neither the field nor a body, and
    /// in a 304 the value would be the length of another response. The length of a body that is made while it is sent is not known.
    pub fn content_length(&self) -> Option<usize> {
        (!matches!(self.status, 204 | 304) && self.stream.is_none()).then_some(self.body.len())
    }

    /// The body that is made while it is sent, if this response has one.
    pub fn body_stream(&self) -> Option<&StreamBody> {
        self.stream.as_ref().filter(|_| !matches!(self.status, 204 | 304))
    }

    /// The body, even if it will not be sent.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Appends the response, in its form on the wire, to `out`.
    ///
    /// `to_head` leaves the body out but keeps the fields, as the response to HEAD does (RFC 9110 section 9.3.2). `date`
    /// is the time of the response as an HTTP date (RFC 9110 section 5.6.7). A [stream](Response::body_stream) is left out, too, and
    /// its pieces follow in chunks unless the version of the request is 1.0. Returns how many bytes of body were written.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        to_head: bool,
        persistence: Persistence,
        version: Version,
        date: &str,
    ) -> usize {
        let mut text = |text: &str| out.extend_from_slice(text.as_bytes());
        text("HTTP/1.1 ");
        text(itoa::Buffer::new().format(self.status));
        text(" ");
        text(reason(self.status));
        text("\r\n");
        let mut field = |name: &str, value: &str| {
            text(name);
            text(": ");
            text(value);
            text("\r\n");
        };
        if !self.content_type.is_empty() {
            field("Content-Type", self.content_type);
        }
        let length = self.content_length();
        if let Some(length) = length {
            field("Content-Length", itoa::Buffer::new().format(length));
        }
        if self.body_stream().is_some() && version == Version::Http11 {
            field("Transfer-Encoding", "chunked");
        }
        field("Date", date);
        match persistence {
            Persistence::Keep => {}
            Persistence::KeepAndSay => field("Connection", "keep-alive"),
            Persistence::Close => field("Connection", "close"),
        }
        for (name, value) in &self.fields {
            field(name, value);
        }
        text("\r\n");
        if to_head || length.is_none() {
            return 0;
        }
        out.extend_from_slice(&self.body);
        self.body.len()
    }
}

/// Appends a chunk with this piece of a body to `out` (RFC 9112 section 7.1). An empty piece is the last chunk, with no trailer.
pub(crate) fn encode_chunk(out: &mut Vec<u8>, piece: &[u8]) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{:x}\r\n", piece.len());
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// Escapes `text` for HTML, as text or as the value of an attribute: the result has no markup.
///
/// ```
/// let name = "<script>alert('you & me')</script>";
/// let name = hello_server::http::escape_html(name);
/// assert_eq!(name, "&lt;script&gt;alert(&#39;you &amp; me&#39;)&lt;/script&gt;");
/// ```
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The interim response to `Expect: 100-continue` (RFC 9110 section 15.2.1): the client may send the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The reason phrase of a status code; empty for a code that is not in the list.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
