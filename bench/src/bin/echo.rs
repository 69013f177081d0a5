//! A native echo server on tokio, in one thread: what `runtime/examples/echo.rs` is measured against.
//!
//! `echo-tokio ADDR:PORT` serves until the process is killed.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The pause after an accept failed, perhaps for want of file descriptors; the same as in the example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves at the address that the command line names.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(Ok(address)), None) = (arguments.next().map(|text| text.parse()), arguments.next()) else {
        eprintln!("usage: echo-tokio ADDR:PORT");
        return ExitCode::from(2);
    };
    match serve(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo-tokio: cannot listen at {address}: {error}");
            eprintln!("  give an address of this machine, and a port that is free");
            ExitCode::FAILURE
        }
    }
}

/// Listens at `address`, and gives each connection a task. The component has one thread, and so has this server.
fn serve(address: SocketAddr) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(echo(stream))),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    })
}

/// Sends back what comes, until the client has finished.
async fn echo(mut stream: TcpStream) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
}
