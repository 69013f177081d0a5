//! The host, a component of which only the calls are there, and what they do in a step.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::{Domain, Type};
use tokio::sync::watch;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};

use crate::audit::Audit;
use crate::grants::{Grants, Guard};
use crate::net::{Listeners, Net, View};
use crate::stdio::{Output, OutputHandle, Stdin};

use super::lines::Line;
use super::pollables::Waiting;
use super::sockets::Socket;
use super::streams::Stream;

/// The most sockets and pollables that the component has at a time.
pub(super) const MOST: usize = 12;

/// More bytes than a peer finds at a time.
const MUCH: usize = 256 * 1024;

/// The size of the buffer of a peer.
pub(super) const SMALL: usize = 16 * 1024;

/// The bytes that decide what happens next.
pub(super) struct Choices<'d>(pub(super) std::slice::Iter<'d, u8>);

impl Choices<'_> {
    pub(super) fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    pub(super) fn number(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// One of `count` things.
    pub(super) fn of(&mut self, count: usize) -> Option<usize> {
        let number = usize::from(self.number());
        number.checked_rem(count)
    }

    /// A number of bytes: few, or many, or a little more than may be written at once.
    pub(super) fn length(&mut self) -> usize {
        let number = usize::from(self.number());
        match number {
            0..=127 => number,
            128..=191 => number * 20,
            _ => (number - 191) * 1100,
        }
    }
}

/// The host, its component, and their peers.
pub(super) struct World {
    pub(super) net: Net,
    pub(super) table: ResourceTable,
    pub(super) network: u32,
    /// Takes connections of the component.
    pub(super) there: TcpListener,
    /// Has a granted port, and refuses connections.
    pub(super) unused: SocketAddr,
    _bound: socket2::Socket,
    pub(super) sockets: Vec<Socket>,
    pub(super) streams: Vec<Stream>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) lines: Vec<Line>,
    /// The system takes few bytes from the component, so that the host keeps the rest.
    pub(super) is_narrow: bool,
}

impl World {
    pub(super) fn new(is_narrow: bool) -> Self {
        static OUTPUT: OnceLock<Arc<Output>> = OnceLock::new();
        let output = OUTPUT.get_or_init(|| Output::in_memory(0).expect("a thread").0);
        let there = TcpListener::bind("127.0.0.1:0").expect("a listener");
        // Connections inherit it: so a few writes are more than both systems take.
        socket2::SockRef::from(&there).set_recv_buffer_size(SMALL).expect("a small buffer");
        there.set_nonblocking(true).expect("a socket that does not block");
        let bound = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        bound.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
        let unused = bound.local_addr().expect("an address").as_socket().expect("an address of TCP");
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
        let grants = Grants {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into(), (elsewhere, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()],
            connect: vec![there.local_addr().expect("an address"), unused],
        };
        let audit = Audit::default();
        let guard = Guard::new("sequence", output, &audit);
        let handle = || OutputHandle::new(output, false);
        let stdin = Stdin::new(Arc::default(), watch::Sender::new(false).subscribe(), Arc::default());
        let listeners = Arc::new(Listeners::new(false, Vec::new()));
        let net = Net::new(&grants, &guard, &Arc::default(), stdin, &listeners, handle(), handle());
        let net = net.expect("a descriptor");
        let mut table = ResourceTable::new();
        let mut wasi = WasiSocketsCtx::default();
        let network = WasiSocketsCtxView { ctx: &mut wasi, table: &mut table }.instance_network().expect("a network");
        let (sockets, streams, waiting, lines) = Default::default();
        let network = network.rep();
        World { net, table, network, there, unused, _bound: bound, sockets, streams, waiting, lines, is_narrow }
    }

    pub(super) fn view(&mut self) -> View<'_> {
        View { net: &mut self.net, table: &mut self.table }
    }

    /// Does what `choice` says.
    pub(super) fn step(&mut self, choice: u8, choices: &mut Choices<'_>) {
        let kind = choice / 16;
        match kind {
            0 if choice % 16 < 8 => self.create(choice % 4 == 3),
            0..=4 => {
                if let Some(at) = choices.of(self.sockets.len()) {
                    match kind {
                        0 if self.sockets.len() < MOST => self.come(at),
                        1 if choice % 16 == 15 => self.drop_socket(at),
                        _ => self.call_socket(at, choice, choices),
                    }
                }
            }
            5..=9 => {
                if let Some(at) = choices.of(self.streams.len()) {
                    match (choice % 16, self.streams[at].is_input) {
                        (15, _) => self.drop_stream(at),
                        (_, true) => self.call_input(at, choice, choices.length()),
                        (14, false) => self.splice(at, choices),
                        (_, false) => self.call_output(at, choice, choices.length()),
                    }
                }
            }
            10 => self.subscribe(choice, choices),
            11 | 12 => {
                if let Some(at) = choices.of(self.waiting.len()) {
                    match choice % 8 {
                        0 => self.drop_waiting(at),
                        1..=4 => self.block(at),
                        _ => _ = self.is_ready(at),
                    }
                }
            }
            13 => self.poll(choices),
            _ => {
                if let Some(at) = choices.of(self.lines.len()) {
                    let line = &mut self.lines[at];
                    match choice % 32 {
                        0..=11 => line.send(choices.length()),
                        12..=27 => _ = line.receive(choices.length() * 4),
                        28 | 29 => line.finish(),
                        30 => line.close(),
                        _ => line.reset(),
                    }
                }
            }
        }
    }

    /// The component drops all that it has. The host sends the rest to the peers, and forgets all.
    pub(super) fn end(mut self) {
        while !self.waiting.is_empty() {
            self.drop_waiting(0);
        }
        while !self.streams.is_empty() {
            self.drop_stream(0);
        }
        while !self.sockets.is_empty() {
            self.drop_socket(0);
        }
        let network = wasmtime::component::Resource::new_own(self.network);
        crate::net::bindings::wasi::sockets::network::HostNetwork::drop(&mut self.view(), network)
            .expect("it is there");
        assert!(self.table.is_empty(), "a handle is left");
        while !self.lines.iter_mut().all(|line| line.receive(MUCH)) || self.net.readiness.sources() > 0 {
            self.net.readiness.wait(Some(Duration::from_millis(1))).expect("wait");
        }
        self.net.finish();
        for line in &mut self.lines {
            line.reset();
        }
    }
}
