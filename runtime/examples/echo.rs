//! An echo server: each connection gets back what it sends.
//!
//! ```console
//! $ cargo build --release --locked --target wasm32-wasip2 --package hello-runtime --example echo
//! $ wasmtime run -S inherit-network target/wasm32-wasip2/release/examples/echo.wasm 127.0.0.1:7000
//! ```

#[cfg(target_family = "wasm")]
use hello_runtime::net::{TcpListener, TcpStream};

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let address = address.parse().map_err(std::io::Error::other)?;
    hello_runtime::block_on(async move {
        let mut listener = TcpListener::bind(address)?;
        println!("Listening on {}", listener.local_addr()?);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => hello_runtime::spawn(echo(stream)),
                // No such error is permanent: the process may have no file descriptor left until a connection is closed.
                Err(_) => hello_runtime::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    })
}

/// Sends back what comes, until the client has finished.
#[cfg(target_family = "wasm")]
async fn echo(mut stream: TcpStream) {
    while let Ok(bytes) = stream.read_chunk(16 * 1024).await {
        if bytes.is_empty() || stream.write_all(&bytes).await.is_err() {
            break;
        }
    }
    stream.close().await;
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("echo: build this for wasm32-wasip2, and run it with wasmtime");
}
