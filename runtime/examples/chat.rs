//! Two clients talk to each other: each line of one goes to the other. It shows timeouts and cancellation: a client that says nothing for
//! a minute ends the chat for both, and a read that was cancelled loses no byte.
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
    use hello_runtime::time::timeout;
    use hello_runtime::{Either, race, spawn};

    /// How long both may say nothing.
    const SILENCE: Duration = Duration::from_secs(60);

    /// How many bytes are passed on at a time.
    const CHUNK: usize = 4096;

    /// Accepts two clients at a time.
    pub(crate) async fn serve(address: SocketAddr) -> io::Result<()> {
        let mut listener = TcpListener::bind(address)?;
        println!("Listening on {}", listener.local_addr()?);
        loop {
            let (mut first, _) = listener.accept().await?;
            first.write_all(b"Wait for another one.\n").await?;
            let (second, _) = listener.accept().await?;
            spawn(talk(first, second));
        }
    }

    /// Passes on what each says to the other, until one of them leaves or both say nothing for too long.
    async fn talk(mut first: TcpStream, mut second: TcpStream) {
        loop {
            // The read that is not ready is dropped: cancelled. What comes later is read the next time.
            let both = async { race(pin!(first.read_chunk(CHUNK)), pin!(second.read_chunk(CHUNK))).await };
            let said = timeout(SILENCE, both).await;
            let (said, listener) = match said {
                Ok(Either::First(said)) => (said, &mut second),
                Ok(Either::Second(said)) => (said, &mut first),
                Err(_) => break,
            };
            match said {
                // A peer that does not read for as long as that ends the chat, too. Its stream may be dropped with the write in flight.
                Ok(bytes) if !bytes.is_empty() => match timeout(SILENCE, listener.write_all(&bytes)).await {
                    Ok(Ok(())) => {}
                    _ => break,
                },
                _ => break,
            }
        }
        first.close().await;
        second.close().await;
    }
}

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    hello_runtime::block_on(chat::serve(address))
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("chat: build this for wasm32-wasip2, and run it with wasmtime");
}
