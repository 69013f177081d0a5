//! Sockets: create, bind, listen, accept, read, write, shut down.
//!
//! This is the telephone. WASI splits what other systems do in one call: an operation is *started*, and *finished* when
//! its pollable is ready. Interfaces: `wasi:sockets/tcp`, `wasi:io/streams`
//! (<https://github.com/WebAssembly/wasi-sockets>, <https://github.com/WebAssembly/wasi-io>).

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::rc::Rc;

use ::wasi::io::poll::{self, Pollable};
use ::wasi::io::streams::{InputStream, OutputStream, StreamError};
use ::wasi::sockets::instance_network::instance_network;
pub use ::wasi::sockets::network::ErrorCode;
use ::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};
use ::wasi::sockets::tcp::{ShutdownType, TcpSocket};
use ::wasi::sockets::tcp_create_socket::create_tcp_socket;

use super::host::{Host, Wasi};
use super::reactor::{Reactor, Source};
use super::stream::{ReadError, Socket, Stream};
use crate::server::{self, Call, Event, Gone, Observer};

/// How many nanoseconds it takes to see that nobody calls.
const LOOK: u64 = 1_000_000;

/// How many bytes the system keeps for a connection, in each direction: of what the peer has not read yet, and of what it has
/// sent and is not read yet. Left alone it makes that several MiB for who is fast at first, which ten thousand peers could
/// have it do. Default is 64 KiB, and there is no option for it.
const BUFFER: u64 = 64 * 1024;

/// How many it is asked to keep of what a peer does not read that has been given up: what was kept before, and all that may
/// be on its way, which is another 64 KiB, with what the system needs around it. Linux gives no more than
/// `net.core.wmem_max`, which is 208 KiB unless somebody has changed it.
const LAST_BUFFER: u64 = 208 * 1024;

/// A socket that callers come in at.
#[derive(Debug)]
pub struct Listener {
    // Children before their parent: a host traps when a socket is dropped before what belongs to it.
    ready: Source<Wasi>,
    socket: TcpSocket,
    asked_for: SocketAddr,
    reactor: Rc<Reactor<Wasi>>,
}

/// Why a listener could not be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ListenError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the host said.
    pub code: ErrorCode,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenError { address, code } = self;
        match code {
            ErrorCode::AddressInUse => write!(f, "port {} is already in use", address.port()),
            ErrorCode::AccessDenied if (1..1024).contains(&address.port()) => {
                write!(f, "this program may not listen on port {}", address.port())
            }
            ErrorCode::AccessDenied => {
                write!(f, "the sandbox does not let this program listen on {address}, or the system does not")
            }
            _ if self.address.ip().is_loopback() && self.is_family_missing() => {
                write!(f, "this machine has no IPv6")
            }
            ErrorCode::InvalidArgument => write!(f, "{address} is no address that a server can listen on"),
            ErrorCode::AddressNotBindable => {
                write!(f, "{} is not an address of this machine", address.ip())
            }
            other => write!(f, "cannot listen on {address}: {}", other.name()),
        }
    }
}

impl ListenError {
    /// Whether the machine has no address of this kind at all: it was built, or told, to do without IPv6.
    pub fn is_family_missing(&self) -> bool {
        self.address.is_ipv6() && matches!(self.code, ErrorCode::NotSupported | ErrorCode::AddressNotBindable)
    }
}

impl Listener {
    /// Gets a telephone, gives it a number, and has up to `backlog` callers held in line.
    ///
    /// IPv6 sockets of WASI take IPv6 callers only: "localhost" needs two listeners. The host sets `SO_REUSEADDR`, so
    /// the connections of a server that has just ended do not keep the next one from the port.
    ///
    /// Each step is reported to `observer`.
    ///
    /// # Errors
    /// What the host said about the address.
    pub fn listen(
        reactor: &Rc<Reactor<Wasi>>,
        address: SocketAddr,
        backlog: u64,
        observer: &impl Observer,
    ) -> Result<Self, ListenError> {
        let family = match address.ip() {
            IpAddr::V4(_) => IpAddressFamily::Ipv4,
            IpAddr::V6(_) => IpAddressFamily::Ipv6,
        };
        let listen = || {
            let socket = create_tcp_socket(family)?;
            observer.observe(Event::SocketMade(address));
            socket.start_bind(&instance_network(), to_wasi(address))?;
            finish(&socket, TcpSocket::finish_bind)?;
            let address = from_wasi(socket.local_address()?);
            observer.observe(Event::Bound(address));
            socket.set_listen_backlog_size(backlog)?;
            // Those who are picked up inherit it. A host that cannot do it leaves it to its system.
            let _ = socket.set_send_buffer_size(BUFFER);
            let _ = socket.set_receive_buffer_size(BUFFER);
            socket.start_listen()?;
            finish(&socket, TcpSocket::finish_listen)?;
            observer.observe(Event::Listening { address, backlog });
            Ok(Listener {
                ready: Source::new(reactor, socket.subscribe()),
                socket,
                asked_for: address,
                reactor: Rc::clone(reactor),
            })
        };
        listen().map_err(|code| ListenError { address, code })
    }

    /// Where it listens: with the real port, when it was asked for port 0.
    ///
    /// # Errors
    /// What the host said.
    pub fn address(&self) -> Result<SocketAddr, ListenError> {
        let address = self.socket.local_address().map(from_wasi);
        address.map_err(|code| ListenError { address: self.asked_for, code })
    }
}

/// Waits for an operation of `socket` that was started.
fn finish(socket: &TcpSocket, operation: impl Fn(&TcpSocket) -> Result<(), ErrorCode>) -> Result<(), ErrorCode> {
    loop {
        match operation(socket) {
            Err(ErrorCode::WouldBlock) => _ = poll::poll(&[&socket.subscribe()]),
            result => return result,
        }
    }
}

impl server::Listener for Listener {
    type Stream = Stream<Connection>;

    fn accept(&mut self) -> Result<Call<Self::Stream>, String> {
        let accepted = match self.socket.accept() {
            // Perhaps only the host's budget is spent; see `reactor.rs`.
            Err(ErrorCode::WouldBlock) => {
                self.reactor.refresh();
                self.socket.accept()
            }
            accepted => accepted,
        };
        let (socket, input, output) = match accepted {
            Ok(accepted) => accepted,
            Err(ErrorCode::WouldBlock) => return Ok(Call::None),
            Err(ErrorCode::ConnectionAborted) => return Ok(Call::Gone),
            // No more descriptors arrives as `unknown`, because WASI has no code for it.
            Err(ErrorCode::Unknown) => {
                return Err("the system has no room for another connection".into());
            }
            Err(code) => return Err(code.name().into()),
        };
        let connection = Connection { input, output, socket };
        // Who has gone already has no address any more.
        Ok(match connection.socket.remote_address() {
            Ok(peer) => Call::From(Stream::new(&self.reactor, connection), from_wasi(peer)),
            Err(_) => Call::Gone,
        })
    }

    async fn ready(&mut self) {
        self.ready.ready().await;
    }

    fn look(&mut self) -> bool {
        // To wait makes the host ask the system, and its budget fresh (see `reactor.rs`).
        let ready = poll::poll(&[&self.socket.subscribe(), &Wasi.alarm(LOOK)]);
        ready.contains(&0)
    }
}

/// A call that was picked up.
#[derive(Debug)]
pub struct Connection {
    // Children before their parent, as above.
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

impl Socket for Connection {
    type Host = Wasi;

    fn read(&self, most: usize) -> Result<Vec<u8>, ReadError> {
        self.input.read(most as u64).map_err(|error| match error {
            StreamError::Closed => ReadError::Finished,
            StreamError::LastOperationFailed(_) => ReadError::Gone,
        })
    }

    fn check_write(&self) -> Result<usize, Gone> {
        let permitted = self.output.check_write().map_err(|_| Gone)?;
        Ok(usize::try_from(permitted).unwrap_or(usize::MAX))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Gone> {
        // To flush would do nothing: the host sends as soon as it can.
        self.output.write(bytes).map_err(|_| Gone)
    }

    fn make_room(&self) {
        // A system that will not leaves everything as it is.
        let _ = self.socket.set_send_buffer_size(LAST_BUFFER);
    }

    fn shut_down(&self) {
        // Who cannot be told is gone, and knows.
        let _ = self.socket.shutdown(ShutdownType::Send);
    }

    fn readable(&self) -> Pollable {
        self.input.subscribe()
    }

    fn writable(&self) -> Pollable {
        self.output.subscribe()
    }
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(address) => {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: address.ip().octets().into() })
        }
        SocketAddr::V6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: address.port(),
            flow_info: address.flowinfo(),
            address: address.ip().segments().into(),
            scope_id: address.scope_id(),
        }),
    }
}

fn from_wasi(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(address) => SocketAddr::new(<[u8; 4]>::from(address.address).into(), address.port),
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info, address, scope_id }) => {
            SocketAddrV6::new(<[u16; 8]>::from(address).into(), port, flow_info, scope_id).into()
        }
    }
}
