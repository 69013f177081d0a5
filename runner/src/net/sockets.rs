//! A TCP socket: how far it has come, and the addresses that it takes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::{SocketError, SocketResult};

use super::View;
use super::bindings::wasi::sockets::tcp_create_socket;
use super::listeners::Loan;
use super::readiness::{Key, Readiness};

/// The length of the queue of a listener, unless the component sets it.
const BACKLOG: i32 = 128;

/// A TCP socket of the component.
pub struct TcpSocket {
    pub(super) family: IpAddressFamily,
    pub(super) state: State,
    /// The component has begun this, and has not asked for its end.
    pub(super) pending: Option<Operation>,
    pub(super) backlog: i32,
    /// Set if it is a clone of one that [others](super::Listeners) have, too.
    pub(super) loan: Option<Loan>,
}

/// How far a socket has come.
pub(super) enum State {
    New {
        socket: Socket,
        bound: bool,
    },
    Listening(Key),
    Connecting(Key),
    Connected {
        key: Key,
        peer: SocketAddr,
    },
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

    pub(super) fn in_state(family: IpAddressFamily, state: State) -> Self {
        TcpSocket { family, state, pending: None, backlog: BACKLOG, loan: None }
    }

    /// # Errors
    /// An operation has begun, and has not ended.
    pub(super) fn idle(&self) -> SocketResult<()> {
        match self.pending {
            None => Ok(()),
            Some(_) => Err(ErrorCode::ConcurrencyConflict.into()),
        }
    }

    /// The error of a call that this state does not allow. A failure to connect is told only at the end of connecting.
    pub(super) fn refusal(&self) -> ErrorCode {
        match self.state {
            State::Failed(code) if self.pending.is_none() => code,
            _ => ErrorCode::InvalidState,
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
            (State::Connecting(key), _) => {
                readiness.connection(*key).is_none_or(|connection| connection.has_connected())
            }
            (State::Listening(key), None) => readiness.can_accept(*key),
            _ => true,
        }
    }

    pub(super) fn is_of_family(&self, ip: IpAddr) -> bool {
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
    pub(super) fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Failed(ErrorCode::Unknown))
    }

    pub(super) fn unspecified(&self) -> SocketAddr {
        match self.family {
            IpAddressFamily::Ipv4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
            IpAddressFamily::Ipv6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }
}

/// Whether `ip` belongs to one machine.
pub(super) fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

/// A mistake of the sandbox: each socket has its source until it is dropped.
pub(super) fn lost() -> SocketError {
    SocketError::trap(wasmtime::format_err!("the source of a socket is gone"))
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
