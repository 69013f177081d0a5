//! The functions of `wasi:sockets/tcp` as the contract names them.

use std::net::Shutdown;

use rustix::net::sockopt;
use socket2::TcpKeepalive;
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};

use super::bindings::wasi::sockets::tcp;
use super::options::{MOST_PROBES, REPORTED, keep_alive_time, nanoseconds, positive};
use super::sockets::{Operation, State, TcpSocket, lost};
use super::{InputStream, OutputStream, Pollable, View};

impl tcp::Host for View<'_> {}

impl tcp::HostTcpSocket for View<'_> {
    fn start_bind(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.bind(&this, &network, address.into())
    }

    fn finish_bind(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        self.table.get_mut(&this)?.finish(Operation::Bind)
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.connect(&this, &network, address.into())
    }

    fn finish_connect(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<InputStream>, Resource<OutputStream>)> {
        self.connected(&this)
    }

    fn start_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        self.listen(&this)
    }

    fn finish_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        self.table.get_mut(&this)?.finish(Operation::Listen)
    }

    fn accept(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<InputStream>, Resource<OutputStream>)> {
        self.accept_one(&this)
    }

    fn local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        if let State::New { bound: false, .. } = self.table.get(&this)?.state {
            return Err(ErrorCode::InvalidState.into());
        }
        let address = self.with_options(&this, |options, _| options.local_addr())?;
        Ok(address.as_socket().ok_or(ErrorCode::InvalidState)?.into())
    }

    fn remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        let socket = self.table.get(&this)?;
        match socket.state {
            State::Connected { peer, .. } => Ok(peer.into()),
            _ => Err(socket.refusal().into()),
        }
    }

    fn is_listening(&mut self, this: Resource<TcpSocket>) -> Result<bool> {
        Ok(matches!(self.table.get(&this)?.state, State::Listening(_)))
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> Result<IpAddressFamily> {
        Ok(self.table.get(&this)?.family)
    }

    fn set_listen_backlog_size(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        let backlog = i32::try_from(positive(value)?).unwrap_or(i32::MAX);
        let socket = self.table.get(&this)?;
        match socket.state {
            State::New { .. } => {}
            // Not every system takes another length while it listens.
            State::Listening(_) => {
                let set = self.with_options(&this, |options, _| options.listen(backlog));
                set.map_err(|_| ErrorCode::NotSupported)?;
            }
            _ => return Err(socket.refusal().into()),
        }
        self.table.get_mut(&this)?.backlog = backlog;
        Ok(())
    }

    fn keep_alive_enabled(&mut self, this: Resource<TcpSocket>) -> SocketResult<bool> {
        self.with_options(&this, |options, _| options.keepalive())
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<TcpSocket>, value: bool) -> SocketResult<()> {
        self.with_options(&this, |options, _| options.set_keepalive(value))
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.with_options(&this, |options, _| Ok(sockopt::tcp_keepidle(&*options)?)).map(nanoseconds)
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        let time = keep_alive_time(positive(value)?);
        self.keep_alive(&this, TcpKeepalive::new().with_time(time))
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.with_options(&this, |options, _| Ok(sockopt::tcp_keepintvl(&*options)?)).map(nanoseconds)
    }

    fn set_keep_alive_interval(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        let time = keep_alive_time(positive(value)?);
        self.keep_alive(&this, TcpKeepalive::new().with_interval(time))
    }

    fn keep_alive_count(&mut self, this: Resource<TcpSocket>) -> SocketResult<u32> {
        self.with_options(&this, |options, _| options.tcp_keepalive_retries())
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpSocket>, value: u32) -> SocketResult<()> {
        let probes = positive(value)?.min(MOST_PROBES);
        self.keep_alive(&this, TcpKeepalive::new().with_retries(probes))
    }

    fn hop_limit(&mut self, this: Resource<TcpSocket>) -> SocketResult<u8> {
        let limit = self.with_options(&this, |options, family| match family {
            IpAddressFamily::Ipv4 => options.ttl_v4(),
            IpAddressFamily::Ipv6 => options.unicast_hops_v6(),
        })?;
        Ok(u8::try_from(limit).map_err(|_| ErrorCode::NotSupported)?)
    }

    fn set_hop_limit(&mut self, this: Resource<TcpSocket>, value: u8) -> SocketResult<()> {
        let limit = positive(value)?.into();
        self.with_options(&this, |options, family| match family {
            IpAddressFamily::Ipv4 => options.set_ttl_v4(limit),
            IpAddressFamily::Ipv6 => options.set_unicast_hops_v6(limit),
        })
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.with_options(&this, |options, _| Ok((options.recv_buffer_size()? / REPORTED) as u64))
    }

    fn set_receive_buffer_size(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        self.set_size(&this, positive(value)?, |options, size| options.set_recv_buffer_size(size))
    }

    fn send_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.with_options(&this, |options, _| Ok((options.send_buffer_size()? / REPORTED) as u64))
    }

    /// A larger buffer takes unsent bytes in at once: so a component gives a write up.
    fn set_send_buffer_size(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        self.set_size(&this, positive(value)?, |options, size| options.set_send_buffer_size(size))?;
        if let State::Connected { key, .. } = self.table.get(&this)?.state
            && let Some(connection) = self.net.readiness.connection(key)
        {
            connection.send();
        }
        Ok(())
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> Result<Resource<Pollable>> {
        self.table.get(&this)?;
        Ok(self.table.push_child(Pollable::Socket(this.rep()), &this)?)
    }

    fn shutdown(&mut self, this: Resource<TcpSocket>, how: tcp::ShutdownType) -> SocketResult<()> {
        let State::Connected { key, .. } = self.table.get(&this)?.state else {
            return Err(ErrorCode::InvalidState.into());
        };
        let how = match how {
            tcp::ShutdownType::Receive => Shutdown::Read,
            tcp::ShutdownType::Send => Shutdown::Write,
            tcp::ShutdownType::Both => Shutdown::Both,
        };
        self.net.readiness.connection(key).ok_or_else(lost)?.shut_down(how);
        Ok(())
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> Result<()> {
        let socket = self.table.delete(this)?;
        if let Some(loan) = &socket.loan
            && self.net.stdin.ends()
        {
            self.net.listeners.release(loan);
        }
        if let State::Listening(key) | State::Connecting(key) | State::Connected { key, .. } = socket.state {
            self.net.readiness.close(key);
        }
        Ok(())
    }
}
