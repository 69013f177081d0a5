//! Clocks that stand still, or jump: what a reply and the log call the time, and whose time is up.

use std::cell::Cell;
use std::time::SystemTime;

use fastrand::Rng;

use hello_runtime::yield_now;

use super::super::HttpDate;
use super::*;
use crate::events::{Exchange, Peer};
use crate::net::Runtime as _;
use crate::observers::lines::Lines;
use crate::observers::log::{AccessLog, Format};

/// Two clocks that are set by hand.
#[derive(Debug, Clone)]
struct Clocks(Rc<(Cell<Duration>, Cell<SystemTime>)>);

impl Clocks {
    fn new(wall_clock: SystemTime) -> Self {
        Clocks(Rc::new((Cell::default(), Cell::new(wall_clock))))
    }

    /// Time passes, by both.
    fn pass(&self, time: Duration) {
        self.0.0.set(self.0.0.get() + time);
        self.0.1.set(self.0.1.get() + time);
    }

    fn set_wall_clock(&self, wall_clock: SystemTime) {
        self.0.1.set(wall_clock);
    }
}

impl crate::server::Runtime for Clocks {
    fn now(&self) -> Duration {
        self.0.0.get()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.1.get()
    }

    async fn sleep_until(&self, _: Duration) {
        unreachable!("a date waits for nothing");
    }

    async fn host_turn(&self) {
        unreachable!("a date waits for nothing");
    }

    fn spawn(&self, _: impl Future<Output = ()> + 'static) {
        unreachable!("a date starts nothing");
    }
}

fn since_1970(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + self::seconds(seconds)
}

/// How the log has this date in either format.
fn logged(date: &str) -> (String, String) {
    let line = |format: Format| {
        let lines = Rc::new(Lines::new(format.loss()));
        let peer = Peer { id: 1, address: ([127, 0, 0, 1], 50_000).into() };
        let exchange =
            Exchange { peer, date, line: b"GET / HTTP/1.1", request_bytes: 18, fault: None, status: 200, bytes: 41 };
        AccessLog::new(format, &lines).observe(Event::Responded(exchange));
        lines.take()
    };
    (line(Format::Common), line(Format::Json))
}

/// A date, and the same as the log has it in either format.
fn assert_says(date: &str, expected: &str, common: &str, json: &str) {
    assert_eq!(date, expected);
    let (line, object) = logged(date);
    assert!(line.contains(&format!(" [{common} +0000] ")), "{line}");
    assert!(object.contains(&format!("\"time\":\"{json}Z\"")), "{object}");
}

#[test]
fn behind_the_last_second_of_a_day_a_month_or_a_year_comes_the_first_of_the_next() {
    for (last, [date, common, json], [next_date, next_common, next_json]) in [
        (
            1_784_073_599,
            ["Tue, 14 Jul 2026 23:59:59 GMT", "14/Jul/2026:23:59:59", "2026-07-14T23:59:59"],
            ["Wed, 15 Jul 2026 00:00:00 GMT", "15/Jul/2026:00:00:00", "2026-07-15T00:00:00"],
        ),
        (
            1_798_761_599,
            ["Thu, 31 Dec 2026 23:59:59 GMT", "31/Dec/2026:23:59:59", "2026-12-31T23:59:59"],
            ["Fri, 01 Jan 2027 00:00:00 GMT", "01/Jan/2027:00:00:00", "2027-01-01T00:00:00"],
        ),
        (
            1_835_395_199,
            ["Mon, 28 Feb 2028 23:59:59 GMT", "28/Feb/2028:23:59:59", "2028-02-28T23:59:59"],
            ["Tue, 29 Feb 2028 00:00:00 GMT", "29/Feb/2028:00:00:00", "2028-02-29T00:00:00"],
        ),
        (
            1_835_481_599,
            ["Tue, 29 Feb 2028 23:59:59 GMT", "29/Feb/2028:23:59:59", "2028-02-29T23:59:59"],
            ["Wed, 01 Mar 2028 00:00:00 GMT", "01/Mar/2028:00:00:00", "2028-03-01T00:00:00"],
        ),
        // Where 32 bits with a sign end; and a year that four divides, and is no leap year.
        (
            2_147_483_647,
            ["Tue, 19 Jan 2038 03:14:07 GMT", "19/Jan/2038:03:14:07", "2038-01-19T03:14:07"],
            ["Tue, 19 Jan 2038 03:14:08 GMT", "19/Jan/2038:03:14:08", "2038-01-19T03:14:08"],
        ),
        (
            4_107_542_399,
            ["Sun, 28 Feb 2100 23:59:59 GMT", "28/Feb/2100:23:59:59", "2100-02-28T23:59:59"],
            ["Mon, 01 Mar 2100 00:00:00 GMT", "01/Mar/2100:00:00:00", "2100-03-01T00:00:00"],
        ),
    ] {
        let (clocks, shown) = (Clocks::new(since_1970(last)), HttpDate::default());
        assert_says(&shown.now(&clocks), date, common, json);
        clocks.pass(Duration::from_nanos(999_999_999));
        assert_says(&shown.now(&clocks), date, common, json);
        clocks.pass(Duration::from_nanos(1));
        assert_says(&shown.now(&clocks), next_date, next_common, next_json);
    }
}

#[test]
fn a_time_that_no_date_can_say_is_the_nearest_one_that_can() {
    let first = ("Thu, 01 Jan 1970 00:00:00 GMT", "01/Jan/1970:00:00:00", "1970-01-01T00:00:00");
    let last = ("Fri, 31 Dec 9999 23:59:59 GMT", "31/Dec/9999:23:59:59", "9999-12-31T23:59:59");
    for (wall_clock, (date, common, json)) in [
        (SystemTime::UNIX_EPOCH, first),
        (SystemTime::UNIX_EPOCH - Duration::from_nanos(1), first),
        (SystemTime::UNIX_EPOCH - seconds(100 * 365 * 86_400), first),
        (since_1970(253_402_300_799), last),
        (since_1970(253_402_300_800), last),
        // The last moment that a clock of the system can show.
        (since_1970(i64::MAX as u64), last),
    ] {
        assert_says(&HttpDate::default().now(&Clocks::new(wall_clock)), date, common, json);
    }
}

/// Years, hours, seconds and less, forwards and backwards.
fn jump(random: &mut Rng) -> SystemTime {
    let now = 1_784_073_599_000_000_000;
    let most = random.choice([1_000_000, 1_000_000_000, 3_600_000_000_000, 60 * 31_556_952_000_000_000]);
    let nanoseconds = random.i128(-most.expect("there are some")..=most.expect("there are some")) + now;
    let moment = Duration::from_nanos(nanoseconds.unsigned_abs() as u64);
    if nanoseconds < 0 { SystemTime::UNIX_EPOCH - moment } else { SystemTime::UNIX_EPOCH + moment }
}

#[test]
fn a_clock_that_is_set_is_followed_within_a_second() {
    let mut random = Rng::with_seed(6);
    let (clocks, shown) = (Clocks::new(since_1970(1_784_073_599)), HttpDate::default());
    // The right date for each time it was asked for.
    let mut asked: Vec<(Duration, String)> = Vec::new();
    for _ in 0..20_000 {
        match random.u32(0..4) {
            0 => clocks.set_wall_clock(jump(&mut random)),
            // The same moment once more: a clock that stands still.
            1 => {}
            _ => clocks.pass(Duration::from_nanos(random.u64(0..700_000_000))),
        }
        let date = shown.now(&clocks).to_owned();
        assert!(httpdate::parse_http_date(&date).is_ok_and(|time| httpdate::fmt_http_date(time) == date), "{date}");
        let now = clocks.now();
        asked.push((now, HttpDate::default().now(&clocks).to_owned()));
        asked.retain(|(then, _)| *then + seconds(1) > now);
        assert!(asked.iter().any(|(_, true_date)| *true_date == date), "{date}, not one of {asked:?}");
    }
}

#[test]
fn while_the_clock_of_the_host_stands_still_each_connection_is_served() {
    play(Limits::default(), |scene| async move {
        let begin = scene.runtime.now();
        let peers: Vec<Client> = (0..20).map(|_| scene.call()).collect();
        for _ in 0..50 {
            peers.iter().for_each(|peer| peer.send(GET));
            for peer in &peers {
                one_reply(peer).await;
            }
        }
        assert_eq!(scene.runtime.now(), begin);
        // And when it goes on, so do the deadlines.
        let (rest, time) = scene.timed(peers[0].receive_all()).await;
        assert_eq!((rest.as_str(), time), ("", Limits::default().idle_timeout));
    });
}

#[test]
fn after_a_jump_of_the_clock_each_connection_is_where_its_deadlines_put_it() {
    let limits = Limits { idle_timeout: seconds(86_400), ..Limits::default() };
    play(limits, |scene| async move {
        let idle = idle_peer(&scene).await;
        let [silent, head, body, stuck, last] = [(); 5].map(|()| scene.call());
        head.send(&GET[..20]);
        body.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
        stuck.send(&GET.repeat(2 * ROOM / HELLO.len()));
        last.send(LAST_GET);
        last.receive_all().await;
        scene.pause().await;
        assert_eq!(scene.server.connections(), 6);

        // As a machine that has slept.
        scene.model.pass(HOUR);
        scene.pause().await;
        for late in [&head, &body] {
            let (reply, time) = scene.timed(late.receive_all()).await;
            assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
            assert!(time < seconds(1), "{time:?}");
        }
        for patient in [&idle, &silent] {
            patient.send(GET);
            one_reply(patient).await;
        }
        let next = scene.call();
        next.send(LAST_GET);
        let (reply, time) = scene.timed(next.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert!(time < seconds(1), "{time:?}");
        // Its replies are lost to it, but not its place, until it reads or goes.
        stuck.reset();
        scene.sleep(seconds(3)).await;
        assert_eq!(scene.server.connections(), 2, "the two patient ones");

        scene.model.pass(86_400_000_000_000);
        for patient in [&idle, &silent] {
            assert_eq!(patient.receive_all().await, "");
        }
        scene.pause().await;
        assert_eq!(scene.server.connections(), 0);
    });
}

/// An hour, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

#[test]
fn bytes_that_came_while_the_process_stood_still_count_although_their_deadlines_have_passed() {
    play(Limits::default(), |scene| async move {
        let idle = Rc::new(idle_peer(&scene).await);
        let [silent, head, body, reader, refused] = [(); 5].map(|()| Rc::new(scene.call()));
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n";
        head.send(&LAST_GET[..20]);
        body.send(post);
        // More than is written at a time: the server waits until the peer makes room.
        reader.send(&[&GET.repeat(1000), LAST_GET].concat());
        refused.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
        refused.receive_all().await;
        // All of them are cold by then.
        scene.sleep(seconds(1)).await;

        let peers = [&idle, &silent, &head, &body, &reader, &refused].map(Rc::clone);
        let model = scene.model.clone();
        scene.model.meanwhile(move || {
            let [idle, silent, head, body, reader, refused] = peers;
            idle.send(LAST_GET);
            silent.send(LAST_GET);
            head.send(&LAST_GET[20..]);
            // More than one read takes.
            body.send(&[b'x'; 50_000]);
            refused.send(b"x");
            reader.read_everything();
            model.halt(HOUR);
        });
        for peer in [&idle, &silent, &head, &body] {
            let reply = peer.receive_all().await;
            assert!(reply.ends_with(HELLO), "{reply}");
        }
        while !reader.is_closed() {
            scene.pause().await;
        }
        let answered = scene.notes.answered.borrow().iter().filter(|(status, _)| *status == 200).count();
        assert_eq!(answered, 1 + 4 + 1001);
        // What is not read would make the kernel send a reset, which overtakes the refusal.
        assert_eq!(refused.unread(), 0);
    });
}

#[test]
fn a_deadline_that_has_passed_is_over_after_one_look() {
    let limits = Limits { header_timeout: seconds(10), write_timeout: seconds(10), ..Limits::default() };
    play(limits, |scene| async move {
        let [head, body] = [(); 2].map(|()| scene.call());
        head.send(b"GET / HTTP/1.1\r\nX: ");
        body.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
        scene.sleep(seconds(10) - Duration::from_millis(1)).await;
        scene.model.halt(HOUR);
        // Whenever the server looks, each has sent another byte.
        for _ in 0..200 {
            for peer in [&head, &body] {
                peer.send(b"x");
            }
            yield_now().await;
        }
        for peer in [&head, &body] {
            assert!(peer.is_closed());
            assert!(peer.receive_all().await.starts_with("HTTP/1.1 408 "));
        }
    });
}
