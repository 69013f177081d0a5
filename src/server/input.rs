//! The bytes of a connection that were read and not used yet.

use std::cell::Cell;

use crate::http::{Fault, Parsed, Progress, is_silence};

/// The unused bytes of a connection: the rest of one request, the beginning of another, or several requests.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Where the next request begins.
    start: usize,
    /// How far the head of the next request was parsed.
    progress: Cell<Progress>,
}

impl Input {
    /// The bytes that were not used.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the head of the next request; see [`Progress::parse`].
    ///
    /// # Errors
    /// The fault of the head.
    pub fn parse(&self) -> Result<Parsed<'_>, Fault> {
        let mut progress = self.progress.get();
        let parsed = progress.parse(self.unread());
        self.progress.set(progress);
        parsed
    }

    /// Whether the next request has not begun.
    pub fn is_silence(&self) -> bool {
        is_silence(self.unread())
    }

    /// Marks the first `length` bytes as used.
    pub fn consume(&mut self, length: usize) {
        self.start += length;
        self.progress.take();
    }

    /// Adds bytes behind an incomplete head.
    pub fn add(&mut self, bytes: Vec<u8>) {
        match self.unread().len() {
            // The vector of the read becomes the buffer, without a copy.
            0 => self.bytes = bytes,
            _ => {
                self.bytes.drain(..self.start);
                // Reserve no more than needed: ten thousand peers may be in the middle of their heads.
                self.bytes.reserve_exact(bytes.len());
                self.bytes.extend_from_slice(&bytes);
            }
        }
        self.start = 0;
    }

    /// Gives back memory that an idle connection, perhaps idle for long, does not need.
    pub fn shrink(&mut self) {
        if self.unread().is_empty() {
            *self = Input::default();
        }
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Input { bytes, ..Input::default() }
    }
}
