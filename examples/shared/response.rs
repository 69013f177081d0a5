//! Checks whether a response is whole: a client that only listens until the server hangs up could not know.

use httparse::{Error, Header, Status};

/// The most bytes of a head. A longer one is not read.
const MOST_HEAD: usize = 64 * 1024;

/// The most field lines of a head.
const MOST_FIELDS: usize = 256;

/// Follows a response as it arrives, to know at the end whether a part is missing (RFC 9112 section 8).
#[derive(Debug, Default)]
pub(crate) struct Response {
    next: Next,
    /// The bytes received so far of the head, of the size of a chunk, or of the trailer.
    begun: Vec<u8>,
}

/// The next part of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Next {
    #[default]
    Head,
    /// The body, of which `left` of `length` bytes are still to come.
    Body {
        left: u64,
        length: u64,
    },
    /// The body, until the server closes the connection.
    Rest,
    ChunkSize,
    /// A chunk and its line end, with the number of bytes still to come.
    Chunk(u64),
    Trailer,
    /// Nothing: the response is whole.
    Nothing,
    /// Bytes that are not valid HTTP.
    Else,
}

impl Response {
    /// Follows the response through these bytes.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match &mut self.next {
                Next::Body { left, .. } | Next::Chunk(left) => {
                    let (taken, rest) = bytes.split_at(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    *left -= taken.len() as u64;
                    if *left == 0 {
                        self.next = if matches!(self.next, Next::Chunk(_)) { Next::ChunkSize } else { Next::Nothing };
                    }
                    rest
                }
                Next::Rest | Next::Nothing | Next::Else => return,
                Next::Head | Next::ChunkSize | Next::Trailer => {
                    let before = self.begun.len();
                    self.begun.extend_from_slice(bytes);
                    let (next, used) = match self.parse() {
                        Ok(Status::Complete(parsed)) => parsed,
                        Ok(Status::Partial) if self.begun.len() < MOST_HEAD => return,
                        Ok(Status::Partial) | Err(Error::TooManyHeaders) => (Next::Rest, self.begun.len()),
                        Err(_) => (Next::Else, self.begun.len()),
                    };
                    self.next = next;
                    self.begun.clear();
                    &bytes[used - before..]
                }
            };
        }
    }

    /// The part behind the one that has begun, and the length of the one that has begun, if that one is whole.
    fn parse(&self) -> httparse::Result<(Next, usize)> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        match self.next {
            Next::Head => {
                let mut head = httparse::Response::new(&mut fields);
                if let Status::Complete(used) = head.parse(&self.begun)? {
                    return Ok(Status::Complete((body(&head), used)));
                }
            }
            Next::ChunkSize => {
                let size = httparse::parse_chunk_size(&self.begun).map_err(|_| Error::Token)?;
                if let Status::Complete((used, size)) = size {
                    // Behind the last chunk, which is empty, come more fields, or an empty line.
                    let next = if size == 0 { Next::Trailer } else { Next::Chunk(size.saturating_add(2)) };
                    return Ok(Status::Complete((next, used)));
                }
            }
            _ => {
                if let Status::Complete((used, _)) = httparse::parse_headers(&self.begun, &mut fields)? {
                    return Ok(Status::Complete((Next::Nothing, used)));
                }
            }
        }
        Ok(Status::Partial)
    }

    /// The missing part, when no more bytes will come; `None` if the response is whole. `closed` is true if the server has
    /// closed the connection, as it should.
    pub(crate) fn missing(&self, closed: bool) -> Option<String> {
        Some(match self.next {
            Next::Nothing => return None,
            Next::Rest if closed => return None,
            Next::Rest => "the connection broke".into(),
            Next::Head if self.begun.is_empty() => "it sent nothing".into(),
            Next::Head => "it stopped in the head".into(),
            Next::Body { left, length } => format!("it stopped after {} of {length} bytes of the body", length - left),
            Next::ChunkSize | Next::Chunk(_) | Next::Trailer => "it stopped before the last chunk of the body".into(),
            Next::Else => "it sent something that is not valid HTTP".into(),
        })
    }
}

/// The part behind this head (RFC 9112 section 6.3, for a GET).
fn body(head: &httparse::Response<'_, '_>) -> Next {
    let field = |name: &str| {
        let is_it = |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name);
        head.headers.iter().rfind(is_it).map(|field| String::from_utf8_lossy(field.value).trim().to_ascii_lowercase())
    };
    match head.code.unwrap_or_default() {
        // Another head follows.
        100..=199 => return Next::Head,
        204 | 304 => return Next::Nothing,
        _ => {}
    }
    match (field("transfer-encoding"), field("content-length").map(|length| length.parse())) {
        (Some(coding), _) if coding.ends_with("chunked") => Next::ChunkSize,
        (None, Some(Ok(0))) => Next::Nothing,
        (None, Some(Ok(length))) => Next::Body { left: length, length },
        (None, Some(Err(_))) => Next::Else,
        (Some(_), _) | (None, None) => Next::Rest,
    }
}
