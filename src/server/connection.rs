//! One peer's conversation, as the lecture tells it: the client must speak first; answer; hang up.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::input::Input;
use super::places::Place;
use super::{
    Caller, Either, Ending, Event, Exchange, Gone, Observer, Part, Runtime, Server, Stream, after_the_others, either,
    within,
};
use crate::http::response::CONTINUE;
use crate::http::{Body, Fault, Head, Parsed, Persistence, Response};

/// How many bytes are read at first: what a head usually needs. The host sets aside, and clears, what is asked for.
const READ: usize = 2 * 1024;

/// How many bytes are read at a time from a peer that has filled a whole [`READ`]: it pipelines, or sends a body. They may
/// have to be kept, behind a head that is as long as may be, while the peer does not take its replies.
const READ_MORE: usize = 8 * 1024;

/// From how many bytes of replies on they are sent although more requests are there. One reply may go beyond that; a small
/// one still fits into the 16 KiB that the buffer has by then.
const WRITE: usize = 15 * 1024;

/// How many requests are answered in a row before everybody else has a turn. (A busy client sends hundreds at once.)
const REQUESTS_IN_A_ROW: u32 = 16;

/// After the last response the connection stays open for reading until the peer closes it too, but no longer than this
/// time. Closing at once, with bytes unread, would make the kernel send a reset, and the reset can overtake the response
/// (RFC 9112 section 9.6). How many bytes come does not matter: many clients send all of a body before they read a refusal.
const LINGER_TIME: Duration = Duration::from_secs(30);

/// And no longer than this without a byte from the peer.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// How long a peer that has just called, and says nothing, is taken for one that is about to speak. From then on it may
/// be asked to make room, as one that has been answered and says nothing may be at once.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a peer may take for a request, a body or its replies until it is slow, and may be asked to make room if nobody
/// is idle. As long as there is room, it has all the time that it is allowed.
const SLOW: Duration = Duration::from_secs(1);

/// Why there is no next request.
enum Trouble {
    /// What came is none; that will be said.
    Fault(Fault),
    /// The conversation is over.
    Over(Ending),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Fault(fault)
    }
}

impl From<Ending> for Trouble {
    fn from(ending: Ending) -> Self {
        Trouble::Over(ending)
    }
}

/// A body that has come whole.
struct Rest {
    /// What the answer is to see of it.
    content: Vec<u8>,
    /// How much of what had been read belongs to it.
    used: usize,
    /// What came behind it, if more had to be read.
    next: Option<Vec<u8>>,
}

/// What came of waiting for the peer.
enum Heard {
    Bytes(Vec<u8>),
    /// It has finished sending.
    Finished,
    /// It took too long, or was asked to make room.
    Enough,
}

/// Talks to one peer until one of both hangs up. Holds its place until the connection is really gone.
pub async fn converse<S, R, O>(server: Rc<Server<R, O>>, stream: S, caller: Caller, place: Place)
where
    S: Stream,
    R: Runtime,
    O: Observer,
{
    let now = server.runtime.now();
    let mut connection = Connection {
        server: &server,
        stream,
        caller,
        place,
        replies: Vec::new(),
        read: READ,
        answered: 0,
        deadline: None,
        looked: false,
        idle_from: now + SILENCE,
    };
    let ending = connection.talk().await;
    connection.hang_up(ending).await;
}

/// One connection, and what is on its way out. The stream is dropped before the place is given back.
struct Connection<'s, S, R, O> {
    server: &'s Server<R, O>,
    stream: S,
    caller: Caller,
    place: Place,
    /// Replies that have not been sent: they go out together, when the peer waits for them.
    replies: Vec<u8>,
    /// How much to ask for when reading.
    read: usize,
    /// How many requests were answered since the others had a turn.
    answered: u32,
    /// Until when the peer has to have begun a request, or to have ended its head; `None` until somebody waits for it.
    deadline: Option<Duration>,
    /// The deadline has passed, and the one look that follows it was taken; see [`or_enough`].
    looked: bool,
    /// From when on it may be asked to make room if it says nothing. Who has just called is about to speak; who has been
    /// answered may never speak again.
    idle_from: Duration,
}

impl<S: Stream, R: Runtime, O: Observer> Connection<'_, S, R, O> {
    /// The conversation, to its end.
    async fn talk(&mut self) -> Ending {
        let mut input = Input::default();
        loop {
            match self.exchange(&mut input).await {
                Ok(()) => {}
                // The one place where a fault becomes words; and then it is over.
                Err(Trouble::Fault(fault)) => {
                    self.heard(Part::Head(input.untold(input.unread().len())));
                    return self.refuse(fault, input.unread()).await;
                }
                Err(Trouble::Over(ending)) => return ending,
            }
        }
    }

    /// One request and its reply.
    async fn exchange(&mut self, input: &mut Input) -> Result<(), Trouble> {
        // The client must speak first.
        let (head, length) = loop {
            match input.parse()? {
                Parsed::Complete(head, length) => break (head, length),
                Parsed::Incomplete => {
                    self.heard(Part::Head(input.untold(input.unread().len())));
                    self.hear_more(input).await?;
                }
            }
        };
        self.heard(Part::Head(input.untold(length)));
        let Rest { content, used, next } = self.read_body(&head, input, length).await?;
        // However slow it was, it has got on.
        self.place.busy();
        let is_last = next.as_ref().map_or(length + used == input.unread().len(), Vec::is_empty);
        let persistence = match self.server.stop.has_begun() && is_last {
            true => Persistence::Close,
            false => head.persistence,
        };
        let request = head.request.with_body(&content);
        let response = self.server.site.answer(&request);
        self.reply(&response, head.line, None, request.method == "HEAD", persistence);
        if persistence == Persistence::Close {
            self.flush().await?;
            return Err(Ending::Answered.into());
        }
        input.consume(length + used);
        if let Some(next) = next {
            input.add(next);
        }
        self.idle_from = self.server.runtime.now();
        self.deadline = None;
        self.looked = false;
        if self.replies.len() >= WRITE {
            self.flush().await?;
        }
        self.answered += 1;
        if self.answered >= REQUESTS_IN_A_ROW {
            self.answered = 0;
            after_the_others().await;
        }
        Ok(())
    }

    /// Waits for more of a request.
    async fn hear_more(&mut self, input: &mut Input) -> Result<(), Trouble> {
        input.shrink();
        // What the peer waits for is sent first: until it has that, no time of its own passes.
        if let Some(bytes) = self.hear_on().await? {
            input.add(bytes);
            return Ok(());
        }
        if !self.replies.is_empty() {
            self.flush().await?;
            self.answered = 0;
            // A busy peer has answered by the time that everybody else has had a turn, so that there is something to read,
            // and no need to wait for it.
            after_the_others().await;
        }
        let silence = input.is_silence();
        let timeout = match silence {
            true => self.server.limits.idle_timeout,
            false => self.server.limits.header_timeout,
        };
        let deadline = self.deadline.unwrap_or(self.after(timeout));
        self.deadline = Some(deadline);
        // Who says nothing is idle, and who has begun is slow after a while.
        let slow_from = (!silence).then(|| (deadline - timeout) + SLOW);
        match self.hear(deadline, slow_from).await? {
            Heard::Bytes(bytes) => {
                if silence {
                    self.deadline = None;
                    self.looked = false;
                }
                input.add(bytes);
                Ok(())
            }
            Heard::Finished if silence => Err(Ending::Finished.into()),
            Heard::Finished => Err(Fault::Incomplete.into()),
            Heard::Enough if silence => Err(Ending::Silent.into()),
            Heard::Enough => Err(Fault::Timeout.into()),
        }
    }

    /// The moment when `timeout` will have passed.
    fn after(&self, timeout: Duration) -> Duration {
        self.server.runtime.now() + timeout
    }

    /// Waits for bytes; everything there is to say has been said. The peer may be asked to make room: from `slow_from` on,
    /// or, if it has not begun a request, as one that is idle.
    async fn hear(&mut self, deadline: Duration, slow_from: Option<Duration>) -> Result<Heard, Ending> {
        let runtime = &self.server.runtime;
        let asked_to_leave = async {
            if let Some(slow_from) = slow_from {
                return too_slow(runtime, &self.place, slow_from).await;
            }
            runtime.sleep_until(self.idle_from).await;
            self.place.idle();
            self.place.dismissed().await;
        };
        let enough = async { _ = within(runtime, deadline, pin!(asked_to_leave)).await };
        let read = async || self.stream.read(self.read).await;
        let heard = or_enough(runtime, pin!(enough), &mut self.looked, read).await;
        // Who says a little is not idle, but may be slow all the same, until it is answered.
        if slow_from.is_none() && heard.is_some() {
            self.place.busy();
        }
        match heard {
            Some(Ok(bytes)) if bytes.is_empty() => Ok(Heard::Finished),
            Some(Ok(bytes)) => {
                // Behind a full read there may be more of what was there at the look.
                self.looked &= bytes.len() < self.read;
                self.read = next_read(self.read, bytes.len());
                Ok(Heard::Bytes(bytes))
            }
            Some(Err(Gone)) => Err(Ending::Gone),
            None => Ok(Heard::Enough),
        }
    }

    /// Bytes that are there already, behind those that were read last, if it looks as if there were some. Replies that wait
    /// meanwhile go out together with the next ones: when there are two small writes, the second waits in the system until
    /// the peer has confirmed the first (RFC 9293 section 3.7.4), and who waits for its replies takes 40 milliseconds for
    /// that. WASI 0.2 has no `TCP_NODELAY`.
    async fn hear_on(&mut self) -> Result<Option<Vec<u8>>, Ending> {
        if self.read != READ_MORE || self.replies.is_empty() {
            return Ok(None);
        }
        let bytes = either(pin!(self.stream.read(self.read)), pin!(ready(()))).await;
        let heard = match bytes {
            Either::First(Ok(bytes)) => bytes,
            Either::First(Err(Gone)) => return Err(Ending::Gone),
            Either::Second(()) => Vec::new(),
        };
        self.read = next_read(self.read, heard.len());
        Ok(Some(heard).filter(|heard| !heard.is_empty()))
    }

    /// Reads the body behind `head`, because the next request comes behind it, and keeps what the answer wants to see. Some of
    /// it may be in `input` already, behind the head, which has so many bytes.
    async fn read_body(&mut self, head: &Head<'_>, input: &Input, length: usize) -> Result<Rest, Trouble> {
        let mut body = Body::wanted(head.framing, self.server.site.body)?;
        let received = &input.unread()[length..];
        let used = body.take(received)?;
        self.heard(Part::Body(input.untold(length + used)));
        if body.is_complete() {
            return Ok(Rest { content: body.into_content(), used, next: None });
        }
        // RFC 9110 section 10.1.1: whoever has begun to send does not wait for a word.
        if head.expects_continue && received.is_empty() {
            self.replies.extend_from_slice(CONTINUE);
            self.said(Part::Head(CONTINUE));
        }
        let mut start = None;
        self.looked = false;
        loop {
            let mut bytes = match self.hear_on().await? {
                Some(bytes) => bytes,
                None => {
                    self.flush().await?;
                    let start = *start.get_or_insert_with(|| self.server.runtime.now());
                    match self.hear(start + self.server.limits.header_timeout, Some(start + SLOW)).await? {
                        Heard::Bytes(bytes) => bytes,
                        Heard::Finished => return Err(Fault::Incomplete.into()),
                        Heard::Enough => return Err(Fault::Timeout.into()),
                    }
                }
            };
            let used = match body.take(&bytes) {
                Ok(used) => used,
                Err(fault) => {
                    // Nobody knows what it is, so it is shown like a head: with an eye on what nobody should see.
                    self.heard(Part::Head(&bytes));
                    return Err(fault.into());
                }
            };
            self.heard(Part::Body(&bytes[..used]));
            if body.is_complete() {
                bytes.drain(..used);
                return Ok(Rest { content: body.into_content(), used: received.len(), next: Some(bytes) });
            }
        }
    }

    /// Reports what the caller has said.
    fn heard(&self, part: Part<'_>) {
        if !part.is_empty() {
            self.server.observer.observe(Event::Heard(self.caller, part));
        }
    }

    /// Reports what the caller is told.
    fn said(&self, part: Part<'_>) {
        if !part.is_empty() {
            self.server.observer.observe(Event::Said(self.caller, part));
        }
    }

    /// Answers bytes that are no request.
    async fn refuse(&mut self, fault: Fault, bytes: &[u8]) -> Ending {
        let most = if fault == Fault::Tls { LOGGED_TLS } else { LOGGED_LINE };
        let line = first_line(bytes, most);
        let to_head = line.starts_with(b"HEAD ");
        self.reply(&fault.response(), line, Some(fault), to_head, Persistence::Close);
        match self.flush().await {
            Ok(()) => Ending::Answered,
            Err(ending) => ending,
        }
    }

    fn reply(
        &mut self,
        response: &Response,
        line: &[u8],
        fault: Option<Fault>,
        to_head: bool,
        persistence: Persistence,
    ) {
        let date = self.server.date.now(&self.server.runtime);
        let start = self.replies.len();
        let bytes = response.encode(&mut self.replies, to_head, persistence, &date);
        let (head, body) = self.replies[start..].split_at(self.replies.len() - start - bytes);
        self.said(Part::Head(head));
        self.said(Part::Body(body));
        self.server.observer.observe(Event::Answered(Exchange {
            caller: self.caller,
            date: &date,
            line,
            fault,
            status: response.status(),
            bytes,
        }));
    }

    /// Sends the replies, all in one write if there is room for them.
    async fn flush(&mut self) -> Result<(), Ending> {
        let (start, mut looked, mut sent) = (self.server.runtime.now(), false, 0);
        while sent < self.replies.len() {
            let patience = pin!(patience(self.server, &self.place, start));
            let write = async || self.stream.write(&self.replies[sent..]).await;
            match or_enough(&self.server.runtime, patience, &mut looked, write).await {
                Some(Ok(written)) => sent += written,
                Some(Err(Gone)) => return Err(Ending::Gone),
                None => return Err(Ending::Silent),
            }
        }
        self.replies.clear();
        // What a burst needed is not kept for a silence.
        self.replies.shrink_to(READ);
        Ok(())
    }

    /// Hangs up, gently: the last reply must arrive.
    async fn hang_up(mut self, ending: Ending) {
        self.replies = Vec::new();
        let runtime = &self.server.runtime;
        let said_all = match ending {
            Ending::Answered | Ending::Finished => {
                let patience = pin!(patience(self.server, &self.place, runtime.now()));
                let written = async || self.stream.written().await;
                or_enough(runtime, patience, &mut false, written).await.is_some()
            }
            Ending::Silent | Ending::Gone => false,
        };
        if said_all {
            self.stream.finish();
        }
        // What follows is between the two systems: nobody says or hears anything any more.
        self.server.observer.observe(Event::HungUp(self.caller, ending));
        if said_all && ending == Ending::Answered {
            // Nobody is going to say anything any more: it is idle like others.
            self.place.idle();
            let end = self.after(LINGER_TIME);
            let (drained, asked_to_leave) =
                (pin!(drain(runtime, &mut self.stream, end)), pin!(self.place.asked_to_leave()));
            either(drained, asked_to_leave).await;
        }
        // Whoever has not taken everything by now never may.
        self.stream.give_up();
        // Who has to stay all the same, because the system does not take over what is on its way, makes no room.
        let staying = async {
            self.place.busy();
            pending::<Infallible>().await
        };
        either(pin!(self.stream.written()), pin!(staying)).await;
    }
}

/// How many bytes to ask for behind a read that asked for `asked` and got `got`.
fn next_read(asked: usize, got: usize) -> usize {
    if got < asked { READ } else { READ_MORE }
}

/// What `attempt` comes to. If `enough` comes first, the system has a turn, and then `attempt` counts if it is ready at once: the
/// whole process may have stood still (a laptop slept, a container was frozen), and what the peer did meanwhile counts. `looked`
/// says that this look was taken before; then there is no other one, and `enough` decides.
async fn or_enough<R: Runtime, T>(
    runtime: &R,
    mut enough: Pin<&mut impl Future<Output = ()>>,
    looked: &mut bool,
    mut attempt: impl AsyncFnMut() -> T,
) -> Option<T> {
    let mut is_over = false;
    loop {
        let enough = poll_fn(|context| if is_over { Poll::Ready(()) } else { enough.as_mut().poll(context) });
        let first = either(pin!(attempt()), pin!(enough)).await;
        if let Either::First(output) = first {
            return Some(output);
        }
        if std::mem::replace(looked, true) {
            return None;
        }
        runtime.host_turn().await;
        is_over = true;
    }
}

/// Waits until a peer that does not take its replies since `start` has had all its time, or has to make room.
async fn patience<R: Runtime, O: Observer>(server: &Server<R, O>, place: &Place, start: Duration) {
    let too_slow = pin!(too_slow(&server.runtime, place, start + SLOW));
    let _ = within(&server.runtime, start + server.limits.write_timeout, too_slow).await;
}

/// Waits until a peer that is slow from `slow_from` on has to make room.
async fn too_slow(runtime: &impl Runtime, place: &Place, slow_from: Duration) {
    runtime.sleep_until(slow_from).await;
    place.slow();
    place.asked_to_leave().await;
}

/// Reads and throws away what a peer still sends, until it has finished, or falls silent, or it is `end`.
async fn drain(runtime: &impl Runtime, stream: &mut impl Stream, end: Duration) {
    let mut looked = false;
    loop {
        let now = runtime.now();
        let enough = pin!(runtime.sleep_until(end.min(now + LINGER_SILENCE)));
        let read = async || stream.read(READ_MORE).await;
        match or_enough(runtime, enough, &mut looked, read).await {
            Some(Ok(bytes)) if !bytes.is_empty() => looked &= now >= end,
            _ => return,
        }
    }
}

/// As much of `bytes` as a log shows of a request that could not be read: the first line, but no more than `most` of it.
fn first_line(bytes: &[u8], most: usize) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\r\n").or(bytes.strip_prefix(b"\n")).unwrap_or(bytes);
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    &line[..line.len().min(most)]
}

/// The most bytes of a broken request line that the log shows.
const LOGGED_LINE: usize = 1024;

/// And of a TLS handshake, whose bytes say nothing to whoever reads the log.
const LOGGED_TLS: usize = 8;
