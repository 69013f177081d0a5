//! The faults of a request: a variant for each cause, with its status, a sentence for learners, and the section of the RFC.

use super::{ALLOW, Response};

/// Makes [`Fault`] of a table: the variant, the status code of the response (RFC 9110 section 15), the section of the rule, and
/// the mistake and its remedy, in a sentence or two of HTML.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident, $status:literal, $section:literal, $sentence:literal;)*) => {
        /// Why a request is refused. [`Fault::response`] makes the response, and the server closes the connection after it:
        /// behind a message that it does not understand, the beginning of the next one is unknown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// All faults, for the tests.
            #[cfg(test)]
            pub(crate) const ALL: &[Fault] = &[$(Fault::$fault),*];

            /// The status code of the response.
            pub fn status(self) -> u16 {
                match self {
                    $(Fault::$fault => $status,)*
                }
            }

            /// The mistake and its remedy, with `<code>` as the only markup; and the section of the rule.
            #[inline(never)]
            pub fn explain(self) -> (&'static str, &'static str) {
                match self {
                    $(Fault::$fault => ($sentence, $section),)*
                }
            }
        }
    };
}

faults! {
    /// The first bytes are the start of a TLS handshake, as for `https://`.
    Tls, 400, "RFC 9110 section 4.2.2",
        "These bytes are the start of a TLS handshake, as for <code>https://</code>, but this server speaks plain HTTP. \
         Type <code>http://</code>.";
    /// A second empty line where the request line should be.
    EmptyRequestLine, 400, "RFC 9112 section 2.2",
        "A request begins with its request line, such as <code>GET / HTTP/1.1</code>, but there were only empty \
         lines.";
    /// The method is missing, or has a character that no method may have.
    Method, 400, "RFC 9110 section 9.1",
        "A request begins with a method: a word such as <code>GET</code>, with nothing before it and one space \
         (no tab) behind it. If these bytes are the body of the request before: that one needs a \
         <code>Content-Length</code>.";
    /// The method is longer than [`super::MAX_METHOD`].
    MethodTooLong, 501, "RFC 9112 section 3",
        "The method is longer than 32 bytes; <code>GET</code>, for one, is shorter.";
    /// The request line has no version: HTTP/0.9, or a forgotten one.
    VersionMissing, 400, "RFC 9112 section 3",
        "The request line ends without a version. Write three parts, as in <code>GET / HTTP/1.1</code>.";
    /// The request line has a method and a version, and no target between them.
    TargetMissing, 400, "RFC 9112 section 3",
        "The request line says nothing about what is asked for. Write it between method and version, as in \
         <code>GET / HTTP/1.1</code>.";
    /// The request line has more, or other, parts than method, target and version with one space between them.
    RequestLine, 400, "RFC 9112 section 3",
        "The request line has three parts with exactly one space between them: method, target, version, as in \
         <code>GET / HTTP/1.1</code>. A space inside a target is written <code>%20</code>.";
    /// The last part of the request line is not of the form `HTTP/1.1`.
    Version, 400, "RFC 9112 section 2.3",
        "The request line ends with the version, written in capitals and digits: <code>HTTP/1.1</code> or \
         <code>HTTP/1.0</code>.";
    /// A well-formed version whose major number is not 1.
    VersionNotSupported, 505, "RFC 9110 section 15.6.6",
        "This server speaks HTTP/1.1 and HTTP/1.0, and this request is in another version. End the request line \
         with <code>HTTP/1.1</code>.";
    /// The target has a blank, a control byte or a byte beyond ASCII.
    TargetByte, 400, "RFC 9112 section 3.2",
        "A target is written in visible ASCII characters; any other byte is percent-encoded, as in \
         <code>%C3%A9</code> for \u{e9}.";
    /// The target carries a fragment (`#`), which is never sent.
    TargetFragment, 400, "RFC 9110 section 7.1",
        "The part of an address from <code>#</code> on stays with the browser and is never sent. Leave it out, \
         or write <code>%23</code> for the character.";
    /// The target has none of the four forms, or one that does not go with the method.
    TargetForm, 400, "RFC 9112 section 3.2",
        "A target is a path that begins with <code>/</code>, or a whole address such as \
         <code>http://localhost:9000/</code>; <code>*</code> goes with OPTIONS only.";
    /// The target is longer than [`super::MAX_TARGET`].
    TargetTooLong, 414, "RFC 9110 section 15.5.15",
        "The target (the path and what follows it) is longer than the 8 KiB that this server reads. Longer data \
         goes into a body.";
    /// The target is an address that this server does not serve: `https://`, or one for a proxy.
    Misdirected, 421, "RFC 9110 section 7.4",
        "This server answers for addresses that begin with <code>http://</code>. One with \
         <code>https://</code> may only be answered over an encrypted connection, which this is not.";
    /// CONNECT or TRACE, which this server does not support.
    MethodNotAllowed, 405, "RFC 9110 section 15.5.6",
        "CONNECT asks for a tunnel and TRACE for an echo, and this server gives neither. <code>Allow</code> \
         lists what may be asked.";
    /// The head is longer than [`super::MAX_HEAD`].
    HeadTooLong, 431, "RFC 6585 section 5",
        "The request line and the fields (also called headers) are together longer than the 16 KiB that this \
         server reads. Send fewer, or shorter ones. If a browser sent them to <code>localhost</code>, delete its \
         cookies for that name: they go to every port, so each program that ever ran there may have left some.";
    /// More field lines than [`super::MAX_FIELDS`].
    TooManyFields, 431, "RFC 6585 section 5",
        "The request has more than 100 fields (also called headers). Send fewer.";
    /// A field line continued on the next line.
    ObsoleteFold, 400, "RFC 9112 section 5.2",
        "A field line begins with a space or a tab. Long ago that continued the line before; today each field \
         stands on one line.";
    /// A blank between a field's name and its colon.
    BlankBeforeColon, 400, "RFC 9112 section 5.1",
        "There is a space or a tab between a field's name and its colon. Write <code>Host: localhost</code>, not \
         <code>Host : localhost</code>.";
    /// A field line whose name is no token, or without a colon.
    FieldName, 400, "RFC 9112 section 5",
        "After the request line each line is a field (also called header), a name, a colon and a value, as in <code>Host: \
         localhost</code>; then comes an empty line.";
    /// A field value with a control byte in it.
    FieldValue, 400, "RFC 9110 section 5.5",
        "A field's value has a control byte in it, which no text needs. Send visible characters, spaces and tabs.";
    /// A carriage return without its line feed.
    BareCarriageReturn, 400, "RFC 9112 section 2.2",
        "A carriage return stands alone: a line ends with both, carriage return and line feed (or, typed by \
         hand, with the line feed).";
    /// HTTP/1.1 without `Host`.
    HostMissing, 400, "RFC 9112 section 3.2",
        "HTTP/1.1 wants a <code>Host</code> field, because one machine may answer for many names. Add a line \
         <code>Host: localhost</code>.";
    /// More than one `Host`.
    HostRepeated, 400, "RFC 9112 section 3.2",
        "There is more than one <code>Host</code>, and the server cannot tell which one is meant. Send one.";
    /// A `Host` that is no host and port.
    HostMalformed, 400, "RFC 9110 section 7.2",
        "<code>Host</code> is a name or address and perhaps a port (up to 65535), as in <code>localhost:9000</code>.";
    /// A `Content-Length` that is no number, or one too large to count.
    ContentLength, 400, "RFC 9110 section 8.6",
        "<code>Content-Length</code> is one number of bytes in plain digits, without sign, space or comma.";
    /// More than one `Content-Length`.
    ContentLengthRepeated, 400, "RFC 9112 section 6.3",
        "There is more than one <code>Content-Length</code>, even if they are equal. Send one, so that every reader \
         sees the same end of the request.";
    /// `Content-Length` together with `Transfer-Encoding`.
    LengthAndCoding, 400, "RFC 9112 section 6.1",
        "<code>Content-Length</code> and <code>Transfer-Encoding</code> together say twice, and perhaps \
         differently, where the request ends. Send one of them.";
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingInHttp10, 400, "RFC 9112 section 6.1",
        "HTTP/1.0 has no <code>Transfer-Encoding</code>, so where this request ends is anyone's guess. Send a \
         <code>Content-Length</code>, or speak HTTP/1.1.";
    /// A `Transfer-Encoding` that does not end in `chunked`, or has it twice.
    ChunkedNotLast, 400, "RFC 9112 section 6.3",
        "<code>chunked</code> has to be the last transfer coding, once and without parameters. Otherwise the end of the request \
         is unknown.";
    /// A transfer coding other than `chunked`.
    CodingUnknown, 501, "RFC 9112 section 6.1",
        "This server knows one transfer coding, <code>chunked</code>.";
    /// An `Expect` other than `100-continue`.
    Expectation, 417, "RFC 9110 section 10.1.1",
        "The only thing a client may expect is <code>100-continue</code>.";
    /// The content is longer than [`super::MAX_BODY`], or than the limit of `hello.rs`.
    BodyTooLong, 413, "RFC 9110 section 15.5.14",
        "The body is longer than this server takes: 1 MiB, unless it was told otherwise. Send less, or in parts.";
    /// A chunk whose size line or end is malformed.
    Chunk, 400, "RFC 9112 section 7.1",
        "A chunk is its size in hexadecimal digits, a line end, that many bytes, and a line end (both of them \
         carriage return and line feed).";
    /// A trailer field line that is malformed.
    Trailer, 400, "RFC 9112 section 7.1.2",
        "After the last chunk come fields, each on one line, and then an empty line.";
    /// More chunk extensions, trailers and zeros before sizes than [`super::MAX_CHUNK_OVERHEAD`].
    ChunkOverheadTooLong, 431, "RFC 9112 section 7.1.1",
        "The chunks carry more than 16 KiB of extensions, trailers and zeros before their sizes. Send fewer, or none.";
    /// The client stopped in the middle of its request and waited too long.
    Timeout, 408, "RFC 9110 section 15.5.9",
        "The client must speak first, and this one stopped in the middle of its request. The server has waited \
         long enough and hangs up.";
    /// The client finished sending in the middle of its request.
    Incomplete, 400, "RFC 9112 section 8",
        "The request ends in the middle. A head ends with an empty line, and a body has the length it promises.";
}

impl Fault {
    /// The response: a small page with the mistake, its remedy, and the section of the rule; with 405, also the field `Allow`.
    pub fn response(self) -> Response {
        let status = self.status();
        let (sentence, section) = self.explain();
        let title = format!("{status} {}", super::response::reason(status));
        let page = format!(
            "<!DOCTYPE html>\r\n<html lang=\"en\"><head><title>{title}</title></head>\r\n\
             <body><h1>{title}</h1>\r\n<p>{sentence}</p>\r\n<p><small>{section}</small></p></body></html>\r\n"
        );
        let response = Response::html(status, page);
        match self {
            Fault::MethodNotAllowed => response.with_field("Allow", ALLOW),
            _ => response,
        }
    }
}
