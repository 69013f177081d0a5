//! Where the programs are. They are built when they are not there, or older than their source.
#![allow(dead_code, reason = "not every group of tests needs everything")]

use std::fs;
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
    let options = ["--release", "--target", "wasm32-wasip2", "--bin", "hello-server"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-server.wasm"))
}

/// The other one, which says the same behind `wasi:http`.
pub(crate) fn http() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "--features", "http", "--bin", "hello-http"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-http.wasm"))
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

/// An example of `runtime/`, by its name.
pub(crate) fn runtime_example(name: &str) -> PathBuf {
    let options = [
        "--release",
        "--target",
        "wasm32-wasip2",
        "--package",
        "hello-runtime",
        "--features",
        "futures-io",
        "--example",
        name,
    ];
    build(&options, &format!("wasm32-wasip2/release/examples/{name}.wasm"))
}

/// Builds with these options of cargo, and says where `file` of what was built is.
pub(crate) fn build(options: &[&str], file: &str) -> PathBuf {
    // Where cargo builds for this test is where it builds everything else.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
    build_in(root(), target, options, file)
}

/// The same for a copy of the project, which builds into another folder.
pub(crate) fn build_in(root: &Path, target: &Path, options: &[&str], file: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target).args(options).current_dir(root);
    // As the launcher does it: what is set for one of them is not for the other.
    if options.contains(&"wasm32-wasip2") {
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    } else {
        cargo.env_remove("CARGO_BUILD_TARGET");
    }
    let built = cargo.status().expect("cargo is there: it runs this test");
    assert!(built.success(), "{file} was not built");
    target.join(file)
}

/// A copy of this project with this name, to be edited.
pub(crate) fn copy(name: &str) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if copy.exists() {
        fs::remove_dir_all(&copy).expect("an old copy can be removed");
    }
    copy_folder(root(), &copy);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        let (is_folder, target) = (path.is_dir(), to.join(name));
        // What was built, and what was committed, is not edited.
        if is_folder && name != "target" && name != ".git" {
            copy_folder(&path, &target);
        } else if !is_folder {
            fs::copy(&path, target).expect("a copy");
        }
    }
}
