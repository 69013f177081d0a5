//! Two clients talk to each other: what one sends goes to the other. It shows timeouts and cancellation: when both are silent for a
//! minute (or as many seconds as the second argument says), the chat ends for both, and a read that was cancelled loses no byte.
//!
//! ```console
//! $ cargo build --release --locked --target wasm32-wasip2 --package hello-runtime --example chat
//! $ wasmtime run -S inherit-network target/wasm32-wasip2/release/examples/chat.wasm 127.0.0.1:7000
//! ```

#[cfg(target_family = "wasm")]
mod chat {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::time::Duration;

    use hello_runtime::net::{TcpListener, TcpStream};
    use hello_runtime::time::{sleep, timeout};
    use hello_runtime::{Either, race, spawn};

    /// How many bytes are passed on at a time.
    const CHUNK: usize = 4096;

    /// Accepts clients in pairs, and lets each pair chat.
    pub(crate) async fn serve(address: SocketAddr, silence: Duration) -> io::Result<()> {
        let mut listener = TcpListener::bind(address)?;
        println!("Listening on {}", listener.local_addr()?);
        loop {
            let first = accept(&mut listener).await;
            let second = accept(&mut listener).await;
            spawn(talk(first, second, silence));
        }
    }

    /// Accepts a client. No such error is permanent: the process may have no file descriptor left until a connection is closed.
    async fn accept(listener: &mut TcpListener) -> TcpStream {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Passes bytes on in both directions, until one client leaves or both are silent for too long.
    async fn talk(mut first: TcpStream, mut second: TcpStream, silence: Duration) {
        loop {
            // The read that is not ready is dropped: cancelled. The next read gets bytes that come later.
            let both = async { race(pin!(first.read_chunk(CHUNK)), pin!(second.read_chunk(CHUNK))).await };
            let said = timeout(silence, both).await;
            let (said, listener) = match said {
                Ok(Either::First(said)) => (said, &mut second),
                Ok(Either::Second(said)) => (said, &mut first),
                Err(_) => break,
            };
            match said {
                // A client that does not read for that long ends the chat, too.
                Ok(bytes) if !bytes.is_empty() => match timeout(silence, listener.write_all(&bytes)).await {
                    Ok(Ok(())) => {}
                    _ => break,
                },
                _ => break,
            }
        }
        // Drop the streams: a close would wait for a client that does not read. The drop gives up the bytes in flight.
        drop((first, second));
    }
}

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    let seconds = std::env::args().nth(2).map_or(Ok(60), |seconds| seconds.parse()).map_err(std::io::Error::other)?;
    hello_runtime::block_on(chat::serve(address, std::time::Duration::from_secs(seconds)))
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("chat: build this for wasm32-wasip2, and run it with wasmtime");
}
