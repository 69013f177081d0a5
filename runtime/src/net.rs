//! TCP: listen, accept, connect, read, write, close.

use std::io;
use std::net::SocketAddr;

pub use crate::wasi::TcpSocket;
use crate::wasi::{Connected, Listening};
use crate::{Listener, Stream};

/// A listener for TCP connections. See [`Listener`] for its methods.
pub type TcpListener = Listener<Listening>;

/// A TCP connection. See [`Stream`] for its methods.
pub type TcpStream = Stream<Connected>;

/// How many connections the system keeps pending for a listener by default.
const BACKLOG: u32 = 1024;

impl TcpListener {
    /// Listens on `address`, with a backlog of 1024 connections. Port 0 takes a free port.
    ///
    /// An IPv6 socket of WASI takes IPv6 connections only: `localhost` needs two listeners. The host sets `SO_REUSEADDR`, so the
    /// connections of a program that has just ended do not keep the port from the next program.
    ///
    /// # Errors
    /// The host cannot listen there; the [kind](io::Error::kind) is that of the standard library.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::for_address(address)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }
}

impl TcpStream {
    /// Connects to `address`.
    ///
    /// # Errors
    /// The host cannot connect; the [kind](io::Error::kind) is that of the standard library.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        TcpSocket::for_address(address)?.connect(address).await
    }
}
