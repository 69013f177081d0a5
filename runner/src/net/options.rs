//! The options of TCP sockets, in the range that every system takes.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

use super::View;
use super::sockets::{State, TcpSocket, lost};

/// The range of times that each system takes for keep-alive: Linux takes the shortest.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(i16::MAX as u64));

/// The most probes of keep-alive that Linux takes.
pub(super) const MOST_PROBES: u32 = i8::MAX as u32;

/// Linux reports twice the size of a buffer that was set: it counts its own notes.
pub(super) const REPORTED: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

impl View<'_> {
    /// Uses the options of a socket.
    pub(super) fn with_options<T>(
        &mut self,
        this: &Resource<TcpSocket>,
        act: impl FnOnce(SockRef<'_>, IpAddressFamily) -> std::io::Result<T>,
    ) -> SocketResult<T> {
        let socket = self.table.get(this)?;
        let readiness = &mut self.net.readiness;
        let options = match &socket.state {
            State::New { socket, .. } => SockRef::from(socket),
            State::Listening(key) => SockRef::from(&readiness.listener(*key).ok_or_else(lost)?.socket),
            State::Connected { key, .. } => SockRef::from(&*readiness.connection(*key).ok_or_else(lost)?.socket()),
            State::Connecting(_) | State::Failed(_) => return Err(socket.refusal().into()),
        };
        Ok(act(options, socket.family)?)
    }

    /// Sets the size of a buffer. A system that allows less does not take the size, but the call succeeds: it is a hint.
    pub(super) fn set_size(
        &mut self,
        this: &Resource<TcpSocket>,
        value: u64,
        set: impl FnOnce(&SockRef<'_>, usize) -> std::io::Result<()>,
    ) -> SocketResult<()> {
        let size = value.clamp(1, i32::MAX as u64) as usize;
        self.with_options(this, |options, _| match set(&options, size) {
            Err(error) if ErrorCode::from(&error) == ErrorCode::OutOfMemory => Ok(()),
            done => done,
        })
    }

    pub(super) fn keep_alive(&mut self, this: &Resource<TcpSocket>, settings: TcpKeepalive) -> SocketResult<()> {
        self.with_options(this, |options, _| options.set_tcp_keepalive(&settings))
    }
}

/// An argument that must not be 0.
pub(super) fn positive<T: Default + PartialEq>(value: T) -> SocketResult<T> {
    if value == T::default() { Err(ErrorCode::InvalidArgument.into()) } else { Ok(value) }
}

pub(super) fn keep_alive_time(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds).clamp(KEEP_ALIVE.0, KEEP_ALIVE.1)
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Gives an accepted socket the options of its listener that macOS does not pass on. What it refuses stays as it is.
#[cfg(target_os = "macos")]
pub(super) fn inherit(listener: SockRef<'_>, accepted: SockRef<'_>, family: IpAddressFamily) {
    let _ = listener.recv_buffer_size().and_then(|size| accepted.set_recv_buffer_size(size));
    let _ = listener.send_buffer_size().and_then(|size| accepted.set_send_buffer_size(size));
    if family == IpAddressFamily::Ipv6 {
        let _ = listener.unicast_hops_v6().and_then(|limit| accepted.set_unicast_hops_v6(limit));
    }
    let idle = rustix::net::sockopt::tcp_keepidle(&*listener);
    let _ = idle.map(|time| accepted.set_tcp_keepalive(&TcpKeepalive::new().with_time(time)));
}
