//! What the observers tell about conversations in memory.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use super::bytes::ShowBytes;
use super::events::{self, EventLog};
use super::explain::Explainer;
use super::lines::{Lines, Sink};
use super::log::{AccessLog, Format};
use super::notes::{Counter, Notes};
use crate::app::App;
use crate::events::{CloseReason, Event, Exchange, Observer, Peer};
use crate::http::Fault;
use crate::server::accept::serve;
use crate::server::tests::{GET, HELLO, LAST_GET, play, seconds};
use crate::server::{Limits, Server};
use hello_runtime::Runtime;
use hello_runtime::model::{Client, Model, Network, NetworkListener, ROOM};

/// Both are told everything, one after the other.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&self, event: Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }
}

/// Takes lines when the test lets it.
#[derive(Clone, Default)]
struct Page(Rc<RefCell<Vec<String>>>);

impl Sink for Page {
    async fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().push(String::from_utf8(lines.to_vec()).expect("text"));
        Ok(())
    }
}

/// A server in memory whose log goes to the sink that `sink` makes, and a network to call it with.
fn with_log<S: Sink + 'static>(format: Format, sink: impl FnOnce(&Runtime<Model>) -> S) -> (Runtime<Model>, Network) {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let lines = Rc::new(Lines::new(format.loss()));
    let log = AccessLog::new(format, &lines);
    let sink = sink(&runtime);
    runtime.spawn(async move { lines.run(sink, &|_| {}).await });
    let server = Server::new(runtime.clone(), log, Limits::default());
    let (listener, network) = NetworkListener::listen(&model, &runtime);
    runtime.spawn(serve(server, listener));
    (runtime, network)
}

/// What the log says about these exchanges with a server in memory.
fn logged(format: Format, requests: &'static [&'static [u8]]) -> Vec<String> {
    let page = Page::default();
    let (runtime, network) = with_log(format, |_| page.clone());
    runtime.block_on(async move {
        let peers: Vec<Client> = requests.iter().map(|_| network.connect()).collect();
        for (peer, request) in peers.iter().zip(requests) {
            peer.send(request);
            peer.shutdown_write();
        }
        for peer in &peers {
            peer.receive_all().await;
        }
    });
    page.0.take()
}

#[test]
fn the_log_has_a_line_a_request_in_the_common_format() {
    let lines = logged(
        Format::Common,
        &[b"GET /romeo.txt HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    );
    assert_eq!(
        lines.concat(),
        "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /romeo.txt HTTP/1.1\" 200 41\n\
         127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"HEAD / HTTP/1.1\" 200 -\n"
    );
}

#[test]
fn the_log_has_a_line_a_request_in_json() {
    let lines = logged(Format::Json, &[b"GET /\"\\ HTTP/1.1\r\nHost: localhost\r\n\r\n"]);
    assert_eq!(
        lines.concat(),
        "{\"time\":\"1994-11-06T08:49:37Z\",\"peer\":\"127.0.0.1:50000\",\
         \"request\":\"GET /\\\\\\\"\\\\\\\\ HTTP/1.1\",\"status\":200,\"bytes\":41}\n"
    );
}

#[test]
fn no_request_can_forge_a_line_of_the_log() {
    let lines = logged(
        Format::Common,
        &[
            b"GET /\x0d1.2.3.4 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\xff\n\x1b[2Jroot\n\n",
            b"G\"T / HTTP/1.1\r\n\r\n",
        ],
    );
    let lines = lines.concat();
    let requests: Vec<&str> = lines.lines().map(|line| line.split("] ").nth(1).expect("a request")).collect();
    assert_eq!(requests.len(), 3);
    assert!(requests[0].starts_with("\"GET /\\x0d1.2.3.4 HTTP/1.1\" 400 "), "{}", requests[0]);
    assert!(requests[1].starts_with("\"\\x16\\x03\\x01\\x02\\x00\\x01\\xff\" 400 "));
    assert!(requests[2].starts_with("\"G\\\"T / HTTP/1.1\" 400 "));
    assert!(lines.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
}

#[test]
fn lines_of_one_turn_are_written_together() {
    static GETS: [&[u8]; 50] = [LAST_GET; 50];
    let lines = logged(Format::Common, &GETS);
    assert_eq!(lines.concat().lines().count(), 50);
    assert!(lines.len() < 10, "{} writes", lines.len());
}

/// Stops reading for good.
struct Shut;

impl Sink for Shut {
    async fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::BrokenPipe.into())
    }
}

/// Is full at times.
#[derive(Clone, Default)]
struct Disk {
    full: Rc<Cell<bool>>,
    /// It says so only when something else is to be written.
    later: bool,
    failed: bool,
    page: Page,
}

impl Sink for Disk {
    async fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.failed) {
            return Err(ErrorKind::StorageFull.into());
        }
        match (self.full.get(), self.later) {
            (false, _) => self.page.write(lines).await,
            (true, false) => Err(ErrorKind::StorageFull.into()),
            (true, true) => {
                self.failed = true;
                Ok(())
            }
        }
    }
}

#[test]
fn a_log_that_fails_for_a_while_goes_on_and_counts_the_lost_lines() {
    let disk = Disk::default();
    let (runtime, network) = with_log(Format::Common, |_| disk.clone());
    let (full, clock) = (Rc::clone(&disk.full), runtime.clone());
    runtime.block_on(async move {
        for number in 0..4 {
            full.set(number < 3);
            let peer = network.connect();
            peer.send(LAST_GET);
            peer.shutdown_write();
            peer.receive_all().await;
            // The log has its turn.
            clock.sleep_until(clock.now() + Duration::from_millis(1)).await;
        }
    });
    let lines = disk.page.0.take().concat();
    assert!(lines.starts_with("\n# up to 3 lines lost\n127.0.0.1 - - ["), "{lines}");
}

#[test]
fn a_log_that_fails_twice_counts_the_lost_lines_twice_and_never_too_few() {
    for later in [false, true] {
        play(Limits::default(), |scene| async move {
            let (log, lines) = log_and_lines();
            let (disk, complaints) = (Disk { later, ..Disk::default() }, Rc::new(RefCell::new(Vec::new())));
            let (writer, sink, complain) = (Rc::clone(&lines), disk.clone(), Rc::clone(&complaints));
            scene.runtime.spawn(async move {
                writer.run(sink, &|error| complain.borrow_mut().push(error)).await;
            });
            for state in "FFF...FFFF...".chars() {
                disk.full.set(state == 'F');
                log.observe(answered());
                scene.pause().await;
            }
            assert_eq!(*complaints.borrow(), [ErrorKind::StorageFull; 2]);
            let text = disk.page.0.take().concat();
            let written = text.lines().filter(|line| line.contains("\"GET / ")).count();
            let said = text.lines().filter_map(|line| line.strip_prefix("# up to ")?.strip_suffix(" lines lost"));
            let said: usize = said.map(|number| number.parse::<usize>().expect("a number")).sum();
            // What is told at once is told of one write; it may be the last one, or the one before.
            let too_many = if later { 0 } else { 1 };
            assert_eq!(written + said, 13 + too_many, "{text}");
        });
    }
}

/// Takes nothing, until it is told to.
struct Stalled {
    resumed: Rc<Cell<bool>>,
    page: Page,
    clock: Runtime<Model>,
}

impl Sink for Stalled {
    async fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        while !self.resumed.get() {
            let later = self.clock.now() + Duration::from_millis(1);
            self.clock.sleep_until(later).await;
        }
        self.page.write(lines).await
    }
}

#[test]
fn an_unread_log_is_bounded_and_counts_the_lost_lines() {
    let (resumed, page) = (Rc::new(Cell::new(false)), Page::default());
    let (runtime, network) = with_log(Format::Json, |runtime| Stalled {
        resumed: Rc::clone(&resumed),
        page: page.clone(),
        clock: runtime.clone(),
    });
    let clock = runtime.clone();
    let long = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(8000));
    let requests = 1000;
    runtime.block_on(async move {
        for number in 0..requests {
            resumed.set(number == requests - 1);
            let peer = network.connect();
            peer.send(long.as_bytes());
            peer.shutdown_write();
            peer.receive_all().await;
            clock.sleep_until(clock.now() + Duration::from_millis(1)).await;
        }
    });
    let lines = page.0.take().concat();
    let written = lines.lines().filter(|line| line.contains("\"request\"")).count();
    let lost = lines.lines().find_map(|line| line.strip_prefix("{\"lost\":"));
    let lost: usize = lost.and_then(|rest| rest.strip_suffix('}')).expect("a line").parse().expect("a number");
    assert!(lines.len() < 3 * 512 * 1024);
    assert_eq!(written + lost, requests);
}

#[test]
fn a_log_whose_reader_has_gone_does_not_stop_the_server() {
    let (runtime, network) = with_log(Format::Common, |_| Shut);
    runtime.block_on(async move {
        for _ in 0..3 {
            let peer = network.connect();
            peer.send(LAST_GET);
            assert!(peer.receive_all().await.ends_with(HELLO));
        }
    });
}

fn answered() -> Event<'static> {
    Event::Responded(Exchange {
        peer: Peer { id: 1, address: ([127, 0, 0, 1], 50_000).into() },
        date: "Sun, 06 Nov 1994 08:49:37 GMT",
        line: b"GET / HTTP/1.1",
        request_bytes: 18,
        fault: None,
        status: 200,
        bytes: 41,
    })
}

/// An access log, and its lines.
fn log_and_lines() -> (AccessLog, Rc<Lines>) {
    let lines = Rc::new(Lines::new(Format::Common.loss()));
    (AccessLog::new(Format::Common, &lines), lines)
}

#[test]
fn the_last_lines_are_passed_on_before_the_end() {
    play(Limits::default(), |scene| async move {
        let page = Page::default();
        let (_, lines) = log_and_lines();
        // No task runs it: there is nothing to wait for.
        lines.finish(&scene.runtime, scene.runtime.now() + seconds(9)).await;

        let (log, lines) = log_and_lines();
        let (writer, sink) = (Rc::clone(&lines), page.clone());
        scene.runtime.spawn(async move { writer.run(sink, &|error| panic!("{error:?}")).await });
        scene.pause().await;
        log.observe(answered());
        lines.finish(&scene.runtime, scene.runtime.now() + seconds(9)).await;
        assert_eq!(page.0.borrow().len(), 1);
    });
}

/// Takes nothing, ever.
struct Stuck;

impl Sink for Stuck {
    async fn write(&mut self, _lines: &[u8]) -> io::Result<()> {
        std::future::pending().await
    }
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_the_server_from_ending() {
    play(Limits::default(), |scene| async move {
        let (log, lines) = log_and_lines();
        let writer = Rc::clone(&lines);
        scene.runtime.spawn(async move { writer.run(Stuck, &|_| {}).await });
        scene.pause().await;
        log.observe(answered());
        let ((), time) = scene.timed(lines.finish(&scene.runtime, scene.runtime.now() + seconds(1))).await;
        assert_eq!(time, seconds(1));
    });
}

/// What `observer` tells about `story`, in which a server that answers with `app` is called.
fn told_of<O: Observer + 'static, F: Future<Output = ()> + 'static>(
    app: App,
    limits: Limits,
    observer: impl FnOnce(&Rc<Lines>, &Runtime<Model>) -> O,
    story: impl FnOnce(Network, Runtime<Model>) -> F,
) -> String {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let lines = Rc::new(Lines::new(Format::Common.loss()));
    let server = Server::with_app(app, runtime.clone(), observer(&lines, &runtime), limits);
    let (listener, network) = NetworkListener::listen(&model, &runtime);
    runtime.spawn(serve(server, listener));
    runtime.block_on(story(network, runtime.clone()));
    lines.take()
}

/// What is told about a call in which `pieces` are sent one after the other, a second apart, and the caller hangs up.
fn told<O: Observer + 'static>(
    observer: impl FnOnce(&Rc<Lines>, &Runtime<Model>) -> O,
    pieces: &'static [&'static [u8]],
) -> String {
    told_of(App::HELLO, Limits::default(), observer, |network, clock| async move {
        let peer = network.connect();
        for piece in pieces {
            clock.sleep_until(clock.now() + seconds(1)).await;
            peer.send(piece);
        }
        peer.shutdown_write();
        peer.receive_all().await;
        clock.sleep_until(clock.now() + seconds(3)).await;
    })
}

/// The conversation, byte by byte.
fn shown(pieces: &'static [&'static [u8]]) -> String {
    told(|lines, runtime| ShowBytes::new(lines, runtime.clone(), false), pieces)
}

/// What one side of it says, a line each, without the number of the call and the time.
fn said(shown: &str, mark: &str) -> Vec<String> {
    let lines = shown.lines().filter_map(|line| line.split_once(mark));
    lines.map(|(_, text)| text.to_owned()).collect()
}

#[test]
fn each_event_of_a_connection_is_explained_as_it_happens() {
    let told = told(|lines, _| Explainer::new(lines), &[b"GET /romeo.txt HTTP/1.1\r\n", b"Host: localhost\r\n\r\n"]);
    assert_eq!(
        told,
        "accept  call 1: picked up 127.0.0.1:50000; the client must speak first  [accept]\n\
         read    call 1: the client says 25 bytes  [input-stream.read]\n\
         read    call 1: the client says 19 bytes  [input-stream.read]\n\
         write   call 1: to \"GET /romeo.txt HTTP/1.1\" the answer is 200 OK, with 41 bytes of body\n        [output-stream.write]\n\
         read    call 1: the client has hung up  [input-stream.read: closed]\n\
         close   call 1: and so does the server  [shutdown]\n"
    );
}

#[test]
fn the_bytes_of_a_body_are_reported_whether_or_not_hello_rs_reads_them() {
    for body_limit in [0, 16] {
        let app = App { body_limit, ..App::HELLO };
        let told = told_of(
            app,
            Limits::default(),
            |lines, _| Explainer::new(lines),
            |network, clock| async move {
                let peer = network.connect();
                peer.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\n");
                clock.sleep_until(clock.now() + seconds(1)).await;
                peer.send(b"hello");
                peer.receive_all().await;
            },
        );
        let line = "read    call 1: the client says 5 bytes  [input-stream.read]\n";
        assert!(told.contains(line), "{body_limit}: {told}");
    }
}

#[test]
fn each_reason_for_which_the_server_closes_has_its_own_sentence() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let cases: [(&[u8], bool, &str); 3] = [
        (GET, false, "the client has said nothing for too long"),
        (GET, true, "another client needs the place"),
        (&GET.repeat(2 * ROOM / HELLO.len()), false, "the client does not read its answers"),
    ];
    for (words, is_evicted, why) in cases {
        let words = words.to_vec();
        let everything = |lines: &Rc<Lines>, runtime: &Runtime<Model>| {
            (Explainer::new(lines), ShowBytes::new(lines, runtime.clone(), false))
        };
        let told = told_of(App::HELLO, limits.clone(), everything, |network, clock| async move {
            let peer = network.connect();
            peer.send(&words);
            clock.sleep_until(clock.now() + seconds(2)).await;
            let _next = is_evicted.then(|| network.connect());
            clock.sleep_until(clock.now() + seconds(90)).await;
            drop(peer);
        });
        let explained = format!("close   call 1: {why}, so the server hangs up [the socket is dropped]\n");
        let unwrapped = told.replace("\n        ", " ").replace("  [", " [");
        assert!(unwrapped.contains(&explained), "{told}");
        assert!(told.contains(&format!(" s   the server has hung up, because {why}\n")), "{told}");
    }
}

#[test]
fn an_explanation_stays_in_its_line_whatever_was_sent() {
    let told = told(|lines, _| Explainer::new(lines), &[b"\x16\x03\x01\x1b[2J\nclose   call 1\n\n"]);
    assert!(told.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{told}");
    assert!(told.contains("to \"\\x16\\x03\\x01\\x1b[2J\" the answer is 400 Bad Request"), "{told}");
}

#[test]
fn the_bytes_of_both_sides_are_shown_with_the_time_since_accept() {
    let shown = shown(&[b"GET / HTTP/1.1\r\nHo", b"st: localhost\r\nA:\tx\\\xff\r\n", b"\r\n"]);
    assert_eq!(
        shown,
        r"call 1  0.000 s   127.0.0.1:50000 is on the line
call 1  1.000 s > GET / HTTP/1.1\r\n
call 1  2.000 s > Host: localhost\r\n
call 1  2.000 s > A:\tx\\\xff\r\n
call 1  3.000 s > \r\n
call 1  3.000 s < HTTP/1.1 200 OK\r\n
call 1  3.000 s < Content-Type: text/html; charset=utf-8\r\n
call 1  3.000 s < Content-Length: 41\r\n
call 1  3.000 s < Date: Sun, 06 Nov 1994 08:49:40 GMT\r\n
call 1  3.000 s < \r\n
call 1  3.000 s < <html><body>Hello World</body></html>\r\n
call 1  3.000 s < \r\n
call 1  3.000 s   the client has hung up
"
    );
}

#[test]
fn secrets_are_masked_however_they_come() {
    let shown = shown(&[
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuth",
        b"orization",
        b": Basic c2Vj",
        b"cmV0\r\nCOOKIE: c2Vj=cmV0\r\nProxy-Authorization:c2VjcmV0\r\nAccept: cookie: yes\r\nCo",
        b"nnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nCookie : c2Vj\r\n  cmV0\r\n",
    ]);
    let client = said(&shown, " s > ");
    assert_eq!(
        client,
        [
            "GET / HTTP/1.1\\r\\n",
            "Host: localhost\\r\\n",
            "Authorization: ***\\r\\n",
            "COOKIE: ***\\r\\n",
            "Proxy-Authorization: ***\\r\\n",
            "Accept: cookie: yes\\r\\n",
            "Connection: keep-alive\\r\\n",
            "\\r\\n",
            "GET / HTTP/1.1\\r\\n",
            "Cookie ***\\r\\n",
            "***\\r\\n",
        ]
    );
    assert!(!shown.contains("c2Vj") && !shown.contains("cmV0"), "{shown}");
}

#[test]
fn secrets_are_masked_also_in_the_wrong_place() {
    static ODD: [&[u8]; 13] = [
        b"Cookie: c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\rCookie: c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rCookie: c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\n Authorization: c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Basic \rc2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nCookie: a=b;\rc2Vj\rcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nCookie\0: c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nCookie\n : c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nSet-Cookie:c2VjcmV0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: c2VjcmV0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET / HTTP/1.1\r\nCookie: c2VjcmV0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\n\nCookie: c2VjcmV0\r\n\r\n",
    ];
    for request in &ODD {
        for cut in 1..request.len() {
            let pieces: &'static [&'static [u8]] = Box::leak(Box::new([&request[..cut], &request[cut..]]));
            let everything = told(
                |lines, runtime| {
                    let wire = ShowBytes::new(lines, runtime.clone(), false);
                    let events = EventLog::new(lines, runtime.clone());
                    (Explainer::new(lines), (wire, (events, AccessLog::new(Format::Common, lines))))
                },
                pieces,
            );
            assert!(!everything.contains("c2Vj") && !everything.contains("cmV0"), "{cut}: {everything}");
        }
    }
}

#[test]
fn a_line_that_goes_on_after_a_response_is_masked_like_a_whole_one() {
    let cut = shown(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nCoo", b"kie: c2VjcmV0\r\n\r\n"]);
    assert_eq!(said(&cut, " s > ")[5..], ["Coo", "kie: ***\\r\\n", "\\r\\n"]);
    // A body that ends without a line end, and what comes behind it.
    let behind = shown(&[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", b"Cookie: c2VjcmV0\r\n\r\n"]);
    assert_eq!(said(&behind, " s > ")[4..], ["x", "Cookie: ***\\r\\n", "\\r\\n"]);
    let blanks = shown(&[b"GET / HTTP/1.1\r\nCookie", b"       ", b"      : c2VjcmV0\r\n"]);
    assert_eq!(said(&blanks, " s > "), ["GET / HTTP/1.1\\r\\n", "Cookie ***\\r\\n"]);
}

#[test]
fn a_secret_longer_than_what_is_shown_of_a_line_stays_masked_after_a_response() {
    static COOKIE: [u8; 600] = [b'x'; 600];
    static GET: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nCookie: ", &COOKIE, b"c2Vj", b"cmV0\r\n\r\n"];
    // All but the last piece come before the response to the first request, and at once.
    let told = told_of(
        App::HELLO,
        Limits::default(),
        |lines, runtime| ShowBytes::new(lines, runtime.clone(), false),
        |network, clock| async move {
            let peer = network.connect();
            peer.send(&GET[..3].concat());
            clock.sleep_until(clock.now() + seconds(1)).await;
            peer.send(GET[3]);
            peer.shutdown_write();
            peer.receive_all().await;
        },
    );
    assert_eq!(said(&told, " s > ")[3..], ["GET / HTTP/1.1\\r\\n", "Cookie: ***", "***\\r\\n", "\\r\\n"], "{told}");
}

#[test]
fn a_body_is_shown_once_whatever_becomes_of_it() {
    let short = shown(&[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nBODYONCE"]);
    assert_eq!(short.matches("BODYONCE").count(), 1, "{short}");
    let broken = shown(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nBODYONCE\r\n"]);
    assert_eq!(broken.matches("BODYONCE").count(), 1, "{broken}");
    let indented = shown(&[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\na\r\n   b\r\n\r"]);
    assert!(indented.contains("> a\\r\\n") && indented.contains(">    b\\r\\n"), "{indented}");
}

#[test]
fn long_bodies_and_lines_are_cut_and_counted() {
    static BODY: [u8; 2000] = [b'x'; 2000];
    static POST: [&[u8]; 4] = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n", &BODY, &BODY, b"GET /y"];
    let shown = shown(&POST);
    let client = said(&shown, " s > ");
    assert_eq!(client[4..], [format!("{} ... and 3488 more bytes", "x".repeat(512)), "GET /y".into()]);

    // Lines of one message, together longer than what is shown of it.
    static POST_LINES: [&[u8]; 2] = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n", &[b'\n'; 20_000]];
    let client = said(&self::shown(&POST_LINES), " s > ");
    let shown = 16 * 1024 - POST_LINES[0].len();
    assert_eq!(client.len(), 4 + shown + 1);
    assert_eq!(client[4 + shown], format!("... and {} more bytes", 20_000 - shown));

    static LONG: [u8; 2000] = [b'z'; 2000];
    static GET: [&[u8]; 3] = [b"GET /", &LONG, b" HTTP/1.0\r\n\r\n"];
    let client = said(&self::shown(&GET), " s > ");
    assert_eq!(client[0], format!("GET /{} ... and 1504 more bytes", "z".repeat(507)));
}

#[test]
fn colors_are_used_where_they_are_wanted_and_always_switched_off_again() {
    static PIECES: [&[u8]; 1] = [b"GET /\x1b[31m HTTP/1.0\r\n\r\n"];
    let plain = shown(&PIECES);
    assert!(!plain.contains('\x1b'), "{plain}");
    let coloured = told(|lines, runtime| ShowBytes::new(lines, runtime.clone(), true), &PIECES);
    for line in coloured.lines().filter(|line| line.contains('\x1b')) {
        assert!(line.matches('\x1b').count() == 2 && line.contains(['>', '<']), "{line:?}");
    }
    assert!(coloured.contains("\x1b[7;36m>\x1b[0m GET") && coloured.contains("\x1b[7;32m<\x1b[0m HTTP"), "{coloured}");
    assert_eq!(coloured.replace("\x1b[7;36m", "").replace("\x1b[7;32m", "").replace("\x1b[0m", ""), plain);
}

#[test]
fn tls_is_noted_once_until_a_minute_has_passed_without_it_and_each_failed_accept_is_noted() {
    let (runtime, lines) = (Runtime::new(Model::new()), Rc::new(Lines::new(Format::Common.loss())));
    let notes = Notes::new(&lines, runtime.clone());
    let Event::Responded(exchange) = answered() else { unreachable!("that is what it is") };
    let tls = Event::Responded(Exchange { fault: Some(Fault::Tls), ..exchange });
    for (pause, noted) in [(0, 1), (59, 0), (59, 0), (60, 1)] {
        runtime.block_on(runtime.sleep_until(runtime.now() + seconds(pause)));
        notes.observe(tls);
        notes.observe(answered());
        assert_eq!(lines.take().matches("127.0.0.1:50000 speaks TLS").count(), noted, "{pause}");
    }
    notes.observe(Event::AcceptFailed { cause: "no room" });
    assert_eq!(lines.take(), "hello-server: cannot pick up a call, trying on: no room\n");
}

#[test]
fn requests_and_connections_are_counted() {
    let counter = Counter::default();
    assert_eq!(counter.summary(), "Served 0 requests in 0 calls.\n");
    counter.observe(Event::Accepted(Peer { id: 1, address: ([127, 0, 0, 1], 50_000).into() }));
    counter.observe(answered());
    counter.observe(answered());
    assert_eq!(counter.summary(), "Served 2 requests in 1 call.\n");
}

/// The lines of the events of a call like that of [`told`]. They are checked by their schema, except inside the sandbox, where the
/// validator is not.
fn events_of(pieces: &'static [&'static [u8]]) -> Vec<String> {
    checked(&told(|lines, runtime| EventLog::new(lines, runtime.clone()), pieces))
}

/// The lines of `text`, each an event of the schema.
fn checked(text: &str) -> Vec<String> {
    #[cfg(not(target_family = "wasm"))]
    text.lines().for_each(|line| drop(hello_test_support::events::event(line)));
    text.lines().map(str::to_owned).collect()
}

/// The member `"text"` of events, as it stands in their lines.
fn texts(events: &[String]) -> Vec<&str> {
    let behind = events.iter().filter_map(|line| line.split_once(",\"text\":\""));
    behind.filter_map(|(_, text)| text.split('"').next()).collect()
}

#[test]
fn each_event_of_a_connection_is_a_line_of_json() {
    let events = events_of(&[b"GET /a\\ HTTP/1.1\r\nHost: local", b"host\r\n\r\n"]);
    let peer = r#""connection":1,"peer":"127.0.0.1:50000""#;
    let response = r"HTTP/1.1 200 OK\\r\\nContent-Type: text/html; charset=utf-8\\r\\nContent-Length: 41\\r\\nDate: Sun, 06 Nov 1994 08:49:39 GMT\\r\\n\\r\\n<html><body>Hello World</body></html>\\r\\n\\r\\n";
    let lines = [
        format!(r#""time":0.000000,"event":"accepted",{peer},"wasi":"accept"}}"#),
        format!(
            r#""time":1.000000,"event":"received",{peer},"wasi":"input-stream.read","bytes":29,"text":"GET /a\\\\ HTTP/1.1\\r\\nHost: local"}}"#
        ),
        format!(
            r#""time":2.000000,"event":"received",{peer},"wasi":"input-stream.read","bytes":8,"text":"host\\r\\n\\r\\n"}}"#
        ),
        format!(
            r#""time":2.000000,"event":"responded",{peer},"line":"GET /a\\\\ HTTP/1.1","request_bytes":37,"status":200,"reason":"OK","body_bytes":41}}"#
        ),
        format!(
            r#""time":2.000000,"event":"sent",{peer},"wasi":"output-stream.write","bytes":157,"text":"{response}"}}"#
        ),
        format!(r#""time":2.000000,"event":"closed",{peer},"wasi":"shutdown","reason":"peer-finished"}}"#),
    ];
    assert_eq!(events, lines.map(|line| format!(r#"{{"v":1,{line}"#)));
}

#[test]
fn each_kind_of_event_is_a_line_of_the_schema() {
    let runtime = Runtime::new(Model::new());
    let lines = Rc::new(Lines::new(events::loss(runtime.clone())));
    let log = EventLog::new(&lines, runtime.clone());
    let lines_of = |event| {
        log.observe(event);
        checked(&lines.take()).concat()
    };
    runtime.block_on(runtime.sleep_until(runtime.now() + Duration::from_micros(61_000_002)));
    let begin = r#"{"v":1,"time":61.000002,"event":"#;
    let address = "[::1]:9000".parse().expect("an address");
    for (event, rest) in [
        (Event::SocketCreated(address), r#""socket-created","address":"[::1]:9000","wasi":"create-tcp-socket"}"#),
        (Event::Bound(address), r#""bound","address":"[::1]:9000","wasi":"start-bind, finish-bind"}"#),
        (
            Event::Listening { address, backlog: 7 },
            r#""listening","address":"[::1]:9000","backlog":7,"wasi":"set-listen-backlog-size, start-listen, finish-listen"}"#,
        ),
        (
            Event::AcceptFailed { cause: "no \"room\"\n" },
            r#""accept-failed","wasi":"accept","cause":"no \"room\"\u000a"}"#,
        ),
    ] {
        assert_eq!(lines_of(event), [begin, rest].concat());
    }

    let Event::Responded(exchange) = answered() else { unreachable!("that is what it is") };
    let peer = exchange.peer;
    for (reason, rest) in [
        (CloseReason::LastResponse, r#""wasi":"shutdown","reason":"last-response"}"#),
        (CloseReason::PeerFinished, r#""wasi":"shutdown","reason":"peer-finished"}"#),
        (CloseReason::IdleTimeout, r#""reason":"idle-timeout"}"#),
        (CloseReason::WriteTimeout, r#""reason":"write-timeout"}"#),
        (CloseReason::Evicted, r#""reason":"evicted"}"#),
        (CloseReason::Stopping, r#""reason":"stopping"}"#),
        (CloseReason::Disconnected, r#""reason":"disconnected"}"#),
    ] {
        let closed = format!(r#"{begin}"closed","connection":1,"peer":"127.0.0.1:50000",{rest}"#);
        assert_eq!(lines_of(Event::Closed(peer, reason)), closed);
    }
    for &fault in Fault::ALL {
        let line = lines_of(Event::Responded(Exchange { fault: Some(fault), status: fault.status(), ..exchange }));
        let (_, section) = fault.explain();
        assert!(line.contains(r#","fault":""#) && line.ends_with(&format!(r#"","section":"{section}"}}"#)), "{line}");
        assert!(!line.contains(['<', '>']) && line.matches('`').count() % 2 == 0, "{line}");
    }
    let line = lines_of(Event::Responded(Exchange { fault: Some(Fault::TargetByte), ..exchange }));
    assert!(line.contains("percent-encoded, as in `%C3%A9` for \u{e9}.\",\"section\""), "{line}");
    let line = lines_of(Event::Responded(Exchange { line: &[b'x'; 3000], ..exchange }));
    assert!(line.contains(&format!(r#","line":"{}...","request_bytes":18,"#, "x".repeat(2048))), "{line}");
}

#[test]
fn events_that_the_reader_does_not_take_are_dropped_and_counted() {
    let runtime = Runtime::new(Model::new());
    let lines = Rc::new(Lines::new(events::loss(runtime.clone())));
    let log = EventLog::new(&lines, runtime.clone());
    runtime.block_on(runtime.sleep_until(runtime.now() + seconds(3)));
    let events = 20_000;
    (0..events).for_each(|_| log.observe(answered()));
    let page = Page::default();
    let (sink, clock) = (page.clone(), runtime.clone());
    runtime.spawn({
        let lines = Rc::clone(&lines);
        async move { lines.run(sink, &|error| panic!("{error:?}")).await }
    });
    runtime.block_on(async move { lines.finish(&clock, clock.now() + seconds(9)).await });
    let written = checked(&page.0.take().concat());
    let dropped = events - (written.len() - 1);
    assert!(dropped > 0);
    assert_eq!(written[0], format!(r#"{{"v":1,"time":3.000000,"event":"dropped","count":{dropped}}}"#));
}

#[test]
fn events_have_masks_across_reads_and_also_while_lines_are_dropped() {
    let events = events_of(&[
        b"GET / HTTP/1.1\r\nHost: a\r\nAuth",
        b"orization",
        b": Basic c2Vj",
        b"cmV0\r\nCOOKIE: c2Vj=cmV0\r\n c2Vj\r\nAccept: a",
    ]);
    assert_eq!(
        texts(&events)[..4],
        [
            r"GET / HTTP/1.1\\r\\nHost: a\\r\\nAuth",
            "orization",
            ": ***",
            r"***\\r\\nCOOKIE: ***\\r\\n ***\\r\\nAccept: a",
        ]
    );

    // A value that is longer than what a line shows, and one whose beginning is in a line that is dropped.
    let lines = Rc::new(Lines::new(Format::Common.loss()));
    let log = EventLog::new(&lines, Runtime::new(Model::new()));
    let Event::Responded(Exchange { peer, .. }) = answered() else { unreachable!("that is what it is") };
    log.observe(Event::Accepted(peer));
    log.observe(Event::Received(peer, &[b"x".repeat(2040), b"\r\nCookie: c2VjcmV0".to_vec()].concat()));
    log.observe(Event::Received(peer, b"c2VjcmV0"));
    let long = checked(&lines.take());
    assert!(long[1].ends_with(r#"\\r\\nCookie","cut":10}"#), "{}", long[1]);
    assert!(long[2].ends_with(r#""bytes":8,"text":"***"}"#), "{}", long[2]);
    log.observe(Event::Received(peer, b"\r\n"));
    (0..20_000).for_each(|_| log.observe(answered()));
    log.observe(Event::Received(peer, b"Set-Cookie: "));
    lines.take();
    log.observe(Event::Received(peer, b"c2VjcmV0"));
    assert_eq!(texts(&checked(&lines.take())), ["***"]);
}
