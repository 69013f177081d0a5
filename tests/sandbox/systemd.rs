//! Sockets that systemd hands over for a socket unit (`LISTEN_FDS`): the component gets those that it was granted, and a mistake
//! in the unit is a failure at the start.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use hello_test_support::{LAST_GET, Process, Server, component, connect, read_all, start_with_sockets};
use socket2::{Domain, Socket, Type};

use super::{assert_failed, probe, request_probe, run, sandbox};

/// A socket that listens on a free port of this address, and its address.
fn listener(ip: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).expect("a listener");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Starts `command` with a descriptor for this socket.
fn start(command: &Command, socket: &TcpListener) -> Process {
    start_with_sockets(command, [Some(socket.try_clone().expect("a descriptor").into()), None])
}

/// Asserts that `command` is a mistake with these sockets.
fn assert_mistake(command: &Command, sockets: [Option<OwnedFd>; 2], cause: &str, advice: &str) {
    let mut output = start_with_sockets(command, sockets).wait();
    output.stderr = std::mem::take(&mut output.stdout);
    assert_failed(&output, 2, cause, advice);
}

#[test]
fn the_server_accepts_from_the_socket_of_systemd_and_leaves_it_open() {
    let (listener, address) = listener("127.0.0.1");
    let place = address.to_string();
    // The first client comes before the service, and the second one between two runs of it.
    for grant in [&["--allow-listen", &place][..], &["--grant-needs"]] {
        let mut client = connect(address);
        client.write_all(LAST_GET).expect("the system takes it");
        let mut command = sandbox(grant);
        command.arg(component::path()).args(["--listen", &place, "--log", "off", "--stop-when-stdin-closes"]);
        let service = Server::listening(start(&command, &listener));
        assert!(read_all(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
        service.terminate();
        assert_eq!(service.wait().status.code(), Some(0));
    }
    connect(address);
}

#[test]
fn both_sockets_of_the_unit_are_taken() {
    let (four, address) = listener("127.0.0.1");
    // A system without IPv6 has no second socket.
    let Ok(six) = TcpListener::bind(("::1", address.port())) else { return };
    let mut command = sandbox(&["--grant-needs"]);
    command.arg(component::path()).args(["--port", &address.port().to_string()]);
    let service = Server::listening(start_with_sockets(&command, [Some(four.into()), Some(six.into())]));
    service.assert_serves();
    let mut stream = TcpStream::connect(("::1", address.port())).expect("connect");
    stream.write_all(LAST_GET).expect("it reads");
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_socket_that_is_not_granted_is_never_used() {
    let (listener, address) = listener("127.0.0.1");
    let cause = format!("systemd hands over a socket for {address}, which is not granted");
    let advice = format!("--allow-listen {address} would grant it; or take it out of the socket unit");
    let sockets = || [Some(listener.try_clone().expect("a descriptor").into()), None];
    let place = address.to_string();
    // A component that binds port 0 gets another port.
    let (any_port, other_port, other_address) = ("127.0.0.1:0", "127.0.0.1:1", format!("127.0.0.2:{}", address.port()));
    for grants in
        [&[][..], &["--allow-listen", any_port], &["--allow-listen", other_port], &["--allow-listen", &other_address]]
    {
        assert_mistake(&probe(grants, &["listen", &place]), sockets(), &cause, &advice);
    }
    assert_mistake(&probe(&["--allow-connect", &place], &["listen", &place]), sockets(), &cause, &advice);
    // The component needs another address.
    let mut command = sandbox(&["--grant-needs"]);
    command.arg(component::path()).args(["--listen", "127.0.0.1:0"]);
    assert_mistake(&command, sockets(), &cause, &advice);
}

#[test]
fn another_address_is_bound_as_without_systemd() {
    let (listener, address) = listener("127.0.0.1");
    let place = address.to_string();
    let grants = ["--allow-listen", &place, "--allow-listen", "127.0.0.1:0"];
    let process = start(&probe(&grants, &["answer", "127.0.0.1:0"]), &listener);
    let own = process.address();
    assert_ne!(own, address);
    assert_eq!(read_all(&mut connect(own)), "hello");
    assert_eq!(process.wait().status.code(), Some(0));
    let other = format!("127.0.0.1:{}", address.port() ^ 1);
    let process = start(&probe(&["--allow-listen", &place], &["listen", &other]), &listener);
    let output = process.wait();
    assert!(output.stdout.contains(&format!("refused: hello-probe.wasm may not listen on {other}")), "{output:?}");
}

#[test]
fn what_is_no_socket_for_one_address_is_a_mistake_of_the_unit() {
    let (unit, stream) =
        ("systemd hands over what is no TCP socket: fd 3 is not", "the socket unit needs ListenStream=");
    let one = |socket: OwnedFd| [Some(socket), None];
    let command = probe(&["--allow-listen", "127.0.0.1:0", "--allow-listen", "[::]:0"], &["listen", "127.0.0.1:0"]);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    assert_mistake(&command, one(udp.into()), unit, stream);
    assert_mistake(&command, one(File::open("/dev/null").expect("it is everywhere").into()), unit, stream);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("of-systemd.socket");
    let _ = std::fs::remove_file(&path);
    assert_mistake(&command, one(UnixListener::bind(path).expect("a socket").into()), unit, stream);
    // Accept=yes hands over a connection.
    let (listener, address) = listener("127.0.0.1");
    let _client = connect(address);
    let (accepted, _) = listener.accept().expect("a connection");
    assert_mistake(&command, one(accepted.into()), "a connection, not a socket that listens", "needs Accept=no");
    // ReusePort=yes, and one address twice.
    let sockets = [&listener, &listener].map(|socket| Some(socket.try_clone().expect("a descriptor").into()));
    assert_mistake(&command, sockets, &format!("two sockets for {address}"), "each address once");
    // Without BindIPv6Only=ipv6-only, a socket for [::] is one for 0.0.0.0, too, which is not granted here.
    let Ok(both) = Socket::new(Domain::IPV6, Type::STREAM, None) else { return };
    let any: SocketAddr = "[::]:0".parse().expect("an address");
    if both.set_only_v6(false).and_then(|()| both.bind(&any.into())).and_then(|()| both.listen(1)).is_ok() {
        assert_mistake(&command, one(both.into()), "that is also one for IPv4", "needs BindIPv6Only=ipv6-only");
    }
}

#[test]
fn a_component_that_sends_requests_takes_no_socket() {
    let (listener, _) = listener("127.0.0.1");
    let command = request_probe(&["--allow-listen", "127.0.0.1:0"], &["request", "http://127.0.0.1:1/"]);
    let cause = "sends requests, so it cannot take the sockets that systemd hands over";
    assert_mistake(&command, [Some(listener.into()), None], cause, "start it without the socket unit");
}

#[test]
fn sockets_of_another_process_are_no_matter() {
    let mut command = probe(&["--allow-listen", "127.0.0.1:0"], &["listen", "127.0.0.1:0"]);
    let output = run(command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1"));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("listen 127.0.0.1:0: ok\n", ""));
}
