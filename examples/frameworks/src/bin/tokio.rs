//! A server with tokio, a task for each connection.
//!
//! It builds with an unstable flag of tokio, and listens; but with Rust 1.95 each accept fails.
//!
//! ```console
//! $ cd examples/frameworks
//! $ RUSTFLAGS="--cfg tokio_unstable" cargo run --release --locked --features tokio --bin tokio
//! ```

use std::io;

use hello_frameworks::PAGE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "9000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("Access http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

/// Answers one request, however it continues.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    if stream.read(&mut [0; 5000]).await? == 0 {
        // The client has said nothing.
        return Ok(());
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{PAGE}", PAGE.len()).as_bytes()).await
}
