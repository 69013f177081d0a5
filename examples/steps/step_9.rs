//! Step 9: when standard input ends, the server has five seconds for its last responses.

use std::pin::pin;
use std::time::Duration;

use anyhow::ensure;
use hello_runtime::io::stdin;
use hello_runtime::net::{TcpListener, TcpStream};
use hello_runtime::time::{sleep, timeout};
use hello_runtime::{Either, block_on, race, spawn};

/// The answer to every request.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 41\r\n\r\n\
    <html><body>Hello World</body></html>\r\n\r\n";

/// The most bytes of a head, give or take a piece.
const LIMIT: usize = 16 * 1024;

fn main() -> anyhow::Result<()> {
    block_on(listen())
}

/// Runs the server, until standard input ends.
async fn listen() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "9000".to_owned());
    // Get a telephone, give it a number, switch it on.
    let mut listener = TcpListener::bind(format!("127.0.0.1:{port}").parse()?)?;
    println!("Access http://{}", listener.local_addr()?);
    let mut input = stdin();
    let mut stop = pin!(input.read_chunk(1));
    // Pick up.
    loop {
        match race(pin!(listener.accept()), stop.as_mut()).await {
            Either::First(Ok((call, _))) => spawn(run(call)),
            // Such an error passes: another connection ends, and makes room.
            Either::First(Err(_)) => sleep(Duration::from_millis(50)).await,
            Either::Second(_) => break,
        }
    }
    drop(listener);
    sleep(Duration::from_secs(5)).await;
    Ok(())
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
    while let Some(head) = timeout(Duration::from_secs(10), read_head(&mut call, &mut bytes)).await?? {
        println!("{}", head.lines().next().unwrap_or_default());
        timeout(Duration::from_secs(10), call.write_all(RESPONSE.as_bytes())).await??;
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
