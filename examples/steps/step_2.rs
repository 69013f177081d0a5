//! Step 2: each connection has a task of its own.

use anyhow::Context as _;
use wstd::iter::AsyncIterator as _;
use wstd::net::{TcpListener, TcpStream};
use wstd::prelude::*;
use wstd::runtime::{block_on, spawn};

/// The answer to every request.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <html><body>Hello World</body></html>\r\n\r\n";

fn main() -> anyhow::Result<()> {
    block_on(listen())
}

/// Runs the server, until an error ends it.
async fn listen() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "9000".to_owned());
    // Get a telephone, give it a number, switch it on.
    let listener = TcpListener::bind(&format!("127.0.0.1:{port}")).await?;
    println!("Access http://{}", listener.local_addr()?);
    let mut calls = listener.incoming();
    // Pick up.
    while let Some(call) = calls.next().await {
        spawn(run(call?)).detach();
    }
    Ok(())
}

/// The task of one connection.
async fn run(call: TcpStream) {
    if let Err(error) = serve(call).await {
        eprintln!("{error:#}");
    }
}

/// Serves one client, which must speak first, and hangs up.
async fn serve(mut call: TcpStream) -> anyhow::Result<()> {
    let mut bytes = [0; 5000];
    let length = call.read(&mut bytes).await?;
    let request = String::from_utf8_lossy(&bytes[..length]);
    println!("{}", request.lines().next().context("the client hung up without a word")?);
    call.write_all(RESPONSE.as_bytes()).await?;
    Ok(())
}
