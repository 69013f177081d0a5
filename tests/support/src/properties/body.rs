//! The body of a request.

use hello_server::http::{Body, Fault, Framing, MAX_BODY, MAX_CHUNK_OVERHEAD};

use super::notation;

/// The most bytes that are read: more than the longest body and its overhead.
const MOST: usize = MAX_BODY as usize + 2 * MAX_CHUNK_OVERHEAD;

/// A body in pieces is the same as at once, takes nothing of the bytes that follow, ends where a simple decoder ends it,
/// and has the content that the decoder finds. `L` and a byte n begin a body of n times n times n bytes; everything else is
/// chunked.
pub fn hold(data: &[u8]) {
    let (framing, data) = match data {
        [b'L', n, rest @ ..] => (Framing::Length(u64::from(*n).pow(3)), rest),
        _ => (Framing::Chunked, data),
    };
    let pieces = notation::pieces(data, MOST);
    let bytes = pieces.concat();
    let expected = match framing {
        Framing::Length(length) if length > MAX_BODY => {
            assert_eq!(Body::new(framing).expect_err("before the client sends it"), Fault::BodyTooLong);
            return;
        }
        Framing::Length(length) if bytes.len() as u64 >= length => {
            Ok((length as usize, bytes[..length as usize].to_vec()))
        }
        Framing::Length(_) => Err(Stop::More),
        Framing::Chunked => Decoder::new(&bytes).body(),
    };
    assert_eq!(take(framing, &bytes, pieces.iter().map(Vec::len)), expected);
    assert_eq!(take(framing, &bytes, [bytes.len()].into_iter()), expected);
    if bytes.len() <= 4096 {
        assert_eq!(take(framing, &bytes, bytes.iter().map(|_| 1)), expected);
    }
    if let Ok((end, _)) = expected {
        assert_eq!(take(framing, &bytes[..end], [end].into_iter()), expected, "what follows does not count");
        let but_one = end.saturating_sub(1);
        assert!(end == 0 || take(framing, &bytes[..but_one], [but_one].into_iter()) == Err(Stop::More));
    }
}

/// The reason why a body has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The end has not come yet.
    More,
    Fault(Fault),
}

/// The end and the content of the body that the server reads from `bytes`, in pieces of these lengths. Keeping the content
/// changes nothing.
fn take(framing: Framing, bytes: &[u8], lengths: impl Iterator<Item = usize>) -> Result<(usize, Vec<u8>), Stop> {
    let mut body = Body::new(framing).expect("not too long");
    let mut kept = Body::wanted(framing, MAX_BODY as usize).expect("not too long");
    let (mut at, mut end) = (0, 0);
    for length in lengths {
        let complete = body.is_complete();
        let taken = body.take(&bytes[at..at + length]);
        assert_eq!(kept.take(&bytes[at..at + length]), taken);
        let taken = taken.map_err(Stop::Fault)?;
        assert!(taken == length || body.is_complete(), "all of them, unless it has ended");
        assert!(taken <= length && !(complete && taken > 0), "nothing behind its end");
        at += length;
        end += taken;
    }
    assert_eq!(kept.is_complete(), body.is_complete());
    let complete = body.is_complete();
    assert_eq!(body.into_content(), b"");
    if complete { Ok((end, kept.into_content())) } else { Err(Stop::More) }
}

/// A body in chunks, from its first byte to its last (RFC 9112 section 7.1).
struct Decoder<'b> {
    bytes: &'b [u8],
    at: usize,
    overhead: usize,
}

impl<'b> Decoder<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Decoder { bytes, at: 0, overhead: 0 }
    }

    fn body(mut self) -> Result<(usize, Vec<u8>), Stop> {
        let (mut length, mut content): (u128, _) = (0, Vec::new());
        loop {
            let size = self.size()?;
            if size == 0 {
                break;
            }
            length += size;
            if length > MAX_BODY.into() {
                return Err(Stop::Fault(Fault::BodyTooLong));
            }
            let end = self.at + size as usize;
            content.extend_from_slice(self.bytes.get(self.at..end).unwrap_or_default());
            self.at = end;
            self.expect(b"\r\n", Fault::Chunk)?;
        }
        while self.peek()? != b'\r' {
            self.trailer()?;
        }
        self.expect(b"\r\n", Fault::Trailer)?;
        Ok((self.at, content))
    }

    /// `1*HEXDIG *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) CRLF`, at most 16 digits behind any
    /// number of zeros; but only the first 16 digits do not count as overhead.
    fn size(&mut self) -> Result<u128, Stop> {
        let mut digits = String::new();
        while self.peek()?.is_ascii_hexdigit() {
            digits.push(char::from(self.peek()?));
            if digits.trim_start_matches('0').len() > 16 {
                return Err(Stop::Fault(Fault::Chunk));
            }
            if digits.len() > 16 { self.extra()? } else { _ = self.next()? }
        }
        if digits.is_empty() {
            return Err(Stop::Fault(Fault::Chunk));
        }
        while self.peek()? != b'\r' {
            self.blanks()?;
            self.sign(b';')?;
            self.blanks()?;
            self.token(Fault::Chunk)?;
            let mut blanks = self.blanks()?;
            if self.peek()? == b'=' {
                self.extra()?;
                self.blanks()?;
                if self.peek()? == b'"' {
                    self.quoted_string()?
                } else {
                    self.token(Fault::Chunk)?
                }
                blanks = self.blanks()?;
            }
            if blanks > 0 && self.peek()? != b';' {
                return Err(Stop::Fault(Fault::Chunk));
            }
        }
        self.expect(b"\r\n", Fault::Chunk)?;
        let number = digits.trim_start_matches('0');
        Ok(if number.is_empty() { 0 } else { u128::from_str_radix(number, 16).expect("at most 16 digits") })
    }

    /// `token ":" anything CRLF`.
    fn trailer(&mut self) -> Result<(), Stop> {
        self.token(Fault::Trailer)?;
        if self.peek()? != b':' {
            return Err(Stop::Fault(Fault::Trailer));
        }
        while self.is_text()? {
            self.extra()?;
        }
        if self.peek()? != b'\r' {
            return Err(Stop::Fault(Fault::Trailer));
        }
        self.extra()?;
        self.expect(b"\n", Fault::Trailer)
    }

    /// At least one character of a token.
    fn token(&mut self, or: Fault) -> Result<(), Stop> {
        let start = self.at;
        while self.peek()?.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&self.peek()?) {
            self.extra()?;
        }
        if self.at == start { Err(Stop::Fault(or)) } else { Ok(()) }
    }

    /// Text in quotes, in which a backslash takes the meaning of the next character away.
    fn quoted_string(&mut self) -> Result<(), Stop> {
        self.sign(b'"')?;
        while self.peek()? != b'"' {
            if self.peek()? == b'\\' {
                self.extra()?;
            }
            if !self.is_text()? {
                return Err(Stop::Fault(Fault::Chunk));
            }
            self.extra()?;
        }
        self.extra()
    }

    /// The number of blanks.
    fn blanks(&mut self) -> Result<usize, Stop> {
        let start = self.at;
        while matches!(self.peek()?, b' ' | b'\t') {
            self.extra()?;
        }
        Ok(self.at - start)
    }

    /// This character of an extension.
    fn sign(&mut self, sign: u8) -> Result<(), Stop> {
        if self.peek()? != sign {
            return Err(Stop::Fault(Fault::Chunk));
        }
        self.extra()
    }

    /// Whether the next byte is a tab, or no control byte.
    fn is_text(&self) -> Result<bool, Stop> {
        self.peek().map(|byte| byte == b'\t' || !byte.is_ascii_control())
    }

    /// Takes a byte that is not content. The number of such bytes is limited.
    fn extra(&mut self) -> Result<(), Stop> {
        self.next()?;
        self.overhead += 1;
        if self.overhead > MAX_CHUNK_OVERHEAD { Err(Stop::Fault(Fault::ChunkOverheadTooLong)) } else { Ok(()) }
    }

    fn expect(&mut self, bytes: &[u8], or: Fault) -> Result<(), Stop> {
        for &byte in bytes {
            if self.next()? != byte {
                return Err(Stop::Fault(or));
            }
        }
        Ok(())
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::More)
    }

    fn next(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }
}
