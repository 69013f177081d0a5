//! Serves one connection: the client sends a request, the server responds, and so on, until one of them closes the connection.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use hello_runtime::yield_now;

use super::Server;
use super::connection_limit::Permit;
use super::input::Input;
use super::transport::Transport;
use crate::events::{CloseReason, Event, Exchange, Observer, Peer};
use crate::http::response::{CONTINUE, encode_chunk};
use crate::http::{Body, Fault, Head, Parsed, Persistence, Response, Version};
use crate::net::{Runtime, Stream};
use crate::stream::{Step, StreamBody};

/// How many bytes of responses are collected before the server writes them, although more requests have come. One response may
/// go beyond that; a small one still fits into the 16 KiB that the buffer has by then.
const FULL_BUFFER: usize = 15 * 1024;

/// How much of the buffer for responses is kept while a connection is idle.
const KEPT_BUFFER: usize = 2 * 1024;

/// How many requests of a connection are served until the other connections have a turn. A busy client sends hundreds at once.
const REQUESTS_PER_TURN: u32 = 16;

/// The most bytes of a broken request line that the log shows.
const LOGGED_LINE: usize = 1024;

/// The most bytes of a TLS handshake that the log shows. They are of no use to a reader.
const LOGGED_TLS: usize = 8;

/// Why there is no next request.
enum Stop {
    /// The bytes are no request; the server responds with this fault.
    Fault(Fault),
    /// The connection is to be closed.
    Close(CloseReason),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<CloseReason> for Stop {
    fn from(reason: CloseReason) -> Self {
        Stop::Close(reason)
    }
}

/// Serves one connection until it is closed, and holds the permit until the stream is dropped.
pub async fn serve_connection<R: Runtime, O: Observer>(
    server: Rc<Server<R, O>>,
    stream: impl Stream,
    peer: Peer,
    permit: Permit,
) {
    let transport = Transport::new(&server, stream, peer, permit);
    let mut connection =
        Connection { server: &server, transport, peer, responses: Vec::new(), used: 0, served: 0, waiting_since: None };
    let reason = connection.run().await;
    connection.responses = Vec::new();
    connection.transport.close(reason).await;
}

struct Connection<'s, S, R, O> {
    server: &'s Server<R, O>,
    transport: Transport<'s, S, R, O>,
    peer: Peer,
    /// Responses that were not written. The server writes them together, when the peer waits for them.
    responses: Vec<u8>,
    /// How many bytes the requests with a response had in all.
    used: usize,
    /// How many requests were served since the other connections had a turn.
    served: u32,
    /// Since when the server waits for a request to begin, or, after its first byte, for the rest of its head.
    waiting_since: Option<Duration>,
}

impl<S: Stream, R: Runtime, O: Observer> Connection<'_, S, R, O> {
    /// Serves requests until the connection is to be closed.
    async fn run(&mut self) -> CloseReason {
        let mut input = Input::default();
        loop {
            match self.serve_request(&mut input).await {
                Ok(None) => {}
                Ok(Some(reason)) | Err(Stop::Close(reason)) => return reason,
                // The one place where a fault becomes a response.
                Err(Stop::Fault(fault)) => return self.refuse(fault, &input).await,
            }
        }
    }

    /// Reads a request, and responds to it. Returns the reason if the connection is to be closed.
    async fn serve_request(&mut self, input: &mut Input) -> Result<Option<CloseReason>, Stop> {
        // The client must speak first.
        let (head, length) = loop {
            match input.parse()? {
                Parsed::Complete(head, length) => break (head, length),
                Parsed::Incomplete => {
                    if !self.fill(input).await? {
                        return Ok(Some(CloseReason::PeerFinished));
                    }
                }
            }
        };
        let mut body = Body::wanted(head.framing, self.server.app.body_limit)?;
        let arrived = &input.unread()[length..];
        let length = length + body.take(arrived)?;
        let is_awaited = head.expects_continue && arrived.is_empty();
        let rest = if body.is_complete() { None } else { Some(self.read_rest(&mut body, is_awaited).await?) };
        self.transport.set_busy();

        let behind = rest.as_ref().map_or(input.unread().len() - length, Vec::len);
        let content = body.into_content();
        let request = head.request.with_body(&content);
        let response = self.server.app.answer(&request);
        let persistence = self.persistence(&head, &response, behind == 0);
        let to_head = request.method == "HEAD";
        let mut bytes = self.encode(&response, to_head, persistence, head.version);
        if let Some(body) = response.body_stream().filter(|_| !to_head) {
            bytes = self.send_stream(body, head.version).await?;
        }
        self.report(head.line, behind, None, response.status(), bytes);
        if persistence == Persistence::Close {
            self.flush().await?;
            return Ok(Some(CloseReason::LastResponse));
        }
        match rest {
            None => input.consume(length),
            Some(bytes) => *input = Input::from(bytes),
        }
        self.transport.set_responded();
        self.waiting_since = None;
        if self.responses.len() >= FULL_BUFFER {
            self.flush().await?;
        }
        self.served += 1;
        if self.served >= REQUESTS_PER_TURN {
            self.served = 0;
            yield_now().await;
        }
        Ok(None)
    }

    /// Whether the connection stays open: as the client asks, but once the server stops, only until the last response. For a client
    /// that speaks HTTP/1.0 a body of unknown length ends with the connection.
    fn persistence(&self, head: &Head<'_>, response: &Response, is_last: bool) -> Persistence {
        let ends_body = head.version == Version::Http10 && response.body_stream().is_some();
        if ends_body || is_last && self.server.stop.has_begun() { Persistence::Close } else { head.persistence }
    }

    /// Sends a body that is made while it is sent, behind the head of its response. Returns how many bytes it had.
    async fn send_stream(&mut self, body: &StreamBody, version: Version) -> Result<usize, CloseReason> {
        let mut sent = 0;
        loop {
            self.flush().await?;
            // A producer that is never done has one turn at a time, like every connection.
            yield_now().await;
            match self.transport.wait_for(body.step()).await? {
                Some(Step::Pause(time)) => {
                    let runtime = &self.server.runtime;
                    self.transport.wait_for(runtime.sleep_until(runtime.now().saturating_add(time))).await?;
                }
                Some(Step::Piece(piece)) => {
                    sent += piece.len();
                    match version {
                        Version::Http10 => self.responses = piece,
                        Version::Http11 => encode_chunk(&mut self.responses, &piece),
                    }
                }
                None => break,
            }
        }
        if version == Version::Http11 {
            encode_chunk(&mut self.responses, b"");
        }
        Ok(sent)
    }

    /// Reads more of the head of a request. Returns false if the peer has finished sending without beginning a request.
    async fn fill(&mut self, input: &mut Input) -> Result<bool, Stop> {
        input.shrink();
        if let Some(bytes) = self.read_available().await? {
            input.add(bytes);
            return Ok(true);
        }
        // The responses go first: the timeout of the peer begins when they are written.
        if !self.responses.is_empty() {
            self.flush().await?;
            self.served = 0;
            // After a turn of the other connections, a busy peer has sent its next request.
            yield_now().await;
        }
        let since = *self.waiting_since.get_or_insert_with(|| self.server.runtime.now());
        if !input.is_silence() {
            input.add(self.read_more(since).await?);
            return Ok(true);
        }
        let bytes = self.transport.read(since, false).await?;
        self.transport.begin_wait();
        self.waiting_since = None;
        let is_open = !bytes.is_empty();
        input.add(bytes);
        Ok(is_open)
    }

    /// Reads more of a request that has begun. `since` is when the wait for it began.
    async fn read_more(&mut self, since: Duration) -> Result<Vec<u8>, Stop> {
        match self.transport.read(since, true).await {
            Ok(bytes) if bytes.is_empty() => Err(Fault::Incomplete.into()),
            Ok(bytes) => Ok(bytes),
            Err(CloseReason::Disconnected) => Err(CloseReason::Disconnected.into()),
            Err(_) => Err(Fault::Timeout.into()),
        }
    }

    /// Reads bytes that have come already, while there are responses to write: these go into one write with the next ones.
    /// The second of two small writes waits in the system until the peer has confirmed the first (RFC 9293 section 3.7.4), and a
    /// peer that waits for its responses confirms after 40 milliseconds. WASI 0.2 has no `TCP_NODELAY`.
    async fn read_available(&mut self) -> Result<Option<Vec<u8>>, CloseReason> {
        if self.responses.is_empty() { Ok(None) } else { self.transport.read_available().await }
    }

    /// Reads the rest of a body. Returns the bytes behind the body, which are the beginning of the next request.
    async fn read_rest(&mut self, body: &mut Body, is_awaited: bool) -> Result<Vec<u8>, Stop> {
        // RFC 9110 section 10.1.1: a client that has begun to send the body does not wait for a 100.
        if is_awaited {
            self.responses.extend_from_slice(CONTINUE);
        }
        let mut since = None;
        self.transport.begin_wait();
        loop {
            let mut bytes = match self.read_available().await? {
                Some(bytes) => bytes,
                None => {
                    self.flush().await?;
                    let since = *since.get_or_insert_with(|| self.server.runtime.now());
                    self.read_more(since).await?
                }
            };
            let used = body.take(&bytes)?;
            if body.is_complete() {
                bytes.drain(..used);
                return Ok(bytes);
            }
        }
    }

    /// Responds to bytes that are no request.
    async fn refuse(&mut self, fault: Fault, input: &Input) -> CloseReason {
        let line = first_line(input.unread(), if fault == Fault::Tls { LOGGED_TLS } else { LOGGED_LINE });
        let (response, to_head) = (fault.response(), line.starts_with(b"HEAD "));
        let bytes = self.encode(&response, to_head, Persistence::Close, Version::Http11);
        self.report(line, 0, Some(fault), response.status(), bytes);
        self.flush().await.map_or_else(|reason| reason, |()| CloseReason::LastResponse)
    }

    /// Adds a response to the unwritten ones, without a body that is made while it is sent. Returns how many bytes its body has.
    fn encode(&mut self, response: &Response, to_head: bool, persistence: Persistence, version: Version) -> usize {
        let date = self.server.date.now(&self.server.runtime);
        response.encode(&mut self.responses, to_head, persistence, version, &date)
    }

    /// Reports a response. `behind` is the number of bytes read behind its request.
    fn report(&mut self, line: &[u8], behind: usize, fault: Option<Fault>, status: u16, bytes: usize) {
        let date = &self.server.date.now(&self.server.runtime);
        let end = self.transport.bytes_read() - behind;
        let request_bytes = end - mem::replace(&mut self.used, end);
        let exchange = Exchange { peer: self.peer, date, line, request_bytes, fault, status, bytes };
        self.server.observer.observe(Event::Responded(exchange));
    }

    /// Writes the responses.
    async fn flush(&mut self) -> Result<(), CloseReason> {
        self.transport.write_all(&self.responses).await?;
        self.responses.clear();
        self.responses.shrink_to(KEPT_BUFFER);
        Ok(())
    }
}

/// The first line of a faulty request, as the log shows it: at most `most` of its bytes.
fn first_line(bytes: &[u8], most: usize) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\r\n").or(bytes.strip_prefix(b"\n")).unwrap_or(bytes);
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    &line[..line.len().min(most)]
}
