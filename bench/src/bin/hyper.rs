//! The native baseline: hyper, on one thread, with the same response.
//!
//! `hyper-baseline ADDR:PORT` serves until the process is killed. It responds byte for byte as the component does, and is
//! set up to be fast: hyper does nothing that the response does not need, and has no timeouts.

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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// The page of the lecture.
const PAGE: &[u8] = b"<html><body>Hello World</body></html>\r\n\r\n";

/// The pause after an accept failed, perhaps for want of file descriptors.
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
            eprintln!("  give an address of this machine, and a port that is free");
            ExitCode::FAILURE
        }
    }
}

/// Listens on `address`, and serves every connection. The component has one thread, and so has this server.
fn serve(address: SocketAddr) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            // TCP_NODELAY is not set: WASI 0.2 has no such option, so the component's sockets do not have it either.
            // With one write per response the option makes no difference.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            tokio::spawn(talk(stream));
        }
    })
}

/// Serves one connection until the peer leaves. A peer that leaves in the middle is not an error of the server.
async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut builder = http1::Builder::new();
    // The responses to pipelined requests leave in one write, as those of the component do.
    builder.title_case_headers(true).pipeline_flush(true);
    _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

/// Responds with Hello World. hyper adds `Content-Length` and `Date`, in this order.
async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(PAGE)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use hello_server::http::{Parsed, Persistence, parse};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// The response of the component, at the time `date`.
    fn of_the_component(date: &str) -> String {
        let Ok(Parsed::Complete(head, _)) = parse(REQUEST) else { panic!("it is a request") };
        let mut reply = Vec::new();
        hello_server::hello::answer(&head.request).encode(&mut reply, false, Persistence::Keep, head.version, date);
        String::from_utf8(reply).unwrap()
    }

    #[test]
    fn the_native_baseline_responds_byte_for_byte_as_the_component_does() {
        let length = of_the_component(&httpdate::fmt_http_date(UNIX_EPOCH)).len();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (reply, more) = runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(4096);
            tokio::spawn(super::talk(server));
            client.write_all(REQUEST).await.unwrap();
            let mut reply = vec![0; length];
            client.read_exact(&mut reply).await.unwrap();
            client.shutdown().await.unwrap();
            (String::from_utf8(reply).unwrap(), client.read(&mut [0]).await.unwrap())
        });
        let date = reply.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap();
        assert_eq!((reply.as_str(), more), (of_the_component(date).as_str(), 0));
    }
}
