//! An echo server on wstd, as the example `tcp_echo_server` of wstd has it: a task for each connection, which copies the stream
//! to itself.
//!
//! `echo-wstd.wasm ADDR:PORT` serves until the process is killed.

/// Serves until the process is killed.
#[cfg(target_family = "wasm")]
fn main() -> wstd::io::Result<()> {
    wstd::runtime::block_on(serve())
}

/// Listens at the address of the command line, and gives each connection a task.
#[cfg(target_family = "wasm")]
async fn serve() -> wstd::io::Result<()> {
    use wstd::iter::AsyncIterator as _;

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let listener = wstd::net::TcpListener::bind(&address).await?;
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let stream = stream?;
        // A client that leaves in the middle is not an error of the server.
        wstd::runtime::spawn(async move { wstd::io::copy(&stream, &stream).await }).detach();
    }
    Ok(())
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("echo-wstd: this is a component, and was built for something else");
    eprintln!("  build it with --target wasm32-wasip2; bench/run does");
    std::process::ExitCode::FAILURE
}
