//! Conversations under schedules that nobody has thought of: what comes in pieces, what the host does not permit although it
//! could, who reads late. Every request is answered, once and in order.

use fastrand::Rng;

use super::{HELLO, Scene, play};
use crate::server::Limits;
use crate::wasi::model::Peer;

/// A peer, what it has yet to say, and which of its requests want a body.
struct Talk {
    peer: Peer,
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
            self.peer.finish();
        }
    }

    fn assert_is_whole(&self, context: &str) {
        let replies: Vec<&str> = self.heard.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        let bodies: Vec<bool> = replies.iter().map(|reply| reply.ends_with(HELLO)).collect();
        assert_eq!(bodies, self.wants_body, "{context}: {:?}", self.heard);
    }
}

#[test]
fn every_request_is_answered_once_and_in_order_whatever_the_host_does() {
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
