//! Connections on which nothing happens: idle ones, each of which has received one response, and those of clients that never read.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use crate::Failure;
use crate::server::{self, Server};

/// The number of idle connections.
pub(crate) const IDLE: u32 = 5000;

/// The time that the clients and the server are quiet before the cost is measured.
const SETTLE: Duration = Duration::from_millis(500);

/// The time over which the cost is measured.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// The number of clients that never read. Each sends up to a megabyte until the server waits, and the timeout of the server must not
/// pass meanwhile.
pub(crate) const DEAF: u32 = 20;

/// The bytes that the system may keep for a client that never reads, and for what it sends: few, so that the server cannot go on soon.
const SMALL: usize = 8 * 1024;

/// How often no client may send any more until the server counts as waiting for them, and the pause before each try.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// How long that may take: less than the timeouts of the servers for a write.
const ENOUGH: Duration = Duration::from_secs(20);

/// The cost of connections on which nothing happens, for the server.
pub(crate) struct Quiet {
    /// The memory of the server, in MiB.
    pub(crate) memory: f64,
    /// The memory of each connection, in KiB.
    pub(crate) each: f64,
    /// The use of a processor, in percent.
    pub(crate) busy: f64,
}

/// Opens [`IDLE`] connections, and receives one response on each.
pub(crate) fn call(server: &mut Server, port: u16) -> Result<Vec<TcpStream>, Failure> {
    let one = |_| {
        let mut stream = server.ask(port)?;
        server::answer(&mut stream).map_err(|error| server.silent(&error))?;
        Ok(stream)
    };
    (0..IDLE).map(one).collect()
}

/// Opens [`DEAF`] connections, and sends requests on each, without reading a response, until the server reads no more of them.
pub(crate) fn call_and_never_read(server: &mut Server, port: u16) -> Result<Vec<TcpStream>, Failure> {
    let mut streams = Vec::new();
    for _ in 0..DEAF {
        let stream = server.ask(port)?;
        let prepared = set_socket_recv_buffer_size(&stream, SMALL)
            .and_then(|()| set_socket_send_buffer_size(&stream, SMALL))
            .map_err(io::Error::from)
            .and_then(|()| stream.set_nonblocking(true));
        prepared.map_err(|error| server.silent(&error))?;
        streams.push(stream);
    }
    let requests = server::REQUEST.repeat(1000);
    let (begin, mut refused) = (Instant::now(), 0);
    // How much of `requests` each client has sent: the next write goes on there, perhaps in the middle of a request.
    let mut sent = vec![0; streams.len()];
    while refused < TRIES {
        refused += 1;
        for (stream, sent) in streams.iter_mut().zip(&mut sent) {
            match stream.write(&requests[*sent..]) {
                Ok(length) => (*sent, refused) = ((*sent + length) % requests.len(), 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(server.silent(&error)),
            }
        }
        if begin.elapsed() > ENOUGH {
            let cause = format!("it reads on for {} s from clients that never read", ENOUGH.as_secs());
            return Err(Failure(cause, "give it a machine without other work"));
        }
        thread::sleep(PAUSE);
    }
    Ok(streams)
}

/// Watches the server while no client sends anything. Before the `connections` it had `before` MiB of memory.
pub(crate) fn watch(server: &Server, before: f64, connections: usize) -> Result<Quiet, Failure> {
    thread::sleep(SETTLE);
    let (begin, used) = (Instant::now(), server.busy()?);
    thread::sleep(QUIET);
    let busy = (server.busy()? - used) / begin.elapsed().as_secs_f64() * 100.0;
    let memory = server.memory()?;
    Ok(Quiet { memory, each: (memory - before) * 1024.0 / connections as f64, busy })
}

/// Fails if the server has closed one of the connections: it would have had less work than the other servers. On idle connections
/// nothing has come; on the others there are `responses`.
pub(crate) fn check(streams: &[TcpStream], responses: bool) -> Result<(), Failure> {
    let still_there = |stream: &&TcpStream| {
        let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        match peeked {
            Ok(length) => responses && length > 0,
            Err(error) => !responses && error.kind() == io::ErrorKind::WouldBlock,
        }
    };
    match streams.len() - streams.iter().filter(still_there).count() {
        0 => Ok(()),
        gone => Err(Failure(
            format!("it closed {gone} of {} connections on which nothing happened", streams.len()),
            "turns have to be shorter than its timeouts: lower --seconds",
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
        assert!(check(&streams, false).is_ok());
        drop(dropped);
        // At the end of the connection the stream is readable, and a read returns 0 bytes.
        streams[1].set_nonblocking(false).unwrap();
        assert_eq!(streams[1].peek(&mut [0]).unwrap(), 0);
        assert!(check(&streams, false).unwrap_err().0.contains("1 of 2"));
        drop(kept);
    }

    #[test]
    fn a_client_that_never_reads_has_a_response_to_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let streams = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let mut accepted = [(); 2].map(|()| listener.accept().unwrap().0);
        accepted[0].write_all(b"x").unwrap();
        assert_eq!(streams[0].peek(&mut [0]).unwrap(), 1);
        assert!(check(&streams, true).unwrap_err().0.contains("1 of 2"));
        assert!(check(&streams[..1], true).is_ok());
    }
}
