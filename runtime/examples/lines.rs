//! An echo server by lines: each whole line goes back. It shows the feature `futures-io`: `futures-util` finds the lines.
//!
//! ```console
//! $ cargo build --release --locked --target wasm32-wasip2 --package hello-runtime --features futures-io --example lines
//! $ wasmtime run -S inherit-network target/wasm32-wasip2/release/examples/lines.wasm 127.0.0.1:7000
//! ```

#[cfg(target_family = "wasm")]
mod lines {
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use futures_util::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
    use hello_runtime::net::{TcpListener, TcpStream};
    use hello_runtime::spawn;
    use hello_runtime::time::sleep;

    /// How many bytes a line may have. A longer line ends the connection.
    const LONGEST_LINE: u64 = 4096;

    /// Serves each connection.
    pub(crate) async fn serve(address: SocketAddr) -> io::Result<()> {
        let mut listener = TcpListener::bind(address)?;
        println!("Listening on {}", listener.local_addr()?);
        loop {
            match listener.accept().await {
                // A lost connection does not affect the others.
                Ok((stream, _)) => spawn(async { echo(stream).await.unwrap_or_default() }),
                // No such error is permanent: the process may have no file descriptor left until a connection is closed.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Sends back each line, until the client has finished.
    async fn echo(stream: TcpStream) -> io::Result<()> {
        let (reader, writer) = stream.split();
        let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
            writer.write_all(&line).await?;
            if line.last() != Some(&b'\n') {
                return writer.close().await;
            }
            // Lines that have come together go back in one write: the second of two small writes would wait up to 40 milliseconds.
            if !reader.buffer().contains(&b'\n') {
                writer.flush().await?;
            }
        }
    }
}

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    hello_runtime::block_on(lines::serve(address))
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("lines: build this for wasm32-wasip2, and run it with wasmtime");
}
