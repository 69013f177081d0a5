//! The verdict whether the two sides agree; and if not, the reason from the table in `docs/protocol.md`.

use hello_server::http::{Fault, MAX_BODY, MAX_CHUNK_OVERHEAD, MAX_FIELDS, MAX_HEAD, MAX_METHOD, MAX_TARGET};
use hyper::Uri;

use crate::evidence::{Evidence, is_host_and_port, is_size_line_with_extensions};
use crate::sides::{Side, Stop};

/// Declares the reasons, together with a list of them all.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The reason why this server and hyper do not agree on a message: each is a row of the table in
        /// `docs/protocol.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons.
            pub(crate) const ALL: &[Reason] = &[$(Reason::$name,)*];
        }
    };
}

reasons! {
    // This server refuses, and hyper accepts.
    EmptyLines,
    MethodTooLong,
    MethodNotAllowed,
    TargetTooLong,
    TargetByte,
    TargetFragment,
    TargetForm,
    Misdirected,
    HeadTooLong,
    TooManyFields,
    HostMissing,
    HostRepeated,
    HostMalformed,
    LengthRepeated,
    LengthAndCoding,
    CodingUnknown,
    ChunkedTwice,
    Expectation,
    BodyTooLong,
    ChunkSizeBlank,
    ChunkExtension,
    TrailerLineFeed,
    ChunkOverheadTooLong,
    // This server accepts, and hyper refuses.
    HigherMinorVersion,
    EmptyCodings,
    TargetSyntax,
    // Both accept, and only one keeps the connection open.
    ConnectionByte,
}

/// The result of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The messages and the end are the same.
    Agreed,
    /// A difference with a known reason.
    Explained(Reason),
    /// A difference without a known reason, in words.
    Unexplained(&'static str),
}

/// Compares the results of both sides for `bytes`, up to the first difference.
pub(crate) fn compare(bytes: &[u8], ours: &Side, hypers: &Side) -> Verdict {
    for (our, theirs) in ours.messages.iter().zip(&hypers.messages) {
        // No reason excuses this difference.
        if our.end != theirs.end {
            return Verdict::Unexplained("both accept a message and see different ends");
        }
        if our.method != theirs.method || our.target != theirs.target {
            return Verdict::Unexplained("both accept a message and see different requests");
        }
    }
    let both = ours.messages.len().min(hypers.messages.len());
    let start = |message: usize| match message {
        0 => 0,
        _ => ours.messages[message - 1].end.1,
    };
    let next = Evidence::new(&bytes[start(both)..]);
    let stop = |side: &Side| if side.messages.len() > both { None } else { Some(side.stop) };
    let (reason, difference) = match (stop(ours), stop(hypers)) {
        // Neither side accepts the next bytes, or there are none.
        (Some(Stop::Finished), Some(Stop::Finished))
        | (Some(Stop::Closed), Some(Stop::Closed))
        | (Some(Stop::Refused(_)), Some(Stop::Refused(_))) => return Verdict::Agreed,
        (Some(Stop::Refused(fault)), None | Some(Stop::Finished)) => {
            (fault.and_then(|fault| stricter(fault, &next)), "we refuse a message that hyper accepts")
        }
        (None, Some(Stop::Refused(_))) => (more_lenient(&next), "we accept a message that hyper refuses"),
        (Some(Stop::Closed), _) | (_, Some(Stop::Closed)) => {
            let last = both.checked_sub(1).map(|last| Evidence::new(&bytes[start(last)..]));
            (last.and_then(|last| persistence(&last)), "one of us closes the connection behind a message")
        }
        _ => (None, "one of us sees a message where the other sees none"),
    };
    reason.map_or(Verdict::Unexplained(difference), Verdict::Explained)
}

/// The reason why this server refuses with `fault` a message that hyper accepts.
fn stricter(fault: Fault, message: &Evidence<'_>) -> Option<Reason> {
    let hosts = message.values("Host");
    let codings = message.elements("Transfer-Encoding");
    let lengths = message.values("Content-Length");
    let is_chunked = codings.last().is_some_and(|last| is_chunked(last));
    let (reason, evidence) = match fault {
        Fault::EmptyRequestLine => (Reason::EmptyLines, message.empty_lines > 1),
        Fault::Method | Fault::Incomplete => (Reason::EmptyLines, message.is_line_ends()),
        Fault::MethodTooLong => (Reason::MethodTooLong, message.method.len() > MAX_METHOD),
        Fault::MethodNotAllowed => (Reason::MethodNotAllowed, matches!(message.method, b"CONNECT" | b"TRACE")),
        Fault::TargetTooLong => (Reason::TargetTooLong, message.target.len() > MAX_TARGET),
        Fault::TargetByte => (Reason::TargetByte, !message.target.is_ascii()),
        Fault::TargetFragment => (Reason::TargetFragment, message.target.contains(&b'#')),
        Fault::TargetForm => (Reason::TargetForm, !message.has_target_form()),
        Fault::Misdirected => (Reason::Misdirected, message.has_other_scheme()),
        Fault::HeadTooLong => (Reason::HeadTooLong, message.head > MAX_HEAD),
        Fault::TooManyFields => (Reason::TooManyFields, message.fields.len() > MAX_FIELDS),
        Fault::HostMissing => (Reason::HostMissing, hosts.is_empty() && message.version != b"HTTP/1.0"),
        Fault::HostRepeated => (Reason::HostRepeated, hosts.len() > 1),
        Fault::HostMalformed => {
            (Reason::HostMalformed, hosts.iter().any(|host| !host.is_empty() && !is_host_and_port(host)))
        }
        // If there is a coding, hyper ignores the length, whatever it is.
        Fault::LengthAndCoding | Fault::ContentLength | Fault::ContentLengthRepeated if is_chunked => {
            (Reason::LengthAndCoding, !lengths.is_empty())
        }
        // The lengths are equal as numbers: one may have more leading zeros.
        Fault::ContentLengthRepeated => {
            let number = |length: &[u8]| str::from_utf8(length).ok().and_then(|length| length.parse::<u64>().ok());
            let equal = |pair: &[&[u8]]| number(pair[0]).is_some() && number(pair[0]) == number(pair[1]);
            (Reason::LengthRepeated, lengths.len() > 1 && lengths.windows(2).all(equal))
        }
        Fault::CodingUnknown => (
            Reason::CodingUnknown,
            is_chunked && codings.iter().any(|coding| !coding.is_empty() && !self::is_chunked(coding)),
        ),
        Fault::ChunkedNotLast => {
            let chunked = codings.iter().filter(|coding| self::is_chunked(coding));
            (Reason::ChunkedTwice, is_chunked && chunked.count() > 1)
        }
        Fault::Expectation => {
            let others =
                message.elements("Expect").into_iter().filter(|what| !what.eq_ignore_ascii_case(b"100-continue"));
            (Reason::Expectation, others.filter(|what| !what.is_empty()).count() > 0)
        }
        Fault::BodyTooLong => (Reason::BodyTooLong, message.length_behind_head() > MAX_BODY as usize),
        Fault::Chunk | Fault::Trailer | Fault::ChunkOverheadTooLong => return stricter_body(fault, message),
        _ => return None,
    };
    evidence.then_some(reason)
}

/// The reason why this server stops in a body that hyper reads on.
fn stricter_body(fault: Fault, message: &Evidence<'_>) -> Option<Reason> {
    let (before, rest) = message.stumbling_block()?;
    let byte = rest[0];
    let line_start = before.windows(2).rposition(|end| end == b"\r\n").map_or(0, |at| at + 2);
    let line = &before[line_start..];
    let size = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (reason, evidence) = match (fault, byte) {
        (Fault::Chunk, b'\n') => return None,
        (Fault::Chunk, _) if line[size..].contains(&b';') => {
            let end = rest.windows(2).position(|end| end == b"\r\n")?;
            let line = [line, &rest[..end]].concat();
            (Reason::ChunkExtension, size > 0 && !is_size_line_with_extensions(&line))
        }
        (Fault::Chunk, b'\r') => (Reason::ChunkSizeBlank, size > 0 && line[size..].trim_ascii().is_empty()),
        (Fault::Trailer, b'\n') => (Reason::TrailerLineFeed, !before.ends_with(b"\r")),
        (Fault::ChunkOverheadTooLong, _) => (Reason::ChunkOverheadTooLong, before.len() > MAX_CHUNK_OVERHEAD),
        _ => return None,
    };
    evidence.then_some(reason)
}

/// The reason why this server accepts a message that hyper refuses.
fn more_lenient(message: &Evidence<'_>) -> Option<Reason> {
    if matches!(message.version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) {
        return Some(Reason::HigherMinorVersion);
    }
    // In a list, hyper checks only the part behind the last comma.
    let (empty, codings): (Vec<&[u8]>, _) =
        message.elements("Transfer-Encoding").iter().partition(|coding| coding.is_empty());
    if !empty.is_empty() && matches!(codings[..], [coding] if is_chunked(coding)) {
        return Some(Reason::EmptyCodings);
    }
    let target = str::from_utf8(message.target).unwrap_or_default();
    if message.has_target_form() && target.bytes().all(|byte| byte.is_ascii_graphic()) && Uri::try_from(target).is_err()
    {
        return Some(Reason::TargetSyntax);
    }
    None
}

/// The reason why only one side keeps the connection open after `message`.
fn persistence(message: &Evidence<'_>) -> Option<Reason> {
    let values = message.values("Connection");
    values.iter().any(|value| !value.is_ascii()).then_some(Reason::ConnectionByte)
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}
