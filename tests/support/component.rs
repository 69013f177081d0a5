//! Where the programs are. They are built when they are not there, or older than their source.
#![allow(dead_code, reason = "not every group of tests needs everything")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The top level of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The component, as users get it.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-server.wasm"))
}

/// The component that tries what its host should control: `tests/probe/`.
pub(crate) fn probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "-p", "hello-probe"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-probe.wasm"))
}

/// The component that tries to send requests, by `wasi:http`: `tests/probe/src/bin/`.
pub(crate) fn request_probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| probe().with_file_name("hello-request-probe.wasm"))
}

/// A client of `examples/`: `socket_client` or `url_client`.
pub(crate) fn example(name: &str) -> PathBuf {
    let options = ["--release", "--target", "wasm32-wasip2", "--example", name];
    build(&options, &format!("wasm32-wasip2/release/examples/{name}.wasm"))
}

/// Builds with these options of cargo, and says where `file` of what was built is.
pub(crate) fn build(options: &[&str], file: &str) -> PathBuf {
    // Where cargo builds for this test is where it builds everything else.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(target)
        .args(options)
        .current_dir(root())
        .status()
        .expect("cargo is there: it runs this test");
    assert!(built.success(), "{file} was not built");
    target.join(file)
}
