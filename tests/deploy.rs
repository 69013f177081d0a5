//! The files in `deploy/`, and the commands in `docs/deploy/` and the pages for maintainers. If this machine lacks a
//! program, that part is not tested, and the test says so.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use hello_test_support::{HELLO, Server, component, has, not_tested, run, runner, start_with_sockets};

/// The path at which the services expect their sandbox.
const RUNNER: &str = "/usr/local/bin/hello-runner";
const COMPONENT: &str = "/usr/local/share/hello-server/hello-server.wasm";
const WASMTIME: &str = "/usr/local/bin/wasmtime";
const HTTP_COMPONENT: &str = "/usr/local/share/hello-server/hello-http.wasm";

/// The wasmtime behind the script `runner/wasmtime`.
fn wasmtime() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let line = "exec runner/wasmtime serve -S cli --addr 127.0.0.1:0 \"$1\" 2>&1";
        let mut command = Command::new("sh");
        command.args(["-c", line, "sh"]).arg(component::http()).current_dir(component::root());
        let server = Server::launch(&mut command);
        fs::read_link(format!("/proc/{}/exe", server.pid())).expect("it runs")
    })
}

/// The text of a file of the project.
fn read(path: &str) -> String {
    fs::read_to_string(component::root().join(path)).expect(path)
}

/// The lines of a unit or of a Containerfile: without comments, and with continued lines joined.
fn lines(text: &str) -> Vec<String> {
    let uncommented: String =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    uncommented.replace("\\\n", "").lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// An empty folder for this test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Sends SIGTERM to a process, as systemd and podman do.
fn sigterm(pid: u32) {
    let sent = Command::new("kill").arg(pid.to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// The pages about deployment, in the order of their names, and those for maintainers.
fn pages() -> Vec<String> {
    let folder = fs::read_dir(component::root().join("docs/deploy")).expect("list the pages");
    let names = folder.map(|entry| entry.expect("an entry").file_name());
    let mut pages: Vec<String> = names.map(|name| format!("docs/deploy/{}", name.display())).collect();
    pages.sort();
    pages.extend(["operations", "releases", "wasmtime"].map(|name| format!("docs/{name}.md")));
    pages
}

/// The commands of these pages: the lines that begin with `$ ` in the blocks of commands.
fn commands() -> Vec<String> {
    let of_page = |page: String| -> Vec<String> {
        let page = read(&page);
        let lines = blocks(&page, "console").into_iter().flat_map(str::lines);
        lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
    };
    pages().into_iter().flat_map(of_page).collect()
}

/// The blocks of `page` of this kind.
fn blocks<'p>(page: &'p str, kind: &str) -> Vec<&'p str> {
    let blocks = page.split(&format!("```{kind}\n")).skip(1).collect::<Vec<_>>();
    blocks.into_iter().map(|block| block.split("```").next().unwrap_or_default()).collect()
}

/// The settings of a service, as systemd reads them.
struct Unit(Vec<String>);

impl Unit {
    fn read() -> Self {
        Unit(lines(&read("deploy/hello-server.service")))
    }

    /// The unit with the sockets of that service.
    fn read_socket() -> Self {
        Unit(lines(&read("deploy/hello-server.socket")))
    }

    /// The unit that runs `wasmtime serve`.
    fn read_http() -> Self {
        Unit(lines(&read("deploy/hello-http.service")))
    }

    /// All values of a setting, in one line.
    fn get(&self, setting: &str) -> String {
        let values = self.0.iter().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
        values.collect::<Vec<_>>().join(" ")
    }

    fn number(&self, setting: &str) -> u64 {
        self.get(setting).parse().expect(setting)
    }

    /// The words of the command of the service, on this port.
    fn exec_start(&self, port: u16) -> Vec<String> {
        let line = self.get("ExecStart").replace("${PORT}", &port.to_string()).replace(" $OPTIONS", "");
        line.split(' ').map(str::to_owned).collect()
    }
}

/// The numbers behind `option` in a command: the sandbox's first, then the server's.
fn numbers(words: &[String], option: &str) -> Vec<u64> {
    let pairs = words.windows(2).filter(|pair| pair[0] == option);
    pairs.map(|pair| pair[1].parse().expect("a number")).collect()
}

#[test]
fn systemd_has_nothing_to_say_about_the_services() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = folder("unit");
    // The socket unit stands beside its service, which systemd-analyze loads as well.
    fs::write(folder.join("hello-server.socket"), read("deploy/hello-server.socket")).expect("a copy");
    for name in ["hello-server", "hello-http"] {
        let unit = read(&format!("deploy/{name}.service"));
        // systemd-analyze checks that the program of the unit exists and is executable.
        let unit = unit.replace(RUNNER, text(runner())).replace(WASMTIME, text(runner()));
        let path = folder.join(format!("{name}.service"));
        fs::write(&path, unit).expect("a copy");
        let output = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path));
        // Other units of this machine do not matter here.
        let said = format!("{}{}", output.stdout, output.stderr);
        let said: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(said.is_empty() && output.status.success(), "{output:?}");
        // systemd-analyze rates a unit from 0, which is safe, to 100. Its versions differ a little.
        let mut rate = Command::new("systemd-analyze");
        let rated = run(rate.args(["security", "--offline=true", "--threshold=20"]).arg(&path));
        assert!(rated.status.success(), "{rated:?}");
    }
}

#[test]
fn both_services_have_the_same_hardening() {
    let hardening = |unit: Unit| {
        let Unit(lines) = unit;
        let begin = lines.iter().position(|line| line == "DynamicUser=yes").expect("the first setting that hardens");
        lines[begin..].to_vec()
    };
    assert_eq!(hardening(Unit::read_http()), hardening(Unit::read()));
}

#[test]
fn the_command_of_the_service_serves_keeps_its_code_and_stops() {
    let unit = Unit::read();
    let words = unit.exec_start(0);
    assert_eq!((words[0].as_str(), words.iter().filter(|word| *word == COMPONENT).count()), (RUNNER, 1));
    let cache = folder("service-cache");
    let mut command = Command::new(runner());
    command.args(words[1..].iter().map(|word| if word == COMPONENT { text(component::path()) } else { word }));
    // The command has the environment of a service of systemd, and nothing else.
    command.env_clear();
    for setting in unit.get("Environment").split(' ') {
        let (name, value) = setting.split_once('=').expect("a setting");
        command.env(name, value.replace("%C/hello-server", text(&cache)));
    }
    let server = Server::launch(&mut command);
    server.assert_serves();
    server.terminate();
    let output = server.wait();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.ends_with("Served 1 request in 1 call.\n"), "{output:?}");
    assert!(!output.stderr.contains("cannot be kept"), "{output:?}");
    assert!(cache.join("hello-runner").exists());
}

#[test]
fn the_socket_unit_names_the_addresses_that_the_service_grants() {
    let words = Unit::read().exec_start(9000);
    let granted = words.windows(2).filter(|pair| pair[0] == "--allow-listen").map(|pair| pair[1].clone());
    let unit = Unit::read_socket();
    assert_eq!(unit.get("ListenStream"), granted.collect::<Vec<_>>().join(" "));
    assert!(Unit::read().get("Environment").starts_with("PORT=9000 "));
    // An IPv6 socket that takes IPv4, too, would be refused.
    assert_eq!(unit.get("BindIPv6Only"), "ipv6-only");
    // The settings of the service do not hold for these sockets.
    for setting in ["IPAddressDeny", "IPAddressAllow"] {
        assert_eq!(unit.get(setting), Unit::read().get(setting));
    }
}

#[test]
fn the_command_of_the_service_takes_the_sockets_of_its_unit() {
    let (four, port, six) = loop {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = four.local_addr().expect("an address").port();
        // The port may be taken on the other address.
        if let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            break (four, port, six);
        }
    };
    let words = Unit::read().exec_start(port);
    let mut command = Command::new(runner());
    command.args(words[1..].iter().map(|word| if word == COMPONENT { text(component::path()) } else { word }));
    for _ in 0..2 {
        let sockets = [&four, &six].map(|socket| Some(socket.try_clone().expect("a descriptor").into()));
        let server = Server::listening(start_with_sockets(&command, sockets));
        assert_eq!(server.port, port);
        server.assert_serves();
        server.terminate();
        assert_eq!(server.wait().status.code(), Some(0));
    }
}

#[test]
fn a_port_that_is_in_use_but_not_granted_is_reported() {
    let output = run(Command::new(runner()).arg("--quiet").arg(component::path()).args(["--port", "1025"]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.starts_with("hello-runner: refused: "), "{output:?}");
    assert!(output.stderr.contains("\n  --allow-listen 127.0.0.1:1025 would allow it\n"), "{output:?}");
}

/// The command of the service, on a free port and with other numbers behind some options of the sandbox.
fn service(changes: &[&str]) -> Command {
    let words = Unit::read().exec_start(0);
    let at = words.iter().position(|word| word == COMPONENT).expect("a component");
    let mut command = Command::new(runner());
    // Of two numbers the later one counts.
    command.args(&words[1..at]).args(changes).arg(component::path()).args(&words[at + 1..]);
    command
}

#[test]
fn a_second_sigterm_does_not_wait() {
    let server = Server::launch(&mut service(&[]));
    let mut client = server.connect();
    client.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    server.terminate();
    assert_eq!(server.line(), "Shutting down...");
    server.terminate();
    assert_eq!(server.wait().status.code(), Some(143));
}

/// The memory that the sandbox allows (64 KiB for each connection and 8 MiB) is enough, whatever the connections do.
#[test]
fn clients_that_never_read_need_no_more_memory_than_the_documentation_says() {
    let server = Server::launch(&mut service(&["--max-connections", "310"]));
    let requests = hello_test_support::GET.repeat(1000);
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let mut client = server.connect();
            client.set_write_timeout(Some(Duration::from_millis(20))).expect("a timeout");
            // Writes until nothing more fits in between.
            while client.write(&requests).is_ok() {}
            client
        })
        .collect();
    server.assert_serves();
    drop(clients);
    server.assert_serves();
}

#[test]
fn the_limits_of_the_service_fit_into_each_other() {
    let unit = Unit::read();
    let words = unit.exec_start(9000);
    let [of_sandbox, of_server] = numbers(&words, "--grace")[..] else { panic!("{words:?}") };
    assert!(of_server < of_sandbox && of_sandbox + 3 < unit.number("TimeoutStopSec"));
    let [of_sandbox, of_server] = numbers(&words, "--max-connections")[..] else { panic!("{words:?}") };
    assert!(of_sandbox == of_server && of_sandbox + 32 <= unit.number("LimitNOFILE"));
    assert_eq!(unit.get("MemoryMax"), "2G");
    assert_eq!(unit.number("RestartPreventExitStatus"), 2);
}

/// The command of the service that is `wasmtime serve`, on a free port and with these options. As under systemd, the
/// service has no folder that it could write to.
fn http_service(options: &[&str]) -> Command {
    let words = Unit::read_http().exec_start(0);
    let (component, words) = words.split_last().expect("a command");
    assert_eq!((words[0].as_str(), component.as_str()), (WASMTIME, HTTP_COMPONENT));
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(wasmtime()).args(&words[1..]).args(options);
    command.arg(component::http()).env_clear().env("XDG_CACHE_HOME", "/proc/nowhere");
    command
}

#[test]
fn the_command_of_the_http_service_serves_and_ends_at_once_with_sigterm() {
    let unit = Unit::read_http();
    let server = Server::launch(&mut http_service(&["--max-instance-reuse-count", "1000"]));
    server.assert_serves();
    let mut idle = server.connect();
    idle.write_all(hello_test_support::GET).expect("it reads");
    hello_test_support::read_reply(&mut idle);
    assert_eq!(unit.get("KillSignal"), "SIGTERM");
    server.terminate();
    let output = server.wait();
    // By default, systemd counts this end by a signal as a success.
    assert_eq!(output.status.signal(), Some(15), "{output:?}");
}

#[test]
fn a_mistake_in_the_options_of_the_http_service_is_not_tried_again() {
    let output = run(&mut http_service(&["--no-such-option"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(Unit::read_http().number("RestartPreventExitStatus"), 2);
}

#[test]
fn more_requests_than_the_http_service_handles_at_once_wait() {
    // Of two numbers the later one counts: the speed of the requests does not matter here.
    let server = Server::launch(&mut http_service(&["-W", "timeout=600s"]));
    server.assert_serves_bodies(350);
}

#[test]
fn the_limits_of_the_http_service_fit_into_each_other() {
    let unit = Unit::read_http();
    let words = unit.exec_start(9001);
    let [connections] = numbers(&words, "--max-concurrent-connections")[..] else { panic!("{words:?}") };
    // wasmtime ends when it has no descriptor for the next one.
    assert!(connections + 32 <= unit.number("LimitNOFILE"));
    // Both services can run.
    let port = |unit: Unit| unit.get("Environment").split(' ').next().map(str::to_owned);
    assert_ne!(port(unit), port(Unit::read()));
}

/// The script that runs inside, under a systemd of its own, and prints a line for each fact.
const CHECK: &str = r#"#!/bin/bash
ask() {
    for _ in $(seq 300); do
        if exec 3<>"/dev/tcp/127.0.0.1/$1"; then
            printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
            head -n 1 <&3 | tr -d '\r'
            exec 3>&-
            return
        fi
        sleep 0.1
    done 2>/dev/null
    echo nobody
}
unit=hello-server
show() { systemctl show $unit --property "$1" --value; }
wall() {
    grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' "/proc/$(show MainPID)/status" | tr '\t' ' ' | sed "s/^/$unit /"
    echo "$unit root: $(stat --format %u "/proc/$(show MainPID)" | grep -cx 0)"
}
settings() { # what to change, to what
    mkdir -p /run/systemd/system/hello-server.service.d
    cat >/run/systemd/system/hello-server.service.d/test.conf
    systemctl daemon-reload
}
over() { systemctl stop hello-server; systemctl reset-failed hello-server 2>/dev/null; }

echo "booted"
# The commands of the documentation, one after another; they leave the service running.
while read -r line; do
    bash -c "$line" >/tmp/said 2>&1 </dev/null && echo "did: $line" || { echo "failed: $line"; cat /tmp/said; }
    case $line in *start\ hello-server | *--now\ hello-server) ask 9000 >/dev/null ;; esac
done </opt/commands
echo "default: $(ask 9000)"
wall

# The socket unit is active. Clients that connect for each request ask all the time.
calls() {
    while [ ! -e /tmp/over ]; do
        if exec 5<>/dev/tcp/127.0.0.1/9000; then
            printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&5
            read -r -t 60 line <&5 && [ "$line" = $'HTTP/1.1 200 OK\r' ] && echo answered || echo lost
            exec 5>&-
        else
            echo refused
        fi
    done 2>/dev/null
}
for client in 1 2 3 4; do calls >/tmp/calls-$client & done
for _ in $(seq 20); do
    # systemd starts a service five times in ten seconds at most, without this.
    systemctl reset-failed hello-server 2>/dev/null
    systemctl restart hello-server || echo "no restart"
done
touch /tmp/over
wait
echo "twenty restarts: $(sort -u /tmp/calls-*)"
systemctl stop hello-server
echo "the first connection starts it: $(ask 9000)"
# Another port takes a change to both units.
mkdir -p /run/systemd/system/hello-server.socket.d
cp /opt/socket /run/systemd/system/hello-server.socket.d/test.conf
systemctl stop hello-server.socket
printf '[Service]\nEnvironment=PORT=8080\n' | settings
over
systemctl restart hello-server.socket
echo "both at another port: $(ask 8080)"
printf '[Service]\nEnvironment=PORT=8081\n' | settings
systemctl stop hello-server
systemctl start hello-server
for _ in $(seq 100); do [ "$(show ExecMainStatus)" = 2 ] && break; sleep 0.1; done
echo "at another port than its socket: $(show ExecMainStatus)"
systemctl disable --now hello-server.socket
rm -r /run/systemd/system/hello-server.s*.d
systemctl daemon-reload
over
systemctl start hello-server
ask 9000 >/dev/null

unit=hello-http
echo "http: $(ask 9001)"
wall
exec 4<>/dev/tcp/127.0.0.1/9001
systemctl stop $unit
echo "http stopped: $(show Result) $(show ExecMainCode) $(show ExecMainStatus)"
unit=hello-server

exec 4<>/dev/tcp/127.0.0.1/9000
printf 'GET / HTTP/1.1\r\n' >&4
ask 9000 >/dev/null
(sleep 1; printf 'Host: localhost\r\n\r\n' >&4) &
systemctl restart hello-server
echo "under way while it was restarted: $(head -n 1 <&4 | tr -d '\r')"
echo "restarted: $(ask 9000)"
systemctl kill --signal KILL hello-server
sleep 1
echo "killed: $(ask 9000), $(show NRestarts)"
over
echo "stopped: $(show Result)"
echo "kept: $(find /var/cache/private/hello-server -path '*/modules/*' -type f ! -name '*.*' | wc -l)"
journalctl --unit hello-server --output cat --no-pager | grep -q 'cannot be kept' && echo "not kept"

for file in /opt/settings/*; do
    settings <"$file"
    systemctl start hello-server
    echo "$(basename "$file"): $(ask "$(basename "$file")")"
    over
done
printf '[Service]\nEnvironment=PORT=none\n' | settings
systemctl start hello-server
sleep 1
echo "mistake: $(show ActiveState) $(show ExecMainStatus) $(show NRestarts)"
over
printf '[Service]\nMemoryDenyWriteExecute=yes\nRestart=no\n' | settings
systemctl start hello-server
for _ in $(seq 100); do [ "$(show ActiveState)" = failed ] && break; sleep 0.1; done
echo "without compiling: $(show ActiveState)"
"#;

/// The port of the service with these settings of the documentation.
fn port_of(settings: &str) -> u16 {
    let words = settings.split(|sign: char| sign.is_whitespace() || sign == '"');
    let number = |word: &str| word.strip_prefix("Environment=PORT=").or(word.strip_prefix("0.0.0.0:"))?.parse().ok();
    words.filter_map(number).next().expect("a port")
}

/// A system of its own, in a container: the programs of this machine, and an `/etc` with nothing but the service.
#[test]
fn a_real_systemd_runs_the_service_as_the_documentation_says() {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let merged = fs::symlink_metadata("/bin").is_ok_and(|bin| bin.is_symlink());
    if !(is_root && merged && Path::new("/lib/systemd/systemd").exists() && has("systemd-nspawn")) {
        not_tested(
            "there can be no systemd of its own here",
            "run it as root, with systemd-nspawn, where /bin is /usr/bin",
        );
        return;
    }
    let root = folder("boot");
    for folder in ["etc/systemd/system", "opt/settings", "usr/local", "dev", "proc", "run", "sys", "tmp", "var/log"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    let write = |path: &str, text: &str| fs::write(root.join(path), text).expect(path);
    for path in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{path}"), root.join(path)).expect("a link");
    }
    for path in ["etc/passwd", "etc/group"] {
        fs::copy(Path::new("/").join(path), root.join(path)).expect(path);
    }
    write("etc/machine-id", "");
    write("etc/os-release", "ID=test\n");
    write("etc/nsswitch.conf", "passwd: files systemd\ngroup: files systemd\n");
    install(&root, wasmtime());
    write("opt/check", CHECK);
    let inside = |line: &String| line.starts_with("sudo systemctl") || line.starts_with("journalctl");
    let commands: Vec<String> = commands().into_iter().filter(inside).filter(|line| !asks(line)).collect();
    write("opt/commands", &commands.iter().map(|line| line.replace("sudo ", "") + "\n").collect::<String>());
    let page = read("docs/deploy/systemd.md");
    let (settings, socket): (Vec<_>, Vec<_>) =
        blocks(&page, "ini").into_iter().partition(|of| of.contains("[Service]"));
    write("opt/socket", socket[0]);
    for settings in &settings {
        write(&format!("opt/settings/{}", port_of(settings)), settings);
    }
    write(
        "etc/systemd/system/check.service",
        "[Unit]\nAfter=basic.target\nWants=dbus.socket\n[Service]\nType=oneshot\n\
         ExecStart=/bin/bash -c '/bin/bash /opt/check >/opt/said 2>/opt/errors; true'\n\
         ExecStopPost=/bin/systemctl --force --no-block exit\n",
    );
    write(
        "etc/systemd/system/check.target",
        "[Unit]\nRequires=basic.target check.service\nAfter=basic.target\nAllowIsolate=yes\n",
    );
    symlink("check.target", root.join("etc/systemd/system/default.target")).expect("a link");

    let mut boot = Command::new("timeout");
    boot.args(["--kill-after=5", "180", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]);
    boot.args(["--private-network", "--link-journal=no", "--console=pipe", "--directory"]).arg(&root);
    for path in ["bin", "sbin", "lib", "lib64", "share"].map(|path| format!("/usr/{path}")) {
        if Path::new(&path).exists() {
            boot.arg(format!("--bind-ro={path}"));
        }
    }
    let output = run(boot.stdin(Stdio::null()));
    let said = fs::read_to_string(root.join("opt/said")).unwrap_or_default();
    if !said.starts_with("booted\n") {
        not_tested(format!("no systemd can be started in a container: {output:?}"), "allow containers here");
        return;
    }
    let errors = fs::read_to_string(root.join("opt/errors"));
    let mut expected: Vec<String> = commands.iter().map(|line| format!("did: {}", line.replace("sudo ", ""))).collect();
    expected.extend(settings.iter().map(|settings| format!("{}: HTTP/1.1 200 OK", port_of(settings))));
    let facts = [
        "default: HTTP/1.1 200 OK",
        "twenty restarts: answered",
        "the first connection starts it: HTTP/1.1 200 OK",
        "both at another port: HTTP/1.1 200 OK",
        "at another port than its socket: 2",
        // The number 2 means that a signal has ended the service, and 15 is SIGTERM.
        "http: HTTP/1.1 200 OK",
        "http stopped: success 2 15",
        "under way while it was restarted: HTTP/1.1 200 OK",
        "restarted: HTTP/1.1 200 OK",
        "killed: HTTP/1.1 200 OK, 1",
        "stopped: success",
        "kept: 1",
        "mistake: failed 2 0",
        "without compiling: failed",
    ];
    expected.extend(facts.map(str::to_owned));
    let none = "0000000000000000";
    let wall = [format!("CapBnd: {none}"), format!("CapEff: {none}"), "NoNewPrivs: 1".into(), "Seccomp: 2".into()];
    for unit in ["hello-server", "hello-http"] {
        expected.extend(wall.iter().map(|fact| format!("{unit} {fact}")));
        expected.push(format!("{unit} root: 0"));
    }
    for fact in expected {
        assert!(said.lines().any(|line| line == fact), "not {fact:?} in\n{said}{errors:?}");
    }
    assert!(!said.contains("not kept"), "{said}");
}

/// Runs the commands of the documentation that install, with `root` as the top of the file system.
fn install(root: &Path, wasmtime: &Path) {
    let built = [
        ("target/wasm32-wasip2/release/hello-server.wasm", component::path()),
        ("target/wasm32-wasip2/release/hello-http.wasm", component::http()),
        // The sandbox of runner/serve stands in: it is less optimized, and built in less than half of the time.
        ("target/dist/hello-runner", runner()),
        ("~/.wasmtime/bin/wasmtime", wasmtime),
    ];
    let commands: Vec<String> = commands().into_iter().filter(|line| line.starts_with("sudo install ")).collect();
    assert_eq!(commands.len(), 7, "{commands:?}");
    for line in commands {
        let line = line.replace("sudo ", "").replace(" /usr/", &format!(" {}/usr/", text(root)));
        let mut line = line.replace(" /etc/", &format!(" {}/etc/", text(root)));
        for (name, path) in built {
            line = line.replace(&format!(" {name} "), &format!(" {} ", text(path)));
        }
        let output = run(Command::new("sh").args(["-c", &line]).current_dir(component::root()));
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

#[test]
fn the_services_find_the_installed_files() {
    let root = folder("installed");
    install(&root, wasmtime());
    let units = ["hello-server.service", "hello-server.socket", "hello-http.service"];
    let units = units.map(|name| format!("/etc/systemd/system/{name}"));
    for path in [RUNNER, COMPONENT, WASMTIME, HTTP_COMPONENT, &units[0], &units[1], &units[2]] {
        assert!(root.join(&path[1..]).is_file(), "{path}");
    }
}

/// The two stages of the Containerfile: the one that builds, and the last.
fn stages() -> [Vec<String>; 2] {
    let mut build = lines(&read("deploy/Containerfile"));
    let scratch = build.iter().position(|line| line == "FROM scratch").expect("a last stage");
    let last = build.split_off(scratch);
    [build, last]
}

#[test]
fn the_files_of_the_first_stage_are_enough_for_cargo() {
    let [build, _] = stages();
    let root = folder("first-stage");
    for copy in build.iter().filter_map(|line| line.strip_prefix("COPY ")) {
        let words: Vec<&str> = copy.split(' ').collect();
        let (to, from) = words.split_last().expect("from and to");
        for from in from {
            let path = component::root().join(from);
            // For a folder, its contents are copied.
            let (source, place) = if path.is_dir() { (path.join("."), root.join(to)) } else { (path, root.clone()) };
            assert!(source.is_dir() || *to == "./", "COPY {copy}");
            fs::create_dir_all(&place).expect("a folder");
            let copied = run(Command::new("cp").arg("-R").arg(source).arg(place));
            assert!(copied.status.success(), "COPY {copy}: {copied:?}");
        }
    }
    let builds = |line: &&str| line.starts_with("cargo build ") && line.contains("wasm32");
    let component = build.iter().filter_map(|line| line.strip_prefix("RUN ")).find(builds);
    // The sandbox would take minutes. cargo checks its folder all the same, like each folder that Cargo.toml names.
    for line in ["cargo metadata --locked --no-deps --format-version 1", component.expect("it is built")] {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-stage-target");
        let mut command = Command::new("sh");
        let output =
            run(command.args(["-c", &format!("exec {line}")]).env("CARGO_TARGET_DIR", target).current_dir(&root));
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

/// The last stage of the Containerfile.
struct Image {
    /// The copied files: their source, and their place in the image.
    copies: Vec<(String, String)>,
    env: Vec<String>,
    user: String,
    entrypoint: Vec<String>,
    /// The command that made the folder of compiled code.
    precompile: String,
    /// The target of the sandbox.
    target: String,
}

impl Image {
    fn read() -> Self {
        let [build, last] = stages();
        let target = build.iter().find_map(|line| line.strip_prefix("ARG MUSL=")).expect("a target").to_owned();
        let all = |word: &str| -> Vec<String> {
            last.iter().filter_map(|line| line.strip_prefix(word)).map(|rest| rest.replace("$MUSL", &target)).collect()
        };
        let copies = all("COPY --from=build ");
        let copies = copies.iter().map(|copy| copy.split_once(' ').expect("from and to"));
        let precompile = build.iter().find_map(|line| line.strip_prefix("RUN XDG_CACHE_HOME=")).expect("a cache");
        Image {
            copies: copies.map(|(from, to)| (from.to_owned(), to.to_owned())).collect(),
            env: all("ENV ").iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect(),
            user: all("USER ").concat(),
            entrypoint: all("ENTRYPOINT ").concat().split('"').skip(1).step_by(2).map(str::to_owned).collect(),
            precompile: format!("XDG_CACHE_HOME={}", precompile.replace("$MUSL", &target)),
            target,
        }
    }
}

/// The sandbox for an image, linked statically if this machine can do that, and otherwise the files that the sandbox needs.
fn for_image(target: &str) -> (PathBuf, Vec<PathBuf>) {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("Rust").stdout;
    let sysroot = String::from_utf8(sysroot).expect("text");
    let target_is_there = Path::new(sysroot.trim()).join("lib/rustlib").join(target).exists();
    if has("musl-gcc") && target_is_there && target.starts_with(std::env::consts::ARCH) {
        return (
            component::build(
                &["--profile", "runner", "-p", "hello-runner", "--target", target],
                &format!("{target}/runner/hello-runner"),
            ),
            vec![],
        );
    }
    not_tested(
        "the static sandbox",
        &format!("rustup target add {target}, and install musl-gcc (on Debian: musl-tools)"),
    );
    let libraries = run(Command::new("ldd").arg(runner())).stdout;
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    (runner().to_owned(), libraries.collect())
}

#[test]
fn the_files_of_the_image_are_all_that_is_needed() {
    let image = Image::read();
    let (sandbox, libraries) = for_image(&image.target);
    let root = folder("image");
    let (from_sandbox, from_component) =
        (format!("target/{}/dist/hello-runner", image.target), "target/wasm32-wasip2/release/hello-server.wasm");
    let mut copied = Vec::new();
    for (from, to) in &image.copies {
        let to = root.join(&to[1..]);
        match from.strip_prefix("/src/") {
            Some(built) if built == from_sandbox => _ = fs::copy(&sandbox, to).expect("it was built"),
            Some(built) if built == from_component => _ = fs::copy(component::path(), to).expect("it was built"),
            _ => {
                assert_eq!(from, "/cache");
                let line = image.precompile.replace(&from_sandbox, text(&sandbox));
                let line = line
                    .replace(from_component, text(component::path()))
                    .replace("=/cache", &format!("={}", text(&to)));
                let output = run(Command::new("sh").args(["-c", &line]));
                assert!(output.status.success() && to.join("hello-runner").exists(), "{line}: {output:?}");
            }
        }
        copied.push(from.as_str());
    }
    assert_eq!(copied.len(), 3, "{copied:?}");
    for library in libraries {
        let to = root.join(library.strip_prefix("/").expect("it begins with a slash"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(&library, to).expect("a library");
    }

    // A command as process 1 of a system that can read these files, and nothing else.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let isolated = |words: &[String]| {
        let enter = "root=$1; shift; mount --bind \"$root\" \"$root\" && \
             mount -o remount,bind,ro \"$root\" && exec chroot \"$@\"";
        let mut unshare = Command::new("unshare");
        if !is_root {
            unshare.arg("--map-root-user");
        }
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", enter, "sh", text(&root)]);
        // Without root on this machine, there is no other user in the container.
        if is_root {
            unshare.arg(format!("--userspec={}", image.user));
        }
        unshare.arg(&root).args(words);
        unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        unshare.envs(image.env.iter().map(|setting| setting.split_once('=').expect("a setting")));
        unshare
    };
    let version = isolated(&[image.entrypoint[0].clone(), "--version".into()]).output();
    if !version.as_ref().is_ok_and(|output| output.stdout.starts_with(b"hello-runner")) {
        not_tested(format!("a process can have no root of its own here: {version:?}"), "allow user namespaces");
        return;
    }
    let words: Vec<String> = image.entrypoint.iter().map(|word| word.replace(":9000", ":0")).collect();
    let server = Server::launch(&mut isolated(&words));
    server.assert_serves();
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let child = fs::read_to_string(children).expect("it was started").trim().parse().expect("one child");
    sigterm(child);
    let output = server.wait();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.ends_with("Served 1 request in 1 call.\n"), "{output:?}");
    assert!(!output.stderr.contains("note:"), "{output:?}");
}

/// Commands that no test types as they are, and why.
fn asks(line: &str) -> bool {
    // The command opens an editor. The tests use the blocks of settings that belong there.
    line == "sudo systemctl edit hello-server"
}

#[test]
fn every_command_of_the_documentation_is_tested_or_listed() {
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    for line in &commands {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            // Run in the container with a systemd of its own.
            ["sudo", "systemctl", ..] | ["journalctl", ..] => {}
            // Run with another root: `install`.
            ["sudo", "install", ..] => {}
            ["cargo", "build", ..] => {
                // The builds exist already: the same words are behind `component::path` and `runner`. The sandbox of the
                // profile `dist` takes ten minutes, so the quick one is built instead, as for the image of the container
                // here.
                let line = &line.replace("--profile dist", "--profile runner");
                let output = run(Command::new("sh")
                    .args(["-c", &format!("exec {line}")])
                    .env("CARGO_TARGET_DIR", component::path().ancestors().nth(3).expect("a target folder"))
                    .current_dir(component::root()));
                assert!(output.status.success(), "{line}: {output:?}");
            }
            // Run by `tests/hosts/`, which has the other hosts; no test has Kubernetes.
            ["wkg" | "wash" | "nats-server" | "spin" | "printf" | "runner/jco" | "kubectl", ..]
            | ["curl", "http://localhost:8001/"] => {}
            [word, ..] if word.starts_with("host=") || word.starts_with("start=") => {}
            ["curl", url] => {
                if has("curl") {
                    let is_http = url.contains(":9001");
                    let server = if is_http { Server::launch(&mut http_service(&[])) } else { Server::start(&[]) };
                    let url = url.replace(":9000", &format!(":{}", server.port));
                    let url = url.replace(":9001", &format!(":{}", server.port));
                    assert!(run(Command::new("curl").arg(url)).stdout.ends_with(HELLO));
                }
            }
            ["hello-runner", "--quiet", COMPONENT, ref options @ ..] => {
                let output = run(Command::new(runner()).arg("--quiet").arg(component::path()).args(options));
                assert!(output.status.success() && output.stdout.starts_with("listen "), "{output:?}");
            }
            ["wasmtime", "serve", ref options @ ..] => {
                let options = options.join(" ").replace("127.0.0.1:9000", "127.0.0.1:0");
                let options = options.replace("target/wasm32-wasip2/release/hello-http.wasm", text(component::http()));
                let line = format!("exec runner/wasmtime serve {options} 2>&1");
                Server::launch(Command::new("sh").args(["-c", &line]).current_dir(component::root())).assert_serves();
            }
            // These commands need the network; `the_files_of_the_image_...` tests what the first two make.
            ["podman", "build" | "run", ..] | ["cargo", "install" | "deny", ..] => {}
            // These commands need a release. `tests/workflows.rs` tests the names of its files.
            ["git" | "gh" | "sha256sum", ..] | ["cargo", "binstall", ..] => {}
            // The command would change Cargo.lock, and needs the network.
            ["cargo", "update", ..] => {}
            _ => panic!("the pages have a command that no test knows: {line}"),
        }
    }
}

/// The crates whose version is that of wasmtime, and their versions in `Cargo.lock`.
fn locked_wasmtime() -> Vec<(String, String)> {
    let locked = read("Cargo.lock");
    let packages = locked.split("[[package]]\nname = \"").skip(1).filter(|package| package.starts_with("wasmtime"));
    let names = packages.map(|package| package.split('"').step_by(2).take(2).map(str::to_owned));
    names.map(|mut words| (words.next().expect("a name"), words.next().expect("a version"))).collect()
}

#[test]
fn wasmtime_has_one_version_everywhere() {
    let locked = locked_wasmtime();
    let version = locked[0].1.as_str();
    for (name, other) in &locked {
        assert_eq!(other, version, "{name} in Cargo.lock");
    }
    let manifest = read("runner/Cargo.toml");
    let named: Vec<&str> = manifest.lines().filter(|line| line.starts_with("wasmtime")).collect();
    let updated = commands().into_iter().find(|line| line.starts_with("cargo update ")).expect("how to move");
    for line in &named {
        let name = line.split(' ').next().expect("a name");
        assert!(line.contains(&format!("version = \"{version}\"")), "runner/Cargo.toml has not {version}: {line}");
        assert!(
            format!("{updated} ").contains(&format!(" -p {name} ")),
            "docs/wasmtime.md leaves {name} behind: {updated}"
        );
    }
    assert!(named.len() >= 2, "{named:?}");
    assert!(read("runner/wasmtime").contains(&format!("\nversion={version}\n")), "runner/wasmtime has not {version}");
}

#[test]
fn wasmtime_is_a_version_with_long_term_support() {
    let locked = locked_wasmtime();
    let version = locked[0].1.as_str();
    let major: u64 = version.split('.').next().expect("a number").parse().expect("a number");
    assert_eq!(major % 12, 0, "{version}");
    for page in ["docs/wasmtime.md", "docs/differences.md"] {
        assert!(read(page).contains(&format!("wasmtime {major}")), "{page} has another version");
    }
}
