//! A server to test.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::{HELLO, LAST_GET, Output, PATIENCE, Process, command, connect, connect_after_resets, read_all};

/// A running server, on a free port of the loopback addresses. It ends with the test.
pub struct Server {
    process: Process,
    /// The port of the server.
    pub port: u16,
    /// The line with the URL of the server.
    pub access: String,
    /// The lines that the server printed before the line with its URL.
    pub prelude: String,
}

impl Server {
    /// Starts a server with these options, and waits until it listens.
    pub fn start(options: &[&str]) -> Self {
        let options = [&["--port", "0"], options].concat();
        Server::launch(&mut command(&options))
    }

    /// Starts a server by this command, and waits until it listens.
    pub fn launch(command: &mut Command) -> Self {
        Server::listening(Process::start(command.stdin(Stdio::piped())))
    }

    /// The server that `process` is, which must listen soon.
    pub fn listening(process: Process) -> Self {
        // The second line is the one that wasmtime serve prints.
        let says = |line: &str| line.starts_with("Access http://") || line.starts_with("Serving HTTP on http://");
        let mut prelude = String::new();
        let access = loop {
            match process.stdout.recv_timeout(PATIENCE) {
                Ok(line) if says(&line) => break line,
                Ok(line) => prelude += &(line + "\n"),
                Err(_) => panic!("it did not start: {prelude}{:?}", process.finish()),
            }
        };
        let port = access.rsplit(':').next().and_then(|port| port.trim_end().trim_end_matches('/').parse().ok());
        Server { process, port: port.expect("a port"), access, prelude }
    }

    /// The address on which the server listens for IPv4.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Connects to the server.
    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Sends these bytes, and returns the response, until the server closes the connection.
    pub fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it reads");
        read_all(&mut stream)
    }

    /// Asserts that the server responds to a valid request.
    pub fn assert_serves(&self) {
        let reply = self.ask(LAST_GET);
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with(HELLO), "{reply}");
    }

    /// Asserts that clients that reset their connections before these are accepted delay no other client.
    pub fn assert_serves_after_resets(&self) {
        let mut stream = connect_after_resets(self.address());
        stream.write_all(LAST_GET).expect("send a request");
        assert!(read_all(&mut stream).ends_with(HELLO));
    }

    /// Asserts that the server responds to this many clients, each of which ends its body when all have begun.
    pub fn assert_serves_bodies(&self, clients: usize) {
        let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n1";
        let mut clients: Vec<_> = (0..clients).map(|_| self.connect()).collect();
        for client in &mut clients {
            client.write_all(head).expect("it reads");
        }
        for mut client in clients {
            client.write_all(b"2").expect("it reads");
            let reply = read_all(&mut client);
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        }
    }

    /// All lines that the server will print, for a reader in another thread.
    pub fn take_lines(&mut self) -> Receiver<String> {
        std::mem::replace(&mut self.process.stdout, channel().1)
    }

    /// Asks a server that was started by [`command`] with `--stop-when-stdin-closes` to stop, and waits for its end.
    /// Returns the same as [`wait`](Server::wait).
    pub fn stop(mut self) -> Output {
        self.process.ask_to_stop();
        self.wait()
    }

    /// Ends the standard input of the server.
    pub fn end_stdin(&mut self) {
        self.process.end_stdin();
    }

    /// Waits until the server ends by itself. Returns the output that was not read yet, and the exit status.
    pub fn wait(self) -> Output {
        self.process.wait()
    }

    /// Kills the server. Returns the same as [`wait`](Server::wait).
    pub fn finish(self) -> Output {
        self.process.finish()
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
