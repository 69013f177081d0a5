//! Facts about the bytes of one message, without any judgement: the reason of a disagreement has to show in these facts.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use hello_server::http::{Body, Parsed, parse};
use regex_lite::Regex;

/// The head of a message, split as loosely as possible.
pub(crate) struct Evidence<'b> {
    /// The message, and the bytes behind it.
    bytes: &'b [u8],
    /// The number of empty lines before the message.
    pub(crate) empty_lines: usize,
    pub(crate) method: &'b [u8],
    pub(crate) target: &'b [u8],
    pub(crate) version: &'b [u8],
    /// Names and values, without the blanks around them.
    pub(crate) fields: Vec<(&'b [u8], &'b [u8])>,
    /// The number of bytes to the end of the head.
    pub(crate) head: usize,
}

impl<'b> Evidence<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').peekable();
        let mut empty_lines = 0;
        let mut head = 0;
        while let Some(line) = lines.next_if(|line| line.trim_ascii().is_empty()) {
            empty_lines += 1;
            head += line.len();
        }
        let line = lines.next().unwrap_or_default();
        head += line.len();
        let line = line.trim_ascii_end();
        let mut parts = line.splitn(2, |&byte| byte == b' ');
        let (method, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let version_start = rest.iter().rposition(|&byte| byte == b' ').unwrap_or(rest.len());
        let (target, version) = rest.split_at(version_start);
        let mut fields = Vec::new();
        for line in lines {
            head += line.len();
            if line.trim_ascii().is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            fields.push((name, value.get(1..).unwrap_or_default().trim_ascii()));
        }
        Evidence { bytes, empty_lines, method, target, version: version.trim_ascii(), fields, head }
    }

    /// The values of all fields with this name.
    pub(crate) fn values(&self, name: &str) -> Vec<&'b [u8]> {
        let of_name = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        of_name.map(|(_, value)| *value).collect()
    }

    /// The elements of the lists of all fields with this name.
    pub(crate) fn elements(&self, name: &str) -> Vec<&'b [u8]> {
        let elements = self.values(name).into_iter().flat_map(|value| value.split(|&byte| byte == b','));
        elements.map(<[u8]>::trim_ascii).collect()
    }

    /// The number of bytes behind the head.
    pub(crate) fn length_behind_head(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Whether the bytes are line ends only, or parts of them, and more than one.
    pub(crate) fn is_line_ends(&self) -> bool {
        let one = matches!(self.bytes, b"" | b"\r" | b"\n" | b"\r\n");
        !one && self.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Whether the form of the target fits the method, by RFC 9112 section 3.2 and RFC 9110 section 4.2.1.
    pub(crate) fn has_target_form(&self) -> bool {
        static HTTP: LazyLock<Regex> = LazyLock::new(|| Regex::new("^(?i:http)://([^/?]+)").expect("an expression"));
        let target = str::from_utf8(self.target).unwrap_or_default();
        let is_http = || HTTP.captures(target).is_some_and(|parts| is_host_and_port(parts[1].as_bytes()));
        target.starts_with('/') || (self.method, target) == (b"OPTIONS", "*") || is_http()
    }

    /// Whether the target is a URI with another scheme than `http`.
    pub(crate) fn has_other_scheme(&self) -> bool {
        static SCHEME: LazyLock<Regex> =
            LazyLock::new(|| Regex::new("^([A-Za-z][A-Za-z0-9+.-]*)://").expect("an expression"));
        let target = str::from_utf8(self.target).unwrap_or_default();
        SCHEME.captures(target).is_some_and(|parts| !parts[1].eq_ignore_ascii_case("http"))
    }

    /// The place where the body is at fault: the bytes before it, and the bytes from there on, of which there is at least
    /// one.
    pub(crate) fn stumbling_block(&self) -> Option<(&'b [u8], &'b [u8])> {
        let Ok(Parsed::Complete(request, head)) = parse(self.bytes) else {
            return None;
        };
        let mut body = Body::new(request.framing).ok()?;
        let content = &self.bytes[head..];
        let at = content.iter().position(|byte| body.take(std::slice::from_ref(byte)).is_err())?;
        Some(content.split_at(at))
    }
}

/// Whether `line` is a chunk's size line with extensions, by the grammar of RFC 9112 section 7.1.1.
pub(crate) fn is_size_line_with_extensions(line: &[u8]) -> bool {
    static LINE: LazyLock<Regex> = LazyLock::new(|| {
        let token = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+";
        let text = r#""(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*""#;
        let extension = format!(r"[ \t]*;[ \t]*{token}(?:[ \t]*=[ \t]*(?:{token}|{text}))?");
        Regex::new(&format!(r"^[0-9A-Fa-f]+(?:{extension})*$")).expect("an expression")
    });
    let characters: String = line.iter().copied().map(char::from).collect();
    LINE.is_match(&characters)
}

/// Whether `host` is `uri-host [ ":" port ]` by the grammar of RFC 3986 section 3.2, without the addresses of the future
/// (`IPvFuture`), without an empty host, and without a port that TCP does not have.
pub(crate) fn is_host_and_port(host: &[u8]) -> bool {
    static HOST: LazyLock<Regex> = LazyLock::new(|| {
        let name = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+";
        Regex::new(&format!(r"^(?:\[([^\]]*)\]|{name})(?::0*([0-9]{{0,5}}))?$")).expect("an expression")
    });
    let host = str::from_utf8(host).ok().and_then(|host| HOST.captures(host));
    host.is_some_and(|parts| {
        let part = |number: usize| parts.get(number).map(|part| part.as_str());
        part(1).is_none_or(|address| address.parse::<Ipv6Addr>().is_ok())
            && part(2).is_none_or(|port| port.is_empty() || port.parse::<u32>().is_ok_and(|port| port < 65_536))
    })
}
