//! From the launch of a server to its first answer. hyperfine runs this again and again, and knows about medians.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use crate::Failure;

/// Starts `-- COMMAND`, waits until it prints where it listens, asks it once, and ends it.
pub(crate) fn run(words: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let words: Vec<OsString> = words.skip_while(|word| word == "--").collect();
    let Some((program, arguments)) = words.split_first() else {
        return Err(lexopt::Error::from("first-answer -- COMMAND: which command?").into());
    };
    let failure = |error| Failure::new(format!("no first answer: {error}"), "run the command by hand to see why");
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failure)?;
    let answer = child.stdout.take().map_or(Ok(()), |stdout| {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        stream.read_exact(&mut [0; 17])
    });
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    answer.map_err(failure)
}
