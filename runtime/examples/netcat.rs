//! Connects to a server, sends standard input, and prints the bytes of the server. This example shows the standard streams, and
//! how to read and write at the same time: with the feature `futures-io`, `split` of `futures-util` makes two halves of a stream.
//!
//! ```console
//! $ cargo build --release --locked --target wasm32-wasip2 --package hello-runtime --features futures-io --example netcat
//! $ wasmtime run -S inherit-network target/wasm32-wasip2/release/examples/netcat.wasm 127.0.0.1:7000
//! ```

#[cfg(target_family = "wasm")]
mod netcat {
    use std::future::pending;
    use std::io;
    use std::net::SocketAddr;
    use std::pin::pin;

    use futures_util::io::{AsyncReadExt, AsyncWriteExt};
    use hello_runtime::io::{stdin, stdout};
    use hello_runtime::net::TcpStream;
    use hello_runtime::{Either, race};

    /// How many bytes are passed on at a time.
    const CHUNK: usize = 4096;

    /// Passes bytes on in both directions, until the server has finished.
    pub(crate) async fn talk(address: SocketAddr) -> io::Result<()> {
        let (mut reader, mut writer) = TcpStream::connect(address).await?.split();
        let (mut stdin, mut stdout) = (stdin(), stdout());
        let receive = async {
            let mut buffer = [0; CHUNK];
            loop {
                match reader.read(&mut buffer).await? {
                    0 => return Ok(()),
                    read => stdout.write_all(&buffer[..read]).await?,
                }
            }
        };
        let send = async {
            loop {
                let bytes = stdin.read_chunk(CHUNK).await?;
                if bytes.is_empty() {
                    writer.close().await?;
                    // The server may still send bytes.
                    return pending().await;
                }
                writer.write_all(&bytes).await?;
            }
        };
        match race(pin!(receive), pin!(send)).await {
            Either::First(ended) | Either::Second(ended) => ended,
        }
    }
}

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    hello_runtime::block_on(netcat::talk(address))
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("netcat: build this for wasm32-wasip2, and run it with wasmtime");
}
