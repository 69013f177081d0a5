//! The body of a request: where it ends (RFC 9112 sections 6 and 7).
//!
//! This server mostly answers without looking at the content, but it has to know where it ends, because the next request on
//! the connection begins there. The chunked coding is read to the letter: carriage return and line feed, hexadecimal
//! digits and nothing else, because whatever two readers could read differently, somebody will use to smuggle a request.

use super::{Fault, MAX_BODY, MAX_CHUNK_OVERHEAD, is_field_value, is_token};

/// How the end of a body is told (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length in bytes; 0 is no body.
    Length(u64),
    /// By chunks, each with its own length; one of length 0 is the last.
    Chunked,
}

/// The content of a body, on its way: what the answer is to see of it.
#[derive(Debug)]
pub struct Content {
    /// How many bytes it may have to be kept; 0 keeps nothing.
    wanted: usize,
    /// How many bytes were announced so far.
    length: u64,
    bytes: Vec<u8>,
}

impl Content {
    /// Nothing has come. With `wanted`, up to so many bytes are kept, and more are refused; with 0, all are thrown away,
    /// and more than [`MAX_BODY`] are refused.
    pub fn new(wanted: usize) -> Self {
        Content { wanted, length: 0, bytes: Vec::new() }
    }

    /// So many more bytes are to come.
    ///
    /// # Errors
    /// Those are too many.
    pub fn announce(&mut self, length: u64) -> Result<(), Fault> {
        self.length = self.length.saturating_add(length);
        let most = if self.wanted == 0 { MAX_BODY } else { self.wanted as u64 };
        if self.length > most { Err(Fault::BodyTooLong) } else { Ok(()) }
    }

    /// These have come, which were announced.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.wanted == 0 {
            return;
        }
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // Twice as much each time, as a vector does it, but never more than may come.
            let more = self.bytes.len().min(self.wanted - self.bytes.len());
            self.bytes.reserve_exact(more.max(bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What was kept.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A body on its way: takes bytes as they come and says when it has ended.
#[derive(Debug)]
pub struct Body {
    state: State,
    /// What is in it.
    content: Content,
    /// How many bytes of extensions and trailers have come so far.
    overhead: usize,
}

/// What the next byte of a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Content, of which so many bytes are left.
    Length(u64),
    /// A digit of a chunk's size, or what ends it; `digits` have been read, or more if those are 255.
    Size {
        size: u64,
        digits: u8,
    },
    /// A blank after the size, which only an extension may follow.
    BlankAfterSize {
        size: u64,
    },
    /// A chunk extension, which nobody here understands (RFC 9112 section 7.1.1: then it is ignored).
    Extension {
        size: u64,
        part: Part,
    },
    /// The line feed of a size line.
    SizeLineFeed {
        size: u64,
    },
    /// Content of a chunk, of which so many bytes are left.
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
    /// Nothing: the body has ended.
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
    /// The part behind `byte`, if it may stand here. The end of the line is not asked about.
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

/// As many hexadecimal digits as the largest size has that can be counted. Zeros before a size may be more, but those count as
/// overhead.
const SIZE_DIGITS: u8 = 16;

impl Body {
    /// A body that has not begun, and will be thrown away. A length beyond [`MAX_BODY`] is refused at once, before anybody
    /// sends it.
    ///
    /// # Errors
    /// That.
    pub fn new(framing: Framing) -> Result<Self, Fault> {
        Body::wanted(framing, 0)
    }

    /// The same, but the answer wants to see so many bytes of it, at the most; see [`Content::new`].
    ///
    /// # Errors
    /// A length beyond that.
    pub fn wanted(framing: Framing, wanted: usize) -> Result<Self, Fault> {
        let mut content = Content::new(wanted);
        let state = match framing {
            Framing::Length(0) => State::End,
            Framing::Length(length) => {
                content.announce(length)?;
                State::Length(length)
            }
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Ok(Body { state, content, overhead: 0 })
    }

    /// Whether the body has ended.
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// What is in it, as far as somebody wanted to see it.
    pub fn into_content(self) -> Vec<u8> {
        self.content.into_bytes()
    }

    /// Takes as many of `bytes` as belong to this body and says how many those were: all of them, unless it has ended.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut used = 0;
        while used < bytes.len() && self.state != State::End {
            used += self.step(&bytes[used..])?;
        }
        Ok(used)
    }

    /// Takes one byte, or as much content as there is. `bytes` is not empty.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let byte = bytes[0];
        self.state = match self.state {
            State::Length(left) | State::Chunk(left) => {
                let taken = left.min(bytes.len() as u64);
                let left = left - taken;
                self.content.add(&bytes[..taken as usize]);
                self.state = match self.state {
                    State::Length(_) if left == 0 => State::End,
                    State::Length(_) => State::Length(left),
                    _ if left == 0 => State::ChunkCarriageReturn,
                    _ => State::Chunk(left),
                };
                return Ok(taken as usize);
            }
            State::Size { size, digits } => match (byte, char::from(byte).to_digit(16)) {
                // RFC 9112 section 7.1: a size that cannot be counted is refused, and never taken for another number.
                (_, Some(digit)) => State::Size {
                    size: size.checked_mul(16).ok_or(Fault::Chunk)? | u64::from(digit),
                    digits: digits.saturating_add(1),
                },
                _ if digits == 0 => return Err(Fault::Chunk),
                (b'\r', _) => State::SizeLineFeed { size },
                (b';', _) => State::Extension { size, part: Part::Start },
                (b' ' | b'\t', _) => State::BlankAfterSize { size },
                _ => return Err(Fault::Chunk),
            },
            State::BlankAfterSize { size } => match byte {
                b' ' | b'\t' => self.state,
                b';' => State::Extension { size, part: Part::Start },
                _ => return Err(Fault::Chunk),
            },
            State::Extension { size, part: Part::Name | Part::Value | Part::QuoteEnd } if byte == b'\r' => {
                State::SizeLineFeed { size }
            }
            State::Extension { size, part } => State::Extension { size, part: part.next(byte).ok_or(Fault::Chunk)? },
            State::SizeLineFeed { size } => match (byte, size) {
                (b'\n', 0) => State::TrailerStart,
                (b'\n', size) => {
                    self.content.announce(size)?;
                    State::Chunk(size)
                }
                _ => return Err(Fault::Chunk),
            },
            State::ChunkCarriageReturn => match byte {
                b'\r' => State::ChunkLineFeed,
                _ => return Err(Fault::Chunk),
            },
            State::ChunkLineFeed => match byte {
                b'\n' => State::Size { size: 0, digits: 0 },
                _ => return Err(Fault::Chunk),
            },
            State::TrailerStart => match byte {
                b'\r' => State::FinalLineFeed,
                byte if is_token(byte) => State::TrailerName,
                _ => return Err(Fault::Trailer),
            },
            State::TrailerName => match byte {
                b':' => State::TrailerValue,
                byte if is_token(byte) => State::TrailerName,
                _ => return Err(Fault::Trailer),
            },
            State::TrailerValue => match byte {
                b'\r' => State::TrailerLineFeed,
                byte if is_field_value(byte) => State::TrailerValue,
                _ => return Err(Fault::Trailer),
            },
            State::TrailerLineFeed => match byte {
                b'\n' => State::TrailerStart,
                _ => return Err(Fault::Trailer),
            },
            State::FinalLineFeed => match byte {
                b'\n' => State::End,
                _ => return Err(Fault::Trailer),
            },
            State::End => return Ok(0),
        };
        // Everything that is neither content nor a bare size line can be piled up without an end.
        let is_overhead = match self.state {
            State::Size { digits, .. } => digits > SIZE_DIGITS,
            State::BlankAfterSize { .. }
            | State::Extension { .. }
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLineFeed => true,
            _ => false,
        };
        if is_overhead {
            self.overhead += 1;
            if self.overhead > MAX_CHUNK_OVERHEAD {
                return Err(Fault::ChunkOverheadTooLong);
            }
        }
        Ok(1)
    }
}
