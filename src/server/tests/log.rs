//! The access log.

use super::*;
use crate::server::Exchange;
use crate::server::log::{AccessLog, Format, Sink, SinkError};

/// Takes lines when the test lets it.
#[derive(Clone, Default)]
struct Page(Rc<RefCell<Vec<String>>>);

impl Sink for Page {
    async fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        self.0.borrow_mut().push(String::from_utf8(lines.to_vec()).expect("text"));
        Ok(())
    }
}

/// A server in memory whose log goes to the sink that `sink` makes, and a telephone to call it with.
fn with_log<S: Sink + 'static>(format: Format, sink: impl FnOnce(&Runtime<Model>) -> S) -> (Runtime<Model>, Telephone) {
    let model = Model::new();
    let runtime = Runtime::new(model.clone());
    let log = Rc::new(AccessLog::new(format));
    let (writer, sink) = (Rc::clone(&log), sink(&runtime));
    runtime.spawn(async move { _ = writer.run(sink).await });
    let server = Server::new(runtime.clone(), log, Limits::default());
    let (switchboard, telephone) = Switchboard::new(&model, runtime.reactor());
    runtime.spawn(accept(server, switchboard));
    (runtime, telephone)
}

/// What the log says about these exchanges with a server in memory.
fn logged(format: Format, requests: &'static [&'static [u8]]) -> Vec<String> {
    let page = Page::default();
    let (runtime, telephone) = with_log(format, |_| page.clone());
    runtime.run(async move {
        let peers: Vec<Peer> = requests.iter().map(|_| telephone.call()).collect();
        for (peer, request) in peers.iter().zip(requests) {
            peer.send(request);
            peer.finish();
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
    async fn write(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Err(SinkError::Closed)
    }
}

/// Is full at first.
#[derive(Clone, Default)]
struct Disk {
    full: Rc<Cell<bool>>,
    page: Page,
}

impl Sink for Disk {
    async fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        match self.full.get() {
            true => Err(SinkError::Failed),
            false => self.page.write(lines).await,
        }
    }
}

#[test]
fn a_log_that_fails_for_a_while_goes_on_and_says_how_much_was_lost() {
    let disk = Disk::default();
    let (runtime, telephone) = with_log(Format::Common, |_| disk.clone());
    let (full, clock) = (Rc::clone(&disk.full), runtime.clone());
    runtime.run(async move {
        for number in 0..4 {
            full.set(number < 3);
            let peer = telephone.call();
            peer.send(LAST_GET);
            peer.finish();
            peer.receive_all().await;
            // The log has its turn.
            clock.sleep_until(clock.now() + Duration::from_millis(1)).await;
        }
    });
    let lines = disk.page.0.take().concat();
    assert!(lines.starts_with("\n# up to 3 lines lost\n127.0.0.1 - - ["), "{lines}");
}

/// Takes nothing, until it is told to.
struct Stalled {
    resumed: Rc<Cell<bool>>,
    page: Page,
    clock: Runtime<Model>,
}

impl Sink for Stalled {
    async fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        while !self.resumed.get() {
            let later = self.clock.now() + Duration::from_millis(1);
            self.clock.sleep_until(later).await;
        }
        self.page.write(lines).await
    }
}

#[test]
fn a_log_that_is_not_read_has_bounds_and_says_what_it_lost() {
    let (resumed, page) = (Rc::new(Cell::new(false)), Page::default());
    let (runtime, telephone) = with_log(Format::Json, |runtime| Stalled {
        resumed: Rc::clone(&resumed),
        page: page.clone(),
        clock: runtime.clone(),
    });
    let clock = runtime.clone();
    let long = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(8000));
    let requests = 1000;
    runtime.run(async move {
        for number in 0..requests {
            resumed.set(number == requests - 1);
            let peer = telephone.call();
            peer.send(long.as_bytes());
            peer.finish();
            peer.receive_all().await;
            clock.sleep_until(clock.now() + Duration::from_millis(1)).await;
        }
    });
    let lines = page.0.take().concat();
    let written = lines.lines().filter(|line| line.contains("\"request\"")).count();
    let lost = lines.lines().find_map(|line| line.strip_prefix("{\"lost\":"));
    let lost: usize = lost.and_then(|rest| rest.strip_suffix('}')).expect("a line").parse().expect("a number");
    assert!(lines.len() < 5 * 1024 * 1024);
    assert_eq!(written + lost, requests);
}

#[test]
fn a_log_that_nobody_reads_any_more_does_not_stop_the_server() {
    let (runtime, telephone) = with_log(Format::Common, |_| Shut);
    runtime.run(async move {
        for _ in 0..3 {
            let peer = telephone.call();
            peer.send(LAST_GET);
            assert!(peer.receive_all().await.ends_with(HELLO));
        }
    });
}

fn answered() -> Event<'static> {
    Event::Answered(Exchange {
        peer: ([127, 0, 0, 1], 50_000).into(),
        date: "Sun, 06 Nov 1994 08:49:37 GMT",
        line: b"GET / HTTP/1.1",
        status: 200,
        bytes: 41,
    })
}

#[test]
fn the_last_lines_are_passed_on_before_the_end() {
    play(Limits::default(), |scene| async move {
        let page = Page::default();
        let log = Rc::new(AccessLog::new(Format::Common));
        // Nobody runs it: there is nothing to wait for.
        log.finish(&scene.runtime, seconds(9)).await;

        let log = Rc::new(AccessLog::new(Format::Common));
        let (writer, sink, result) = (Rc::clone(&log), page.clone(), Rc::new(RefCell::new(None)));
        let written = Rc::clone(&result);
        scene.runtime.spawn(async move { *written.borrow_mut() = Some(writer.run(sink).await) });
        scene.pause().await;
        log.observe(answered());
        log.finish(&scene.runtime, seconds(9)).await;
        assert_eq!(page.0.borrow().len(), 1);
        assert_eq!(*result.borrow(), Some(Ok(())));
    });
}

/// Takes nothing, ever.
struct Stuck;

impl Sink for Stuck {
    async fn write(&mut self, _lines: &[u8]) -> Result<(), SinkError> {
        std::future::pending().await
    }
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_the_server_from_ending() {
    play(Limits::default(), |scene| async move {
        let log = Rc::new(AccessLog::new(Format::Common));
        let writer = Rc::clone(&log);
        scene.runtime.spawn(async move { _ = writer.run(Stuck).await });
        scene.pause().await;
        log.observe(answered());
        let ((), time) = scene.timed(log.finish(&scene.runtime, seconds(1))).await;
        assert_eq!(time, seconds(1));
    });
}
