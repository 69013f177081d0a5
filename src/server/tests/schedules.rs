//! Conversations under random schedules: what comes in pieces, what the host does not permit although it
//! could, who reads late. Every request is answered, once and in order.

use fastrand::Rng;

use super::{HELLO, LAST_GET, Scene, play, seconds};
use crate::server::Limits;
use hello_runtime::model::Client;

/// A peer, what it has yet to say, and which of its requests want a body.
struct Talk {
    peer: Client,
    unsaid: Vec<u8>,
    wants_body: Vec<bool>,
    heard: String,
}

impl Talk {
    fn new(scene: &Scene, random: &mut Rng) -> Self {
        let wants_body: Vec<bool> = (0..random.usize(1..20)).map(|_| random.bool()).collect();
        let request = |body: &bool| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", if *body { "GET" } else { "HEAD" });
        let mut unsaid: Vec<u8> = wants_body.iter().map(request).collect::<String>().into_bytes();
        unsaid.reverse();
        Talk { peer: scene.call(), unsaid, wants_body, heard: String::new() }
    }

    /// Says some more, or says that this was all.
    fn say(&mut self, random: &mut Rng) {
        let most = *random.choice(&[1, 20, 1000]).expect("some");
        let rest = self.unsaid.len() - random.usize(0..=self.unsaid.len().min(most));
        let piece: Vec<u8> = self.unsaid.drain(rest..).rev().collect();
        self.peer.send(&piece);
        if self.unsaid.is_empty() {
            self.peer.shutdown_write();
        }
    }

    fn assert_is_whole(&self, context: &str) {
        let replies: Vec<&str> = self.heard.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        let bodies: Vec<bool> = replies.iter().map(|reply| reply.ends_with(HELLO)).collect();
        assert_eq!(bodies, self.wants_body, "{context}: {:?}", self.heard);
    }
}

#[test]
fn every_request_gets_one_response_in_order_whatever_the_host_does() {
    for seed in 0..60 {
        play(Limits::default(), move |scene| async move {
            let mut random = Rng::with_seed(seed);
            let mut talks: Vec<Talk> = (0..random.usize(1..200)).map(|_| Talk::new(&scene, &mut random)).collect();
            while talks.iter().any(|talk| !talk.unsaid.is_empty()) {
                for talk in &mut talks {
                    if random.bool() {
                        talk.say(&mut random);
                    }
                }
                scene.model.set_budget(random.u32(0..130));
                scene.pause().await;
            }
            for (index, talk) in talks.iter_mut().enumerate() {
                scene.model.set_budget(random.u32(0..130));
                talk.heard = talk.peer.receive_all().await;
                talk.assert_is_whole(&format!("seed {seed}, peer {index}"));
            }
        });
    }
}

#[test]
fn every_client_is_served_whatever_goes_wrong_with_accept() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let limits = Limits { connections: random.usize(1..20), ..Limits::default() };
        play(limits, move |scene| async move {
            let start = scene.runtime.now();
            let mut callers = Vec::new();
            for _ in 0..200 {
                match random.u32(0..10) {
                    // The system has no room; the client has closed already; the host reports no connection.
                    0 => scene.network.break_for(random.usize(1..50)),
                    1 => scene.call().reset(),
                    2 => scene.model.set_budget(random.u32(0..3)),
                    3 => scene.sleep(seconds(random.u64(0..3))).await,
                    _ => {
                        let caller = scene.call();
                        caller.send(LAST_GET);
                        callers.push(caller);
                    }
                }
            }
            for caller in &callers {
                assert!(caller.receive_all().await.ends_with(HELLO), "seed {seed}");
                caller.shutdown_write();
            }
            let told = *scene.notes.accept_failures.borrow() as u64;
            let minutes = (scene.runtime.now() - start).as_secs() / 60;
            assert!(told <= 1 + minutes, "seed {seed}: told {told} times in {minutes} minutes");
        });
    }
}

#[test]
fn when_accept_fails_for_long_the_server_tries_now_and_then_and_reports_it_once() {
    play(Limits::default(), |scene| async move {
        let caller = scene.call();
        caller.send(LAST_GET);
        // For ten minutes.
        let asked = scene.model.polls();
        scene.network.break_for(20 * 600);
        let (reply, time) = scene.timed(caller.receive_all()).await;
        assert!(reply.ends_with(HELLO));
        assert_eq!(time, seconds(600), "20 times a second, and not once more");
        assert!(scene.model.polls() - asked < 2 * 20 * 600 + 100);
        assert_eq!(*scene.notes.accept_failures.borrow(), 1);
    });
}
