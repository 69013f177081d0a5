//! The graceful stop.

use super::*;

/// The end of a server that is told to stop: how many were cut off, and how long it took.
async fn stop(scene: &Scene, grace: Duration) -> (usize, Duration) {
    scene.timed(scene.server.stop(grace)).await
}

/// Tells the server to stop, and goes on.
fn begin_to_stop(scene: &Scene) {
    let server = Rc::clone(&scene.server);
    scene.runtime.spawn(async move { _ = server.stop(seconds(5)).await });
}

#[test]
fn a_server_without_connections_stops_at_once() {
    play(Limits::default(), |scene| async move {
        let (cut, time) = stop(&scene, seconds(5)).await;
        assert_eq!(cut, 0);
        assert!(time < seconds(1), "{time:?}");
    });
}

#[test]
fn a_response_under_way_is_finished_and_says_that_it_is_the_last() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(&GET[..20]);
        scene.sleep(seconds(1)).await;
        begin_to_stop(&scene);
        scene.sleep(seconds(3)).await;
        peer.send(&GET[20..]);
        let reply = peer.receive_all().await;
        assert!(reply.contains("\r\nConnection: close\r\n") && reply.ends_with(HELLO), "{reply}");
    });
}

#[test]
fn a_request_on_its_way_on_an_idle_connection_gets_its_response() {
    play(Limits::default(), |scene| async move {
        let peer = idle_peer(&scene).await;
        scene.sleep(seconds(9)).await;
        begin_to_stop(&scene);
        scene.sleep(Duration::from_millis(200)).await;
        peer.send(GET);
        let reply = peer.receive_all().await;
        assert!(reply.contains("\r\nConnection: close\r\n"), "{reply}");
    });
}

#[test]
fn idle_connections_are_closed_and_delay_no_other_connection() {
    play(Limits::default(), |scene| async move {
        let peer = idle_peer(&scene).await;
        let silent = scene.call();
        scene.sleep(seconds(9)).await;
        let (cut, time) = stop(&scene, seconds(5)).await;
        assert_eq!(cut, 0);
        assert!(time < seconds(1), "{time:?}");
        assert_eq!(peer.receive_all().await, "");
        assert_eq!(silent.receive_all().await, "");
    });
}

#[test]
fn a_pending_connection_is_accepted_at_the_stop_and_has_a_moment_for_its_request() {
    play(Limits { connections: 1, ..Limits::default() }, |scene| async move {
        let first = scene.call();
        first.send(GET);
        one_reply(&first).await;
        scene.sleep(seconds(9)).await;
        let second = scene.call();
        begin_to_stop(&scene);
        scene.sleep(Duration::from_millis(900)).await;
        second.send(GET);
        let reply = second.receive_all().await;
        assert!(reply.contains("\r\nConnection: close\r\n"), "{reply}");
    });
}

#[test]
fn a_connection_made_after_the_listener_was_closed_is_not_accepted() {
    play(Limits::default(), |scene| async move {
        stop(&scene, seconds(5)).await;
        let late = scene.call();
        late.send(GET);
        scene.sleep(seconds(5)).await;
        assert_eq!((scene.server.connections(), scene.notes.answered.borrow().len()), (0, 0));
    });
}

#[test]
fn all_pipelined_requests_get_a_response_and_the_last_response_says_close() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        scene.pause().await;
        peer.send(&GET.repeat(3));
        scene.server.stop(seconds(5)).await;
        let replies = peer.receive_all().await;
        assert_eq!(replies.matches(HELLO).count(), 3);
        assert_eq!(replies.matches("Connection: close").count(), 1);
        assert!(replies.rfind("Connection: close") > replies.rfind("HTTP/1.1 200 OK"), "{replies}");
    });
}

#[test]
fn a_body_that_is_still_coming_is_awaited() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
        scene.sleep(seconds(1)).await;
        begin_to_stop(&scene);
        scene.sleep(seconds(1)).await;
        peer.send(b"45");
        let reply = peer.receive_all().await;
        assert!(reply.contains("\r\nConnection: close\r\n") && reply.ends_with(HELLO), "{reply}");
    });
}

#[test]
fn connections_that_are_open_after_the_grace_period_are_counted() {
    play(Limits::default(), |scene| async move {
        let slow = scene.call();
        slow.send(&GET[..5]);
        let stuck = scene.call();
        stuck.send(&GET.repeat(2 * ROOM / HELLO.len()));
        scene.sleep(seconds(1)).await;
        let (cut, time) = stop(&scene, seconds(5)).await;
        assert_eq!((cut, time), (2, seconds(5)));
    });
}

#[test]
fn the_last_response_still_arrives_when_its_peer_is_sending() {
    play(Limits::default(), |scene| async move {
        let peer = scene.call();
        peer.send(b"nonsense\r\n");
        scene.pause().await;
        let (cut, time) = stop(&scene, seconds(5)).await;
        // The server reads on for two seconds, one millisecond of which has passed, so that no reset overtakes the response.
        assert_eq!((cut, time), (0, Duration::from_millis(1999)));
        assert!(peer.receive_all().await.starts_with("HTTP/1.1 400 "));
    });
}
