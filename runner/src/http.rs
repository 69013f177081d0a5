//! `wasi:http`: sends the requests of a component that has no socket of its own. The grants hold here as they do for
//! sockets: a request goes to an address that `--allow-connect` names, or the sandbox refuses it.
//!
//! Wasmtime has the types (requests, fields, bodies), and this file sends them. The sender of wasmtime looks names up,
//! connects to every address, and brings TLS along. This one speaks HTTP/1.1 over plain TCP: it looks no name up, follows
//! no redirect, and uses no connection twice.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostOutgoingRequest as _, Method, OutgoingRequest};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::audit::What;
use crate::grants::{Grants, Guard, Refusal};

/// The timeout for the connection, for the first byte and for the next ones, if the component has not set one.
const PATIENCE: Duration = Duration::from_secs(600);

/// The port of `http://` when the URI names none (RFC 9110 section 4.2.1).
const DEFAULT_PORT: u16 = 80;

/// The most bytes of a request or of a response that the sandbox buffers. The head of a response has to fit in.
const MOST_WAITING: usize = 64 * 1024;

/// The most bytes of the fields of a message that a component builds; and of its method, and of its authority.
const MOST_FIELDS: usize = 16 * 1024;

/// The state of a component that sends requests.
pub(crate) struct Http {
    context: WasiHttpCtx,
    outgoing: OutgoingHttp,
}

impl Http {
    /// Sends requests to the addresses in `grants`, and reports every other one to `guard`. There are at most
    /// `max_connections` at a time.
    pub(crate) fn new(grants: &Grants, guard: &Guard, max_connections: usize) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(MOST_FIELDS);
        let places = Arc::new(Semaphore::new(max_connections));
        Http { context, outgoing: OutgoingHttp { grants: grants.clone(), guard: guard.clone(), places } }
    }

    /// The view of this state for wasmtime; handles of the component are in `table`.
    pub(crate) fn view<'h>(&'h mut self, table: &'h mut ResourceTable) -> WasiHttpCtxView<'h> {
        WasiHttpCtxView { ctx: &mut self.context, table, hooks: &mut self.outgoing }
    }
}

/// Makes `wasi:http` available to a component.
pub(crate) fn add_to_linker<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    // The version of wasmtime has no code for an error in the middle of a response.
    types.func_wrap("http-error-code", |mut store: StoreContextMut<'_, T>, (error,): (Failed,)| {
        let error = store.data_mut().http().table.get(&error)?;
        Ok((match error.downcast_ref() {
            Some(Error::Hyper(error)) => Some(code(error)),
            Some(Error::ConnectionReadTimeout) => Some(ErrorCode::ConnectionReadTimeout),
            Some(_) => None,
            None => error.downcast_ref::<ErrorCode>().cloned(),
        },))
    })?;
    // The versions of wasmtime of the next two functions keep an argument of any length.
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, T>, (request, method): (Resource<OutgoingRequest>, Method)| {
            Ok((match &method {
                Method::Other(name) if name.len() > MOST_FIELDS => Err(()),
                _ => store.data_mut().http().set_method(request, method)?,
            },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, T>, (request, authority): (Resource<OutgoingRequest>, Option<String>)| {
            Ok((match &authority {
                Some(authority) if authority.len() > MOST_FIELDS => Err(()),
                _ => store.data_mut().http().set_authority(request, authority)?,
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The interface of wasmtime 48, which serves all versions that are compatible with it.
const TYPES: &str = "wasi:http/types@0.2.12";

/// A handle to the error of a stream.
type Failed = Resource<wasmtime::Error>;

/// Sends the requests.
struct OutgoingHttp {
    grants: Grants,
    guard: Guard,
    /// The connection limit: each connection takes one permit.
    places: Arc<Semaphore>,
}

/// A response whose head was received, and the work that goes on until its body is.
type Reply = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl OutgoingHttp {
    /// The addresses to try for a request for `uri`, in order. Reports an address that is not granted.
    fn addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, Error> {
        let (answer, addresses) = match self.check(uri) {
            Ok(addresses) => (Ok(()), Ok(addresses)),
            Err(Denial { refusal, error }) => (Err(refusal), Err(error)),
        };
        self.guard.answer(What::Http, &destination(uri), answer);
        addresses
    }

    /// The addresses to try for a request for `uri`, in order.
    fn check(&self, uri: &Uri) -> Result<Vec<SocketAddr>, Denial> {
        let denied = |refusal| Denial { refusal: Some(refusal), error: Error::HttpRequestDenied };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(denied(Refusal::tls(authority.as_str())));
        }
        let port = port(authority)?;
        let Some(ips) = ips(authority.host())? else {
            let error = Error::DnsError { rcode: Some("no names are looked up".into()), info_code: None };
            return Err(Denial { refusal: Some(Refusal::name(authority.host())), error });
        };
        let addresses: Vec<_> = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        self.grants.callable(&addresses).map_err(denied)
    }
}

/// The end of a request before it was sent: the error for the component, and the refusal for its user, unless the URI is wrong.
struct Denial {
    error: Error,
    refusal: Option<Refusal>,
}

impl From<Error> for Denial {
    fn from(error: Error) -> Self {
        Denial { error, refusal: None }
    }
}

/// The address or name in `uri`, with the scheme if that is not `http`.
fn destination(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", Authority::as_str);
    match uri.scheme() {
        Some(scheme) if *scheme != Scheme::HTTP => format!("{scheme}://{authority}"),
        _ => authority.to_owned(),
    }
}

/// The port that `authority` names.
fn port(authority: &Authority) -> Result<u16, Error> {
    // Text before the host is the name of a user, which is not allowed here (RFC 9110 section 4.2.4).
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => Ok(DEFAULT_PORT),
        Some(rest) => {
            let digits = rest.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            let port = digits.and_then(|digits| digits.parse().ok()).filter(|&port| port > 0);
            port.ok_or(Error::HttpRequestUriInvalid)
        }
        None => Err(Error::HttpRequestUriInvalid),
    }
}

/// The addresses of `host`; `None` if `host` is a name that would have to be looked up. `localhost` needs no lookup: it is
/// this machine (RFC 6761 section 6.3).
fn ips(host: &str) -> Result<Option<Vec<IpAddr>>, Error> {
    if let Some(rest) = host.strip_prefix('[') {
        let ip = rest.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.map(|ip| Some(vec![ip.into()])).ok_or(Error::HttpRequestUriInvalid);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
    }
    Ok(host.parse::<Ipv4Addr>().ok().map(|ip| vec![ip.into()]))
}

impl WasiHttpHooks for OutgoingHttp {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Reply, Error>> + Send> {
        let addresses = self.addresses(request.uri());
        let places = Arc::clone(&self.places);
        Box::new(async move { send(request, &addresses?, options.unwrap_or_default(), places).await })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MOST_WAITING
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        code(error)
    }
}

/// The code for an error of a connection.
fn code(error: &hyper::Error) -> ErrorCode {
    let system = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if error.is_parse_too_large() {
        ErrorCode::HttpResponseHeaderSectionSize(None)
    } else if error.is_incomplete_message() || system.is_some_and(|error| error.kind() == ErrorKind::UnexpectedEof) {
        ErrorCode::HttpResponseIncomplete
    } else if error.is_canceled() || error.is_closed() || system.is_some() {
        ErrorCode::ConnectionTerminated
    } else {
        ErrorCode::HttpProtocolError
    }
}

/// Connects to one of `addresses`, sends the request there, and waits for the head of the response. The connection holds
/// one permit of `places` until the response ends.
async fn send(
    mut request: Request<WasiBody>,
    addresses: &[SocketAddr],
    options: RequestOptions,
    places: Arc<Semaphore>,
) -> Result<Reply, Error> {
    let patience = options.connect_timeout.unwrap_or(PATIENCE);
    // At the limit a request waits: a connection that was dropped is free a moment later.
    let place = timeout(patience, places.acquire_owned()).await.ok().and_then(Result::ok);
    let place = place.ok_or(Error::ConnectionLimitReached)?;
    let stream = timeout(patience, connect(addresses)).await;
    let stream = TokioIo::new(stream.map_err(|_| Error::ConnectionTimeout)??);
    let (mut sender, connection) = http1::Builder::new().max_buf_size(MOST_WAITING).handshake(stream).await?;
    // The task moves the bytes in both directions. Dropping its handle closes the connection.
    let connection = spawn(connection);
    // A request to a server has the path alone; the address is in the Host field already (RFC 9112 section 3.2.1).
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let response = timeout(options.first_byte_timeout.unwrap_or(PATIENCE), sender.send_request(request)).await;
    let response = response.map_err(|_| Error::ConnectionReadTimeout)??;
    let patience = options.between_bytes_timeout.unwrap_or(PATIENCE);
    let response = response.map(|body| WasiBody::new(Pieces { body, patience, deadline: None }));
    let rest = async move {
        let ended = connection.await;
        drop(place);
        ended.map_err(Error::from)
    };
    Ok((response, Box::new(rest)))
}

/// Connects to the first of `addresses` that accepts. If none does, returns the error of the first one: the system may not
/// have the others at all, such as the IPv6 address of `localhost`.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => _ = failure.get_or_insert(error),
        }
    }
    let error = failure.ok_or(Error::DestinationNotFound)?;
    Err(match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable => {
            Error::DestinationIpUnroutable
        }
        _ => Error::InternalError(Some(error.to_string())),
    })
}

/// The body of a response, with a timeout for each piece of it.
struct Pieces {
    body: Incoming,
    patience: Duration,
    /// The deadline for the next piece, while the component waits for one.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.deadline = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Audit;
    use crate::stdio::Output;

    /// A sender to which these addresses are granted.
    fn outgoing(connect: &[&str]) -> OutgoingHttp {
        let connect = connect.iter().map(|text| text.parse().expect("an address")).collect();
        let guard = Guard::new("test.wasm", &Output::stderr().expect("a thread"), &Audit::default());
        Http::new(&Grants { listen: vec![], connect }, &guard, 1).outgoing
    }

    fn places(granted: &[&str], uri: &str) -> Result<Vec<String>, String> {
        let places = outgoing(granted).addresses(&uri.parse().expect("a URI"));
        places.map(|places| places.iter().map(SocketAddr::to_string).collect()).map_err(|error| format!("{error:?}"))
    }

    const REFUSED: &str = "HttpRequestDenied";
    const WRONG: &str = "HttpRequestUriInvalid";

    #[test]
    fn a_request_goes_to_the_address_that_was_granted_and_to_no_other() {
        let granted = ["127.0.0.1:9000", "[::1]:9001", "192.0.2.1:80"];
        assert_eq!(places(&granted, "http://127.0.0.1:9000/a"), Ok(vec!["127.0.0.1:9000".into()]));
        assert_eq!(places(&granted, "http://[::1]:9001/a"), Ok(vec!["[::1]:9001".into()]));
        assert_eq!(places(&granted, "http://192.0.2.1"), Ok(vec!["192.0.2.1:80".into()]));
        for other in ["127.0.0.1:9001", "127.0.0.2:9000", "[::1]:9000", "[::ffff:127.0.0.1]:9000", "127.0.0.1"] {
            assert_eq!(places(&granted, &format!("http://{other}/a")), Err(REFUSED.into()), "{other}");
        }
    }

    #[test]
    fn localhost_is_what_was_granted_of_the_loopback_addresses() {
        let both = ["127.0.0.1:9000", "[::1]:9000"];
        assert_eq!(places(&both, "http://localhost:9000/"), Ok(both.map(String::from).to_vec()));
        assert_eq!(places(&both[1..], "http://LocalHost:9000/"), Ok(vec!["[::1]:9000".into()]));
        assert_eq!(places(&both, "http://localhost:9001/"), Err(REFUSED.into()));
    }

    #[test]
    fn of_several_addresses_the_failure_of_the_first_is_reported() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let failure = runtime.block_on(async {
            // Bound, but not listening: the system refuses every connection to it.
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
            let refused = socket.local_addr().expect("an address");
            // Without its scope this address cannot be reached.
            let unreachable = "[fe80::1]:9".parse().expect("an address");
            connect(&[refused, unreachable]).await.expect_err("nothing listens there")
        });
        assert!(matches!(failure, Error::ConnectionRefused), "{failure:?}");
    }

    #[test]
    fn no_other_name_is_an_address() {
        for name in ["example.com", "127.1", "0x7f000001", "localhost.example", "localhost."] {
            let refused = places(&["127.0.0.1:80", "127.0.0.1:9000"], &format!("http://{name}:9000/"));
            assert!(refused.as_ref().is_err_and(|error| error.starts_with("DnsError")), "{name}: {refused:?}");
        }
    }

    #[test]
    fn https_is_refused_wherever_it_leads() {
        assert_eq!(places(&["127.0.0.1:443"], "https://127.0.0.1/"), Err(REFUSED.into()));
    }

    #[test]
    fn an_authority_that_can_be_read_in_two_ways_is_refused() {
        let granted = ["127.0.0.1:9000", "127.0.0.1:80"];
        for uri in ["http://user@127.0.0.1:9000/", "http://127.0.0.1:9000@127.0.0.1/", "http://127.0.0.1:0/"] {
            assert_eq!(places(&granted, uri), Err(WRONG.into()), "{uri}");
        }
        for port in ["", "+80", "65616", "99999", "0x50", "8 0"] {
            if let Ok(uri) = format!("http://127.0.0.1:{port}/").parse::<Uri>() {
                assert!(outgoing(&granted).addresses(&uri).is_err(), "{uri}");
            }
        }
    }
}
