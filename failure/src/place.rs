//! The address of a server, in words for a person: the URL to open, and the options that give the server another address.
//!
//! A server `by_port` has the host `localhost` in its URL: its options give a port only (`--port`), or nothing. The options of
//! any other server give the whole address (`--listen`).

use std::net::SocketAddr;

/// Advice for a port that belongs to the administrator.
pub const PRIVILEGED: &str = "ports below 1024 belong to the administrator; take another one, such as --port 8080";

/// The URL, for a browser on this machine, of a server that listens at `address`. It is `http://localhost:9000` also if
/// `address` is every address of the machine (`0.0.0.0` or `[::]`), to which no client can connect.
pub fn url(address: SocketAddr, by_port: bool) -> String {
    match by_port || address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        // RFC 6874: in a URL, the `%` before the zone of an address is written `%25`.
        false => format!("http://{}", address.to_string().replace('%', "%25")),
    }
}

/// The option that moves a server from `address`, at which it cannot listen, to the next port; from the last port, to a free one.
pub fn another_port(mut address: SocketAddr, by_port: bool) -> String {
    address.set_port(address.port().checked_add(1).unwrap_or(0));
    match by_port {
        true => format!("--port {}", address.port()),
        false => format!("--listen {address}"),
    }
}

/// Advice if this machine does not have the address.
pub fn another_address(by_port: bool) -> &'static str {
    match by_port {
        true => "give an address of this machine with --listen; 0.0.0.0 stands for all of them",
        false => "leave --listen out for localhost, or give an address of this machine; 0.0.0.0 stands for all of them",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_printed_url_can_be_opened() {
        for (listens_at, by_port, opened) in [
            ("127.0.0.1:9000", true, "http://localhost:9000"),
            ("127.0.0.1:9000", false, "http://127.0.0.1:9000"),
            ("0.0.0.0:9000", false, "http://localhost:9000"),
            ("[::]:9000", false, "http://localhost:9000"),
            ("[::1]:9000", false, "http://[::1]:9000"),
            ("[fe80::5%2]:9000", false, "http://[fe80::5%252]:9000"),
        ] {
            assert_eq!(url(address(listens_at), by_port), opened);
        }
    }

    #[test]
    fn the_option_for_another_port_is_the_one_that_was_given_with_the_next_port() {
        for (taken, by_port, option) in [
            ("127.0.0.1:9000", true, "--port 9001"),
            ("127.0.0.1:65535", true, "--port 0"),
            ("0.0.0.0:9000", false, "--listen 0.0.0.0:9001"),
            ("[::1]:65535", false, "--listen [::1]:0"),
            ("[fe80::5%2]:9000", false, "--listen [fe80::5%2]:9001"),
        ] {
            assert_eq!(another_port(address(taken), by_port), option);
        }
    }

    #[test]
    fn no_option_is_to_be_left_out_that_was_not_given() {
        assert!(!another_address(true).contains("leave"));
        assert!(another_address(false).contains("leave --listen out"));
    }
}
