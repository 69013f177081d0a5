//! Step 7: a client has ten seconds for a request, and ten for a response.

use anyhow::ensure;
use wstd::iter::AsyncIterator as _;
use wstd::net::{TcpListener, TcpStream};
use wstd::prelude::*;
use wstd::runtime::{block_on, spawn};
use wstd::time::Duration;

/// The answer to every request.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 41\r\n\r\n\
    <html><body>Hello World</body></html>\r\n\r\n";

/// The most bytes of a head, give or take a piece.
const LIMIT: usize = 16 * 1024;

fn main() -> anyhow::Result<()> {
    block_on(listen())
}

/// Runs the server, if it can listen.
async fn listen() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "9000".to_owned());
    // Get a telephone, give it a number, switch it on.
    let listener = TcpListener::bind(&format!("127.0.0.1:{port}")).await?;
    println!("Access http://{}", listener.local_addr()?);
    let mut calls = listener.incoming();
    // Pick up.
    loop {
        match calls.next().await {
            Some(Ok(call)) => spawn(run(call)).detach(),
            // Such an error passes: another connection ends, and makes room.
            _ => drop(wstd::task::sleep(Duration::from_millis(50)).await),
        }
    }
}

/// The task of one connection.
async fn run(call: TcpStream) {
    if let Err(error) = serve(call).await {
        eprintln!("{error:#}");
    }
}

/// Serves one client, which must speak first, until one of them hangs up.
async fn serve(mut call: TcpStream) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    while let Some(head) = read_head(&mut call, &mut bytes).timeout(Duration::from_secs(10)).await?? {
        println!("{}", head.lines().next().unwrap_or_default());
        call.write_all(RESPONSE.as_bytes()).timeout(Duration::from_secs(10)).await??;
        if head.contains(" HTTP/1.0\r\n") || head.to_lowercase().contains("\nconnection: close\r\n") {
            break;
        }
    }
    Ok(())
}

/// Reads the head of a request, with its empty line. Leaves in `bytes` what has come behind it.
async fn read_head(call: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<Option<String>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some(String::from_utf8(bytes.drain(..end + 4).collect())?));
        }
        ensure!(bytes.len() <= LIMIT, "the head of a request is too long");
        let mut piece = [0; 5000];
        let length = call.read(&mut piece).await?;
        if length == 0 && bytes.is_empty() {
            return Ok(None);
        }
        ensure!(length > 0, "the client hung up before its request had ended");
        bytes.extend_from_slice(&piece[..length]);
    }
}
