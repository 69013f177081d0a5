//! What nobody should read over somebody's shoulder: the values of fields that let their owner in.

use crate::http::is_token;

/// The fields whose values are masked: whoever knows one can pass for its owner.
const SECRETS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// What a line, or the beginning of one, says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is a secret behind this many bytes, which are its name and, if there is one, the colon.
    Secret(usize),
    /// It may become one.
    Undecided,
    /// It may be read.
    Open,
}

/// Looks at the beginning of a line. What is behind a name may be a colon, or a mistake: a blank, or anything else.
pub(super) fn judge(line: &[u8]) -> Verdict {
    let length = line.iter().position(|&byte| !is_token(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(length);
    let begins = |secret: &&str| secret.as_bytes().get(..length).is_some_and(|part| part.eq_ignore_ascii_case(name));
    match rest.first() {
        None if SECRETS.iter().any(begins) => Verdict::Undecided,
        Some(next) if SECRETS.iter().any(|secret| secret.len() == length && begins(secret)) => match next {
            b'\r' | b'\n' => Verdict::Open,
            b':' => Verdict::Secret(length + 1),
            _ => Verdict::Secret(length),
        },
        _ => Verdict::Open,
    }
}

/// As much of a request line, or of what came instead, as may be read; whether that is all of it.
pub(super) fn readable(line: &[u8]) -> (&[u8], bool) {
    let mut start = 0;
    // A carriage return alone ends no line, but whoever sends one may think so.
    for part in line.split(|&byte| byte == b'\r') {
        if let Verdict::Secret(length) = judge(part) {
            return (&line[..start + length], false);
        }
        start += part.len() + 1;
    }
    (line, true)
}
