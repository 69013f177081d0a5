//! Restarts after a sudden end (`kill -9`, a loss of power): the server can be started again at once, and there is nothing
//! to clean up.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hello_test_support::{GET, Process, Server, command, is_wasmtime, read_reply};

use super::peers::stick;

/// The number of sockets of this port besides the listeners, if the system reports sockets.
fn connections(port: u16) -> Option<usize> {
    const LISTENS: &str = "0A";
    let sockets = fs::read_to_string("/proc/net/tcp").ok()?;
    let local = format!("0100007F:{port:04X}");
    let is_one = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&local.as_str()) && words.get(3) != Some(&LISTENS)
    };
    Some(sockets.lines().filter(is_one).count())
}

#[test]
fn the_port_of_a_killed_server_is_free_at_once_whatever_its_connections_were_doing() {
    // The port is outside the range from which `--port 0` gives ports to the other tests.
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = (20_000..30_000).find(free).expect("a free port").to_string();
    let mut left = Vec::new();
    for _ in 0..5 {
        let server = Server::launch(&mut command(&["--port", &port, "--log", "off"]));
        // The server closes this connection first, so that the system remembers the connection for a minute.
        server.assert_serves();
        let silent = server.connect();
        let [mut idle, mut half] = [(); 2].map(|()| server.connect());
        idle.write_all(GET).expect("it reads");
        read_reply(&mut idle);
        half.write_all(&GET[..20]).expect("it reads");
        let in_the_middle_of_replies = stick(&server);
        // The clients keep their ends open.
        left.extend([silent, idle, half, in_the_middle_of_replies]);
        let port = server.port;
        // This is a `kill -9`.
        server.finish();
        assert_ne!(connections(port), Some(0), "the system still knows some of them");
    }
    Server::launch(&mut command(&["--port", &port])).assert_serves();
}

/// A fresh folder for one test, with a folder in it for each of these.
fn folder(name: &str, parts: &[&str]) -> PathBuf {
    let name = format!("{name}-{}", if is_wasmtime() { "wasmtime" } else { "runner" });
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("killed").join(name);
    // The folder exists if this test has run before.
    let _ = fs::remove_dir_all(&folder);
    parts.iter().for_each(|part| fs::create_dir_all(folder.join(part)).expect("a folder"));
    folder
}

/// The command that starts a server whose compiled code is kept below `cache`.
fn cached(cache: &Path) -> Command {
    let mut command = command(&["--port", "0", "--log", "off"]);
    command.env("XDG_CACHE_HOME", cache);
    // `runner/wasmtime` has built its wasmtime into the true folder, if there was none.
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    #[cfg(unix)]
    if let Some(built) = caches.map(|caches| caches.join("hello-server")).filter(|_| is_wasmtime()) {
        // The link exists if this cache was used before.
        let _ = std::os::unix::fs::symlink(built, cache.join("hello-server"));
    }
    command
}

#[test]
fn a_killed_server_leaves_nothing_behind_but_its_compiled_code() {
    let folder = folder("left", &["cache", "home", "tmp", "work"]);
    let [home, tmp, work] = ["home", "tmp", "work"].map(|name| folder.join(name));
    let mut command = cached(&folder.join("cache"));
    let server = Server::launch(command.env("HOME", &home).env("TMPDIR", &tmp).current_dir(&work));
    server.assert_serves();
    server.finish();
    for place in [home, tmp, work] {
        assert_eq!(fs::read_dir(&place).expect("a folder").count(), 0, "{}", place.display());
    }
}

#[test]
fn a_start_that_was_killed_anywhere_in_it_does_not_spoil_the_next_one() {
    for moment in 0..8 {
        let folder = folder(&format!("start-{moment}"), &["cache"]);
        let mut command = cached(&folder.join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let first = Process::start_unread(&mut command);
        // The host compiles for about half a second, and then moves the code into its place.
        thread::sleep(Duration::from_millis(80 * moment));
        first.finish();
        for _ in 0..2 {
            let server = Server::launch(&mut cached(&folder.join("cache")));
            server.assert_serves();
            assert_eq!(server.finish().stderr, "");
        }
    }
}
