//! Starting it: options, and the errors that people meet. Each is one line of cause and one of advice, never a
//! backtrace.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use super::support::component;
use super::support::{Output, Server, command, run};

/// It failed with exactly these two lines: cause, and advice.
fn assert_fails_with(output: &Output, cause: &str, advice: &str) {
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert!(lines[0].starts_with("hello-server: ") && lines[0].contains(cause), "{output:?}");
    assert!(lines[1].starts_with("  ") && lines[1].contains(advice), "{output:?}");
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""));
}

#[test]
fn started_twice_the_second_says_why_it_cannot_and_the_first_goes_on() {
    let first = Server::start(&[]);
    let port = first.port.to_string();
    let second = run(&mut command(&["--port", &port]));
    let cause = format!("port {port} is already in use");
    assert_fails_with(&second, &cause, &format!("--port {}", first.port.wrapping_add(1)));
    first.assert_serves();
}

#[test]
fn a_restart_finds_the_port_free_although_connections_were_open() {
    // Not a port of the kind that `--port 0` gives to the other tests.
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = (20_000..30_000).find(free).expect("a free port").to_string();
    let first = Server::launch(&mut command(&["--port", &port]));
    let _open = first.connect();
    first.assert_serves();
    first.finish();
    Server::launch(&mut command(&["--port", &port])).assert_serves();
}

#[test]
fn without_the_network_it_says_how_to_grant_it() {
    let mut plain = Command::new(component::root().join("runner/wasmtime"));
    let output = run(plain.arg("run").arg(component::path()).args(["--port", "0"]));
    assert_fails_with(&output, "the sandbox does not let this program listen", "wasmtime run -S inherit-network");
    assert!(output.stderr.contains("hello-runner --allow-listen 127.0.0.1:0"), "{output:?}");
}

#[test]
fn the_command_that_the_readme_gives_serves() {
    let mut plain = Command::new(component::root().join("runner/wasmtime"));
    plain.args(["run", "-S", "inherit-network"]).arg(component::path()).args(["--port", "0"]);
    Server::launch(&mut plain).assert_serves();
}

#[test]
fn an_address_of_another_machine_is_refused() {
    // A documentation address: no machine has it (RFC 5737).
    let output = run(&mut command(&["--listen", "192.0.2.1:0"]));
    assert_fails_with(&output, "192.0.2.1 is not an address of this machine", "--listen");
}

#[test]
fn a_machine_without_ipv6_is_noted_and_served() {
    // A network of its own, in which IPv6 is switched off, as on machines that do without it.
    let setup = "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    let isolated = |then: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--net", "sh", "-c", &format!("{setup} && {then}")]);
        unshare
    };
    if !isolated("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: no network namespaces here");
        return;
    }
    let serve = command(&["--port", "0"]);
    let words: Vec<String> = std::iter::once(serve.get_program())
        .chain(serve.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("text")))
        .collect();
    let server = Server::launch(&mut isolated(&format!("exec {}", words.join(" "))));
    let output = server.finish();
    assert_eq!(output.stderr, "hello-server: note: this machine has no IPv6, so only IPv4 callers are served\n");
}

#[test]
fn it_listens_where_it_is_told_to() {
    let server = Server::launch(&mut command(&["--listen", "127.0.0.1:0", "--backlog", "16"]));
    server.assert_serves();
}

#[test]
fn a_mistake_in_the_options_is_one_line_that_says_where_to_look() {
    for (options, cause) in [
        (&["--port", "http"][..], "--port takes a whole number from 0 to 65535, not \"http\""),
        (&["--listen", "localhost:9000"], "--listen takes an address and a port"),
        (&["--idle-timeout", "0"], "--idle-timeout takes a whole number from 1 to 86400, not \"0\""),
        (&["--log", "xml"], "--log takes common, json or off, not \"xml\""),
        (&["--port"], "missing argument for option '--port'"),
        (&["--port", "1", "--listen", "[::1]:1"], "give one of them"),
        (&["--listen", "[::1]:1", "--listen", "[::1]:1"], "--listen [::1]:1 is given twice"),
        (&["--log", "\x1b[2J\n"], "not \"\\u{1b}[2J\\n\""),
        (&["--colour"], "invalid option '--colour'"),
        (&["extra"], "unexpected argument \"extra\""),
    ] {
        let output = run(&mut command(options));
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert!(output.stderr.starts_with("hello-server: "), "{output:?}");
        assert!(output.stderr.contains(cause), "{output:?}");
        assert!(output.stderr.ends_with("; see --help\n"), "{output:?}");
        // WASI 0.2 has no other code for a failure than 1.
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn the_script_makes_a_mistake_in_the_options_exit_with_2() {
    let output = run(Command::new(component::root().join("runner/serve")).args(["--log", "xml"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("--log takes common, json or off, not \"xml\""), "{output:?}");
}

#[test]
fn the_script_serves_and_says_what_the_sandbox_grants() {
    let mut script = Command::new(component::root().join("runner/serve"));
    let server = Server::launch(script.args(["--port", "0"]));
    server.assert_serves();
    // It became the server: what is ended is the server, and nothing is left behind.
    let address = server.address();
    let output = server.finish();
    let granted = "The sandbox lets hello-server.wasm listen on 127.0.0.1:0 and [::1]:0, print, and read the clock.\n";
    assert!(output.stderr.contains(granted), "{output:?}");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn the_script_serves_under_plain_wasmtime() {
    let mut script = Command::new(component::root().join("runner/serve"));
    let server = Server::launch(script.args(["--wasmtime", "--port", "0"]));
    server.assert_serves();
    let output = server.finish();
    assert!(output.stderr.contains("grants TCP sockets on any address"), "{output:?}");
}

#[test]
fn the_script_hands_the_options_of_the_sandbox_to_the_sandbox() {
    let mut script = Command::new(component::root().join("runner/serve"));
    let server =
        Server::launch(script.args(["--quiet", "--max-memory", "32", "--port", "0", "--max-connections", "1000"]));
    server.assert_serves();
    assert_eq!(server.finish().stderr, "");
}

#[test]
fn what_the_options_need_is_said_and_nothing_is_done() {
    let needs = run(&mut command(&["--port", "9005", "--max-connections", "7", "--grace", "9", "--check-options"]));
    assert_eq!(needs.stdout, "listen 127.0.0.1:9005\nlisten [::1]:9005\nconnections 7\ngrace 9\n");
    assert_eq!((needs.stderr.as_str(), needs.status.code()), ("", Some(0)));
    let nothing = run(&mut command(&["--check-options", "--help"]));
    assert_eq!((nothing.stdout.as_str(), nothing.status.code()), ("", Some(0)));
}

#[test]
fn help_and_version_are_printed() {
    let help = run(&mut command(&["--help"]));
    assert!(help.status.success() && help.stderr.is_empty(), "{help:?}");
    for option in ["--listen", "--port", "--backlog", "--max-connections", "--log", "--header-timeout"] {
        assert!(help.stdout.contains(option), "{option}");
    }
    let version = run(&mut command(&["--version"]));
    assert_eq!(version.stdout, concat!("hello-server ", env!("CARGO_PKG_VERSION"), "\n"));
}
