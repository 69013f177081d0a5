//! The shared code of the tests: the programs, and processes that end with the test; a server to test, and clients that
//! write raw bytes; a browser; a conversation in memory, and the rules that hold for each.

pub mod chromium;
pub mod component;
pub mod events;
pub mod firefox;
pub mod leftovers;
pub mod memory;
pub mod process;
pub mod properties;
mod server;
pub mod webkit;

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

pub use process::{Output, Process, run};
pub use server::Server;

/// The time that a test waits for an event that must come. A test that passes never reaches it: no test measures speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The lecture's page.
pub const HELLO: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// A request after which the connection stays open.
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A request after which the server closes the connection.
pub const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The command of `.cargo/config.toml` that launches a component: the program, and the arguments before the component.
pub fn launcher() -> Vec<String> {
    let config = component::root().join(".cargo/config.toml");
    let config = fs::read_to_string(config).expect("the list of launch flags");
    let list = config.split("runner = [").nth(1).and_then(|rest| rest.split(']').next());
    let words = list.expect("a runner").split('"').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// Whether the host to test with is plain `wasmtime run`, and not hello-runner.
pub fn is_wasmtime() -> bool {
    std::env::var_os("HELLO_HOST").is_some_and(|host| host == "wasmtime")
}

/// The path of hello-runner, the host of this project.
pub fn runner() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| component::build(&["--profile", "runner", "-p", "hello-runner"], "runner/hello-runner"))
}

/// The command that runs the component with these arguments, on the host to test with.
pub fn command(arguments: &[&str]) -> Command {
    // The limit is lower than that of the server, so that the limits of this machine do not matter.
    command_for(1000, arguments)
}

/// The command that runs the component with these arguments, for this many connections.
pub fn command_for(connections: usize, arguments: &[&str]) -> Command {
    command_of(component::path(), connections, arguments)
}

/// The command that runs `component`, another build, with these arguments, for this many connections.
pub fn command_of(component: &Path, connections: usize, arguments: &[&str]) -> Command {
    if is_wasmtime() {
        let launcher = launcher();
        let mut command = Command::new(component::root().join(&launcher[0]));
        command.args(&launcher[1..]).arg(component).args(arguments);
        return command;
    }
    // As in `runner/serve`, the component gets exactly the grants that it needs.
    let mut command = Command::new(runner());
    command.args(["--quiet", "--max-connections", &connections.to_string(), "--grant-needs"]);
    command.arg(component).args(arguments);
    command
}

/// Starts `command` as systemd starts the service of a socket unit: with these sockets, without standard input, and with both
/// outputs in one.
#[cfg(unix)]
pub fn start_with_sockets(command: &Command, sockets: [Option<OwnedFd>; 2]) -> Process {
    let [first, second] = sockets;
    // The shell gives the descriptors their numbers. It keeps its own number as a program.
    let (open, count) = if second.is_some() { ("3<&0 4<&2", 2) } else { ("3<&0", 1) };
    let script = format!("exec {open} </dev/null 2>&1; LISTEN_PID=$$ LISTEN_FDS={count} exec \"$@\"");
    let mut command = by(&["sh", "-c", &script, "sh"], command);
    let stdio = |socket: Option<OwnedFd>| socket.map_or_else(Stdio::null, Stdio::from);
    let mut process = Process::start_unread(command.stdin(stdio(first)).stdout(Stdio::piped()).stderr(stdio(second)));
    process.read();
    process
}

/// The command that makes `starter` start `command`.
pub fn by(starter: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(starter[0]);
    outer.args(&starter[1..]).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    command.get_current_dir().map(|folder| outer.current_dir(folder));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// The words that start a program so that it ends with its terminal, even if these tests ignore SIGHUP.
pub fn hearing() -> &'static [&'static str] {
    // Not every `env` has this option.
    const HEARING: &[&str] = &["env", "--default-signal=HUP"];
    let can = Command::new(HEARING[0]).args(&HEARING[1..]).arg("true").output();
    if can.is_ok_and(|output| output.status.success()) { HEARING } else { &HEARING[..1] }
}

/// Connects to a server that must be there.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// A connection to a server to which a thousand clients have just connected, each of which has reset its connection at once.
/// Nothing may come for half a minute: a server that pauses for 50 milliseconds after each of these clients takes longer.
pub fn connect_after_resets(address: SocketAddr) -> TcpStream {
    for _ in 0..1000 {
        // With a linger time of 0, closing is a reset.
        socket2::SockRef::from(&connect(address)).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
    let stream = connect(address);
    stream.set_read_timeout(Some(PATIENCE / 2)).expect("a timeout");
    stream
}

/// An address on which no program listens, as long as the socket is kept.
pub fn free_address() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("an address").as_socket().expect("an address");
    (socket, address)
}

/// Reads until the server closes the connection.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the server hangs up, and gently");
    text
}

/// Reads one whole response with the lecture's page.
pub fn read_reply(stream: &mut TcpStream) -> String {
    let mut reply = Vec::new();
    let mut piece = [0; 1024];
    while !reply.ends_with(HELLO.as_bytes()) {
        let read = match stream.read(&mut piece) {
            // This process was halted meanwhile.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.expect("a reply"),
        };
        assert!(read > 0, "hung up after {:?}", String::from_utf8_lossy(&reply));
        reply.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(reply).expect("text")
}

/// Whether a line is about building. Such lines depend on earlier builds, so no test can expect them.
pub fn is_about_building(line: &str) -> bool {
    let words = ["Adding ", "Blocking ", "Building ", "Compiling ", "Finished ", "A wasmtime is on PATH"];
    words.iter().any(|words| line.trim_start().starts_with(words))
}

/// The output of a script, without the lines about building.
pub fn without_building(said: &str) -> String {
    said.lines().filter(|line| !is_about_building(line)).map(|line| format!("{line}\n")).collect()
}

/// Prints that this test cannot run in full on this machine, the cause, and the remedy. `runner/test` counts and names such
/// tests.
pub fn not_tested(cause: impl std::fmt::Display, remedy: &str) {
    println!("not tested: {cause}; {remedy}");
}

/// Whether a program can be run, so that a test can use the program, or print that it did not.
pub fn has(program: &str) -> bool {
    let there = is_there(program);
    if !there {
        not_tested(format!("there is no {program} on PATH"), "install it");
    }
    there
}

/// Whether a program can be run.
pub fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    there.is_ok_and(|status| status.success())
}
