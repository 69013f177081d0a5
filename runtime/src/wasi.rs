//! The host and the sockets of WASI 0.2. WASI splits a single call of other systems: an operation is *started*, and *finished*
//! when its pollable is ready. Interfaces: `wasi:io/poll`, `wasi:io/streams`, `wasi:clocks`, `wasi:sockets/tcp`
//! (<https://github.com/WebAssembly/wasi-io>, <https://github.com/WebAssembly/wasi-clocks>,
//! <https://github.com/WebAssembly/wasi-sockets>).

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, SystemTime};

use ::wasi::clocks::{monotonic_clock, wall_clock};
use ::wasi::io::poll::{self, Pollable};
use ::wasi::io::streams::{InputStream, OutputStream, StreamError};
use ::wasi::sockets::instance_network::instance_network;
use ::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};
use ::wasi::sockets::tcp::{self, ShutdownType};
use ::wasi::sockets::tcp_create_socket::create_tcp_socket;

use crate::host::Host;
use crate::listener::{Listener, ListeningSocket};
use crate::reactor::Source;
use crate::runtime::Runtime;
use crate::stream::{Socket, Stream};

/// The host that this component runs in.
#[derive(Debug, Clone, Copy)]
pub struct Wasi;

impl Host for Wasi {
    type Pollable = Pollable;

    fn poll(&self, pollables: &[&Pollable]) -> Vec<u32> {
        poll::poll(pollables)
    }

    fn is_ready(&self, pollable: &Pollable) -> bool {
        pollable.ready()
    }

    fn now(&self) -> u64 {
        monotonic_clock::now()
    }

    fn alarm(&self, nanoseconds: u64) -> Pollable {
        monotonic_clock::subscribe_duration(nanoseconds)
    }

    fn wall_clock(&self) -> SystemTime {
        let now = wall_clock::now();
        SystemTime::UNIX_EPOCH + Duration::new(now.seconds, now.nanoseconds)
    }
}

/// The size of the send buffer for abandoned writes: the system's size before, and another 64 KiB for the rest of the largest
/// write, with the overhead of the system. Linux gives no more than `net.core.wmem_max`, which is 208 KiB by default.
const GROWN_SEND_BUFFER: u64 = 208 * 1024;

/// A TCP socket before listening or connecting, for its settings.
#[derive(Debug)]
pub struct TcpSocket(tcp::TcpSocket);

impl TcpSocket {
    /// A socket of the family of `address`.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): the system has no addresses of this family. Or the host has no socket left.
    pub fn for_address(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv6() { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 };
        Ok(TcpSocket(create_tcp_socket(family).map_err(kind)?))
    }

    /// Binds the socket to `address`.
    ///
    /// # Errors
    /// The host refuses the address: [`AddrInUse`](ErrorKind::AddrInUse), [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`AddrNotAvailable`](ErrorKind::AddrNotAvailable), and others.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.0.start_bind(&instance_network(), to_wasi(address)).map_err(kind)?;
        self.finish(tcp::TcpSocket::finish_bind)
    }

    /// The address that the socket is bound to: with the real port, if it was bound to port 0.
    ///
    /// # Errors
    /// The socket is not bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(local_address(&self.0)?)
    }

    /// Sets how many bytes that the peer has not read the system keeps for a connection. The connections of a listener inherit
    /// this size.
    ///
    /// # Errors
    /// The host cannot set the size.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        Ok(self.0.set_send_buffer_size(bytes.into()).map_err(kind)?)
    }

    /// Sets how many bytes that this program has not read the system keeps for a connection. The connections of a listener
    /// inherit this size.
    ///
    /// # Errors
    /// The host cannot set the size.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        Ok(self.0.set_receive_buffer_size(bytes.into()).map_err(kind)?)
    }

    /// Listens. The system keeps up to `backlog` connections pending, or fewer (`net.core.somaxconn` on Linux).
    ///
    /// # Errors
    /// The host cannot listen: [`AddrInUse`](ErrorKind::AddrInUse), and others.
    pub fn listen(self, backlog: u32) -> io::Result<Listener<Listening>> {
        self.0.set_listen_backlog_size(backlog.into()).map_err(kind)?;
        self.0.start_listen().map_err(kind)?;
        self.finish(tcp::TcpSocket::finish_listen)?;
        Ok(Listener::new(&Runtime::current(), Listening(self.0)))
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// The host cannot connect: [`ConnectionRefused`](ErrorKind::ConnectionRefused), and others.
    pub async fn connect(self, address: SocketAddr) -> io::Result<Stream<Connected>> {
        let runtime = Runtime::current();
        self.0.start_connect(&instance_network(), to_wasi(address)).map_err(kind)?;
        let (input, output) = loop {
            match self.0.finish_connect() {
                // The source is dropped before the socket that its pollable belongs to.
                Err(ErrorCode::WouldBlock) => Source::new(runtime.reactor(), self.0.subscribe()).ready().await,
                connected => break connected.map_err(kind)?,
            }
        };
        Ok(Stream::new(&runtime, Connected { input, output, socket: self.0 }))
    }

    /// Finishes a started operation, and blocks until it is done. Binding and listening take no time on any known host.
    fn finish(&self, operation: fn(&tcp::TcpSocket) -> Result<(), ErrorCode>) -> io::Result<()> {
        loop {
            match operation(&self.0) {
                Err(ErrorCode::WouldBlock) => self.0.subscribe().block(),
                result => return Ok(result.map_err(kind)?),
            }
        }
    }
}

/// A listening socket of WASI.
#[derive(Debug)]
pub struct Listening(tcp::TcpSocket);

impl ListeningSocket for Listening {
    type Socket = Connected;

    fn accept(&self) -> Result<Option<(Connected, SocketAddr)>, ErrorKind> {
        let connected = match self.0.accept() {
            Ok((socket, input, output)) => Connected { input, output, socket },
            Err(ErrorCode::WouldBlock) => return Ok(None),
            Err(code) => return Err(kind(code)),
        };
        // If the client has already closed the connection, it has no address.
        let address = connected.socket.remote_address().map_err(|_| ErrorKind::ConnectionAborted)?;
        Ok(Some((connected, from_wasi(address))))
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorKind> {
        local_address(&self.0)
    }

    fn acceptable(&self) -> Pollable {
        self.0.subscribe()
    }
}

/// A connected socket of WASI.
#[derive(Debug)]
pub struct Connected {
    // Children before their parent: a host traps if a socket is dropped before its streams.
    input: InputStream,
    output: OutputStream,
    socket: tcp::TcpSocket,
}

impl Socket for Connected {
    type Host = Wasi;

    fn read(&self, most: usize) -> Result<Option<Vec<u8>>, ErrorKind> {
        read(&self.input, most).map_err(|_| ErrorKind::ConnectionReset)
    }

    fn check_write(&self) -> Result<usize, ErrorKind> {
        permitted(&self.output).map_err(|_| ErrorKind::BrokenPipe)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), ErrorKind> {
        // To flush would do nothing: the host sends as soon as it can.
        self.output.write(bytes).map_err(|_| ErrorKind::BrokenPipe)
    }

    fn grow_send_buffer(&self) {
        // If the system cannot do this, nothing changes.
        let _ = self.socket.set_send_buffer_size(GROWN_SEND_BUFFER);
    }

    fn shutdown_write(&self) {
        // If this fails, the peer is gone.
        let _ = self.socket.shutdown(ShutdownType::Send);
    }

    fn readable(&self) -> Pollable {
        self.input.subscribe()
    }

    fn writable(&self) -> Pollable {
        self.output.subscribe()
    }
}

/// Reads bytes that have come: `None` if none have, and no bytes at the end.
pub(crate) fn read(stream: &InputStream, most: usize) -> Result<Option<Vec<u8>>, ErrorKind> {
    match stream.read(most as u64) {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
        Err(StreamError::Closed) => Ok(Some(Vec::new())),
        Err(StreamError::LastOperationFailed(_)) => Err(ErrorKind::Other),
    }
}

/// How many bytes may be written now.
pub(crate) fn permitted(stream: &OutputStream) -> Result<usize, StreamError> {
    Ok(usize::try_from(stream.check_write()?).unwrap_or(usize::MAX))
}

/// The kind of error of Rust's standard library for an error code of WASI. A kind has no text, so errors are free to copy and
/// drop, and a component has no code that formats unused texts.
fn kind(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::AccessDenied => ErrorKind::PermissionDenied,
        ErrorCode::NotSupported => ErrorKind::Unsupported,
        ErrorCode::InvalidArgument => ErrorKind::InvalidInput,
        ErrorCode::OutOfMemory => ErrorKind::OutOfMemory,
        ErrorCode::Timeout => ErrorKind::TimedOut,
        ErrorCode::WouldBlock => ErrorKind::WouldBlock,
        ErrorCode::NewSocketLimit => ErrorKind::QuotaExceeded,
        ErrorCode::AddressNotBindable => ErrorKind::AddrNotAvailable,
        ErrorCode::AddressInUse => ErrorKind::AddrInUse,
        ErrorCode::RemoteUnreachable => ErrorKind::HostUnreachable,
        ErrorCode::ConnectionRefused => ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionReset => ErrorKind::ConnectionReset,
        ErrorCode::ConnectionAborted => ErrorKind::ConnectionAborted,
        // Wasmtime reports a lack of file descriptors as `unknown`, because WASI has no code for it.
        _ => ErrorKind::Other,
    }
}

fn local_address(socket: &tcp::TcpSocket) -> Result<SocketAddr, ErrorKind> {
    socket.local_address().map(from_wasi).map_err(kind)
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: v4.ip().octets().into() })
        }
        SocketAddr::V6(v6) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: v6.port(),
            flow_info: v6.flowinfo(),
            address: v6.ip().segments().into(),
            scope_id: v6.scope_id(),
        }),
    }
}

fn from_wasi(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }) => (<[u8; 4]>::from(address), port).into(),
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info, address, scope_id }) => {
            SocketAddrV6::new(<[u16; 8]>::from(address).into(), port, flow_info, scope_id).into()
        }
    }
}
