//! The grants of a component: each interface is tried with the grant and without it. The sandbox reports a refusal once,
//! with the option that would have allowed it; without a refusal it reports nothing.

use std::fs;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use hello_test_support::{LAST_GET, Output, Process, component, connect, runner};
use rustix::process::Signal;

use super::{probe, run, server};

/// A port that is free on all addresses of this machine, and that no other of these tests gets.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(22_000);
    loop {
        // The port is outside the range from which the system gives out ports.
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Asserts that the component was allowed to do this, without any note.
fn assert_allowed(output: &Output, line: &str) {
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (format!("{line}: ok\n").as_str(), ""));
    assert_eq!(output.status.code(), Some(0));
}

/// Asserts that this was refused, in two lines: the attempt, and `advice`.
fn assert_refused(output: &Output, tried: &str, advice: &str) {
    assert!(!output.stdout.is_empty() && !output.stdout.contains(": ok"), "{output:?}");
    let told = format!("hello-runner: refused: hello-probe.wasm may not {tried}\n  {advice}\n");
    assert_eq!((output.stderr.as_str(), output.status.code()), (told.as_str(), Some(1)));
}

/// The message about interfaces that no option grants.
const NO_OPTION: &str = "there is no option that would allow it";

#[test]
fn it_listens_where_it_was_granted_to_and_is_reached_there() {
    let place = format!("127.0.0.1:{}", free_port());
    let program = Process::start(&mut probe(&["--allow-listen", &place], &["answer", &place]));
    let address = program.address();
    assert_eq!(address.to_string(), place);
    let mut hello = String::new();
    connect(address).read_to_string(&mut hello).expect("an answer");
    assert_eq!(hello, "hello");
    assert_allowed(&program.wait(), &format!("answer {place}"));
}

#[test]
fn port_0_is_any_port_of_the_granted_address() {
    let program = Process::start(&mut probe(&["--allow-listen", "127.0.0.1:0"], &["answer", "127.0.0.1:0"]));
    let mut hello = String::new();
    connect(program.address()).read_to_string(&mut hello).expect("an answer");
    assert_eq!((hello.as_str(), program.wait().stderr.as_str()), ("hello", ""));
    let place = format!("127.0.0.1:{}", free_port());
    let output = run(&mut probe(&["--allow-listen", "127.0.0.1:0"], &["listen", &place]));
    assert_allowed(&output, &format!("listen {place}"));
}

#[test]
fn another_port_or_address_is_refused_until_the_option_that_is_named_allows_it() {
    let port = free_port();
    let granted = format!("127.0.0.1:{port}");
    for other in [format!("127.0.0.1:{}", free_port()), format!("127.0.0.2:{port}"), format!("0.0.0.0:{port}")] {
        // The component tries twice, and the sandbox reports it once.
        let output = run(&mut probe(&["--allow-listen", &granted], &["listen", &other, &other]));
        assert_eq!(output.stdout, format!("listen {other}: permission denied\n").repeat(2));
        assert_refused(&output, &format!("listen on {other}"), &format!("--allow-listen {other} would allow it"));
        // macOS has only one loopback address.
        if !other.starts_with("127.0.0.2") || TcpListener::bind("127.0.0.2:0").is_ok() {
            let output = run(&mut probe(&["--allow-listen", &other], &["listen", &other]));
            assert_allowed(&output, &format!("listen {other}"));
        }
    }
}

#[test]
fn the_other_family_of_addresses_is_another_address() {
    for (granted, other) in
        [("127.0.0.1:0", "[::1]:0"), ("127.0.0.1:0", "[::]:0"), ("0.0.0.0:0", "[::]:0"), ("[::]:0", "127.0.0.1:0")]
    {
        let output = run(&mut probe(&["--allow-listen", granted], &["listen", other]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        // A system without IPv6 has no such socket. The last colon is that of the port.
        if output.stdout.contains("permission denied") {
            let address = other.trim_end_matches('0');
            assert!(output.stderr.contains(&format!("may not listen on {address}")), "{output:?}");
        }
    }
}

#[test]
fn without_any_grant_it_may_listen_where_the_lecture_does_and_nowhere_else() {
    let output = run(&mut probe(&[], &["listen", "127.0.0.1:0"]));
    assert_refused(&output, "listen on 127.0.0.1:0", "--allow-listen 127.0.0.1:0 would allow it");
    // The port may be in use here, but the sandbox does not refuse it.
    let output = run(&mut probe(&[], &["listen", "127.0.0.1:9000"]));
    assert_eq!(output.stderr, "", "{output:?}");
    // Any other grant replaces this default.
    let output = run(&mut probe(&["--allow-connect", "127.0.0.1:1"], &["listen", "127.0.0.1:9000"]));
    assert_refused(&output, "listen on 127.0.0.1:9000", "--allow-listen 127.0.0.1:9000 would allow it");
}

#[test]
fn a_component_connects_to_the_granted_address_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let place = listener.local_addr().expect("an address").to_string();
    // A grant to listen is no grant to connect, and another port is another address.
    for grant in [["--allow-listen", &place], ["--allow-connect", "127.0.0.1:1"]] {
        let output = run(&mut probe(&grant, &["connect", &place, &place]));
        assert_eq!(output.stdout, format!("connect {place}: permission denied\n").repeat(2));
        assert_refused(&output, &format!("connect to {place}"), &format!("--allow-connect {place} would allow it"));
    }
    listener.set_nonblocking(true).expect("a listener");
    let called = listener.accept().expect_err("no connection was made");
    assert_eq!(called.kind(), ErrorKind::WouldBlock);

    let output = run(&mut probe(&["--allow-connect", &place], &["connect", &place]));
    assert_allowed(&output, &format!("connect {place}"));
    listener.accept().expect("it has called");
}

#[test]
fn a_grant_to_connect_is_no_grant_to_listen() {
    let place = format!("127.0.0.1:{}", free_port());
    let output = run(&mut probe(&["--allow-connect", &place], &["listen", &place]));
    assert_refused(&output, &format!("listen on {place}"), &format!("--allow-listen {place} would allow it"));
}

#[test]
fn udp_is_refused() {
    let grants = ["--allow-listen", "127.0.0.1:0", "--allow-connect", "127.0.0.1:53"];
    let output = run(&mut probe(&grants, &["udp", "127.0.0.1:0", "127.0.0.1:0", "[::1]:0"]));
    assert_eq!(output.stdout.lines().count(), 3);
    assert_refused(&output, "use UDP", NO_OPTION);
}

#[test]
fn names_are_not_looked_up() {
    let output = run(&mut probe(&[], &["name", "localhost", "localhost"]));
    assert_refused(&output, "look up the name \"localhost\"", NO_OPTION);
}

#[test]
fn a_file_that_is_there_is_not_read() {
    assert!(component::root().join("Cargo.toml").exists());
    let absolute = component::root().join("Cargo.toml");
    let absolute = absolute.to_str().expect("text");
    let mut command = probe(&[], &["read", "Cargo.toml", absolute, "../Cargo.toml", "/etc/passwd"]);
    let output = run(command.current_dir(component::root()));
    assert_eq!(output.stdout.lines().count(), 4);
    assert_eq!((output.stdout.contains(": ok"), output.status.code()), (false, Some(1)), "{output:?}");
    assert_eq!(output.stderr.matches("hello-probe.wasm may not use the file \"Cargo.toml\"").count(), 1, "{output:?}");
    assert!(output.stderr.contains("hello-probe.wasm may not use the file \"etc/passwd\"\n"), "{output:?}");
    assert!(output.stderr.contains(NO_OPTION), "{output:?}");
}

#[test]
fn a_file_that_is_opened_twice_is_reported_once() {
    let output = run(&mut probe(&[], &["read", "Cargo.toml", "Cargo.toml"]));
    assert_eq!(output.stdout, "read Cargo.toml: permission denied\n".repeat(2));
    assert_refused(&output, "use the file \"Cargo.toml\"", NO_OPTION);
}

#[test]
fn no_file_is_written() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-file-is-written");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("file");
    let mut command = probe(&[], &["write", "file", file.to_str().expect("text")]);
    let output = run(command.current_dir(&folder));
    assert_eq!(output.stdout.lines().count(), 2);
    assert_eq!((output.stdout.contains(": ok"), output.status.code()), (false, Some(1)), "{output:?}");
    assert!(output.stderr.contains("hello-probe.wasm may not use the file \"file\"\n"), "{output:?}");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
}

#[test]
fn the_environment_is_empty() {
    let output = run(probe(&[], &["environment"]).env("HELLO_SECRET", "42"));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("environment: []\n", ""));
}

#[test]
fn without_a_refusal_the_sandbox_prints_nothing() {
    let output = run(&mut probe(&[], &["arguments", "--quiet", "", "a b"]));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("arguments: [\"--quiet\", \"\", \"a b\"]\n", ""));
    assert_allowed(&run(&mut probe(&[], &["random"])), "random");

    let program = Process::start(&mut server(&[]));
    let mut stream = connect(program.address());
    std::io::Write::write_all(&mut stream, LAST_GET).expect("it reads");
    assert!(hello_test_support::read_all(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
    program.signal(rustix::process::Signal::TERM);
    let output = program.wait();
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn repeated_refusals_do_not_fill_the_log() {
    let places: Vec<String> = (1..=200).map(|port| format!("127.0.0.1:{port}")).collect();
    let words: Vec<&str> = std::iter::once("connect").chain(places.iter().map(String::as_str)).collect();
    let output = run(&mut probe(&[], &words));
    assert_eq!(output.stdout.matches(": permission denied").count(), 200);
    assert_eq!(output.stderr.matches("refused: ").count(), 100);
    assert_eq!(output.stderr.matches("which is not told any more").count(), 1);
}

#[test]
fn the_grants_are_printed_at_the_start() {
    let mut command = Command::new(super::runner());
    command.args(["--max-connections", "100", "--allow-listen", "127.0.0.1:0", "--allow-connect", "192.0.2.1:80"]);
    let output = run(command.args(["--max-memory", "32"]).arg(component::probe()).arg("arguments"));
    let told = "The sandbox lets hello-probe.wasm listen on 127.0.0.1:0, connect to 192.0.2.1:80, print, \
                read the clock, and draw random numbers.\n\
                It can do nothing else: no files, no environment, no other connections, no name lookup, \
                and at most 32 MiB of memory.\n";
    assert_eq!(output.stderr.replace("\n  ", " "), told);
    assert!(output.stderr.lines().all(|line| line.len() <= 80), "{output:?}");
}

#[test]
fn the_url_of_a_server_on_every_address_is_one_that_other_machines_can_open() {
    let said = |options: &[&str]| {
        let mut command = Command::new(super::runner());
        run(command.args(["--max-connections", "100"]).args(options).arg(component::probe()).arg("arguments"))
            .stderr
            .replace("\n  ", " ")
    };
    let stderr = said(&["--allow-listen", "0.0.0.0:9005"]);
    // The address from which this machine would send, if it has a network. (The socket sends nothing: it only finds the
    // route.)
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    if let (Ok(()), Ok(SocketAddr::V4(own))) = (socket.connect("198.51.100.1:9"), socket.local_addr()) {
        let line = stderr.lines().nth(2).expect("a third sentence");
        assert!(line.starts_with("Other machines find it at http://") && line.ends_with(":9005."), "{line}");
        assert!(line.contains(&format!("http://{}:9005", own.ip())), "{line}");
        assert!(!line.contains("127.0.0.1") && !line.contains('['), "{line}");
    }
    for options in [&["--allow-listen", "127.0.0.1:9005"][..], &["--allow-listen", "0.0.0.0:0"]] {
        assert_eq!(said(options).lines().count(), 2);
    }
    assert_eq!(said(&["--quiet", "--allow-listen", "0.0.0.0:9005"]), "");
}

#[test]
fn an_address_that_needs_its_network_is_not_granted_by_advice_that_leaves_it_out() {
    let output = run(&mut probe(&[], &["listen", "[fe80::1]:9000"]));
    // A system without IPv6 has no such socket.
    if output.stdout.contains("permission denied") {
        let advice =
            "an address that begins with fe80 needs the number of its network interface, such as [fe80::1%2]:9000";
        assert_refused(&output, "listen on [fe80::1]:9000", advice);
    }
}

/// The command of a sandbox that asks the server for the grants which these arguments need.
fn asked(options: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(runner());
    command.args(options).arg("--grant-needs").arg(component::path()).args(arguments);
    command.stdin(Stdio::null());
    command
}

#[test]
fn the_launcher_grants_a_component_the_needs_of_its_arguments() {
    let program = Process::start(&mut asked(&[], &["--port", "0", "--max-connections", "100", "--log", "off"]));
    let mut answer = String::new();
    let mut client = connect(program.address());
    client.write_all(LAST_GET).expect("write a request");
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    program.signal(Signal::INT);
    let output = program.wait();
    let granted = output.stderr.replace("\n  ", " ");
    assert!(granted.contains("listen on 127.0.0.1:0 and [::1]:0, print, and read the clock.\n"), "{output:?}");
    assert!(granted.contains("at most 15 MiB of memory"), "{output:?}");
}

#[test]
fn the_command_line_counts_more_than_the_needs_of_the_component() {
    let program =
        Process::start(&mut asked(&["--max-connections", "10"], &["--port", "0", "--max-connections", "100"]));
    program.address();
    program.signal(Signal::INT);
    let output = program.wait();
    assert!(output.stderr.contains("at most 9 MiB of memory"), "{output:?}");
}

#[test]
fn a_mistake_in_the_arguments_of_a_component_exits_with_2_and_a_failure_of_the_sandbox_with_1() {
    let output = run(&mut asked(&["--quiet"], &["--port", "x"]));
    let mistake = "hello-server: --port takes a whole number from 0 to 65535, not \"x\"; see --help\n";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", mistake));
    assert_eq!(output.status.code(), Some(2));
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 5; exec \"$@\"", "sh"]);
    let command = asked(&["--quiet"], &["--port", "0"]);
    let output = run(limited.arg(command.get_program()).args(command.get_args()));
    assert!(output.stderr.contains("ulimit -n"), "{output:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_component_that_only_prints_is_granted_nothing() {
    let output = run(&mut asked(&[], &["--version"]));
    assert!(output.stdout.starts_with("hello-server "), "{output:?}");
    assert!(output.stderr.starts_with("The sandbox lets hello-server.wasm print and read the clock.\n"), "{output:?}");
    let output = run(&mut asked(&["--quiet"], &["--listen", "[::ffff:127.0.0.1]:0"]));
    assert!(output.stderr.contains("an address of one machine") && output.status.code() == Some(2), "{output:?}");
}
