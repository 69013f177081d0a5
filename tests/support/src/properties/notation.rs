//! The notation that turns bytes into the actions of a peer. Most bytes stand for themselves: the peer sends them. So the
//! files of the corpus are readable, and the findings for one target help the others. The byte 0xff begins an instruction:
//!
//! | behind 0xff | the peer |
//! |---|---|
//! | `\|` | ends a piece: the next bytes come later, even if no time passes |
//! | `*` b n | sends the byte b, n times n times |
//! | `A` to `Z` | sends one of [`PARTS`] |
//! | `s` n | sends nothing for n times n tenths of a second |
//! | `f` | finishes sending |
//! | `x` | resets the connection |
//! | `-`, `+` | stops reading, or resumes |
//! | `t` n | (nothing: sets the timeouts of the server, two bits each) |
//! | anything else | sends 0xff and that byte; for a second 0xff, only one |

use std::time::Duration;

use hello_server::server::Limits;

use crate::memory::Step;

const INSTRUCTION: u8 = 0xff;

/// The parts of requests, for `A` to `Z`.
const PARTS: [&str; 26] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://[::1]:80/b?c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "5;a=\"b\"\r\nhello\r\n",
    "100000\r\n",
    "\r\n",
    "\r\n\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: keep-alive\r\n",
    " HTTP/1.1\r\n",
];

/// The actions of a peer, and the limits of the server. After `most` bytes the peer repeats no byte (`*`) any more.
pub(super) fn read(data: &[u8], most: usize) -> (Vec<Step>, Limits) {
    let (mut steps, mut limits) = (Vec::new(), Limits::default());
    let (mut piece, mut sent) = (Vec::new(), 0);
    let mut data = data.iter().copied();
    while let Some(byte) = data.next() {
        let instruction = if byte == INSTRUCTION { data.next() } else { None };
        let length = piece.len();
        let step = match instruction {
            None => {
                piece.push(byte);
                continue;
            }
            Some(part @ b'A'..=b'Z') => {
                piece.extend_from_slice(PARTS[usize::from(part - b'A')].as_bytes());
                continue;
            }
            Some(b'*') => {
                let (byte, times) = (data.next().unwrap_or(0), usize::from(data.next().unwrap_or(0)));
                let room = most.saturating_sub(sent + length);
                piece.resize(length + (times * times).min(room), byte);
                continue;
            }
            Some(b't') => {
                let timeout = |bits: u8| Duration::from_secs([60, 1, 5, 600][usize::from(bits & 3)]);
                let bits = data.next().unwrap_or(0);
                limits.header_timeout = timeout(bits);
                limits.idle_timeout = timeout(bits >> 2);
                limits.write_timeout = timeout(bits >> 4);
                continue;
            }
            Some(b'|') => None,
            Some(b's') => {
                let tenths = u64::from(data.next().unwrap_or(0)).pow(2);
                Some(Step::Silence(Duration::from_millis(100 * tenths)))
            }
            Some(b'f') => Some(Step::Finish),
            Some(b'x') => Some(Step::Reset),
            Some(b'-') => Some(Step::Reads(false)),
            Some(b'+') => Some(Step::Reads(true)),
            Some(INSTRUCTION) => {
                piece.push(INSTRUCTION);
                continue;
            }
            Some(other) => {
                piece.extend([INSTRUCTION, other]);
                continue;
            }
        };
        sent += length;
        if length > 0 {
            steps.push(Step::Bytes(std::mem::take(&mut piece)));
        }
        steps.extend(step);
    }
    if !piece.is_empty() {
        steps.push(Step::Bytes(piece));
    }
    (steps, limits)
}

/// The pieces alone, of a peer that only sends.
pub(super) fn pieces(data: &[u8], most: usize) -> Vec<Vec<u8>> {
    let (steps, _) = read(data, most);
    let bytes = steps.into_iter().filter_map(|step| match step {
        Step::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    bytes.collect()
}
