//! The sockets that systemd hands over to this process (`LISTEN_FDS`, `LISTEN_PID`; sd_listen_fds(3)).
//!
//! A mistake in the socket unit is a failure at the start: a socket that no component accepts from would let its clients wait for
//! ever. Another start does not mend it, so the exit code is 2, as for the options.

use std::net::SocketAddr;

use hello_failure::Failure;
use socket2::Socket;

/// Advice for what is no TCP socket with an address.
const STREAM: &str = "the socket unit needs ListenStream= with an address and a port";

/// All sockets, with their addresses.
///
/// # Errors
/// One of them is no socket that listens for one address.
pub(super) fn sockets() -> Result<Vec<(SocketAddr, Socket)>, Failure> {
    let mut sockets: Vec<(SocketAddr, Socket)> = Vec::new();
    for socket in handed_over()? {
        let address = address_of(&socket)?;
        if sockets.iter().any(|(other, _)| *other == address) {
            let advice = "the socket unit must name each address once, without ReusePort=";
            return Err(refused(format!("two sockets for {address}"), advice));
        }
        sockets.push((address, socket));
    }
    Ok(sockets)
}

/// The failure if the component may not listen on the address of a socket.
pub(super) fn not_granted(address: SocketAddr) -> Failure {
    let advice = format!("--allow-listen {address} would grant it; or take it out of the socket unit");
    refused(format!("a socket for {address}, which is not granted"), advice)
}

fn address_of(socket: &Socket) -> Result<SocketAddr, Failure> {
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    let address = address.ok_or_else(|| refused("a socket without an address", STREAM))?;
    if socket.peer_addr().is_ok() {
        return Err(refused("a connection, not a socket that listens", "the socket unit needs Accept=no"));
    }
    // Such a socket is also one for 0.0.0.0, which is another grant.
    if address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6().unwrap_or(false) {
        let advice = "the socket unit needs BindIPv6Only=ipv6-only, and an address in each ListenStream=";
        return Err(refused(format!("a socket for {address} that is also one for IPv4"), advice));
    }
    Ok(address)
}

fn refused(what: impl std::fmt::Display, advice: impl Into<String>) -> Failure {
    Failure::usage(format!("systemd hands over {what}"), advice)
}

#[cfg(unix)]
fn handed_over() -> Result<Vec<Socket>, Failure> {
    let mut from = listenfd::ListenFd::from_env();
    let listeners = (0..from.len()).filter_map(|index| from.take_tcp_listener(index).transpose());
    let listeners = listeners.map(|listener| listener.map(Socket::from)).collect::<std::io::Result<_>>();
    listeners.map_err(|error| refused(format!("what is no TCP socket: {error}"), STREAM))
}

#[cfg(not(unix))]
fn handed_over() -> Result<Vec<Socket>, Failure> {
    Ok(Vec::new())
}
