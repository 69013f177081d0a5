//! The server that one writes first with wstd: a task for each connection, which reads and writes. It is the baseline
//! for what the reactor and the executor of hello-server are worth.
//!
//! `peer-wstd.wasm ADDR:PORT` serves until it is ended. Heads are looked for as simply as can be: this is for the
//! benchmark, whose requests come whole and have no body.

/// The whole answer. A date would be work, which this baseline is spared.
#[cfg(target_family = "wasm")]
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 41\r\n\r\n\
    <html><body>Hello World</body></html>\r\n\r\n";

/// Serves until it is ended.
#[cfg(target_family = "wasm")]
fn main() -> wstd::io::Result<()> {
    wstd::runtime::block_on(serve())
}

/// Listens where the command line says, and gives each caller a task.
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

/// Answers whatever ends with an empty line, until the peer leaves or something fails.
#[cfg(target_family = "wasm")]
async fn talk(mut stream: wstd::net::TcpStream) {
    use wstd::io::{AsyncRead as _, AsyncWrite as _};

    let mut bytes = [0; 4096];
    let mut filled = 0;
    // When no room is left, nothing is read, which ends it like a peer that leaves.
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

/// Outside a component there is nothing to listen with.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("peer-wstd: this is a component, and was built for something else");
    eprintln!("  build it with --target wasm32-wasip2; bench/run does");
    std::process::ExitCode::FAILURE
}
