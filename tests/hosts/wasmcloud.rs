//! wasmCloud 2: `wash dev` with the `.wash/config.yaml` of this project; an artifact in a registry; and hosts that are
//! joined by NATS, each of which gets the command to start the artifact.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use hello_test_support::component;

use super::differences;
use super::engine::{self, Engine, documented, free, output, says_hello, shell, version};
use super::table::HELLO_WORLD;

#[test]
fn engine_wash_dev_builds_and_serves() {
    let Some(version) = version("wash") else { return };
    let root = component::copy("wash");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors-target");
    fs::create_dir_all(&target).expect("a folder");
    symlink(&target, root.join("target")).expect("a link");
    let address = free();
    let config = fs::read_to_string(component::root().join(".wash/config.yaml")).expect("a file");
    assert!(config.contains("address: 127.0.0.1:9000\n"));
    let config = config.replace("127.0.0.1:9000", &address.to_string());
    fs::write(root.join(".wash/config.yaml"), config).expect("it can be written");

    let mut wash = shell(&format!("exec {}", documented("wash dev")));
    let _engine = Engine::serve(
        wash.current_dir(&root).env_remove("CARGO_TARGET_DIR"),
        engine::folder("wash-dev").join("output"),
        address,
    );
    assert_eq!(differences(HELLO_WORLD, address), []);
    engine::tell(&format!("{version}: wash dev"));
}

/// Starts a registry of container images.
fn registry(folder: &Path) -> Option<(Engine, SocketAddr)> {
    version("docker-registry")?;
    let address = free();
    let settings = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '{address}'}}\n",
        folder.join("images").display()
    );
    fs::write(folder.join("registry.yml"), settings).expect("a file");
    let mut command = Command::new("docker-registry");
    let mut registry = Engine::start(command.arg("serve").arg(folder.join("registry.yml")), folder.join("registry"));
    registry.wait_for("registry", || std::net::TcpStream::connect(address).is_ok());
    Some((registry, address))
}

/// Puts the component into the registry, with the command of the page.
fn push(registry: SocketAddr) {
    component::http();
    let command = documented(
        "wkg oci push --insecure localhost:5000 localhost:5000/hello-http:0.1.0 target/wasm32-wasip2/release/hello-http.wasm",
    );
    output(&mut shell(&command.replace("localhost:5000", &registry.to_string())));
}

#[test]
fn engine_wkg_puts_the_component_into_a_registry_and_it_comes_back_the_same() {
    let Some(version) = version("wkg") else { return };
    let folder = engine::folder("wkg");
    let Some((_registry, address)) = registry(&folder) else { return };
    push(address);
    let pull =
        documented("wkg oci pull --insecure localhost:5000 localhost:5000/hello-http:0.1.0 --output hello-http.wasm");
    let pull = pull.replace("localhost:5000", &address.to_string());
    output(shell(&pull).current_dir(&folder));
    let [there, back] = [component::http(), &folder.join("hello-http.wasm")].map(fs::read);
    assert!(there.expect("a file") == back.expect("a file"), "it came back as something else");
    engine::tell(&format!("{version}: wkg oci push and pull"));
}

#[test]
fn engine_wash_hosts_that_nats_joins_each_start_a_replica() {
    let (Some(version), Some(_), Some(nats)) = (version("wash"), version("wkg"), version("nats-server")) else {
        return;
    };
    let folder = engine::folder("wash-hosts");
    let Some((_registry, registry)) = registry(&folder) else { return };
    push(registry);
    let address = free();
    let command = documented("nats-server --addr 127.0.0.1 --port 4222").replace("4222", &address.port().to_string());
    let mut nats_server = Engine::start(&mut shell(&format!("exec {command}")), folder.join("nats"));
    nats_server.wait_for("NATS", || std::net::TcpStream::connect(address).is_ok());

    let names = ["one", "two"];
    let mut replicas = Vec::new();
    for (name, port) in names.iter().zip(["8001", "8002"]) {
        let command = documented(&format!(
            "wash host --host-name {name} --http-addr 127.0.0.1:{port} --scheduler-nats-url nats://127.0.0.1:4222 \
             --data-nats-url nats://127.0.0.1:4222 --allow-insecure-registries"
        ));
        let replica = free();
        let command = command.replace(port, &replica.port().to_string()).replace("4222", &address.port().to_string());
        let command = format!("exec {command} --oci-cache-dir '{}'", folder.join(name).display());
        let mut host = Engine::start(&mut shell(&command), folder.join(format!("{name}.log")));
        host.wait_until_it_prints("Host started host_id=");
        replicas.push((host, replica));
    }
    let start = documented("start=$(cat deploy/wasmcloud/start.json)");
    let start = start.replace("start.json)", &format!("start.json | sed s/localhost:5000/{registry}/)"));
    let tell = documented(
        r#"printf 'SUB answer 1\r\nPUB runtime.host.%s.workload.start answer %s\r\n%s\r\n' "$host" "${#start}" "$start" | nc -w 5 127.0.0.1 4222"#,
    );
    let tell = tell.replace("4222", &address.port().to_string());
    for (host, replica) in &mut replicas {
        let printed = host.printed();
        let number = printed.split("host_id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its number");
        let answer = output(&mut shell(&format!("{start}; host={number}; {tell}")));
        assert!(answer.contains("WORKLOAD_STATE_RUNNING"), "{answer}");
        host.wait_for("answer", || says_hello(*replica));
        assert_eq!(differences(HELLO_WORLD, *replica), []);
    }
    engine::tell(&format!("{version}: wash host, two of them, joined by {nats}"));
}

#[test]
fn the_manifests_name_what_is_pushed() {
    let read = |path: &str| fs::read_to_string(component::root().join(path)).expect(path);
    assert!(read("deploy/wasmcloud/start.json").contains("\"localhost:5000/hello-http:0.1.0\""));
    assert!(read("deploy/wasmcloud/workload.yaml").contains("image: registry.example/hello-http:0.1.0\n"));
    for manifest in ["spin.toml", ".wash/config.yaml"] {
        let manifest = read(manifest);
        assert!(
            manifest.contains("cargo build --release --locked --target wasm32-wasip2 --features http --bin hello-http")
        );
        assert!(manifest.contains("target/wasm32-wasip2/release/hello-http.wasm"));
    }
}
