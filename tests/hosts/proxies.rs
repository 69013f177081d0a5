//! Proxies of other projects, with the settings of `docs/deploy/proxy.md`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use hello_test_support::{Server, component};

use super::engine::{self, Engine, free, says_hello, version_by};
use super::serve;

/// The settings in a block of this kind of `docs/deploy/proxy.md`.
fn settings(kind: &str) -> String {
    let page = fs::read_to_string(component::root().join("docs/deploy/proxy.md")).expect("a page");
    let block = page.split(&format!("```{kind}\n")).nth(1).and_then(|rest| rest.split("```").next());
    block.expect("settings").to_owned()
}

#[test]
fn engine_nginx_keeps_its_connection_to_the_server() {
    let Some(version) = version_by("nginx", "-v") else { return };
    let server = Server::start(&["--log", "off", "--stop-when-stdin-closes"]);
    let (address, folder) = (free(), engine::folder("nginx"));
    let settings = settings("nginx")
        .replace("127.0.0.1:9000", &server.address().to_string())
        .replace("127.0.0.1:8080", &address.to_string());
    // The files of the proxy stay out of the folders of the system.
    let place = |name: &str| folder.join(name).display().to_string();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = kinds.map(|kind| format!("{kind}_temp_path '{}';\n", place(kind))).concat();
    let main = format!("daemon off;\nmaster_process off;\npid '{}';\nerror_log stderr;\nevents {{}}\n", place("pid"));
    fs::write(place("nginx.conf"), format!("{main}http {{\naccess_log off;\n{folders}{settings}}}\n")).expect("a file");
    let _nginx =
        Engine::serve(Command::new("nginx").args(["-c", &place("nginx.conf")]), folder.join("output"), address);
    for _ in 0..2 {
        assert!(says_hello(address));
    }
    let output = server.stop();
    assert!(output.stdout.ends_with("Served 3 requests in 1 call.\n"), "{output:?}");
    engine::tell(&format!("{version}: in front of hello-server.wasm"));
}

/// The state of the server `one` of a backend, by the last check of haproxy: `L7OK 200`.
fn check(stats: SocketAddr, backend: &str) -> Option<String> {
    let page = ureq::get(format!("http://{stats}/stats;csv")).call().ok()?.body_mut().read_to_string().ok()?;
    let mut lines = page.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next()?;
    let server = lines.find(|line| line.starts_with(&[backend, "one"]))?;
    let value = |name: &str| names.iter().position(|its| *its == name).map(|place| server[place]);
    let (status, code) = (value("check_status")?, value("check_code")?);
    // A star precedes the state while the next check is in progress. Before the first check has ended, the state is INI.
    (!code.is_empty()).then(|| format!("{} {code}", status.trim_start_matches("* ")))
}

#[test]
fn engine_haproxy_finds_the_other_door_up_when_its_check_has_a_host() {
    let Some(version) = version_by("haproxy", "-v") else { return };
    component::http();
    let http = Server::launch(&mut serve(component::root(), &["--quiet", "--port", "0"]));
    let (stats, front, folder) = (free(), free(), engine::folder("haproxy"));
    let documented = settings("haproxy").replace("127.0.0.1:9001", &http.address().to_string());
    let without_host = documented.lines().filter(|line| !line.contains("http-check"));
    let without_host = without_host.collect::<Vec<_>>().join("\n").replace("backend hello", "backend without_host");
    let others = format!(
        "defaults\n mode http\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n\
         default-server inter 100 fall 1 rise 1\n\
         frontend stats\n bind {stats}\n stats enable\n stats uri /stats\n\
         frontend front\n bind {front}\n default_backend hello\n"
    );
    fs::write(folder.join("haproxy.cfg"), format!("{others}{documented}\n{without_host}\n")).expect("a file");
    let mut command = Command::new("haproxy");
    let mut haproxy =
        Engine::start(command.arg("-db").arg("-f").arg(folder.join("haproxy.cfg")), folder.join("output"));
    // While a check is in progress, haproxy reports the result of the last one, but may report 0 as its status code.
    haproxy.wait_for("a check that is passed, and one that is failed", || {
        let checks = ["hello", "without_host"].map(|backend| check(stats, backend));
        checks.each_ref().map(Option::as_deref) == [Some("L7OK 200"), Some("L7STS 500")]
    });
    assert!(says_hello(front));
    // haproxy does not pass on that a client has half-closed the connection.
    #[cfg(target_os = "linux")]
    assert!(super::wire::ask_and_half_close(front).ends_with(hello_test_support::HELLO));
    engine::tell(&format!("{version}: in front of hello-http.wasm, in wasmtime serve"));
}
