//! More connections than permits, descriptors, or backlog: the server waits, and does not spin.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::thread::{sleep, spawn};
use std::time::Duration;

use hello_test_support::process::cpu_time;
use hello_test_support::{GET, HELLO, LAST_GET, Server, command, connect, not_tested, read_all};

/// The time over which the waiting server is observed.
const WHILE: Duration = Duration::from_secs(2);

/// Connections with a begun request, which keep their permits.
fn busy(server: &Server, callers: usize) -> Vec<TcpStream> {
    let mut busy: Vec<TcpStream> = (0..callers).map(|_| server.connect()).collect();
    busy.iter_mut().for_each(|peer| peer.write_all(&GET[..20]).expect("it reads"));
    busy
}

/// Asserts that the server waits, and uses hardly any processor time.
fn assert_waits(server: &Server, what: &str) {
    let Some(before) = cpu_time(server.pid()) else {
        not_tested("this system does not tell how much a process works", "run it on Linux");
        return;
    };
    sleep(WHILE);
    let used = cpu_time(server.pid()).expect("it told before") - before;
    println!("{what}: {used:?} of a processor in {WHILE:?}");
    assert!(used < WHILE / 2, "{used:?} of {WHILE:?}");
}

#[test]
fn without_permits_the_server_waits_and_serves_again_when_there_are_some() {
    let server = Server::start(&["--log", "off", "--max-connections", "8"]);
    let busy = busy(&server, 200);
    assert_waits(&server, "200 busy callers and 8 places");
    drop(busy);
    server.assert_serves();
    // Connections at the limit are no reason for a note.
    assert_eq!(server.finish().stderr, "");
}

#[test]
fn without_descriptors_the_server_waits_and_reports_it_once() {
    // A shell gives the server fewer descriptors than there are connections.
    let serve = command(&["--port", "0", "--log", "off"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    let server = Server::launch(&mut limited);
    let busy = busy(&server, 100);
    let mut callers: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    callers.iter_mut().for_each(|caller| caller.write_all(LAST_GET).expect("it reads"));
    assert_waits(&server, "200 callers and 64 descriptors");
    drop(busy);
    for caller in &mut callers {
        assert!(read_all(caller).ends_with(HELLO));
    }
    server.assert_serves();
    let stderr = server.finish().stderr;
    assert!(stderr.contains("cannot pick up a call") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn beyond_the_backlog_clients_try_again_and_all_are_served() {
    let server = Server::start(&["--log", "off", "--max-connections", "2", "--backlog", "4"]);
    let busy = busy(&server, 2);
    let address = server.address();
    let callers = (0..12).map(|_| {
        spawn(move || {
            // If the backlog is full, the system does not respond, and the client tries again.
            let mut caller = connect(address);
            caller.write_all(LAST_GET).expect("it reads");
            assert!(read_all(&mut caller).ends_with(HELLO));
        })
    });
    let callers: Vec<_> = callers.collect();
    assert_waits(&server, "12 callers, 2 places and 4 in line");
    drop(busy);
    callers.into_iter().for_each(|caller| caller.join().expect("it is served"));
    server.assert_serves();
    assert_eq!(server.finish().stderr, "");
}
