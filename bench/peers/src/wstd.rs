//! A simple server on wstd: a task for each connection, which reads and writes. This baseline shows how much the reactor
//! and the executor of hello-server gain.
//!
//! `peer-wstd.wasm ADDR:PORT` serves until the process is killed. The server finds the ends of heads in the simplest way:
//! the requests of the benchmark come whole and have no body.

/// The whole response, without a date: this baseline is spared the work of writing one.
#[cfg(target_family = "wasm")]
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 41\r\n\r\n\
    <html><body>Hello World</body></html>\r\n\r\n";

/// Serves until the process is killed.
#[cfg(target_family = "wasm")]
fn main() -> wstd::io::Result<()> {
    wstd::runtime::block_on(serve())
}

/// Listens at the address of the command line, and gives each connection a task.
#[cfg(target_family = "wasm")]
async fn serve() -> wstd::io::Result<()> {
    use wstd::iter::AsyncIterator as _;

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let listener = wstd::net::TcpListener::bind(&address).await?;
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        wstd::runtime::spawn(talk(stream?)).detach();
    }
    Ok(())
}

/// Sends the response to each head, which ends with an empty line, until the peer leaves or an error occurs.
#[cfg(target_family = "wasm")]
async fn talk(mut stream: wstd::net::TcpStream) {
    use wstd::io::{AsyncRead as _, AsyncWrite as _};

    let mut bytes = [0; 4096];
    let mut filled = 0;
    // If the buffer is full, the read returns 0 bytes, which ends the connection as if the peer had left.
    while let Ok(read @ 1..) = stream.read(&mut bytes[filled..]).await {
        filled += read;
        if bytes[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if stream.write_all(ANSWER).await.is_err() {
                break;
            }
        }
    }
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("peer-wstd: this is a component, and was built for something else");
    eprintln!("  build it with --target wasm32-wasip2; bench/run does");
    std::process::ExitCode::FAILURE
}
