//! Bytes of a connection that were read and not used yet.

use std::cell::Cell;

use crate::http::{Fault, Parsed, Progress, is_silence};

/// Bytes as they came: the rest of one request, the beginning of another, several of them.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Where the next request begins.
    start: usize,
    /// How far its head has been read.
    progress: Cell<Progress>,
}

impl Input {
    /// What has not been used.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the head of the next request; see [`Progress::parse`].
    ///
    /// # Errors
    /// What is wrong with it.
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

    /// The first `length` bytes have been used.
    pub fn consume(&mut self, length: usize) {
        self.start += length;
        self.progress.take();
    }

    /// More has come, behind what was no whole head.
    pub fn add(&mut self, bytes: Vec<u8>) {
        match self.unread().len() {
            // What was read for us is ours.
            0 => self.bytes = bytes,
            _ => {
                self.bytes.drain(..self.start);
                // No more than that: ten thousand peers may be in the middle of their heads.
                self.bytes.reserve_exact(bytes.len());
                self.bytes.extend_from_slice(&bytes);
            }
        }
        self.start = 0;
    }

    /// Gives back memory that is not needed while the connection is idle, which may be for long.
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
