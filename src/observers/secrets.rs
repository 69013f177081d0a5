//! Masks the values that no observer shows: fields that could log anyone in as their owner.

use crate::http::is_token;

/// The fields whose values are masked.
const SECRETS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Finds the secrets in the bytes of one side, byte by byte, so that a secret is masked however its bytes are cut into reads.
///
/// A secret goes from the name of its field to the end of the line. A carriage return alone ends no line, but its sender may think
/// that it does. The byte behind the name may be a colon, or, by mistake, any other byte that does not belong to a name. A line
/// that begins with a blank continues the secret before it (RFC 9112 section 5.2).
#[derive(Debug, Default)]
pub(super) struct Masker {
    /// The word at the beginning of the line, and the one at the beginning of the bytes since the last [`pause`](Masker::pause).
    words: [Word; 2],
    /// Whether the rest of the line is a secret.
    is_secret: bool,
    /// Whether the mask was shown for this secret.
    is_masked: bool,
    /// Whether the last line was a secret, as long as the current line has no byte.
    may_continue: bool,
}

/// The part of a byte in the text about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The byte is shown.
    Shown,
    /// The byte is the first one of a secret: the mask is shown for it.
    Mask,
    /// The byte is one more of a secret.
    Masked,
}

impl Masker {
    /// The part of `byte`, the next one. Line ends are always shown.
    pub(super) fn next(&mut self, byte: u8) -> Part {
        let is_blank = matches!(byte, b' ' | b'\t');
        self.is_secret |= std::mem::take(&mut self.may_continue) && is_blank;
        if !self.is_secret {
            if is_token(byte) {
                self.words.iter_mut().for_each(|word| word.add(byte));
                return Part::Shown;
            }
            self.is_secret = self.words.iter().any(Word::is_secret);
            for word in &mut self.words {
                match byte {
                    b'\r' => *word = Word::default(),
                    _ if is_blank && word.length == 0 => {}
                    _ => word.add(byte),
                }
            }
            if byte == b':' {
                return Part::Shown;
            }
        }
        match byte {
            b'\n' => {
                *self = Masker { may_continue: self.is_secret, ..Masker::default() };
                Part::Shown
            }
            b'\r' => Part::Shown,
            _ if !self.is_secret => Part::Shown,
            _ if std::mem::replace(&mut self.is_masked, true) => Part::Masked,
            _ => Part::Mask,
        }
    }

    /// Takes note that the next bytes may be a line of their own, and that they are shown in another text.
    pub(super) fn pause(&mut self) {
        self.words[1] = Word::default();
        self.is_masked = false;
    }
}

/// The first word of a line, which may be the name of a secret.
#[derive(Debug, Default)]
struct Word {
    length: usize,
    /// The secrets that do not begin with this word: a bit for each.
    excluded: u8,
}

impl Word {
    /// Adds a byte. One that does not belong to a name excludes all secrets.
    fn add(&mut self, byte: u8) {
        for (index, secret) in SECRETS.iter().enumerate() {
            let is_next = secret.as_bytes().get(self.length).is_some_and(|next| next.eq_ignore_ascii_case(&byte));
            self.excluded |= u8::from(!is_next) << index;
        }
        self.length += 1;
    }

    fn is_secret(&self) -> bool {
        let mut secrets = SECRETS.iter().enumerate();
        secrets.any(|(index, secret)| secret.len() == self.length && self.excluded & (1 << index) == 0)
    }
}
