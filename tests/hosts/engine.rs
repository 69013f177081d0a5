//! Hosts of other projects: the tests use those that are on PATH, and the last lines of `runner/test` name the missing
//! ones.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hello_test_support::{HELLO, LAST_GET, PATIENCE, Process, component, not_tested, run};
use rustix::process::{Pid, Signal, kill_process_group};

/// The first line of the output of `program --version`. Without the program, prints that the host is not tested.
pub(crate) fn version(program: &str) -> Option<String> {
    version_by(program, "--version")
}

/// The first line of the version of a program that has another option for it.
pub(crate) fn version_by(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).stdin(Stdio::null()).output();
    let said =
        output.ok().filter(|output| output.status.success()).map(|output| [output.stdout, output.stderr].concat());
    let said = said.and_then(|said| Some(String::from_utf8_lossy(&said).lines().next()?.trim().to_owned()));
    if said.is_none() {
        not_tested(format!("there is no {program} on PATH"), "install it; docs/deploy/many-machines.md names it");
    }
    said
}

/// Prints the result of a host.
pub(crate) fn tell(what: &str) {
    println!("engine: {what}");
}

/// An empty folder for the files of a host.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// An address that is free now. Another program may take it first: then the host reports an error.
pub(crate) fn free() -> SocketAddr {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.local_addr().expect("an address")
}

/// A running host, with all processes that it has started. It ends with the test.
pub(crate) struct Engine {
    process: Process,
    output: PathBuf,
}

impl Engine {
    /// Starts the host, with its output in the file `output`.
    pub(crate) fn start(command: &mut Command, output: PathBuf) -> Self {
        let file = File::create(&output).expect("a file");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a file")).stderr(file).process_group(0);
        Engine { process: Process::start_unread(command), output }
    }

    /// Starts a host that serves the lecture's page at `address`, and waits until it does.
    pub(crate) fn serve(command: &mut Command, output: PathBuf, address: SocketAddr) -> Self {
        let mut engine = Engine::start(command, output);
        engine.wait_for("an answer", || says_hello(address));
        engine
    }

    /// The output of the host so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).expect("a file")).into_owned()
    }

    /// Waits until the host prints this.
    pub(crate) fn wait_until_it_prints(&mut self, words: &str) {
        let output = self.output.clone();
        self.wait_for(words, || fs::read_to_string(&output).is_ok_and(|printed| printed.contains(words)));
    }

    /// Waits until the condition is true, while the host runs.
    pub(crate) fn wait_for(&mut self, what: &str, mut is_true: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_true() {
            let ended = self.process.child.try_wait().expect("it was started");
            assert!(ended.is_none() && began.elapsed() < 5 * PATIENCE, "no {what}: {ended:?}\n{}", self.printed());
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The host may have ended by itself.
        let _ = kill_process_group(Pid::from_child(&self.process.child), Signal::KILL);
        if std::thread::panicking() {
            eprintln!("it said: {}", self.printed());
        }
    }
}

/// Whether a server sends the lecture's response at this address.
pub(crate) fn says_hello(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(LAST_GET)?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    };
    ask().is_ok_and(|reply| reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains(HELLO.trim_end()))
}

/// The output of a command that must succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output = run(command.stdin(Stdio::null()));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout + &output.stderr
}

/// A shell that runs `command` in the folder of this project.
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(component::root());
    shell
}

/// A command of `docs/deploy/many-machines.md`.
pub(crate) fn documented(command: &str) -> String {
    let name = "docs/deploy/many-machines.md";
    let page = fs::read_to_string(component::root().join(name)).expect("a page");
    assert!(page.lines().any(|line| line == format!("$ {command}")), "{name} does not say {command:?}");
    command.to_owned()
}
