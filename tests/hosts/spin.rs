//! Spin, with the `spin.toml` of this project.

use std::fs;

use hello_test_support::component;

use super::differences;
use super::engine::{self, Engine, documented, free, shell, version};
use super::table::HELLO_WORLD;

#[test]
fn engine_spin_serves_what_the_manifest_says() {
    let Some(version) = version("spin") else { return };
    component::http();
    let address = free();
    let folder = engine::folder("spin");
    let command = documented("spin up --build --listen 127.0.0.1:9000").replace("127.0.0.1:9000", &address.to_string());
    // The files of Spin stay out of the folder of the project.
    let state = folder.join("state");
    fs::create_dir(&state).expect("a folder");
    let mut spin = shell(&format!("exec {command} --state-dir '{}'", state.display()));
    let _engine = Engine::serve(spin.env_remove("CARGO_TARGET_DIR"), folder.join("output"), address);
    // Spin has a response of its own to a target that is not in ASCII.
    assert_eq!(differences(HELLO_WORLD, address), [("GET /caf\u{e9}", 400)]);
    engine::tell(&format!("{version}: spin up"));
}
