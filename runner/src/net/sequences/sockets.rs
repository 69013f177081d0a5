//! How far each socket has come as the model sees it, and the calls of `wasi:sockets/tcp`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

use super::lines::Guest;
use super::streams::own;
use super::{Choices, MOST, World};
use crate::net::bindings::wasi::sockets::tcp::HostTcpSocket as Calls;
use crate::net::bindings::wasi::sockets::tcp_create_socket::Host as _;
use crate::net::sockets::Operation;

pub(super) struct Socket {
    pub(super) this: u32,
    pub(super) is_v6: bool,
    pub(super) stage: Stage,
    pub(super) pending: Option<Operation>,
    /// Its streams and pollables.
    pub(super) children: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    New,
    Bound(SocketAddr),
    Listening(SocketAddr),
    /// Either to the peer of this connection, or in vain.
    Connecting(Result<usize, ErrorCode>),
    Connected(usize),
    Failed(ErrorCode),
}

/// The code of an error, or `None` for a trap.
pub(super) fn code<T>(result: SocketResult<T>) -> Result<T, Option<ErrorCode>> {
    result.map_err(|error| error.downcast().ok())
}

impl Socket {
    pub(super) fn is_of_family(&self, address: SocketAddr) -> bool {
        address.is_ipv6() == self.is_v6
    }

    /// The error of every call that uses the socket of the system.
    fn usable(&self) -> Result<(), Option<ErrorCode>> {
        match self.stage {
            Stage::Connecting(_) => Err(Some(ErrorCode::InvalidState)),
            Stage::Failed(code) => Err(Some(code)),
            _ => Ok(()),
        }
    }
}

impl World {
    pub(super) fn socket(&mut self, at: usize) -> (Resource<crate::net::TcpSocket>, &mut Socket) {
        (own(self.sockets[at].this), &mut self.sockets[at])
    }

    pub(super) fn create(&mut self, is_v6: bool) {
        if self.sockets.len() == MOST {
            return;
        }
        let family = if is_v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 };
        // A system without IPv6 has no such socket.
        match code(self.view().create_tcp_socket(family)) {
            Ok(this) => {
                let this = this.rep();
                self.sockets.push(Socket { this, is_v6, stage: Stage::New, pending: None, children: 0 });
            }
            Err(error) => assert!(is_v6 && error.is_some(), "{error:?}"),
        }
    }

    pub(super) fn call_socket(&mut self, at: usize, choice: u8, choices: &mut Choices<'_>) {
        match choice % 16 {
            0 | 1 => self.bind(at, choices.number()),
            2 | 3 => self.listen(at),
            4 | 5 => self.connect(at, choices.number()),
            6 => self.finish(at, Operation::Bind),
            7 => self.finish(at, Operation::Listen),
            9 | 10 => self.finish_connect(at),
            11 | 12 => self.accept(at),
            13 => self.set(at, choices.number()),
            8 | 14 => self.shut_down(at, choices.number()),
            _ => self.describe(at),
        }
    }

    fn bind(&mut self, at: usize, choice: u8) {
        let taken = self.there.local_addr().expect("an address");
        let (address, answer): (SocketAddr, _) = match choice % 8 {
            0..=2 if self.sockets[at].is_v6 => ((Ipv6Addr::LOCALHOST, 0).into(), None),
            0..=2 => ((Ipv4Addr::LOCALHOST, 0).into(), None),
            3 => ((Ipv4Addr::UNSPECIFIED, 0).into(), None),
            4 => (([127, 0, 0, 2], 0).into(), Some(ErrorCode::AccessDenied)),
            5 => (([224, 0, 0, 1], 0).into(), Some(ErrorCode::InvalidArgument)),
            6 => (([192, 0, 2, 1], 0).into(), Some(ErrorCode::AddressNotBindable)),
            _ => (taken, Some(ErrorCode::AddressInUse)),
        };
        let socket = &self.sockets[at];
        let expected = match (socket.pending, socket.stage) {
            (Some(_), _) => Some(ErrorCode::ConcurrencyConflict),
            (None, Stage::New) if !socket.is_of_family(address) => Some(ErrorCode::InvalidArgument),
            (None, Stage::New) => answer,
            _ => Some(ErrorCode::InvalidState),
        };
        let (this, network) = (own(socket.this), own(self.network));
        let bound = code(self.view().start_bind(this, network, address.into()));
        match (bound, expected) {
            (Ok(()), None) => {
                let (this, socket) = self.socket(at);
                (socket.stage, socket.pending) = (Stage::Bound(address), Some(Operation::Bind));
                let address = code(self.view().local_address(this)).expect("it is bound");
                self.sockets[at].stage = Stage::Bound(address.into());
            }
            // This machine may have no IPv6.
            (Err(Some(ErrorCode::AddressNotBindable)), None) if self.sockets[at].is_v6 => {}
            (bound, expected) => assert_eq!(bound, expected.map_or(Ok(()), |code| Err(Some(code))), "bind {address}"),
        }
    }

    fn listen(&mut self, at: usize) {
        let (this, socket) = self.socket(at);
        let expected = match (socket.pending, socket.stage) {
            (Some(_), _) => Err(Some(ErrorCode::ConcurrencyConflict)),
            (None, Stage::Bound(address)) if address.ip().is_unspecified() => Err(Some(ErrorCode::AccessDenied)),
            (None, Stage::Bound(address)) => {
                (socket.stage, socket.pending) = (Stage::Listening(address), Some(Operation::Listen));
                Ok(())
            }
            _ => Err(Some(ErrorCode::InvalidState)),
        };
        assert_eq!(code(self.view().start_listen(this)), expected);
    }

    fn finish(&mut self, at: usize, operation: Operation) {
        let (this, socket) = self.socket(at);
        let is_due = socket.pending == Some(operation);
        if is_due {
            socket.pending = None;
        }
        let finished = match operation {
            Operation::Bind => code(self.view().finish_bind(this)),
            _ => code(self.view().finish_listen(this)),
        };
        assert_eq!(finished, if is_due { Ok(()) } else { Err(Some(ErrorCode::NotInProgress)) }, "{operation:?}");
    }

    /// Sets an option, and reads it.
    fn set(&mut self, at: usize, choice: u8) {
        let (this, socket) = self.socket(at);
        let usable = socket.usable();
        let value = choice / 8;
        let expected = if value == 0 { Err(Some(ErrorCode::InvalidArgument)) } else { usable };
        if let (Stage::Connected(line), Ok(())) = (socket.stage, expected) {
            self.lines[line].resized |= choice % 8 > 5;
        }
        let mut view = self.view();
        let again = || own(this.rep());
        match choice % 8 {
            0 => {
                assert_eq!(code(view.set_hop_limit(again(), value)), expected);
                assert_eq!(code(view.hop_limit(again())).is_ok_and(|set| set == value), expected.is_ok());
            }
            1 => {
                assert_eq!(code(view.set_keep_alive_count(again(), value.into())), expected);
                assert_eq!(code(view.keep_alive_count(again())).is_ok_and(|set| set == value.into()), expected.is_ok());
            }
            2 => assert_eq!(code(view.set_keep_alive_idle_time(again(), value.into())), expected),
            3 => assert_eq!(code(view.set_keep_alive_interval(again(), value.into())), expected),
            4 => assert_eq!(code(view.set_keep_alive_enabled(again(), value > 15)), usable),
            5 => {
                let set = code(view.set_listen_backlog_size(again(), u64::from(value) * 100));
                let is_early = matches!(self.sockets[at].stage, Stage::Connected(_));
                let expected = if is_early { Err(Some(ErrorCode::InvalidState)) } else { usable };
                assert_eq!(set, if value == 0 { Err(Some(ErrorCode::InvalidArgument)) } else { expected });
            }
            6 => assert_eq!(code(view.set_send_buffer_size(again(), u64::from(value) * 1000)), expected),
            _ => assert_eq!(code(view.set_receive_buffer_size(again(), u64::from(value) * 1000)), expected),
        }
    }

    fn describe(&mut self, at: usize) {
        let (this, socket) = self.socket(at);
        let (stage, is_v6, usable) = (socket.stage, socket.is_v6, socket.usable());
        let again = || own(this.rep());
        let mut view = self.view();
        let is_listening = view.is_listening(again()).expect("it is there");
        assert_eq!(is_listening, matches!(stage, Stage::Listening(_)));
        assert_eq!(view.address_family(again()).expect("it is there") == IpAddressFamily::Ipv6, is_v6);
        let local = code(view.local_address(again())).map(SocketAddr::from);
        match stage {
            Stage::New => assert_eq!(local, Err(Some(ErrorCode::InvalidState))),
            Stage::Bound(address) | Stage::Listening(address) => assert_eq!(local, Ok(address)),
            _ => assert_eq!(local.map(drop), usable),
        }
        let remote = code(view.remote_address(again())).map(SocketAddr::from);
        match stage {
            Stage::Connected(line) => assert_eq!(remote, Ok(self.lines[line].address)),
            Stage::Failed(code) => assert_eq!(remote, Err(Some(code))),
            _ => assert_eq!(remote, Err(Some(ErrorCode::InvalidState))),
        }
    }

    pub(super) fn drop_socket(&mut self, at: usize) {
        let (this, socket) = self.socket(at);
        if socket.children > 0 {
            Calls::drop(&mut self.view(), this).expect_err("it has streams or pollables");
            return;
        }
        let socket = self.sockets.swap_remove(at);
        Calls::drop(&mut self.view(), this).expect("it is there");
        match socket.stage {
            Stage::Connected(line) | Stage::Connecting(Ok(line)) => self.lines[line].leave(),
            Stage::Listening(address) => {
                for line in &mut self.lines {
                    if line.guest == Guest::Waits(address) {
                        (line.guest, line.broken) = (Guest::Gone, true);
                    }
                }
            }
            _ => {}
        }
    }
}
