//! Sockets that listen for several instances, and those that systemd hands over.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use socket2::Socket;
use tokio::sync::watch;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};

use super::LONG;
use crate::audit::Audit;
use crate::grants::{Grants, Guard};
use crate::net::bindings::wasi::sockets::tcp::HostTcpSocket as _;
use crate::net::bindings::wasi::sockets::tcp_create_socket::Host as _;
use crate::net::pollables::Pollable;
use crate::net::{Listeners, Net, TcpSocket, View};
use crate::stdio::{Output, OutputHandle, Stdin};

/// An instance of a component, as its host sees it.
struct Instance {
    net: Net,
    table: ResourceTable,
    network: Resource<Network>,
    stop: watch::Sender<bool>,
}

impl Instance {
    /// An instance that may listen on `granted`.
    fn new(listeners: &Arc<Listeners>, granted: SocketAddr) -> Self {
        let audit = Audit::default();
        let (output, _) = Output::in_memory(1000).expect("an output");
        let stop = watch::Sender::new(false);
        let stdin = Stdin::new(Arc::default(), stop.subscribe(), Arc::default());
        let guard = Guard::new("test", &output, &audit);
        let grants = Grants { listen: vec![granted], connect: vec![granted] };
        let [stdout, stderr] = [&output, &output].map(|output| OutputHandle::new(output, false));
        let net = Net::new(&grants, &guard, &Arc::default(), stdin, listeners, stdout, stderr).expect("a poll");
        let mut table = ResourceTable::new();
        let mut ctx = WasiSocketsCtx::default();
        let network = WasiSocketsCtxView { ctx: &mut ctx, table: &mut table }.instance_network().expect("a network");
        Instance { net, table, network, stop }
    }

    fn view(&mut self) -> View<'_> {
        View { net: &mut self.net, table: &mut self.table }
    }

    fn bind(&mut self, address: SocketAddr) -> Result<Resource<TcpSocket>, ErrorCode> {
        let socket = ok(self.view().create_tcp_socket(IpAddressFamily::Ipv4));
        let (borrowed, network) = (borrow(&socket), Resource::new_borrow(self.network.rep()));
        self.view().start_bind(borrowed, network, address.into()).map_err(code)?;
        ok(self.view().finish_bind(borrow(&socket)));
        Ok(socket)
    }

    fn listen(&mut self, address: SocketAddr) -> Resource<TcpSocket> {
        let socket = self.bind(address).expect("bind");
        ok(self.view().start_listen(borrow(&socket)));
        ok(self.view().finish_listen(borrow(&socket)));
        assert!(self.view().is_listening(borrow(&socket)).expect("a socket"));
        socket
    }

    fn address(&mut self, socket: &Resource<TcpSocket>) -> SocketAddr {
        ok(self.view().local_address(borrow(socket))).into()
    }

    /// Waits until the system reports a connection.
    fn wait(&mut self, socket: &Resource<TcpSocket>) {
        let late = Pollable::Time(Some(Instant::now() + LONG));
        assert_eq!(self.view().wait(&[Pollable::Socket(socket.rep()), late]).expect("wait"), [0]);
    }

    /// The address of the peer of the next connection, if there is one.
    fn accept(&mut self, socket: &Resource<TcpSocket>) -> Option<SocketAddr> {
        match self.view().accept(borrow(socket)) {
            Ok((accepted, ..)) => Some(ok(self.view().remote_address(borrow(&accepted))).into()),
            Err(error) => {
                assert_eq!(code(error), ErrorCode::WouldBlock);
                None
            }
        }
    }

    fn close(&mut self, socket: Resource<TcpSocket>) {
        self.view().drop(socket).expect("it has no streams");
    }
}

/// The handle that a call gets.
fn borrow(socket: &Resource<TcpSocket>) -> Resource<TcpSocket> {
    Resource::new_borrow(socket.rep())
}

fn ok<T>(result: SocketResult<T>) -> T {
    result.map_err(code).expect("it succeeds")
}

fn code(error: wasmtime_wasi::p2::SocketError) -> ErrorCode {
    error.downcast().expect("no trap")
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&address, LONG).expect("it is not refused")
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// The listeners of several instances.
fn shared() -> Arc<Listeners> {
    Arc::new(Listeners::new(true, vec![]))
}

/// A socket as systemd hands it over, and its address.
fn handed_over() -> (Arc<Listeners>, SocketAddr, TcpListener) {
    let socket = TcpListener::bind(any_port()).expect("a listener");
    let address = socket.local_addr().expect("an address");
    let handed_over = Socket::from(socket.try_clone().expect("a descriptor"));
    (Arc::new(Listeners::new(false, vec![(address, handed_over)])), address, socket)
}

#[test]
fn instances_share_a_socket_and_all_are_told_until_accept_would_block() {
    let listeners = shared();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(&listeners, any_port()));
    let at_one = one.listen(any_port());
    let at_other = other.listen(any_port());
    let address = one.address(&at_one);
    assert_eq!(other.address(&at_other), address);
    assert_eq!((one.accept(&at_one), other.accept(&at_other)), (None, None));
    // Each turn the first one is told, and does not accept: the other one does, and then looks in vain.
    for _ in 0..2 {
        let peers = [connect(address), connect(address)];
        one.wait(&at_one);
        for peer in &peers {
            other.wait(&at_other);
            assert_eq!(other.accept(&at_other), Some(peer.local_addr().expect("an address")));
        }
        assert_eq!((one.accept(&at_one), other.accept(&at_other)), (None, None));
    }
}

#[test]
fn a_connection_that_comes_while_all_are_full_is_accepted_by_the_first_that_has_room() {
    let listeners = shared();
    let mut instances = [(); 2].map(|()| Instance::new(&listeners, any_port()));
    let sockets = instances.each_mut().map(|instance| instance.listen(any_port()));
    let address = instances[0].address(&sockets[0]);
    // Whichever instance has room first: the system reported the connection to it once, and does not do that again.
    for first in [0, 1] {
        let peer = connect(address);
        for (instance, socket) in instances.iter_mut().zip(&sockets) {
            instance.wait(socket);
            instance.wait(socket);
        }
        instances[first].wait(&sockets[first]);
        assert_eq!(instances[first].accept(&sockets[first]), Some(peer.local_addr().expect("an address")));
        assert_eq!(instances[1 - first].accept(&sockets[1 - first]), None);
    }
}

#[test]
fn no_connection_is_refused_while_an_instance_starts_again() {
    let listeners = shared();
    let mut instance = Instance::new(&listeners, any_port());
    let socket = instance.listen(any_port());
    let address = instance.address(&socket);
    // First the component closes the socket, and then the instance ends without that.
    instance.close(socket);
    for _ in 0..2 {
        let peer = connect(address);
        let socket = instance.listen(any_port());
        instance.wait(&socket);
        assert_eq!(instance.accept(&socket), Some(peer.local_addr().expect("an address")));
        instance = Instance::new(&listeners, any_port());
    }
}

#[test]
fn one_instance_gets_an_address_once() {
    let (handed_over, address, _systemd) = handed_over();
    for (listeners, asked) in [(shared(), any_port()), (handed_over, address)] {
        let mut instance = Instance::new(&listeners, any_port());
        let first = instance.listen(asked);
        let address = instance.address(&first);
        assert_eq!(instance.bind(address).map(|socket| socket.rep()), Err(ErrorCode::AddressInUse));
        let other = instance.listen(any_port());
        assert_ne!(instance.address(&other), address);
    }
}

#[test]
fn a_server_that_stops_closes_what_is_shared() {
    let listeners = shared();
    let mut instances = [(); 2].map(|()| Instance::new(&listeners, any_port()));
    let sockets = instances.each_mut().map(|instance| instance.listen(any_port()));
    let address = instances[0].address(&sockets[0]);
    for (instance, socket) in instances.iter_mut().zip(sockets) {
        connect(address);
        instance.stop.send_replace(true);
        instance.close(socket);
    }
    TcpStream::connect(address).expect_err("no socket listens any more");
}

#[test]
fn a_socket_of_systemd_is_taken_by_its_address_and_stays_open() {
    let (listeners, address, systemd) = handed_over();
    for turn in 0..2 {
        let peer = connect(address);
        let mut instance = Instance::new(&listeners, address);
        let socket = instance.bind(address).expect("bind");
        assert_eq!(instance.address(&socket), address);
        assert!(!instance.view().is_listening(borrow(&socket)).expect("a socket"), "not before it is asked to");
        let network = Resource::new_borrow(instance.network.rep());
        let connected = instance.view().start_connect(borrow(&socket), network, address.into());
        assert_eq!(connected.map_err(code), Err(ErrorCode::InvalidState));
        ok(instance.view().start_listen(borrow(&socket)));
        ok(instance.view().finish_listen(borrow(&socket)));
        instance.wait(&socket);
        assert_eq!(instance.accept(&socket), Some(peer.local_addr().expect("an address")));
        assert_eq!(instance.accept(&socket), None);
        if turn == 1 {
            instance.stop.send_replace(true);
            instance.close(socket);
        }
    }
    connect(address);
    drop((listeners, systemd));
    TcpStream::connect(address).expect_err("no socket listens any more");
}

#[test]
fn a_socket_of_systemd_is_not_for_a_component_without_the_grant() {
    let (listeners, address, _systemd) = handed_over();
    let mut instance = Instance::new(&listeners, "127.0.0.2:0".parse().expect("an address"));
    assert_eq!(instance.bind(address).map(|socket| socket.rep()), Err(ErrorCode::AccessDenied));
}
