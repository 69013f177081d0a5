//! A server with the standard library: one connection after the other.
//!
//! ```console
//! $ cd examples/frameworks
//! $ cargo run --release --locked --bin std_net
//! ```

use std::io::{self, Read, Write};
use std::net::TcpListener;

use hello_frameworks::PAGE;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "9000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("Access http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        // The failure of one connection does not end the server.
        let _ = stream.and_then(serve);
    }
    Ok(())
}

/// Answers one request, however it continues. All other clients wait meanwhile.
fn serve(mut stream: impl Read + Write) -> io::Result<()> {
    if stream.read(&mut [0; 5000])? == 0 {
        // The client has said nothing.
        return Ok(());
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{PAGE}", PAGE.len())
}
