//! Where the component is. It is built when it is not there, or older than its source.

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
    PATH.get_or_init(|| {
        // Where cargo builds for this test is where it builds everything else.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2"])
            .arg("--target-dir")
            .arg(target)
            .current_dir(root())
            .status()
            .expect("cargo is there: it runs this test");
        assert!(built.success(), "the component was not built");
        target.join("wasm32-wasip2/release/hello-server.wasm")
    })
}
