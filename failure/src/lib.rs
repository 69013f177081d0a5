//! The errors of every program here: one line of cause, one line of advice, an exit code. And the words that several programs
//! share: about the value of an option ([`option`]), and about the address of a server ([`place`]).
//!
//! A [`Failure`] travels to `main` inside an [`anyhow::Error`], and `main` prints its [`report`] once. Text from outside, such
//! as the name of a file, goes into a message as it is: whatever prints a message [escapes](escape) it there.
//!
//! ```
//! use hello_failure::{Failure, report};
//!
//! fn read(path: &str) -> anyhow::Result<String> {
//!     std::fs::read_to_string(path)
//!         .map_err(|_| Failure::new(format!("cannot read {path}"), "give the path of a text file").into())
//! }
//!
//! let error = read("no\x1b[31m such file").expect_err("there is no such file");
//! let report = report("example", &error);
//! assert_eq!(report.text, "example: cannot read no\\u{1b}[31m such file\n  give the path of a text file\n");
//! assert_eq!(report.code, 1);
//! ```

pub mod option;
pub mod place;

use std::error::Error;
use std::fmt;

/// A failure of a program: its cause and an advice, for the person at the terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    cause: String,
    advice: String,
    details: String,
    code: u8,
}

impl Failure {
    /// A failure with a cause and an advice, in one line each. The exit code is 1.
    pub fn new(cause: impl Into<String>, advice: impl Into<String>) -> Self {
        Failure { cause: cause.into(), advice: advice.into(), details: String::new(), code: 1 }
    }

    /// The failure, with lines to be printed below its advice: details that few readers need, such as the place in the code.
    pub fn with_details(self, details: impl Into<String>) -> Self {
        Failure { details: details.into(), ..self }
    }

    /// A mistake in the command line. The exit code is 2. `advice` may be empty: then only the cause is printed.
    pub fn usage(cause: impl Into<String>, advice: impl Into<String>) -> Self {
        Failure { code: 2, ..Failure::new(cause, advice) }
    }

    /// A mistake in the command line that `--help` explains. The exit code is 2.
    pub fn see_help(cause: impl fmt::Display) -> Self {
        Failure::usage(format!("{cause}; see --help"), "")
    }
}

/// A mistake in the command line, in the words of lexopt, with two exceptions: an error of [`option`], and a value of an option
/// that takes none. These name the option first, and then the value.
impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure::see_help(match error {
            lexopt::Error::ParsingFailed { value, error } => format!("{error}, not {value:?}"),
            lexopt::Error::UnexpectedValue { option, value } => format!("{option} takes no value, but has {value:?}"),
            other => other.to_string(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

/// As [`fmt::Display`]: a derived implementation is larger than the rest of this crate.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {}

/// The text and the exit code with which `main` ends after an error; see [`report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The lines for standard error.
    pub text: String,
    /// The exit code: 2 for a mistake in the command line, 1 for everything else.
    pub code: u8,
}

/// The report of `program`: the causes of `error` in one line, the advice and the details of the [`Failure`] in it, and the
/// exit code.
pub fn report(program: &str, error: &anyhow::Error) -> Report {
    let cause = format!("{error:#}");
    let Some(Failure { advice, details, code, .. }) = error.downcast_ref() else {
        return Report { text: lines(program, &cause, ""), code: 1 };
    };
    let details: String = details.split_terminator('\n').map(|line| escape(line) + "\n").collect();
    Report { text: lines(program, &cause, advice) + &details, code: *code }
}

/// A message of two lines: the program and the cause, then the advice. Without advice the message is one line. Both lines are
/// [escaped](escape).
pub fn lines(label: &str, cause: &str, advice: &str) -> String {
    let mut text = format!("{label}: {}\n", escape(cause));
    if !advice.is_empty() {
        text += &format!("  {}\n", escape(advice));
    }
    text
}

/// Escapes the characters of `text` that a terminal would obey: control characters, line ends among them, and characters that
/// change the direction of text, are written as Rust writes them (`\n`, `\u{1b}`). All others stay, quotes and backslashes too.
pub fn escape(text: &str) -> String {
    const PLAIN: [char; 3] = ['"', '\'', '\\'];
    let mut escaped = String::with_capacity(text.len());
    for piece in text.split_inclusive(PLAIN) {
        let plain = piece.trim_end_matches(PLAIN);
        escaped.extend(plain.escape_debug());
        escaped.push_str(&piece[plain.len()..]);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn text_stays_and_what_a_terminal_would_obey_does_not() {
        for (text, escaped) in [
            (r#"it's "C:\Temp\José" №1 日本語"#, r#"it's "C:\Temp\José" №1 日本語"#),
            ("e\u{301}", "e\u{301}"),
            ("\x1b[31mred\x07\n", "\\u{1b}[31mred\\u{7}\\n"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2028}", "a\\u{202e}b\\u{2028}"),
            ("\"\x1b'\\\x7f", "\"\\u{1b}'\\\\u{7f}"),
            ("", ""),
        ] {
            assert_eq!(escape(text), escaped, "{text:?}");
        }
    }

    #[test]
    fn a_failure_has_a_cause_and_an_advice_and_a_usage_error_exits_with_2() {
        let said = |error: anyhow::Error| {
            let Report { text, code } = report("program", &error);
            (text, code)
        };
        assert_eq!(said(Failure::new("cause", "advice").into()), ("program: cause\n  advice\n".into(), 1));
        assert_eq!(said(Failure::usage("cause", "").into()), ("program: cause\n".into(), 2));
        assert_eq!(said(anyhow::anyhow!("cause")), ("program: cause\n".into(), 1));
        let detailed = Failure::new("cause", "advice").with_details("one\r\n  t\x1bwo\n");
        assert_eq!(said(detailed.into()), ("program: cause\n  advice\none\\r\n  t\\u{1b}wo\n".into(), 1));
    }

    #[test]
    fn a_wrong_value_is_reported_with_its_option_and_what_the_option_takes() {
        let read = |value: &str| option::parse(value.as_ref(), option::number("--port", 0..=65_535));
        assert_eq!(read("80").expect("a port"), 80);
        for value in ["65536", "-1", "", "x"] {
            let error = Failure::from(read(value).expect_err(value));
            let said = format!("program: --port takes a whole number from 0 to 65535, not {value:?}; see --help\n");
            assert_eq!(report("program", &error.into()), Report { text: said, code: 2 });
        }
        let error = Failure::from(lexopt::Error::MissingValue { option: Some("--port".into()) });
        let said = "program: missing argument for option '--port'; see --help\n";
        assert_eq!(report("program", &error.into()), Report { text: said.into(), code: 2 });
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_unicode_is_told_with_its_option_like_any_other_wrong_value() {
        use std::os::unix::ffi::OsStrExt as _;
        let value = std::ffi::OsStr::from_bytes(b"80\xff");
        let errors = [
            option::parse(value, option::number("--port", 0..=65_535)).expect_err("no number"),
            option::parse(value, option::seconds("--grace", 0)).expect_err("no time"),
            option::parse(value, option::address("--listen")).expect_err("no address"),
        ];
        for (error, option) in errors.into_iter().zip(["--port", "--grace", "--listen"]) {
            let said = Failure::from(error).to_string();
            assert!(said.starts_with(&format!("{option} takes ")), "{said}");
            assert!(said.ends_with(", not \"80\u{fffd}\"; see --help"), "{said}");
        }
    }

    #[test]
    fn a_value_of_an_option_that_takes_none_is_told_with_the_option() {
        let mut parser = lexopt::Parser::from_args(["--quiet=\x1b"]);
        parser.next().expect("an option");
        let error = Failure::from(parser.next().expect_err("a value"));
        assert_eq!(error.to_string(), r#"--quiet takes no value, but has "\u{1b}"; see --help"#);
    }

    #[test]
    fn the_failed_action_is_printed_before_the_cause() {
        let error = Err::<(), _>(Failure::usage("cause", "advice")).context("step").expect_err("it failed");
        assert_eq!(report("program", &error), Report { text: "program: step: cause\n  advice\n".into(), code: 2 });
    }
}
