//! The native baseline: what hyper, on one thread, makes of the same answer.
//!
//! `hyper-baseline ADDR:PORT` serves until it is ended. It replies byte for byte as the component does, and is set up as
//! somebody would who wants it fast: nothing is asked of hyper that the answer does not need, not even timeouts.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The page of the lecture.
const PAGE: &[u8] = b"<html><body>Hello World</body></html>\r\n\r\n";

/// How long no call is picked up after one could not be, for want of file descriptors perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves at the address that the command line names.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(Ok(address)), None) = (arguments.next().map(|text| text.parse()), arguments.next()) else {
        eprintln!("usage: hyper-baseline ADDR:PORT");
        return ExitCode::from(2);
    };
    match serve(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper-baseline: cannot listen at {address}: {error}");
            eprintln!("  give an address of this machine, and a port that nobody else listens at");
            ExitCode::FAILURE
        }
    }
}

/// Listens at `address`, and serves whoever calls. The component has one thread, and so has this.
fn serve(address: SocketAddr) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            // TCP_NODELAY is not set: WASI 0.2 has no such option, so the component's sockets do not have it either. With
            // one write a reply it makes no difference.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let connection = http1::Builder::new()
                .title_case_headers(true)
                // Answers to pipelined requests leave in one write, as those of the component do.
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            // A client that leaves in the middle is not an error of the server.
            tokio::spawn(async { _ = connection.await });
        }
    })
}

/// Says Hello World. hyper adds `Content-Length` and `Date`, in this order.
async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(PAGE)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}
