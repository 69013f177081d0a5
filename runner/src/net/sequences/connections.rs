//! The calls that make and end connections, to the component and from it.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Type};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

use super::lines::{Guest, Line};
use super::sockets::{Socket, Stage, code};
use super::streams::{Stream, own};
use super::{SMALL, World};
use crate::net::bindings::wasi::sockets::tcp::{HostTcpSocket as _, ShutdownType};
use crate::net::sockets::Operation;

/// The most connections that wait to be accepted, fewer than any backlog has room for.
const MOST_WAITING: usize = 4;

impl World {
    /// Connections that wait to be accepted at `address`.
    pub(super) fn queue(&self, address: SocketAddr) -> usize {
        self.lines.iter().filter(|line| line.guest == Guest::Waits(address)).count()
    }

    pub(super) fn connect(&mut self, at: usize, choice: u8) {
        let there = self.there.local_addr().expect("an address");
        let (address, fault, failure): (SocketAddr, _, _) = match choice % 8 {
            0..=3 => (there, None, None),
            4 => (self.unused, None, Some(ErrorCode::ConnectionRefused)),
            5 => (([127, 0, 0, 1], 1).into(), None, Some(ErrorCode::AccessDenied)),
            6 => (([0, 0, 0, 0], there.port()).into(), Some(ErrorCode::InvalidArgument), None),
            _ => (([127, 0, 0, 1], 0).into(), Some(ErrorCode::InvalidArgument), None),
        };
        let socket = &self.sockets[at];
        let expected = match (socket.pending, socket.stage) {
            (Some(_), _) => Some(ErrorCode::ConcurrencyConflict),
            (None, Stage::New | Stage::Bound(_)) if !socket.is_of_family(address) => Some(ErrorCode::InvalidArgument),
            (None, Stage::New | Stage::Bound(_)) => fault,
            _ => Some(ErrorCode::InvalidState),
        };
        let (this, network) = (own(socket.this), own(self.network));
        let begun = code(self.view().start_connect(this, network, address.into()));
        assert_eq!(begun, expected.map_or(Ok(()), |code| Err(Some(code))), "connect to {address}");
        if begun.is_ok() {
            let outcome = match failure {
                None => {
                    // The system connects both ends by itself.
                    let peer = loop {
                        match self.there.accept() {
                            Ok((peer, _)) => break peer,
                            Err(_) => std::thread::yield_now(),
                        }
                    };
                    self.lines.push(Line::new(peer, there, Guest::Here));
                    Ok(self.lines.len() - 1)
                }
                Some(code) => Err(code),
            };
            let socket = &mut self.sockets[at];
            (socket.stage, socket.pending) = (Stage::Connecting(outcome), Some(Operation::Connect));
        }
    }

    pub(super) fn finish_connect(&mut self, at: usize) {
        let (this, socket) = self.socket(at);
        let (is_due, stage) = (socket.pending == Some(Operation::Connect), socket.stage);
        let finished = code(self.view().finish_connect(this));
        let (stage, pending) = match (finished, stage) {
            (Err(Some(ErrorCode::NotInProgress)), _) if !is_due => return,
            (Err(Some(ErrorCode::WouldBlock)), Stage::Connecting(_)) if is_due => return,
            (Ok((input, output)), Stage::Connecting(Ok(line))) if is_due => {
                self.take_streams(at, line, input.rep(), output.rep());
                (Stage::Connected(line), None)
            }
            (Err(Some(code)), Stage::Connecting(Err(expected))) if is_due && code == expected => {
                (Stage::Failed(code), None)
            }
            (Err(Some(code)), Stage::Connecting(Ok(line))) if is_due && self.lines[line].broken => {
                self.lines[line].leave();
                (Stage::Failed(code), None)
            }
            (finished, stage) => panic!("{:?} from {stage:?}, due: {is_due}", finished.map(drop)),
        };
        (self.sockets[at].stage, self.sockets[at].pending) = (stage, pending);
    }

    fn take_streams(&mut self, at: usize, line: usize, input: u32, output: u32) {
        self.sockets[at].children += 2;
        let socket = self.sockets[at].this;
        for (this, is_input) in [(input, true), (output, false)] {
            self.streams.push(Stream { this, socket, line, is_input, children: 0 });
        }
        if self.is_narrow {
            self.lines[line].resized = true;
            self.view().set_send_buffer_size(own(socket), 1).expect("it is connected");
        }
    }

    /// A peer of the system connects to a listener of the component.
    pub(super) fn come(&mut self, at: usize) {
        if let Stage::Listening(address) = self.sockets[at].stage
            && self.queue(address) < MOST_WAITING
        {
            let peer = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
            peer.set_recv_buffer_size(SMALL).expect("a small buffer");
            peer.connect(&address.into()).expect("there is room in the queue");
            let peer = TcpStream::from(peer);
            let own = peer.local_addr().expect("an address");
            self.lines.push(Line::new(peer, own, Guest::Waits(address)));
        }
    }

    pub(super) fn accept(&mut self, at: usize) {
        let (this, socket) = self.socket(at);
        let (stage, is_v6) = (socket.stage, socket.is_v6);
        match (code(self.view().accept(this)), stage) {
            (Ok((socket, input, output)), Stage::Listening(address)) => {
                let this = socket.rep();
                let peer = SocketAddr::from(code(self.view().remote_address(own(this))).expect("it is connected"));
                let is_it = |line: &Line| line.guest == Guest::Waits(address) && line.address == peer;
                let line = self.lines.iter().position(is_it).expect("a peer has connected");
                self.lines[line].guest = Guest::Here;
                self.sockets.push(Socket { this, is_v6, stage: Stage::Connected(line), pending: None, children: 0 });
                self.take_streams(self.sockets.len() - 1, line, input.rep(), output.rep());
            }
            (Err(Some(ErrorCode::WouldBlock)), Stage::Listening(_)) => {}
            (Err(Some(ErrorCode::InvalidState)), stage) if !matches!(stage, Stage::Listening(_)) => {}
            (accepted, stage) => panic!("{:?} from {stage:?}", accepted.map(drop)),
        }
    }

    pub(super) fn shut_down(&mut self, at: usize, choice: u8) {
        let (this, socket) = self.socket(at);
        let kind = choice % 3;
        let how = [ShutdownType::Receive, ShutdownType::Send, ShutdownType::Both][usize::from(kind)];
        let expected = match socket.stage {
            Stage::Connected(line) => {
                self.lines[line].shut_down(kind != 1, kind != 0);
                Ok(())
            }
            _ => Err(Some(ErrorCode::InvalidState)),
        };
        assert_eq!(code(self.view().shutdown(this, how)), expected);
    }
}
