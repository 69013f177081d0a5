//! What a log does not show: the values of fields with which their owner is let in.

use crate::http::is_token;

/// The fields whose values are masked.
const SECRETS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Where in a line a value begins that is not to be shown, and with it everything behind that; `None` if all of it may be shown.
///
/// A carriage return alone ends no line, but its sender may think that it does. What stands behind the name may be a colon, or, by
/// mistake, anything else that does not belong to a name.
pub(super) fn secret(line: &[u8]) -> Option<usize> {
    let mut start = 0;
    for part in line.split(|&byte| byte == b'\r') {
        let part_start = start + part.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let name = line[part_start..].iter().take_while(|&&byte| is_token(byte)).count();
        let end = part_start + name;
        if SECRETS.iter().any(|secret| secret.as_bytes().eq_ignore_ascii_case(&line[part_start..end])) {
            return Some(end + usize::from(line.get(end) == Some(&b':')));
        }
        start += part.len() + 1;
    }
    None
}
