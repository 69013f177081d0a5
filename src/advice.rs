//! The cause and the advice for each error that keeps the server from listening.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use hello_failure::{Failure, place};

use crate::options::ListenOn;

/// An error that keeps the server from listening on an address.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the host.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenError { address, error } = self;
        match error.kind() {
            ErrorKind::AddrInUse => write!(f, "port {} is already in use", address.port()),
            ErrorKind::PermissionDenied if self.is_privileged() => {
                write!(f, "this program may not listen on port {}", address.port())
            }
            ErrorKind::PermissionDenied => {
                write!(f, "the sandbox does not let this program listen on {address}, or the system does not")
            }
            _ if address.ip().is_loopback() && self.is_family_missing() => write!(f, "this machine has no IPv6"),
            ErrorKind::InvalidInput => write!(f, "{address} is no address that a server can listen on"),
            ErrorKind::AddrNotAvailable => write!(f, "{} is not an address of this machine", address.ip()),
            ErrorKind::OutOfMemory => write!(f, "cannot listen on {address}: out of memory"),
            ErrorKind::QuotaExceeded | ErrorKind::Other => {
                write!(f, "cannot listen on {address}: the system has no room for another socket")
            }
            _ => write!(f, "cannot listen on {address}: the system refuses it"),
        }
    }
}

impl std::error::Error for ListenError {}

impl ListenError {
    /// Whether the machine has no address of this family: IPv6 is missing in its system, or switched off.
    pub fn is_family_missing(&self) -> bool {
        let kinds = [ErrorKind::Unsupported, ErrorKind::AddrNotAvailable];
        self.address.is_ipv6() && kinds.contains(&self.error.kind())
    }

    /// Whether only the administrator may use the port.
    fn is_privileged(&self) -> bool {
        (1..1024).contains(&self.address.port())
    }

    /// The cause and the advice, for a server that was to listen on `listen_on`.
    pub fn failure(&self, listen_on: &ListenOn) -> Failure {
        let advice = match self.error.kind() {
            ErrorKind::AddrInUse => format!(
                "end the program that listens there, or take another port with {}",
                place::another_port(self.address, listen_on.by_port())
            ),
            ErrorKind::PermissionDenied if self.is_privileged() => {
                "ports below 1024 belong to the administrator; take another one, such as --port 8080".into()
            }
            // Windows reserves whole ranges of ports.
            ErrorKind::PermissionDenied => format!(
                "grant it: hello-runner --allow-listen {}, or wasmtime run -S inherit-network; \
                 if that is granted already, take another port",
                self.address
            ),
            ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory | ErrorKind::Other => {
                "the system may have no file descriptor or no memory left: raise its limits (ulimit -n shows one)"
                    .into()
            }
            _ => place::another_address(listen_on.by_port()).into(),
        };
        Failure::new(self.to_string(), advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_cause_and_an_advice() {
        let at = |address: &str, kind: ErrorKind, listen_on: &ListenOn| {
            let error = ListenError { address: address.parse().expect("an address"), error: kind.into() };
            error.failure(listen_on).to_string()
        };
        let listen = ListenOn::Addresses(Vec::new());
        for (said, cause) in [
            (at("127.0.0.1:9000", ErrorKind::AddrInUse, &ListenOn::DEFAULT), "port 9000 is already in use"),
            (at("127.0.0.1:80", ErrorKind::PermissionDenied, &listen), "this program may not listen on port 80"),
            (
                at("127.0.0.1:9000", ErrorKind::PermissionDenied, &listen),
                "the sandbox does not let this program listen on 127.0.0.1:9000, or the system does not",
            ),
            (at("[::1]:9000", ErrorKind::Unsupported, &ListenOn::DEFAULT), "this machine has no IPv6"),
            (at("[::1]:9000", ErrorKind::AddrNotAvailable, &ListenOn::DEFAULT), "this machine has no IPv6"),
            (at("192.0.2.1:9000", ErrorKind::AddrNotAvailable, &listen), "192.0.2.1 is not an address of this machine"),
            (
                at("224.0.0.1:0", ErrorKind::InvalidInput, &listen),
                "224.0.0.1:0 is no address that a server can listen on",
            ),
            (at("127.0.0.1:9000", ErrorKind::OutOfMemory, &listen), "cannot listen on 127.0.0.1:9000: out of memory"),
        ] {
            assert!(said.starts_with(cause), "{said}");
        }
    }
}
