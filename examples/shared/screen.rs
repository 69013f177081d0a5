//! The screen, on which a client prints the response of a server.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};

/// Standard output.
///
/// A file or a pipe gets every byte as it came. A terminal obeys some characters: they clear it, change its title, or type into
/// it. So a terminal shows the control characters and does not obey them, except line ends and tabs.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Stdout,
    is_terminal: bool,
    /// The beginning of a character whose other bytes have not come yet.
    begun: Vec<u8>,
    /// Whether the next character begins a line.
    at_line_start: bool,
}

impl Screen {
    /// Standard output, before anything was printed on it.
    pub(crate) fn new() -> Self {
        let out = stdout();
        Screen { is_terminal: out.is_terminal(), out, begun: Vec::new(), at_line_start: true }
    }

    /// Prints these bytes, now.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub(crate) fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_terminal {
            let text = self.readable(bytes);
            self.at_line_start = text.ends_with('\n') || text.is_empty() && self.at_line_start;
            self.out.write_all(text.as_bytes())?;
        } else {
            self.out.write_all(bytes)?;
        }
        self.out.flush()
    }

    /// The text that a terminal shows for these bytes.
    fn readable(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.begun);
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for character in chunk.valid().chars() {
                match character {
                    '\n' | '\r' | '\t' => text.push(character),
                    control if control.is_control() => text.extend(control.escape_default()),
                    other => text.push(other),
                }
            }
            let is_begun = |bytes| std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
            match chunk.invalid() {
                last if chunks.peek().is_none() && is_begun(last) => self.begun = last.to_vec(),
                invalid => text.extend(invalid.iter().map(|byte| format!("\\x{byte:02x}"))),
            }
        }
        text
    }
}

/// Ends the line, so that the next output, such as the prompt, begins a new one.
impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal && !(self.at_line_start && self.begun.is_empty()) {
            let begun: String = self.begun.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            // If this write fails, an earlier one has reported the error.
            let _ = writeln!(self.out, "{begun}");
        }
    }
}
