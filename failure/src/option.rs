//! Values of options: each function here reads one, for [`parse`]. Its error names the option and the values that the option
//! takes; a [`Failure`](super::Failure) made of the error also names the given value.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads `value` with one of the functions here, as [`lexopt::ValueExt::parse_with`] does. But `read` also refuses a value that
/// is not Unicode, so the error names the option then, too: no option takes a value with a replacement character.
///
/// # Errors
/// The error of `read`, with the value.
pub fn parse<T>(value: &OsStr, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, lexopt::Error> {
    let value = value.to_string_lossy();
    read(&value).map_err(|error| lexopt::Error::ParsingFailed { value: value.into_owned(), error: error.into() })
}

/// Reads a whole number in `range`.
pub fn number(option: &str, range: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<u64, String> {
    move |text| read_number(option, &range, text)
}

/// Reads a time: whole seconds, up to a day.
pub fn seconds(option: &str, least: u64) -> impl FnOnce(&str) -> Result<Duration, String> {
    move |text| read_number(option, &(least..=86_400), text).map(Duration::from_secs)
}

fn read_number(option: &str, range: &RangeInclusive<u64>, text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{option} takes a whole number from {} to {}", range.start(), range.end()))
}

/// Reads an address and a port.
pub fn address(option: &str) -> impl FnOnce(&str) -> Result<SocketAddr, String> {
    move |text| {
        let takes = "takes an address and a port, such as 127.0.0.1:9000 or [::1]:9000";
        text.parse().map_err(|_| format!("{option} {takes}"))
    }
}
