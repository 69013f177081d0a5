//! The server on WASI 0.3: the host has tasks, streams and futures, so the component needs no reactor.
//!
//! The conversation, the page and the answers to faults are those of `hello-server`: its `http/` is used as it is.
//!
//! ```console
//! $ cd examples/wasi-0.3
//! $ cargo build --release --locked
//! $ ../../runner/wasmtime run -S inherit-network target/wasm32-wasip2/release/hello_wasi_03.wasm
//! ```

use std::future::ready;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{Either, select};
use hello_server::app::App;
use hello_server::http::response::CONTINUE;
use hello_server::http::{Body, Fault, Head, Parsed, Persistence, Response, Version, parse};
use wasip3::cli::stdin;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::sockets::types::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
use wasip3::wit_bindgen::{StreamReader, StreamResult, StreamWriter, yield_async};
use wasip3::{spawn, wit_stream};

/// How long a client may be silent, in a request and before it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take to receive a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server reads on after its last response, until the client has finished.
const LINGER: Duration = Duration::from_secs(2);

/// The pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the requests in progress may take when the server stops, and how often it looks whether some are left.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const STOP_LOOK: Duration = Duration::from_millis(50);

/// How many bytes the server reads at a time.
const READ: usize = 4096;

/// Each request in progress has a weak reference to this.
static REQUESTS: LazyLock<Arc<()>> = LazyLock::new(Default::default);

struct Server;

wasip3::cli::command::export!(Server);

impl wasip3::exports::cli::run::Guest for Server {
    async fn run() -> Result<(), ()> {
        listen().await.map_err(|error| eprintln!("Error: {error}"))
    }
}

/// Serves each connection, until standard input ends. Listens on the port that the command line names, or on 9000.
async fn listen() -> Result<(), ErrorCode> {
    let port = std::env::args().nth(1).map_or(Ok(9000), |port| port.parse()).map_err(|_| ErrorCode::InvalidArgument)?;
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.bind(IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) }))?;
    let mut connections = socket.listen()?;
    let IpSocketAddress::Ipv4(address) = socket.get_local_address()? else { return Err(ErrorCode::InvalidState) };
    println!("Access http://127.0.0.1:{}", address.port);
    let (mut input, _) = stdin::read_via_stream();
    let mut stop = pin!(input.next());
    while let Either::Left((Some(connection), _)) = select(pin!(connections.next()), stop.as_mut()).await {
        if connection.get_local_address().is_ok() {
            spawn(serve_connection(connection));
            // wit-bindgen 0.57 leaves a new task alone until something else happens.
            yield_async().await;
        } else {
            // In the place of an error of accept the host passes on a closed connection, each call of which returns that error.
            wait(ACCEPT_PAUSE).await;
        }
    }
    drop((connections, socket));
    // The host ends the component when `run` is done, with all tasks.
    let end = Instant::now() + STOP_TIMEOUT;
    while Arc::weak_count(&REQUESTS) > 0 && Instant::now() < end {
        wait(STOP_LOOK).await;
    }
    Ok(())
}

/// Serves one client, which must speak first, until one of the two closes the connection.
async fn serve_connection(socket: TcpSocket) {
    let (received, _) = socket.receive();
    let (sender, data) = wit_stream::new();
    let sent = socket.send(data);
    let mut connection = Connection { received: Some(received), sender, unread: Vec::new(), alarm: Alarm::new() };
    if let Err(Stop::Fault(fault)) = connection.serve_requests().await {
        let _ = connection.send(&fault.response(), false, Persistence::Close, Version::Http11).await;
    }
    let Connection { received, sender, mut alarm, .. } = connection;
    // The client sees the end of the last response.
    drop(sender);
    let linger = async {
        if let Some(mut received) = received {
            while let (StreamResult::Complete(_), _) = received.read(Vec::with_capacity(READ)).await {}
        }
        let _ = sent.await;
    };
    alarm.timeout(LINGER, linger).await;
}

/// Why there is no next request.
enum Stop {
    /// The bytes are no request; the server answers with this fault.
    Fault(Fault),
    /// The connection is to be closed.
    Close,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

struct Connection {
    /// `None` once the client has finished: to read on would end the component.
    received: Option<StreamReader<u8>>,
    sender: StreamWriter<u8>,
    /// The bytes behind the last request.
    unread: Vec<u8>,
    alarm: Alarm,
}

impl Connection {
    async fn serve_requests(&mut self) -> Result<(), Stop> {
        while let Persistence::Keep | Persistence::KeepAndSay = self.serve_request().await? {}
        Ok(())
    }

    /// Reads a request, and answers it. Returns whether the connection stays open.
    async fn serve_request(&mut self) -> Result<Persistence, Stop> {
        loop {
            let bytes = mem::take(&mut self.unread);
            // Without a byte there is no request yet.
            let _request = if bytes.is_empty() { Weak::new() } else { Arc::downgrade(&REQUESTS) };
            match parse(&bytes)? {
                Parsed::Complete(head, length) => return self.answer(&head, &bytes[length..]).await,
                Parsed::Incomplete => self.unread = self.read(bytes, true).await?,
            }
        }
    }

    /// Reads the body of a request, which begins with `arrived`, and answers the request.
    async fn answer(&mut self, head: &Head<'_>, arrived: &[u8]) -> Result<Persistence, Stop> {
        let mut body = Body::wanted(head.framing, App::HELLO.body_limit)?;
        let mut taken = body.take(arrived)?;
        self.unread = arrived[taken..].to_vec();
        if head.expects_continue && arrived.is_empty() {
            self.write(CONTINUE.to_vec()).await?;
        }
        while !body.is_complete() {
            let bytes = self.read(Vec::new(), false).await?;
            taken = body.take(&bytes)?;
            self.unread = bytes[taken..].to_vec();
        }
        let content = body.into_content();
        let request = head.request.with_body(&content);
        let response = App::HELLO.answer(&request);
        self.send(&response, request.method == "HEAD", head.persistence, head.version).await?;
        Ok(head.persistence)
    }

    /// Reads bytes behind `bytes`. At the end of the stream there is no next request.
    async fn read(&mut self, mut bytes: Vec<u8>, is_between_requests: bool) -> Result<Vec<u8>, Stop> {
        let received = self.received.as_mut().ok_or(Stop::Close)?;
        bytes.reserve(READ);
        let read = self.alarm.timeout(READ_TIMEOUT, received.read(bytes)).await;
        let (result, bytes) = read.ok_or(Stop::Fault(Fault::Timeout))?;
        if let StreamResult::Complete(_) = result {
            return Ok(bytes);
        }
        self.received = None;
        Err(if is_between_requests && bytes.is_empty() { Stop::Close } else { Stop::Fault(Fault::Incomplete) })
    }

    async fn send(
        &mut self,
        response: &Response,
        to_head: bool,
        persistence: Persistence,
        version: Version,
    ) -> Result<(), Stop> {
        let mut bytes = Vec::new();
        let date = httpdate::fmt_http_date(SystemTime::now());
        response.encode(&mut bytes, to_head, persistence, version, &date);
        self.write(bytes).await
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Stop> {
        let rest = self.alarm.timeout(WRITE_TIMEOUT, self.sender.write_all(bytes)).await;
        if rest.is_some_and(|rest| rest.is_empty()) { Ok(()) } else { Err(Stop::Close) }
    }
}

async fn wait(time: Duration) {
    wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
}

/// The timer of a connection. It stays from one request to the next: a timer for each read and write halves the speed.
struct Alarm {
    rings_at: Instant,
    timer: Pin<Box<dyn Future<Output = ()>>>,
}

impl Alarm {
    fn new() -> Self {
        Alarm { rings_at: Instant::now(), timer: Box::pin(ready(())) }
    }

    /// Waits for `future`, but no longer than `time`.
    async fn timeout<F: Future>(&mut self, time: Duration, future: F) -> Option<F::Output> {
        let (mut future, end) = (pin!(future), Instant::now() + time);
        if self.rings_at > end {
            self.set(end);
        }
        loop {
            match select(future.as_mut(), &mut self.timer).await {
                Either::Left((output, _)) => return Some(output),
                Either::Right(_) if Instant::now() >= end => return None,
                // It was set for an earlier wait.
                Either::Right(_) => self.set(end),
            }
        }
    }

    fn set(&mut self, end: Instant) {
        self.rings_at = end;
        self.timer = Box::pin(wait(end.saturating_duration_since(Instant::now())));
    }
}
