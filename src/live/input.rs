//! Finds the lines of JSON in standard input.

/// The most bytes of a line.
const MOST: usize = 8 * 1024;

/// Splits bytes that come in pieces into lines, and drops all lines but those that may be events.
#[derive(Default)]
pub(super) struct JsonLines {
    /// The beginning of a line whose end has not come. It is one byte too long if the line is too long.
    begun: Vec<u8>,
}

impl JsonLines {
    /// Calls `take` with each line that begins with `{` and ends in these bytes, without its end.
    pub(super) fn split(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (piece, is_end) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            let room = MOST + 1 - self.begun.len();
            self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if is_end {
                // A control character is an error in JSON, and could end the line early for the browser.
                match str::from_utf8(&self.begun) {
                    Ok(line) if line.len() <= MOST && line.starts_with('{') && !line.contains(char::is_control) => {
                        take(line);
                    }
                    _ => {}
                }
                self.begun.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json_are_found_however_the_bytes_come() {
        let (longest, too_long) = (format!("{{{}", "x".repeat(MOST - 1)), format!("{{{}", "x".repeat(2 * MOST)));
        let lines = ["{1}", "", "text", "{\r{", "{\u{e9}}", " {", &too_long, &longest, "{2}", "{without its end"];
        let bytes = lines.join("\n").into_bytes();
        let bytes = [b"{\xff\n", bytes.as_slice()].concat();
        for length in [1, 2, 3, 4096, bytes.len()] {
            let (mut split, mut found) = (JsonLines::default(), Vec::new());
            for piece in bytes.chunks(length) {
                split.split(piece, |line| found.push(line.to_owned()));
                assert!(split.begun.len() <= MOST + 1);
            }
            assert_eq!(found, ["{1}", "{\u{e9}}", &longest, "{2}"], "{length}");
        }
    }
}
