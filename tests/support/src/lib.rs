//! What the tests share: the programs, and processes that end with the test; a server to test, and clients that know the wire;
//! a browser; a conversation in memory, and the rules that hold for each.

pub mod chromium;
pub mod component;
pub mod leftovers;
pub mod memory;
pub mod process;
pub mod properties;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How long a test waits for what must come. It is never reached when all is well; how fast that is, is not tested.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The lecture's page.
pub const HELLO: &str = "<html><body>Hello World</body></html>\r\n\r\n";

/// A request after which the connection stays open.
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// A request after which the server closes the connection.
pub const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// How `.cargo/config.toml` launches a component: the program, and the arguments before the component.
pub fn launcher() -> Vec<String> {
    let config = component::root().join(".cargo/config.toml");
    let config = fs::read_to_string(config).expect("the list of launch flags");
    let list = config.split("runner = [").nth(1).and_then(|rest| rest.split(']').next());
    let words = list.expect("a runner").split('"').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// Whether the host to test with is plain `wasmtime run`, and not our own.
pub fn is_wasmtime() -> bool {
    std::env::var_os("HELLO_HOST").is_some_and(|host| host == "wasmtime")
}

/// Our own host.
pub fn runner() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| component::build(&["--profile", "runner", "-p", "hello-runner"], "runner/hello-runner"))
}

/// The command that runs the component with these arguments, on the host to test with.
pub fn command(arguments: &[&str]) -> Command {
    // Fewer than the server may have, so that the limits of this machine are nobody's business.
    command_for(1000, arguments)
}

/// The same, for so many connections.
pub fn command_for(connections: usize, arguments: &[&str]) -> Command {
    command_of(component::path(), connections, arguments)
}

/// The same for a component that was built of something else.
pub fn command_of(component: &Path, connections: usize, arguments: &[&str]) -> Command {
    if is_wasmtime() {
        let launcher = launcher();
        let mut command = Command::new(component::root().join(&launcher[0]));
        command.args(&launcher[1..]).arg(component).args(arguments);
        return command;
    }
    // As `runner/serve` does it: what the component needs is what it gets.
    let mut command = Command::new(runner());
    command.args(["--quiet", "--max-connections", &connections.to_string(), "--grant-needs"]);
    command.arg(component).args(arguments);
    command
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs the component to its end.
pub fn run(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = leftovers::spawn(command).expect("it can be started");
    let output = child.wait_with_output().expect("it was started");
    Output {
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
        status: output.status,
    }
}

/// The command that starts what `command` would start, by `starter`.
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

/// What starts a program that ends with its terminal, also if these tests are started to outlive theirs.
pub fn hearing() -> &'static [&'static str] {
    // Not every `env` can do that.
    const HEARING: &[&str] = &["env", "--default-signal=HUP"];
    let can = Command::new(HEARING[0]).args(&HEARING[1..]).arg("true").output();
    if can.is_ok_and(|output| output.status.success()) { HEARING } else { &HEARING[..1] }
}

/// A server that runs, on a free port of the loopback addresses. It ends with the test.
pub struct Server {
    child: Child,
    /// Its port.
    pub port: u16,
    /// The line that says where it can be reached.
    pub access: String,
    /// What it printed before it said where it can be reached.
    pub prelude: String,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts one with these options, and waits until it listens.
    pub fn start(options: &[&str]) -> Self {
        let options = [&["--port", "0"], options].concat();
        Server::launch(&mut command(&options))
    }

    /// Starts one by this command, and waits until it listens.
    pub fn launch(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = leftovers::spawn(command).expect("it can be started");
        // Both outputs are drained all the time: a full pipe would stop the server.
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.expect("text")).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().expect("piped");
        let stderr = spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("text");
            text
        });
        let mut server =
            Server { child, port: 0, access: String::new(), prelude: String::new(), lines, stderr: Some(stderr) };
        // The other is what wasmtime serve says by itself.
        let says = |line: &str| line.starts_with("Access http://") || line.starts_with("Serving HTTP on http://");
        let access = loop {
            match server.lines.recv_timeout(PATIENCE) {
                Ok(line) if says(&line) => break line,
                Ok(line) => server.prelude += &(line + "\n"),
                Err(_) => panic!("it did not start: {:?}", server.finish()),
            }
        };
        let port = access.rsplit(':').next().and_then(|port| port.trim_end().trim_end_matches('/').parse().ok());
        server.port = port.expect("a port");
        server.access = access;
        server
    }

    /// Where it listens for IPv4.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Calls it.
    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// What it answers to these bytes, until it hangs up.
    pub fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it reads");
        read_all(&mut stream)
    }

    /// It answers an honest client.
    pub fn assert_serves(&self) {
        let reply = self.ask(LAST_GET);
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with(HELLO), "{reply}");
    }

    /// It answers so many clients, each of which ends its body when all have begun.
    pub fn assert_serves_bodies(&self, clients: usize) {
        let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n1";
        let mut clients: Vec<_> = (0..clients).map(|_| self.connect()).collect();
        for client in &mut clients {
            client.write_all(head).expect("it reads");
        }
        for mut client in clients {
            client.write_all(b"2").expect("it reads");
            let reply = read_all(&mut client);
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        }
    }

    /// The next line that it prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// All lines that it will print, for somebody who reads them while it goes on.
    pub fn take_lines(&mut self) -> Receiver<String> {
        std::mem::replace(&mut self.lines, channel().1)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks one that was started by [`command`] with `--stop-when-stdin-closes` to stop, and hears it out. As
    /// [`finish`](Server::finish).
    pub fn stop(mut self) -> Output {
        drop(self.child.stdin.take());
        if !is_wasmtime() {
            let sent = Command::new("kill").arg(self.pid().to_string()).status();
            assert!(sent.is_ok_and(|status| status.success()));
        }
        self.wait()
    }

    /// Ends it. What it said that nobody has read yet, and how it ended.
    pub fn finish(mut self) -> Output {
        self.end()
    }

    /// Waits for its end, which is for somebody else to bring about. As [`finish`](Server::finish).
    pub fn wait(mut self) -> Output {
        self.child.wait().expect("it was started");
        self.end()
    }

    fn end(&mut self) -> Output {
        // It may have ended by itself, which is for the caller to judge.
        leftovers::end(&mut self.child);
        let status = self.child.wait().expect("it was started");
        let stderr = self.stderr.take().map(|reader| reader.join().expect("it reads"));
        let stdout = self.lines.iter().map(|line| line + "\n").collect();
        Output { stdout, stderr: stderr.unwrap_or_default(), status }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stderr.is_some() {
            let output = self.end();
            if std::thread::panicking() {
                eprintln!("the server said: {output:?}");
            }
        }
    }
}

/// Calls a server that must be there.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// An address where nobody listens, as long as what holds it is kept.
pub fn nobody() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("an address").as_socket().expect("an address");
    (socket, address)
}

/// Everything until the server hangs up.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the server hangs up, and gently");
    text
}

/// One whole reply with the lecture's page.
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

/// Whether a line is about building. It depends on what was built before, so there is nothing to test.
pub fn is_about_building(line: &str) -> bool {
    let words = ["Adding ", "Blocking ", "Building ", "Compiling ", "Finished ", "A wasmtime is on PATH"];
    words.iter().any(|words| line.trim_start().starts_with(words))
}

/// What a script has said, without the lines about building.
pub fn without_building(said: &str) -> String {
    said.lines().filter(|line| !is_about_building(line)).map(|line| format!("{line}\n")).collect()
}

/// Says that this test cannot test something on this machine, why, and what would make it. `runner/test` counts and names it.
pub fn not_tested(cause: impl std::fmt::Display, remedy: &str) {
    println!("not tested: {cause}; {remedy}");
}

/// Whether a program can be run, so that a test can use it, or say that it did not.
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
