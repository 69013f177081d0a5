//! The destination of the log: no reader of the log keeps the server from serving, or from ending. The log has exactly the
//! requests that were served.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_test_support::{
    GET, HELLO, LAST_GET, Process, command, connect, is_wasmtime, not_tested, read_all, read_reply,
};

/// The notes when the log cannot be written, and when its reader has gone.
const FULL: &str =
    "hello-server: note: the log cannot be written (is the disk full?); serving on, and lines of it are lost\n";
const UNREAD: &str = "hello-server: note: the reader of the log has gone; serving on without it\n";

/// A server whose output is redirected.
struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Starts a server whose output a shell redirects like this. The shell runs `before` first.
    fn redirected(before: &str, redirections: &str) -> Self {
        Server::started(
            Command::new("sh").args(["-c", &format!("{before}\nexec \"$@\" {redirections}"), "sh"]).args(words()),
        )
    }

    /// Starts a server by this command, and finds its port without its output.
    fn started(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start_unread(command);
        let port = loop {
            match listening(process.pid()) {
                Some(port) => break port,
                None => assert!(process.is_running(), "it did not start"),
            }
            std::thread::yield_now();
        };
        Server { process, address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    /// Asserts that the server serves this many connections, with two requests each.
    fn assert_serves(&self, calls: usize) {
        for _ in 0..calls {
            let mut stream = connect(self.address);
            stream.write_all(GET).expect("it reads");
            read_reply(&mut stream);
            stream.write_all(LAST_GET).expect("it reads");
            assert!(read_all(&mut stream).ends_with(HELLO));
        }
    }

    /// Asks the server to stop, which it does. Returns its standard error, if that is a pipe to this test.
    fn stop(mut self) -> String {
        self.process.ask_to_stop();
        self.process.read();
        let output = self.process.wait();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stderr
    }
}

/// The words that start a server which can be asked to stop.
fn words() -> Vec<String> {
    let command = command(&["--listen", "127.0.0.1:0", "--stop-when-stdin-closes"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_str().expect("text").to_owned()).collect()
}

/// The port on which this process listens for IPv4, if it does, as Linux reports it.
fn listening(pid: u32) -> Option<u16> {
    const LISTENS: &str = "0A";
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let open: Vec<PathBuf> = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect();
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    sockets.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_its = |inode: &str| open.contains(&PathBuf::from(format!("socket:[{inode}]")));
        let found = *words.get(3)? == LISTENS && is_its(words.get(9)?);
        u16::from_str_radix(words[1].split_once(':').filter(|_| found)?.1, 16).ok()
    })
}

/// Whether this system has what these tests need.
fn is_linux() -> bool {
    let is_linux = Path::new("/dev/full").exists() && Path::new("/proc/self/net/tcp").exists();
    if !is_linux {
        not_tested("this is not Linux", "run it there");
    }
    is_linux
}

#[test]
fn a_log_that_cannot_be_written_is_noted_once_and_the_server_serves_on() {
    if is_linux() {
        let server = Server::redirected("", ">/dev/full");
        server.assert_serves(50);
        assert_eq!(server.stop(), FULL);
    }
}

#[test]
fn a_server_without_any_output_goes_on() {
    if is_linux() {
        for redirections in [">/dev/full 2>/dev/full", ">&- 2>&-", ">&-", "2>&-", "2>/dev/full"] {
            let server = Server::redirected("", redirections);
            // The server has no place for a note about this, either.
            let mut tls = connect(server.address);
            tls.write_all(b"\x16\x03\x01").expect("it reads");
            assert!(read_all(&mut tls).starts_with("HTTP/1.1 400 "));
            server.assert_serves(20);
            let said = server.stop();
            assert_eq!(said.matches('\n').count(), usize::from(!redirections.contains("2>")), "{redirections}: {said}");
        }
    }
}

/// Services run without a standard input. With the option to stop at its end, that would be the end.
#[test]
fn without_a_standard_input_it_serves() {
    if is_linux() {
        let words: Vec<String> = words().into_iter().filter(|word| word != "--stop-when-stdin-closes").collect();
        let mut shell = Command::new("sh");
        let server = Server::started(shell.args(["-c", "exec \"$@\" <&-", "sh"]).args(words));
        server.assert_serves(1);
    }
}

#[test]
fn the_sandbox_does_not_take_a_missing_standard_input_for_the_sign_to_stop() {
    if is_linux() && !is_wasmtime() {
        let server = Server::redirected("", "<&-");
        server.assert_serves(1);
        assert_eq!(server.stop(), "");
    }
}

#[test]
fn a_reader_that_takes_one_line_of_the_log_is_noted_once_and_the_server_goes_on() {
    if is_linux() {
        // As with `serve | head -1`; and with `serve 2>&1 | head -1`.
        for is_stderr_read in [true, false] {
            let mut server = Server::redirected("", "");
            let mut first = String::new();
            BufReader::new(server.process.child.stdout.take().expect("piped")).read_line(&mut first).expect("text");
            assert!(first.starts_with("Access http://"), "{first}");
            if !is_stderr_read {
                drop(server.process.child.stderr.take());
            }
            server.assert_serves(50);
            assert_eq!(server.stop(), if is_stderr_read { UNREAD } else { "" });
        }
    }
}

/// Requests a long path that has the number of the request.
fn ask(address: SocketAddr, number: usize) {
    let mut stream = connect(address);
    write!(stream, "GET /{} HTTP/1.0\r\n\r\n", path(number)).expect("it reads");
    assert!(read_all(&mut stream).ends_with(HELLO));
}

fn path(number: usize) -> String {
    format!("{number:0>200}")
}

/// Fills `log`, which has room for no more than 64 KiB, makes room again, and checks the log afterwards, together with the
/// part that was removed to make room.
fn assert_survives_a_full_disk(server: Server, mut log: File, make_room: impl FnOnce() -> String) {
    (0..400).for_each(|number| ask(server.address, number));
    let mut text = make_room();
    let mut asked = 400;
    // The task that writes the log may be behind.
    while !(400..asked).any(|number| text.contains(&path(number))) {
        assert!(asked < 50_000, "it does not go on: {text}");
        ask(server.address, asked);
        asked += 1;
        log.read_to_string(&mut text).expect("text");
    }
    assert_eq!(server.stop(), FULL);

    log.read_to_string(&mut text).expect("text");
    let (mut seen, mut lost, mut torn) = (Vec::new(), Vec::new(), 0);
    for line in text.lines() {
        let request = line.split_once("] \"GET /").and_then(|(_, rest)| rest.strip_suffix(" HTTP/1.0\" 200 41"));
        match request {
            Some(path) => seen.push(path.parse::<usize>().expect("a number")),
            None if line.starts_with("# up to ") => {
                lost.push(line.split(' ').nth(3).and_then(|number| number.parse::<usize>().ok()).expect("a number"));
            }
            None if line.starts_with("127.0.0.1 - - [") => {
                assert_eq!(line.rfind("127.0.0.1"), Some(0), "nothing is put together: {line}");
                torn += 1;
            }
            None => assert!(line.is_empty() || !line.contains("GET"), "{line:?}"),
        }
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "each once, and in their order: {seen:?}");
    assert!((0..400).any(|number| !seen.contains(&number)), "it was not full");
    assert_eq!(lost.len(), 1, "{text}");
    // The number may be smaller: after a failed write it is unknown how many lines were written.
    let missing = asked - seen.len();
    assert!((missing..=asked).contains(&lost[0]), "{missing} are missing, and the log says {}: {text}", lost[0]);
    assert!(torn <= 1, "{text}");
    assert!(text.ends_with(&format!("Served {asked} requests in {asked} calls.\n")), "{text}");
}

#[test]
fn the_server_survives_a_full_disk_and_counts_the_missing_lines_when_there_is_room_again() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(if is_wasmtime() { "disk-wasmtime" } else { "disk" });
    fs::create_dir_all(&place).expect("a folder");
    let in_own_mounts = |script: &str| {
        let mut unshare = Command::new("unshare");
        let mount = "mount -t tmpfs -o size=64k tmpfs \"$0\" && head -c 32768 /dev/zero >\"$0/ballast\"";
        unshare.args(["--map-root-user", "--mount", "sh", "-c", &format!("{mount} && {script}")]).arg(&place);
        unshare
    };
    if !is_linux() || !in_own_mounts("true").output().is_ok_and(|output| output.status.success()) {
        not_tested("no disk can be mounted here", "run it as root, or where user namespaces are allowed");
        return;
    }
    let server = Server::started(in_own_mounts("exec \"$@\" >>\"$0/log\"").args(words()));
    let inside = |name| format!("/proc/{}/root{}/{name}", server.process.pid(), place.display());
    let (log, ballast) = (File::open(inside("log")).expect("a file"), inside("ballast"));
    assert_survives_a_full_disk(server, log, || {
        fs::remove_file(ballast).expect("a file");
        String::new()
    });
}

#[test]
fn a_log_that_has_grown_as_large_as_files_may_be_is_survived_too() {
    if !is_linux() {
        return;
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(if is_wasmtime() { "log-wasmtime" } else { "log" });
    // The file exists if this test has run before.
    File::create(&place).expect("a file");
    // A process that exceeds the limit gets a signal that ends it; wasmtime has to ignore the signal.
    let mind = if is_wasmtime() { "trap '' XFSZ" } else { "" };
    let server = Server::redirected(&format!("{mind}\nulimit -f 64"), &format!(">>'{}'", place.display()));
    let log = File::open(&place).expect("a file");
    assert_survives_a_full_disk(server, log, || {
        let text = fs::read_to_string(&place).expect("text");
        File::create(&place).expect("a file");
        text
    });
}
