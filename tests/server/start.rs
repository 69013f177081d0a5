//! Starting the server: options, and errors that people meet. Each error is one line of cause and one of advice, never a
//! backtrace.

use std::process::{Command, Stdio};

use hello_server::options::HELP;
use hello_test_support::{HELLO, Output, Server, command, component, is_wasmtime, not_tested, run, without_building};

/// Asserts that the program failed with exactly these two lines: cause, and advice.
fn assert_fails_with(output: &Output, cause: &str, advice: &str) {
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert!(lines[0].starts_with("hello-server: ") && lines[0].contains(cause), "{output:?}");
    assert!(lines[1].starts_with("  ") && lines[1].contains(advice), "{output:?}");
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""));
}

/// Asks the server to stop, and waits: a killed server might not print all of its output.
fn stop(server: Server) -> Output {
    server.terminate();
    server.wait()
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
fn without_the_network_the_message_names_the_grant() {
    let mut plain = Command::new(component::root().join("runner/wasmtime"));
    let output = run(plain.arg("run").arg(component::path()).args(["--port", "0"]));
    assert_fails_with(&output, "the sandbox does not let this program listen", "wasmtime run -S inherit-network");
    assert!(output.stderr.contains("hello-runner --allow-listen 127.0.0.1:0"), "{output:?}");
    // The component cannot know which of the two was refused.
    let [cause, advice] =
        ["127.0.0.1:0, or the system does not\n", "; if that is granted already, take another port\n"];
    assert!(output.stderr.contains(cause) && output.stderr.contains(advice), "{output:?}");
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
fn an_address_that_no_server_can_have_is_refused() {
    let output = run(&mut command(&["--listen", "224.0.0.1:0"]));
    assert_fails_with(&output, "224.0.0.1:0 is no address that a server can listen on", "--listen");
}

#[test]
fn the_advice_for_a_busy_port_fits_the_options_that_were_given() {
    let first = Server::start(&["--log", "off"]);
    let address = format!("127.0.0.1:{}", first.port);
    let output = run(&mut command(&["--listen", &address]));
    assert_fails_with(&output, "is already in use", &format!("--listen 127.0.0.1:{}", first.port.wrapping_add(1)));
}

#[test]
fn a_machine_without_ipv6_is_noted_and_served() {
    // A network of its own, in which IPv6 is switched off, as on machines without IPv6.
    let setup = "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    let isolated = |then: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--net", "sh", "-c", &format!("{setup} && {then}")]);
        unshare
    };
    if !isolated("true").output().is_ok_and(|output| output.status.success()) {
        not_tested("there can be no network of its own here", "run it as root, or where user namespaces are allowed");
        return;
    }
    let serve = command(&["--port", "0"]);
    let words: Vec<String> = std::iter::once(serve.get_program())
        .chain(serve.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("text")))
        .collect();
    let server = Server::launch(&mut isolated(&format!("exec {}", words.join(" "))));
    let output = server.finish();
    assert_eq!(output.stderr, "hello-server: note: this machine has no IPv6, so only IPv4 clients are served\n");
}

#[test]
fn the_server_listens_on_the_addresses_of_its_options() {
    let server = Server::launch(&mut command(&["--listen", "127.0.0.1:0", "--backlog", "16"]));
    server.assert_serves();
}

#[test]
fn a_server_on_every_address_prints_a_url_that_a_browser_can_open() {
    let server = Server::launch(&mut command(&["--listen", "0.0.0.0:0"]));
    assert_eq!(server.access, format!("Access http://localhost:{}", server.port));
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
        (&["--\x1b[31m"], "invalid option '--\\u{1b}[31m'"),
        (&["extra"], "unexpected argument \"extra\""),
    ] {
        let output = run(&mut command(options));
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert!(output.stderr.starts_with("hello-server: "), "{output:?}");
        assert!(output.stderr.contains(cause), "{output:?}");
        assert!(output.stderr.ends_with("; see --help\n"), "{output:?}");
        // WASI 0.2 has no other exit code for a failure than 1; the sandbox checks the options before.
        assert_eq!(output.status.code(), Some(if is_wasmtime() { 1 } else { 2 }));
    }
}

/// Asserts that `runner/serve` refuses these options, apart from lines about building.
fn assert_script_refuses(options: &[&str], words: &str) {
    let output = run(Command::new(component::root().join("runner/serve")).args(options).stdin(Stdio::null()));
    let said = without_building(&output.stderr);
    let said: Vec<&str> = said.lines().collect();
    assert!(said.len() == 1 && said[0].contains(words), "{options:?}: {output:?}");
    assert!(said[0].ends_with("; see --help"), "{options:?}: {output:?}");
    assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(2)), "{options:?}: {output:?}");
}

#[test]
fn the_script_makes_a_mistake_in_the_options_exit_with_2() {
    for (options, words) in [
        (&["--log", "xml"][..], "hello-server: --log takes common, json or off, not \"xml\""),
        (&["--colour"], "hello-server: invalid option '--colour'"),
        (&["--port", "0", "--max-memory"], "runner/serve: --max-memory takes a number"),
        (&["--max-memory", "", "--port", "0"], "runner/serve: --max-memory takes a number"),
        (&["--port", "0", "--max-turn="], "runner/serve: --max-turn takes a number"),
        (&["--port", "0", "--quiet=yes"], "runner/serve: --quiet takes no value"),
        (
            &["--quiet", "--port", "0", "--max-memory", "6 4 *"],
            "--max-memory takes a whole number from 1 to 4096, not \"6 4 *\"",
        ),
        (&["--port", "0", "--audit"], "runner/serve: --audit takes a file, or -"),
        (&["--port", "0", "--max-turn=5", "--wasmtime"], "runner/serve: wasmtime does not know --max-turn"),
        (&["--port", "0", "--audit=-", "--wasmtime"], "runner/serve: wasmtime does not know --audit"),
    ] {
        assert_script_refuses(options, words);
    }
}

/// A word that looks like an option of the script, but is in the place of a value for the server, is that value.
#[test]
fn the_script_leaves_the_values_of_the_server_alone() {
    let words = HELP.lines().filter_map(|line| line.trim().split_once(' '));
    let takes_value = |(_, rest): &(&str, &str)| rest.starts_with(|first: char| first.is_ascii_uppercase());
    let options: Vec<&str> =
        words.filter(takes_value).map(|(name, _)| name).filter(|name| name.starts_with("--")).collect();
    assert!(options.contains(&"--listen") && options.contains(&"--color"), "{options:?}");
    for option in options {
        assert_script_refuses(&[option, "--quiet"], "not \"--quiet\"");
    }
}

#[test]
fn the_script_serves_and_prints_the_grants_of_the_sandbox() {
    let mut script = Command::new(component::root().join("runner/serve"));
    let server = Server::launch(script.args(["--port", "0"]));
    server.assert_serves();
    // The script has become the server, so stopping the process stops the server and leaves no process behind.
    let address = server.address();
    let output = stop(server);
    let granted = "The sandbox lets hello-server.wasm listen on 127.0.0.1:0 and [::1]:0, print, and read the clock.\n";
    assert!(output.stderr.replace("\n  ", " ").contains(granted), "{output:?}");
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
fn the_script_hands_the_options_of_the_sandbox_to_the_sandbox_wherever_they_stand() {
    let of_server = ["--port", "0", "--max-connections", "1000"];
    for (before, after) in [
        (&["--max-memory", "32"][..], &["--max-turn", "7", "--verbose"][..]),
        (&["--verbose", "--max-turn=7"], &["--max-memory=32"]),
        (&["--quiet"], &["--max-memory", "32"]),
        (&["--max-memory=32"], &["--quiet"]),
    ] {
        let options = [before, &of_server, after].concat();
        let mut script = Command::new(component::root().join("runner/serve"));
        let server = Server::launch(script.args(&options));
        server.assert_serves();
        let said = stop(server).stderr;
        assert_eq!(said.contains("at most 32 MiB of memory"), !options.contains(&"--quiet"), "{options:?}: {said}");
    }
}

#[test]
fn the_script_that_watches_ends_as_the_server_does_and_leaves_nothing_behind() {
    let mut script = Command::new(component::root().join("runner/serve"));
    let server = Server::launch(script.args(["--port", "0", "--log", "off", "--watch"]));
    server.assert_serves();
    let address = server.address();
    let output = stop(server);
    assert_eq!(output.stdout, "Shutting down...\nServed 1 request in 1 call.\n", "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn the_script_of_the_clients_takes_its_options_wherever_they_stand() {
    let server = Server::start(&[]);
    let url = format!("http://localhost:{}/", server.port);
    for options in [["--quiet", "socket", &url], ["socket", "--quiet", &url], ["socket", &url, "--quiet"]] {
        let output = run(Command::new(component::root().join("runner/client")).args(options).stdin(Stdio::null()));
        assert!(output.stdout.ends_with(HELLO) && output.status.success(), "{output:?}");
        assert!(!output.stderr.contains("The sandbox lets"), "{output:?}");
    }
}

#[test]
fn check_options_prints_the_needs_and_does_nothing() {
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
