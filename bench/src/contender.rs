//! A server that is measured: how it is started, and what it used.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::load::{self, Load};
use crate::{Failure, Options};

/// How long a server may take to listen: the first time, it compiles.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and how it is started on a port.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    command: Box<dyn Fn(u16) -> Vec<OsString>>,
}

/// What came of measuring a server once.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) load: Load,
    /// Seconds of CPU, in the program and in the system, for 100,000 requests.
    pub(crate) cpu: f64,
    /// The most memory that it held, in MiB.
    pub(crate) memory: f64,
}

impl Contender {
    /// The native baseline, our sandbox, and the command that everybody has.
    pub(crate) fn all(options: &Options) -> Vec<Contender> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let (hyper, runner, wasmtime) = (options.hyper.clone(), options.runner.clone(), options.wasmtime.clone());
        let component = [options.component.clone().into_os_string()];
        let with_component = component.clone();
        let server = |port: u16| ["--port".into(), port.to_string().into(), "--log".into(), "off".into()];
        vec![
            Contender {
                name: "hyper",
                command: Box::new(move |port| vec![hyper.clone().into(), format!("127.0.0.1:{port}").into()]),
            },
            Contender {
                name: "hello-runner",
                command: Box::new(move |port| {
                    let grants = [format!("--allow-listen=127.0.0.1:{port}"), format!("--allow-listen=[::1]:{port}")];
                    // As runner/serve starts it.
                    let stop = words(&["--stop-when-stdin-closes"]);
                    let mut command = vec![runner.clone().into(), "--quiet".into()];
                    command.extend(grants.map(OsString::from));
                    command.extend(component.iter().cloned().chain(stop).chain(server(port)));
                    command
                }),
            },
            Contender {
                name: "wasmtime",
                command: Box::new(move |port| {
                    let mut command = vec![wasmtime.clone().into()];
                    // As .cargo/config.toml has it.
                    command.extend(words(&["run", "-S", "inherit-network,udp=n,allow-ip-name-lookup=n,p3=n"]));
                    command.extend(words(&["-W", "concurrency-support=n,component-model-async=n"]));
                    command.extend(with_component.iter().cloned().chain(server(port)));
                    command
                }),
            },
        ]
    }

    /// Starts it, calls it for some seconds, and ends it.
    pub(crate) fn measure(&self, connections: usize, seconds: u64) -> Result<Measured, Failure> {
        let server = Running::start(&(self.command)(free_port()?), self.name)?;
        let before = server.cpu()?;
        let load = load::run(server.address, connections, seconds)?;
        let cpu = (server.cpu()? - before) * 100_000.0 / load.requests as f64;
        Ok(Measured { load, cpu, memory: server.memory()? })
    }
}

/// A port that nobody listens on. Somebody else may take it before the server does; then that says so.
fn free_port() -> Result<u16, Failure> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|error| Failure::new(format!("no free port: {error}"), "try again"))
}

/// A server that runs, and ends with this.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(command: &[OsString], name: &str) -> Result<Self, Failure> {
        let port = command.iter().rev().find_map(|word| word.to_str()?.rsplit(':').next()?.parse().ok());
        let address = (Ipv4Addr::LOCALHOST, port.unwrap_or_default()).into();
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Failure::new(format!("{name} cannot be started: {error}"), "bench/run builds it"))?;
        let mut running = Running { child, address };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = running.child.try_wait().is_ok_and(|status| status.is_some());
            if ended || start.elapsed() > PATIENCE {
                return Err(Failure::new(format!("{name} does not listen"), "start it by hand to see why"));
            }
            sleep(Duration::from_millis(5));
        }
        // What the start leaves behind is not the server's work.
        sleep(Duration::from_millis(100));
        Ok(running)
    }

    /// What Linux tells about it in a file of `/proc`.
    fn proc(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("{path}: {error}"), "this needs Linux, and a server that lives"))
    }

    /// Seconds of CPU that it has used so far.
    fn cpu(&self) -> Result<f64, Failure> {
        let stat = self.proc("stat")?;
        // Behind the name, which may contain anything: fields 14 and 15 of proc(5), in hundredths of a second.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
    }

    /// The most memory that it has held so far, in MiB.
    fn memory(&self) -> Result<f64, Failure> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.unwrap_or_default() / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
