//! Step 3: a request ends with an empty line, and may come in pieces.

use anyhow::ensure;
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
    let mut bytes = Vec::new();
    let head = read_head(&mut call, &mut bytes).await?;
    println!("{}", head.lines().next().unwrap_or_default());
    call.write_all(RESPONSE.as_bytes()).await?;
    Ok(())
}

/// Reads the head of a request, with its empty line. Leaves in `bytes` what has come behind it.
async fn read_head(call: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<String> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(String::from_utf8(bytes.drain(..end + 4).collect())?);
        }
        let mut piece = [0; 5000];
        let length = call.read(&mut piece).await?;
        ensure!(length > 0, "the client hung up before its request had ended");
        bytes.extend_from_slice(&piece[..length]);
    }
}
