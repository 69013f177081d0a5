//! Random mutations of requests: bytes are changed, inserted, removed, doubled, swapped and spliced, whatever they mean.

use fastrand::Rng;

/// The pieces to insert.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\x0b",
    b"\0",
    b"\xff",
    b":",
    b",",
    b";",
    b"+",
    b"-",
    b"0",
    b"5",
    b"a",
    b"0x",
    b"chunked",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Host: b\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Changes `bytes` in one to three places; some changes splice in a part of `other`.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    for _ in 0..rng.u32(1..=3) {
        let at = rng.usize(..=bytes.len());
        // Most changes are small, and some are of the size of a line.
        let end = bytes.len().min(at + if rng.bool() { rng.usize(1..4) } else { rng.usize(1..40) });
        match rng.u32(..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
            4 => {
                // Neighbouring parts change places.
                let middle = rng.usize(at..=end);
                bytes[at..end].rotate_left(middle - at);
            }
            5 => {
                // A line is doubled, and the copy inserted elsewhere.
                let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
                if !lines.is_empty() {
                    let (line, to) = (lines[rng.usize(..lines.len())], rng.usize(..=lines.len()));
                    *bytes = [&lines[..to].concat(), line, &lines[to..].concat()].concat();
                }
            }
            6 => {
                let from = rng.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[rng.usize(..PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}
