//! The live page: a page in the browser that shows the events of the server while they happen (`--live`).
//!
//! | file | its job |
//! |---|---|
//! | `hub` | keeps the last events, and passes them on to those who watch |
//! | `observer` | makes lines of events; under load, of a sample |
//! | `input` | finds the lines of JSON in standard input, from the sandbox |
//! | `wire` | a connection through memory, for a request that is typed into the page |
//! | `page/` | the page itself: HTML, CSS and JavaScript |
//! | `tab/wire.js`, `tab/wire.css` | the connections in the page: its drawing, which the lesson in one file shares |
//!
//! The page has a server of its own, on the next port of the loopback addresses. That server has no observer, so its connections
//! do not appear in the page. A page of another site could try to read from it, or to send through it: it answers only a `Host`
//! that is a name of this machine, and no `Origin` but its own.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::events::Observer;
use crate::http::{Request, Response};
use crate::net::Runtime;
use crate::options::live_connections;
use crate::server::{Limits, Server};

mod hub;
mod input;
mod observer;
#[cfg(test)]
mod tests;
mod wire;

use hub::Hub;
use input::JsonLines;
pub use observer::LiveObserver;
use wire::Client;

/// The most bytes of a request that is typed into the page: more than the server reads of a head.
const MOST_TYPED: usize = 64 * 1024;

/// For how long a request that was typed into the page may get no byte until the page hangs up, once the answer has begun.
const SILENCE: Duration = Duration::from_secs(3);

/// How often the page looks for more bytes of the answer to a request that was typed into it, and for events.
const LOOK: Duration = Duration::from_millis(50);

/// The fields of every response: no other site may show the page, run a script in it, or read from it.
const SAFE: [(&str, &str); 5] = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
];

/// The live page of a server.
pub struct Live {
    hub: Arc<Hub>,
    /// How many may watch at a time.
    watchers: usize,
}

impl Live {
    /// A live page for this many watchers, without a server. `run` is a word that names this run of the program.
    pub fn new(watchers: usize, run: &str) -> Self {
        Live { hub: Arc::new(Hub::new(run)), watchers }
    }

    /// The observer of the server that the page shows.
    pub fn observer<R: Runtime>(&self, runtime: R) -> LiveObserver<R> {
        LiveObserver::new(Arc::clone(&self.hub), runtime)
    }

    /// The server of the page, which shows `shown`. It lives until the program ends.
    pub fn server<R: Runtime, O: Observer + 'static>(
        &self,
        runtime: R,
        shown: &Rc<Server<R, O>>,
    ) -> Rc<Server<R, Unobserved>> {
        let (hub, watchers, shown) = (Arc::clone(&self.hub), self.watchers, Rc::clone(shown));
        let answer = move |request: &Request<'_>| safe(self::answer(request, &hub, watchers, &shown));
        let app = App { answer: Box::leak(Box::new(answer)), body_limit: MOST_TYPED };
        let limits = Limits { connections: live_connections(watchers), ..Limits::default() };
        Server::with_app(app, runtime, Unobserved, limits)
    }

    /// Tells those who begin to watch where the server listens.
    pub fn set_address(&self, address: SocketAddr) {
        self.hub.set_address(address);
    }

    /// Takes bytes of standard input as they come. The page shows each line of JSON in them: `hello-runner --audit-to-stdin`
    /// writes there what the server asks of the sandbox.
    pub fn input(&self) -> impl FnMut(&[u8]) + use<> {
        let (hub, mut lines) = (Arc::clone(&self.hub), JsonLines::default());
        move |bytes| lines.split(bytes, |line| hub.add(line))
    }

    /// Ends the streams of all that watch, because the server stops.
    pub fn close(&self) {
        self.hub.close();
    }
}

/// The observer of the server of the page.
#[derive(Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _event: crate::events::Event<'_>) {}
}

/// The response to a request to the page.
fn answer<R: Runtime, O: Observer + 'static>(
    request: &Request<'_>,
    hub: &Arc<Hub>,
    watchers: usize,
    shown: &Rc<Server<R, O>>,
) -> Response {
    if !is_of_this_page(request) {
        return Response::text(403, "This page is for browsers on this machine, and for itself.\n");
    }
    match (request.method, request.path()) {
        ("GET" | "HEAD", "/") => Response::html(200, include_str!("page/index.html")),
        ("GET" | "HEAD", "/style.css") => asset("text/css; charset=utf-8", include_str!("page/style.css")),
        ("GET" | "HEAD", "/wire.css") => asset("text/css; charset=utf-8", include_str!("../../tab/wire.css")),
        ("GET" | "HEAD", "/page.js") => asset("text/javascript; charset=utf-8", include_str!("page/page.js")),
        ("GET" | "HEAD", "/wire.js") => asset("text/javascript; charset=utf-8", include_str!("../../tab/wire.js")),
        ("GET", "/events") => match hub.watch(watchers) {
            Some(mut watcher) => Response::stream(200, "text/event-stream", async move |mut body| {
                while let Some(events) = watcher.next().await {
                    body.send(events).await;
                    // Events in quick succession go out together.
                    body.pause(LOOK).await;
                }
            }),
            None => Response::text(503, "As many watch as may.\n"),
        },
        ("POST", "/send") => match shown.connect() {
            Some(client) => send(client, request.body.to_vec()),
            None => Response::text(503, "The server has no room for another connection.\n"),
        },
        ("GET" | "HEAD" | "POST", _) => Response::text(404, "There is no such page here.\n"),
        _ => Response::text(405, "This page knows GET, HEAD and POST.\n").with_field("Allow", "GET, HEAD, POST"),
    }
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    Response::new(200, content_type, text.as_bytes())
}

fn safe(response: Response) -> Response {
    SAFE.into_iter().fold(response, |response, (name, value)| response.with_field(name, value))
}

/// Whether a request is from this page, or from a person. The name in `Host` must be one of this machine: a site whose name leads
/// to this machine (DNS rebinding) has another name. Browsers send `Origin` with each request that a page of another site makes and
/// could read, and most send `Sec-Fetch-Site` with every request.
fn is_of_this_page(request: &Request<'_>) -> bool {
    let host = request.field("host").unwrap_or_default();
    let name = match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if host.last() != Some(&b']') => &host[..colon],
        _ => host,
    };
    let is_own_name = [&b"localhost"[..], b"127.0.0.1", b"[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own));
    let is_own_origin = request.field("origin").is_none_or(|origin| origin.strip_prefix(b"http://") == Some(host));
    let site = request.field("sec-fetch-site");
    is_own_name && is_own_origin && site.is_none_or(|site| matches!(site, b"same-origin" | b"none"))
}

/// Sends what was typed, and passes on what comes back, as it comes.
fn send(mut client: Client, typed: Vec<u8>) -> Response {
    client.send(typed);
    Response::stream(200, "application/octet-stream", async move |mut body| {
        let mut silence = Duration::ZERO;
        let mut has_begun = false;
        while !(has_begun && silence >= SILENCE) {
            let (bytes, is_over) = client.receive();
            if bytes.is_empty() {
                if is_over {
                    break;
                }
                silence += LOOK;
                body.pause(LOOK).await;
            } else {
                (has_begun, silence) = (true, Duration::ZERO);
                body.send(bytes).await;
            }
        }
    })
}
