//! The output of the server, as a client reads it that forgives nothing (RFC 9112 section 4).

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply<'b> {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'b str, &'b str)>,
    pub(super) body: &'b [u8],
    /// The bytes of the whole response.
    pub(super) bytes: &'b [u8],
    /// The number of `100 Continue` before the response.
    pub(super) continued: usize,
}

impl Reply<'_> {
    /// The value of a field, which occurs at most once.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(other, _)| *other == name).map(|(_, value)| *value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }
}

/// The responses in `said`, and the number of `100 Continue` behind the last one. `to_head` knows which of the responses
/// belong to HEAD, and have no body.
pub(super) fn read(said: &[u8], to_head: impl Fn(usize) -> bool) -> (Vec<Reply<'_>>, usize) {
    let (mut replies, mut rest, mut continued) = (Vec::new(), said, 0);
    while !rest.is_empty() {
        let start = rest;
        let (status_line, behind) = line(rest);
        rest = behind;
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|line| line.split_once(' '));
        let (status, reason) = status.expect("a version, a status and a reason");
        assert!(status.len() == 3 && !reason.is_empty() && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let status: u16 = status.parse().expect("three digits");
        let mut fields = Vec::new();
        loop {
            let (line, behind) = line(rest);
            rest = behind;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a name and a value");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'), "{name}");
            assert!(!value.is_empty() && value.trim() == value, "{value}");
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
            fields.push((name, value));
        }
        if status == 100 {
            assert!(fields.is_empty());
            continued += 1;
            continue;
        }
        let mut reply = Reply { status, fields, body: b"", bytes: start, continued };
        let length: usize = reply.field("Content-Length").expect("a length").parse().expect("a number");
        let body_length = if to_head(replies.len()) { 0 } else { length };
        (reply.body, rest) = rest.split_at_checked(body_length).expect("all of the body");
        reply.bytes = &start[..start.len() - rest.len()];
        replies.push(reply);
        continued = 0;
    }
    (replies, continued)
}

/// The first line, and the bytes behind it.
fn line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a line");
    let line = std::str::from_utf8(&bytes[..end]).expect("text");
    assert!(!line.contains(['\r', '\n']), "{line:?}");
    (line, &bytes[end + 2..])
}
