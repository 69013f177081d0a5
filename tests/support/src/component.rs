//! Where the programs are. They are built when they are not there, or older than their source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The top level of the project.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders up").to_owned())
}

/// Where cargo builds for the test that runs, and therefore everything else; in `tmp` tests keep their files, as in
/// `CARGO_TARGET_TMPDIR`, which cargo tells tests and no library.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        // The test itself is in a folder such as `debug/deps`.
        let test = std::env::current_exe().expect("a path");
        test.ancestors().nth(3).expect("a target folder").to_owned()
    })
}

/// The component, as users get it.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "--bin", "hello-server"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-server.wasm"))
}

/// The other one, which says the same behind `wasi:http`.
pub fn http() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "--features", "http", "--bin", "hello-http"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-http.wasm"))
}

/// The component that tries what its host should control: `tests/probe/`.
pub fn probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "-p", "hello-probe"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-probe.wasm"))
}

/// The component that tries to send requests, by `wasi:http`: `tests/probe/src/bin/`.
pub fn request_probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| probe().with_file_name("hello-request-probe.wasm"))
}

/// A client of `examples/`: `socket_client` or `url_client`.
pub fn example(name: &str) -> PathBuf {
    let options = ["--release", "--target", "wasm32-wasip2", "--example", name];
    build(&options, &format!("wasm32-wasip2/release/examples/{name}.wasm"))
}

/// An example of `runtime/`, by its name.
pub fn runtime_example(name: &str) -> PathBuf {
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
pub fn build(options: &[&str], file: &str) -> PathBuf {
    build_in(root(), target(), options, file)
}

/// The same for a copy of the project, which builds into another folder.
pub fn build_in(root: &Path, target: &Path, options: &[&str], file: &str) -> PathBuf {
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
pub fn copy(name: &str) -> PathBuf {
    let copy = target().join("tmp").join(name);
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
