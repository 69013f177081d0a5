//! TCP sockets: from a new one to one that listens or is connected. `tcp.rs` has their functions as the contract names them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::{SocketError, SocketResult};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::bindings::wasi::sockets::tcp_create_socket;
use super::readiness::{Key, Readiness};
use super::{InputStream, OutputStream, View};

/// The length of the queue of a listener, unless the component sets it.
const BACKLOG: i32 = 128;

/// A TCP socket of the component.
pub struct TcpSocket {
    pub(super) family: IpAddressFamily,
    pub(super) state: State,
    /// The component has begun this, and has not asked for its end.
    pending: Option<Operation>,
    pub(super) backlog: i32,
}

/// How far a socket has come.
pub(super) enum State {
    New { socket: Socket, bound: bool },
    Listening(Key),
    Connecting(Key),
    Connected { key: Key, peer: SocketAddr },
    /// It could not be connected, and is of no use any more.
    Failed(ErrorCode),
}

/// What a component begins with one call, and ends with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Bind,
    Connect,
    Listen,
}

impl TcpSocket {
    fn new(family: IpAddressFamily) -> io::Result<Self> {
        let domain = if family == IpAddressFamily::Ipv4 { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(true)?;
        }
        Ok(TcpSocket::in_state(family, State::New { socket, bound: false }))
    }

    fn in_state(family: IpAddressFamily, state: State) -> Self {
        TcpSocket { family, state, pending: None, backlog: BACKLOG }
    }

    /// # Errors
    /// An operation has begun, and has not ended.
    fn idle(&self) -> SocketResult<()> {
        match self.pending {
            None => Ok(()),
            Some(_) => Err(ErrorCode::ConcurrencyConflict.into()),
        }
    }

    /// Ends `operation`.
    ///
    /// # Errors
    /// It has not begun.
    pub(super) fn finish(&mut self, operation: Operation) -> SocketResult<()> {
        match self.pending.take_if(|pending| *pending == operation) {
            Some(_) => Ok(()),
            None => Err(ErrorCode::NotInProgress.into()),
        }
    }

    /// Whether what the component waits for has happened. Only connecting and accepting take time.
    pub(super) fn is_ready(&self, readiness: &mut Readiness) -> bool {
        match (&self.state, self.pending) {
            (State::Connecting(key), _) => readiness.connection(*key).is_none_or(|connection| connection.has_connected()),
            (State::Listening(key), None) => readiness.listener(*key).is_none_or(|listener| listener.ready),
            _ => true,
        }
    }

    fn is_of_family(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => self.family == IpAddressFamily::Ipv4,
            // Neither an IPv4 address in the form of IPv6, nor the older form of one (RFC 4291 section 2.5.5.1).
            IpAddr::V6(ip) => {
                let is_old_form = ip.to_ipv4().is_some() && !ip.is_unspecified() && !ip.is_loopback();
                self.family == IpAddressFamily::Ipv6 && !is_old_form
            }
        }
    }

    /// Takes the state, to put a new one in its place.
    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Failed(ErrorCode::Unknown))
    }

    fn unspecified(&self) -> SocketAddr {
        match self.family {
            IpAddressFamily::Ipv4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
            IpAddressFamily::Ipv6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }
}

/// Whether `ip` belongs to one machine.
fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

/// The error of an accept. Linux reports here that the network has failed the new connection, as other systems do not.
fn not_accepted(error: &io::Error) -> ErrorCode {
    use io::ErrorKind::{ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable};
    match error.kind() {
        ConnectionReset | HostUnreachable | NetworkDown | NetworkUnreachable => ErrorCode::ConnectionAborted,
        _ => error.into(),
    }
}

/// A mistake of the sandbox: each socket has its source until it is dropped.
pub(super) fn lost() -> SocketError {
    SocketError::trap(wasmtime::format_err!("the source of a socket is gone"))
}

impl View<'_> {
    fn may(&self, address: SocketAddr, usage: SocketAddrUse) -> SocketResult<()> {
        match self.net.guard.allows(&self.net.grants, address, usage) {
            true => Ok(()),
            false => Err(ErrorCode::AccessDenied.into()),
        }
    }

    /// The two streams of a connection.
    fn streams(
        &mut self,
        socket: &Resource<TcpSocket>,
        key: Key,
    ) -> SocketResult<(Resource<InputStream>, Resource<OutputStream>)> {
        let input = self.table.push_child(InputStream::Tcp(key), socket)?;
        let output = self.table.push_child(OutputStream::Tcp(key), socket)?;
        Ok((input, output))
    }
}

impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for View<'_> {
    fn drop(&mut self, network: Resource<Network>) -> Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        Ok(self.table.push(TcpSocket::new(family)?)?)
    }
}

impl View<'_> {
    pub(super) fn bind(
        &mut self,
        this: &Resource<TcpSocket>,
        network: &Resource<Network>,
        address: SocketAddr,
    ) -> SocketResult<()> {
        // The network has nothing in it, but a call without one is a mistake of the component.
        self.table.get(network)?;
        let socket = self.table.get(this)?;
        socket.idle()?;
        if !matches!(socket.state, State::New { bound: false, .. }) {
            return Err(ErrorCode::InvalidState.into());
        }
        if !is_unicast(address.ip()) || !socket.is_of_family(address.ip()) {
            return Err(ErrorCode::InvalidArgument.into());
        }
        self.may(address, SocketAddrUse::TcpBind)?;
        let socket = self.table.get_mut(this)?;
        if let State::New { socket, bound } = &mut socket.state {
            // The port is free at once after a server has ended. Windows does that by itself, and means something else by the option.
            #[cfg(not(windows))]
            let _ = socket.set_reuse_address(true);
            socket.bind(&address.into())?;
            *bound = true;
        }
        socket.pending = Some(Operation::Bind);
        Ok(())
    }

    pub(super) fn listen(&mut self, this: &Resource<TcpSocket>) -> SocketResult<()> {
        let socket = self.table.get(this)?;
        socket.idle()?;
        let State::New { socket, bound: true } = &socket.state else {
            return Err(ErrorCode::InvalidState.into());
        };
        let address = socket.local_addr()?.as_socket().ok_or(ErrorCode::InvalidState)?;
        self.may(address, SocketAddrUse::TcpListen)?;
        let socket = self.table.get_mut(this)?;
        if let State::New { socket: new, .. } = &socket.state {
            new.listen(socket.backlog)?;
        }
        if let State::New { socket: new, .. } = socket.take() {
            let listener = mio::net::TcpListener::from_std(new.into());
            socket.state = State::Listening(self.net.readiness.listen(listener)?);
        }
        socket.pending = Some(Operation::Listen);
        Ok(())
    }

    pub(super) fn connect(
        &mut self,
        this: &Resource<TcpSocket>,
        network: &Resource<Network>,
        address: SocketAddr,
    ) -> SocketResult<()> {
        self.table.get(network)?;
        let socket = self.table.get(this)?;
        socket.idle()?;
        let State::New { bound, .. } = socket.state else {
            return Err(ErrorCode::InvalidState.into());
        };
        let is_somewhere = !address.ip().is_unspecified() && address.port() != 0;
        if !is_somewhere || !is_unicast(address.ip()) || !socket.is_of_family(address.ip()) {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let implied = if bound { Ok(()) } else { self.may(socket.unspecified(), SocketAddrUse::TcpBind) };
        let allowed = implied.and_then(|()| self.may(address, SocketAddrUse::TcpConnect));
        let socket = self.table.get_mut(this)?;
        if let State::New { socket: new, .. } = socket.take() {
            // A failure is reported at the end of connecting, as a refusal is.
            let begun = allowed.map_err(|_| ErrorCode::AccessDenied).and_then(|()| begin(new, address));
            let key = begun.and_then(|stream| Ok(self.net.readiness.connect(stream, true)?));
            socket.state = key.map_or_else(State::Failed, State::Connecting);
        }
        socket.pending = Some(Operation::Connect);
        Ok(())
    }

    pub(super) fn connected(
        &mut self,
        this: &Resource<TcpSocket>,
    ) -> SocketResult<(Resource<InputStream>, Resource<OutputStream>)> {
        let socket = self.table.get_mut(this)?;
        if socket.pending != Some(Operation::Connect) {
            return Err(ErrorCode::NotInProgress.into());
        }
        let key = match socket.state {
            State::Connecting(key) => key,
            State::Failed(code) => {
                socket.pending = None;
                return Err(code.into());
            }
            _ => return Err(ErrorCode::InvalidState.into()),
        };
        let connection = self.net.readiness.connection(key).ok_or_else(lost)?;
        let connected = connection.connected().ok_or(ErrorCode::WouldBlock)?;
        socket.pending = None;
        match connected {
            Ok(peer) => {
                socket.state = State::Connected { key, peer };
                self.streams(this, key)
            }
            Err(error) => {
                let code = ErrorCode::from(error);
                socket.state = State::Failed(code);
                self.net.readiness.close(key);
                Err(code.into())
            }
        }
    }

    pub(super) fn accept_one(
        &mut self,
        this: &Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<InputStream>, Resource<OutputStream>)> {
        let socket = self.table.get(this)?;
        let (family, State::Listening(key)) = (socket.family, &socket.state) else {
            return Err(ErrorCode::InvalidState.into());
        };
        let listener = self.net.readiness.listener(*key).ok_or_else(lost)?;
        let (stream, peer) = loop {
            match listener.socket.accept() {
                Ok(accepted) => break accepted,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    listener.ready = error.kind() != io::ErrorKind::WouldBlock;
                    return Err(not_accepted(&error).into());
                }
            }
        };
        let key = self.net.readiness.connect(stream, false)?;
        let accepted = self.table.push(TcpSocket::in_state(family, State::Connected { key, peer }))?;
        let (input, output) = self.streams(&accepted, key)?;
        Ok((accepted, input, output))
    }
}

/// Begins to connect.
fn begin(socket: Socket, address: SocketAddr) -> Result<mio::net::TcpStream, ErrorCode> {
    match socket.connect(&address.into()) {
        Ok(()) => {}
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    Ok(mio::net::TcpStream::from_std(socket.into()))
}
