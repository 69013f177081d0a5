//! What is the same with hyper and with axum: accept connections, let hyper serve each of them, stop when standard input ends.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use hello_runtime::hyper::Timer;
use hello_runtime::io::stdin;
use hello_runtime::net::TcpListener;
use hello_runtime::time::{sleep, timeout};
use hello_runtime::{Either, block_on, race, spawn};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::server::graceful::GracefulShutdown;

/// The page of the lecture.
pub const PAGE: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// How long a client may be silent, and then how long it may take to send the head of its request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the requests in progress may take when the server stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after an accept that failed. No error of accept is permanent: the process may have no file descriptor left until a
/// connection is closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The error of a server, of a service, or of the body of a response.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Answers each request with `service`, until standard input ends. Listens on the port that the command line names, or on 9000.
///
/// # Errors
/// The component cannot listen on that port.
pub fn run<S, B>(service: S) -> Result<(), BoxError>
where
    S: HttpService<Incoming, ResBody = B> + Clone + 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    block_on(async move {
        let port = std::env::args().nth(1).unwrap_or_else(|| "9000".to_owned());
        let mut listener = TcpListener::bind(format!("127.0.0.1:{port}").parse()?)?;
        println!("Access http://{}", listener.local_addr()?);
        let mut builder = http1::Builder::new();
        builder.timer(Timer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
        // The names of fields as people write them; and a client that has shut down its write side gets its response.
        builder.title_case_headers(true).half_close(true);
        let graceful = GracefulShutdown::new();
        let mut input = stdin();
        let mut stop = pin!(input.read_chunk(1));
        loop {
            match race(pin!(listener.accept()), stop.as_mut()).await {
                Either::First(Ok((stream, _))) => {
                    let connection = graceful.watch(builder.serve_connection(stream, service.clone()));
                    // The failure of one connection does not affect the others.
                    spawn(async { connection.await.unwrap_or_default() });
                }
                Either::First(Err(_)) => sleep(ACCEPT_PAUSE).await,
                Either::Second(_) => break,
            }
        }
        drop(listener);
        // What is still in progress then is not finished.
        let _ = timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await;
        Ok(())
    })
}
