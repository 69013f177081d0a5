//! A server that sends each line back in capitals, with readers and writers of `futures-lite`: what is written for `AsyncRead` and
//! `AsyncWrite` of `futures-io` runs on this runtime.
//!
//! ```console
//! $ cargo build --release --locked --target wasm32-wasip2 --package hello-runtime --example lines
//! $ wasmtime run -S inherit-network target/wasm32-wasip2/release/examples/lines.wasm 127.0.0.1:7000
//! ```

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    use hello_runtime::net::TcpListener;

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    hello_runtime::block_on(async move {
        let mut listener = TcpListener::bind(address)?;
        println!("Listening on {}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            hello_runtime::spawn(async {
                // A client that is gone has no use for the error.
                let _ = capitals(stream).await;
            });
        }
    })
}

/// Sends back each line in capitals, until the client has finished.
#[cfg(target_family = "wasm")]
async fn capitals(stream: hello_runtime::net::TcpStream) -> std::io::Result<()> {
    use futures_lite::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, split};
    use futures_lite::stream::StreamExt as _;

    let (reader, mut writer) = split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next().await {
        writer.write_all(format!("{}\n", line?.to_uppercase()).as_bytes()).await?;
    }
    writer.close().await
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("lines: build this for wasm32-wasip2, and run it with wasmtime");
}
