//! Sockets, streams and pollables: what a component may ask again and again, what it leaves unsent, and which mistakes end it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use hello_test_support::{Process, connect, read_all};

use super::{assert_failed, probe, run};

const ANY: &str = "127.0.0.1:0";

#[test]
fn a_loop_that_asks_for_what_is_always_ready_is_ended_after_its_turn() {
    let output = run(&mut probe(&["--max-turn", "1"], &["spin", "nothing"]));
    assert_failed(&output, 1, "hello-probe.wasm has been busy for 1 second", "--max-turn");
    assert_eq!(output.stdout, "busy\n");
}

#[test]
fn a_loop_that_also_asks_for_a_time_is_not_ended() {
    let output = run(&mut probe(&["--max-turn", "2"], &["spin", "a-time"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("busy\nspin: ok\n", ""));
}

#[test]
fn a_loop_that_hears_from_a_peer_is_not_ended() {
    let program = Process::start(&mut probe(&["--max-turn", "2", "--allow-listen", ANY], &["spin", "a-peer", ANY]));
    assert_eq!(program.line(), "busy");
    let mut peer = connect(program.address());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        peer.write_all(b"x").expect("the component reads");
        std::thread::sleep(Duration::from_millis(20));
    }
    peer.shutdown(Shutdown::Write).expect("shut down");
    let output = program.wait();
    assert_eq!((output.stdout.as_str(), output.status.code()), ("spin: ok\n", Some(0)), "{}", output.stderr);
}

/// A component that leaves unsent bytes behind and serves `others`; the number of bytes that it has written.
fn leaving(others: &str) -> (Process, std::net::TcpStream, std::net::SocketAddr, usize) {
    let program = Process::start(&mut probe(&["--quiet", "--allow-listen", ANY], &["leave", ANY, others]));
    let address = program.address();
    let peer = connect(address);
    let left = program.line();
    let written = left.strip_prefix("left ").and_then(|number| number.parse().ok());
    (program, peer, address, written.unwrap_or_else(|| panic!("{left:?}")))
}

#[test]
fn the_unsent_bytes_of_a_dropped_socket_reach_the_peer_while_the_component_serves_others() {
    let (program, mut peer, address, written) = leaving("2");
    assert_eq!(read_all(&mut connect(address)), "hello");
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).expect("no byte is lost");
    assert_eq!(bytes.len(), written);
    assert_eq!(read_all(&mut connect(address)), "hello");
    assert_eq!(program.wait().status.code(), Some(0));
}

#[test]
fn the_unsent_bytes_of_a_component_that_ends_reach_a_peer_that_reads() {
    let (program, mut peer, _, written) = leaving("0");
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).expect("no byte is lost");
    assert_eq!((bytes.len(), program.wait().status.code()), (written, Some(0)));
}

#[test]
fn a_peer_that_never_reads_holds_neither_the_component_nor_its_end() {
    let (program, peer, address, _) = leaving("1");
    assert_eq!(read_all(&mut connect(address)), "hello");
    assert_eq!(program.wait().status.code(), Some(0));
    drop(peer);
}

#[test]
fn a_mistake_with_handles_or_permits_ends_the_component() {
    let output = run(&mut probe(&[], &["misuse", "empty-poll", ANY]));
    assert_failed(&output, 1, "hello-probe.wasm failed: ", "");
    for rule in [
        "socket-before-streams",
        "socket-before-pollables",
        "stream-before-pollables",
        "no-permit",
        "permit-twice",
        "too-much",
        "too-much-at-once",
        "too-many-zeroes",
    ] {
        let program = Process::start(&mut probe(&["--quiet", "--allow-listen", ANY], &["misuse", rule, ANY]));
        let _peer = connect(program.address());
        let output = program.wait();
        assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{rule}: {}", output.stderr);
        assert!(output.stderr.starts_with("hello-runner: hello-probe.wasm failed: "), "{rule}: {}", output.stderr);
    }
}
