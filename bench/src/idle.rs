//! Idle connections: each has received one response, and sends nothing more.

use std::net::TcpStream;
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::Failure;
use crate::server::{self, Server};

/// The number of idle connections.
pub(crate) const IDLE: u32 = 5000;

/// The time that the clients and the server are quiet before the cost is measured.
const SETTLE: Duration = Duration::from_millis(500);

/// The time over which the cost is measured.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// The cost of the idle connections for the server.
pub(crate) struct Quiet {
    /// The memory of the server, in MiB.
    pub(crate) memory: f64,
    /// The use of a processor, in percent.
    pub(crate) busy: f64,
}

/// Opens this many connections, and receives one response on each.
pub(crate) fn call(server: &mut Server, port: u16) -> Result<Vec<TcpStream>, Failure> {
    let one = |_| {
        let mut stream = server.ask(port)?;
        server::answer(&mut stream).map_err(|error| server.silent(&error))?;
        Ok(stream)
    };
    (0..IDLE).map(one).collect()
}

/// Watches the server while no client sends anything.
pub(crate) fn watch(server: &Server) -> Result<Quiet, Failure> {
    thread::sleep(SETTLE);
    let (begin, before) = (Instant::now(), server.busy()?);
    thread::sleep(QUIET);
    let busy = (server.busy()? - before) / begin.elapsed().as_secs_f64() * 100.0;
    Ok(Quiet { memory: server.memory()?, busy })
}

/// Fails if the server has closed one of the connections: it would have had less work than the other servers.
pub(crate) fn check(streams: &[TcpStream]) -> Result<(), Failure> {
    let still_there = |stream: &&TcpStream| {
        let heard = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    match streams.len() - streams.iter().filter(still_there).count() {
        0 => Ok(()),
        gone => Err(Failure(
            format!("it hung up on {gone} of {} idle connections", streams.len()),
            "turns have to be shorter than its patience with them: lower --seconds",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_connection_that_the_server_has_closed_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let streams = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (kept, _) = listener.accept().unwrap();
        let (dropped, _) = listener.accept().unwrap();
        assert!(check(&streams).is_ok());
        drop(dropped);
        // At the end of the connection the stream is readable, and a read returns 0 bytes.
        streams[1].set_nonblocking(false).unwrap();
        assert_eq!(streams[1].peek(&mut [0]).unwrap(), 0);
        assert!(check(&streams).unwrap_err().0.contains("1 of 2"));
        drop(kept);
    }
}
