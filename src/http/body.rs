//! The body of a request: where it ends (RFC 9112 sections 6 and 7).
//!
//! This server mostly responds without looking at the content, but has to know where the body ends, because the next request on
//! the connection begins there. The chunked coding is read to the letter: carriage return and line feed, hexadecimal
//! digits and nothing else, because a body that two readers read differently can smuggle a request.

use super::{Fault, MAX_BODY, MAX_CHUNK_OVERHEAD, is_field_value, is_token};

/// How the end of a body is marked (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By the length of the body in bytes; 0 is no body.
    Length(u64),
    /// By chunks, each with its own length; one of length 0 is the last.
    Chunked,
}

/// The content of a body that is still coming: the bytes to keep for `hello.rs`.
#[derive(Debug)]
pub struct Content {
    /// The most bytes to keep; 0 keeps nothing.
    wanted: usize,
    /// How many bytes were announced so far.
    length: u64,
    bytes: Vec<u8>,
}

impl Content {
    /// Content without a byte yet. Up to `wanted` bytes will be kept, and more are refused; with 0, all are thrown away, and more
    /// than [`MAX_BODY`] are refused.
    pub fn new(wanted: usize) -> Self {
        Content { wanted, length: 0, bytes: Vec::new() }
    }

    /// Announces `length` more bytes.
    ///
    /// # Errors
    /// The content would be too long.
    pub fn announce(&mut self, length: u64) -> Result<(), Fault> {
        self.length = self.length.saturating_add(length);
        let most = if self.wanted == 0 { MAX_BODY } else { self.wanted as u64 };
        if self.length > most { Err(Fault::BodyTooLong) } else { Ok(()) }
    }

    /// Adds bytes that were announced.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.wanted == 0 {
            return;
        }
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // Grow to twice the size, as a vector does, but never beyond the limit.
            let more = self.bytes.len().min(self.wanted - self.bytes.len());
            self.bytes.reserve_exact(more.max(bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that were kept.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A body that is still coming: it takes bytes as they come, and finds its end.
#[derive(Debug)]
pub struct Body {
    state: State,
    /// The content.
    content: Content,
    /// How many bytes of extensions and trailers have come so far.
    overhead: usize,
}

/// The meaning of the next byte of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Content, and how many bytes of it are left.
    Length(u64),
    /// A digit of a chunk's size, or the byte that ends it. With the value and the number of the digits so far; 255 may be more.
    Size(u64, u8),
    /// A blank after the size, which only an extension may follow. (Here and below, the number is the size.)
    BlankAfterSize(u64),
    /// A chunk extension. This server knows none, so it ignores them (RFC 9112 section 7.1.1).
    Extension(u64, Part),
    /// The line feed of a size line.
    SizeLineFeed(u64),
    /// Content of a chunk, and how many bytes of it are left.
    Chunk(u64),
    /// The carriage return behind a chunk, then its line feed.
    ChunkCarriageReturn,
    ChunkLineFeed,
    /// The first byte of a trailer field's line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    FinalLineFeed,
    /// No byte of the body: it has ended.
    End,
}

/// Where in a chunk extension the next byte is: `;name`, `;name=token` or `;name="text"`, with blanks around the signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Behind the semicolon.
    Start,
    Name,
    /// Blanks behind the name.
    NameEnd,
    /// Behind the equals sign.
    ValueStart,
    Value,
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    QuoteEnd,
    /// Blanks behind the value.
    ValueEnd,
}

impl Part {
    /// The part behind `byte`, if `byte` may stand here. The end of the line is handled elsewhere.
    fn next(self, byte: u8) -> Option<Part> {
        use Part::*;
        Some(match (self, byte) {
            (Quoted, b'"') => QuoteEnd,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, byte) if is_field_value(byte) => Quoted,
            (Start | ValueStart, b' ' | b'\t') => self,
            (Name | NameEnd, b' ' | b'\t') => NameEnd,
            (Value | QuoteEnd | ValueEnd, b' ' | b'\t') => ValueEnd,
            (Name | NameEnd, b'=') => ValueStart,
            (Name | NameEnd | Value | QuoteEnd | ValueEnd, b';') => Start,
            (ValueStart, b'"') => Quoted,
            (Start | Name, byte) if is_token(byte) => Name,
            (ValueStart | Value, byte) if is_token(byte) => Value,
            _ => return None,
        })
    }
}

/// The number of hexadecimal digits of the largest size. There may be more zeros before a size, but they count as overhead.
const SIZE_DIGITS: u8 = 16;

impl Body {
    /// A body that has not begun, and will be thrown away.
    ///
    /// # Errors
    /// The length is beyond [`MAX_BODY`]: the server refuses the body before the client sends it.
    pub fn new(framing: Framing) -> Result<Self, Fault> {
        Body::wanted(framing, 0)
    }

    /// A body that has not begun, of which up to `wanted` bytes are kept; see [`Content::new`].
    ///
    /// # Errors
    /// The length is beyond the limit.
    pub fn wanted(framing: Framing, wanted: usize) -> Result<Self, Fault> {
        let mut content = Content::new(wanted);
        let state = match framing {
            Framing::Length(0) => State::End,
            Framing::Length(length) => {
                content.announce(length)?;
                State::Length(length)
            }
            Framing::Chunked => State::Size(0, 0),
        };
        Ok(Body { state, content, overhead: 0 })
    }

    /// Whether the body has ended.
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// The content that was kept; see [`Content::new`].
    pub fn into_content(self) -> Vec<u8> {
        self.content.into_bytes()
    }

    /// Takes the bytes that belong to this body, and returns their number: all of `bytes`, unless the body has ended.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut used = 0;
        while used < bytes.len() && self.state != State::End {
            used += self.step(&bytes[used..])?;
        }
        Ok(used)
    }

    /// Takes one byte, or as much content as there is. `bytes` is not empty.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let state = match self.state {
            State::Length(left) | State::Chunk(left) => return Ok(self.take_content(left, bytes)),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLineFeed
            | State::FinalLineFeed => self.state.in_trailer(bytes[0]).ok_or(Fault::Trailer)?,
            _ => self.state.around_chunk(bytes[0]).ok_or(Fault::Chunk)?,
        };
        if let (State::SizeLineFeed(_), State::Chunk(size)) = (self.state, state) {
            self.content.announce(size)?;
        }
        self.state = state;
        if state.is_overhead() {
            self.overhead += 1;
            if self.overhead > MAX_CHUNK_OVERHEAD {
                return Err(Fault::ChunkOverheadTooLong);
            }
        }
        Ok(1)
    }

    /// Takes up to `left` bytes of content.
    fn take_content(&mut self, left: u64, bytes: &[u8]) -> usize {
        let taken = left.min(bytes.len() as u64);
        self.content.add(&bytes[..taken as usize]);
        self.state = match (self.state, left - taken) {
            (State::Length(_), 0) => State::End,
            (State::Length(_), left) => State::Length(left),
            (_, 0) => State::ChunkCarriageReturn,
            (_, left) => State::Chunk(left),
        };
        taken as usize
    }
}

impl State {
    /// The state behind `byte` of a size line, or of the line end behind a chunk, if `byte` may stand here.
    fn around_chunk(self, byte: u8) -> Option<State> {
        Some(match (self, byte) {
            (State::Size(size, digits), _) => return State::behind_digits(size, digits, byte),
            (State::BlankAfterSize(_), b' ' | b'\t') => self,
            (State::BlankAfterSize(size), b';') => State::Extension(size, Part::Start),
            (State::Extension(size, Part::Name | Part::Value | Part::QuoteEnd), b'\r') => State::SizeLineFeed(size),
            (State::Extension(size, part), _) => State::Extension(size, part.next(byte)?),
            (State::SizeLineFeed(0), b'\n') => State::TrailerStart,
            (State::SizeLineFeed(size), b'\n') => State::Chunk(size),
            (State::ChunkCarriageReturn, b'\r') => State::ChunkLineFeed,
            (State::ChunkLineFeed, b'\n') => State::Size(0, 0),
            _ => return None,
        })
    }

    /// The state behind `byte`, which follows `digits` digits of a chunk's size.
    fn behind_digits(size: u64, digits: u8, byte: u8) -> Option<State> {
        Some(match (byte, char::from(byte).to_digit(16)) {
            // RFC 9112 section 7.1: a size that does not fit is refused, and never taken for another number.
            (_, Some(digit)) => State::Size(size.checked_mul(16)? | u64::from(digit), digits.saturating_add(1)),
            _ if digits == 0 => return None,
            (b'\r', _) => State::SizeLineFeed(size),
            (b';', _) => State::Extension(size, Part::Start),
            (b' ' | b'\t', _) => State::BlankAfterSize(size),
            _ => return None,
        })
    }

    /// The state behind `byte` of a trailer field, or of the line that ends the body, if `byte` may stand here.
    fn in_trailer(self, byte: u8) -> Option<State> {
        Some(match (self, byte) {
            (State::TrailerStart, b'\r') => State::FinalLineFeed,
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLineFeed,
            (State::TrailerValue, byte) if is_field_value(byte) => State::TrailerValue,
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::FinalLineFeed, b'\n') => State::End,
            _ => return None,
        })
    }

    /// Whether the last byte was overhead: neither content nor part of a bare size line. A client could send it without an end.
    fn is_overhead(self) -> bool {
        match self {
            State::Size(_, digits) => digits > SIZE_DIGITS,
            State::BlankAfterSize(_)
            | State::Extension(..)
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLineFeed => true,
            _ => false,
        }
    }
}
