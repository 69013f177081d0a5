//! The paths of the programs. A program is built when it is missing, or older than its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::run;

/// The top level of the project.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders up").to_owned())
}

/// The target folder of the running test, and therefore of everything else; tests keep their files in its `tmp`, which is
/// `CARGO_TARGET_TMPDIR`: cargo sets that variable for tests, and for no library.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        // The test itself is in a folder such as `debug/deps`.
        let test = std::env::current_exe().expect("a path");
        test.ancestors().nth(3).expect("a target folder").to_owned()
    })
}

/// The component that users get.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "--bin", "hello-server"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-server.wasm"))
}

/// The component with the live page.
pub fn live() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--profile", "live", "--target", "wasm32-wasip2", "--features", "live", "--bin", "hello-server"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/live/hello-server.wasm"))
}

/// The `wasi:http` service, which serves the same page.
pub fn http() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "--features", "http", "--bin", "hello-http"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-http.wasm"))
}

/// The component that tries everything that its host should control: `tests/probe/`.
pub fn probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--release", "--target", "wasm32-wasip2", "-p", "hello-probe"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello-probe.wasm"))
}

/// The small server that does what its requests say: `tests/probe/src/bin/`.
pub fn worker() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| probe().with_file_name("hello-worker.wasm"))
}

/// The component that tries to send requests, by `wasi:http`: `tests/probe/src/bin/`.
pub fn request_probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| probe().with_file_name("hello-request-probe.wasm"))
}

/// The launcher, as `runner/launch` builds it.
pub fn launcher() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let target = build(&["--profile", "launcher", "--package", "hello-launcher", "--target", "host-tuple"], "");
        let folders = fs::read_dir(target).expect("a folder").filter_map(Result::ok);
        let mut launchers = folders.map(|folder| folder.path().join("launcher/hello-launcher"));
        launchers.find(|launcher| launcher.is_file()).expect("it was built")
    })
}

/// The lesson in one file, as `runner/tab` writes it.
pub fn tab() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| tab_in(root(), target()))
}

/// The lesson in one file, as `runner/tab` writes it in a copy of the project, with this target folder.
pub fn tab_in(root: &Path, target: &Path) -> PathBuf {
    let output = run(Command::new(launcher()).arg("tab").current_dir(root).env("CARGO_TARGET_DIR", target));
    assert!(output.status.success(), "{output:?}");
    target.join("tab/hello-server.html")
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

/// A server of `examples/frameworks/`, by its name.
pub fn framework(name: &str) -> PathBuf {
    let manifest = "examples/frameworks/Cargo.toml";
    let options = ["--manifest-path", manifest, "--release", "--target", "wasm32-wasip2", "--bin", name];
    build(&options, &format!("wasm32-wasip2/release/{name}.wasm"))
}

/// The server of `examples/wasi-0.3/`.
pub fn wasi_0_3() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let options = ["--manifest-path", "examples/wasi-0.3/Cargo.toml", "--release", "--target", "wasm32-wasip2"];
    PATH.get_or_init(|| build(&options, "wasm32-wasip2/release/hello_wasi_03.wasm"))
}

/// Builds with these options of cargo, and returns the path of the built `file`.
pub fn build(options: &[&str], file: &str) -> PathBuf {
    build_in(root(), target(), options, file)
}

/// Builds a copy of the project into another folder, with these options of cargo, and returns the path of the built `file`.
pub fn build_in(root: &Path, target: &Path, options: &[&str], file: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target).args(options).current_dir(root);
    // As in the launcher, flags for one target do not apply to the other.
    if options.contains(&"wasm32-wasip2") {
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    } else {
        cargo.env_remove("CARGO_BUILD_TARGET");
    }
    let built = cargo.status().expect("cargo is there: it runs this test");
    assert!(built.success(), "{file} was not built");
    target.join(file)
}

/// A copy of this project with this name, for a test to edit.
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
        // No test edits the build or the commits.
        if is_folder && name != "target" && name != ".git" {
            copy_folder(&path, &target);
        } else if !is_folder {
            fs::copy(&path, target).expect("a copy");
        }
    }
}
