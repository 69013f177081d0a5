//! Finds the values that a log does not show: fields that could log anyone in as their owner.

use crate::http::is_token;

/// The fields whose values are masked.
const SECRETS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Where in a line the secret part begins, which goes to the end of the line; `None` if all of the line may be shown.
///
/// A carriage return alone ends no line, but its sender may think that it does. The byte behind the name may be a colon, or, by
/// mistake, any other byte that does not belong to a name.
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
