//! What a TCP socket does that takes a question to the grants, or more than a call: bind, listen, connect, accept. `tcp.rs` has the
//! functions as the contract names them.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use socket2::Socket;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Network};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::readiness::Key;
use super::sockets::{Operation, State, TcpSocket, is_unicast, lost};
use super::{InputStream, Net, OutputStream, View};

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
        let Net { listeners, loans, grants, .. } = &mut *self.net;
        let may_listen = grants.check(address, SocketAddrUse::TcpListen).is_ok();
        let socket = self.table.get_mut(this)?;
        if let State::New { socket: new, bound } = &mut socket.state {
            let bind = listeners.bind(new, address, may_listen, loans);
            socket.loan = bind.map_err(|error| not_bound(&error))?;
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
            socket.state = State::Listening(self.net.readiness.listen(listener, self.net.listeners.counts())?);
            self.net.turns.note_listening();
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
        if socket.loan.is_some() {
            // The socket listens for others as well.
            return Err(ErrorCode::InvalidState.into());
        }
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
        let (stream, peer) = listener.accept().map_err(|error| not_accepted(&error))?;
        #[cfg(target_os = "macos")]
        super::options::inherit((&listener.socket).into(), (&stream).into(), family);
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
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    Ok(mio::net::TcpStream::from_std(socket.into()))
}

/// The error of an accept. Linux reports here that the network has failed the new connection, as other systems do not.
fn not_accepted(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        #[cfg(target_os = "linux")]
        Some(
            Errno::CONNRESET
            | Errno::NETRESET
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::NONET
            | Errno::OPNOTSUPP,
        ) => ErrorCode::ConnectionAborted,
        _ => error.into(),
    }
}

/// The error of a bind. Windows has no room in its buffers when all ports are taken.
fn not_bound(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        #[cfg(windows)]
        Some(Errno::NOBUFS) => ErrorCode::AddressInUse,
        Some(Errno::AFNOSUPPORT) => ErrorCode::InvalidArgument,
        _ => error.into(),
    }
}
