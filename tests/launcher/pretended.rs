//! A project that is built in no time, with a stand-in for cargo. The launcher, the sandbox and the component are the real
//! ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_test_support::{component, runner};

/// The stand-in for cargo. At the end of a build or a cleaning it notes its arguments, and prints the messages of cargo. If
/// `src/hello.rs` has changed, the component changes by one more custom section; if the file is `broken`, there is no
/// component.
const CARGO: &str = r#"#!/bin/sh
[ "$1" != metadata ] || { echo '{"target_directory":"@/target"}' && exit; }
call="$*; target ${CARGO_BUILD_TARGET-unset}; flags ${CARGO_ENCODED_RUSTFLAGS-unset}"
trap 'printf "%s\n" "$call" >>@/calls' EXIT
touch @/calls
built() {
    printf '{"reason":"compiler-artifact","target":{"name":"%s"},"executable":"%s","fresh":%s}\n' "$1" "$2" "$3"
    echo "    Finished in no time" >&2
}
case $* in
clean*) ;;
*hello-runner*)
    [ -e @/target/runner/hello-runner ] || echo "   Compiling hello-runner" >&2
    built hello-runner @/sandbox true
    ;;
*socket_client*) built socket_client @/hello-server.wasm true ;;
*)
    cmp -s src/hello.rs @/built.rs && built hello-server @/hello-server.wasm true && exit
    echo "   Compiling hello-server" >&2
    ! grep -q broken src/hello.rs || { echo "error: broken" >&2 && exit 101; }
    number=$(wc -l <@/calls)
    { cat @/base.wasm && printf '\000\007\001x%05d' "$number"; } >@/new.wasm && mv @/new.wasm @/hello-server.wasm
    cp src/hello.rs @/built.rs
    built hello-server @/hello-server.wasm false
    ;;
esac
"#;

/// A project with that stand-in, in a folder of its own.
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
}

impl Project {
    /// Makes a project whose build is up to date.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("launcher").join(name);
        let _ = fs::remove_dir_all(&folder);
        let project = Project { folder };
        for file in ["Cargo.toml", "runner/launcher/Cargo.toml", "src/hello.rs", "target/runner/hello-runner"] {
            project.write(file, "");
        }
        fs::copy(component::path(), project.folder.join("base.wasm")).expect("a copy");
        std::os::unix::fs::symlink(runner(), project.folder.join("sandbox")).expect("a link");
        let wasmtime = component::root().join("runner/wasmtime");
        std::os::unix::fs::symlink(wasmtime, project.folder.join("runner/wasmtime")).expect("a link");
        project.program("cargo", CARGO);
        project.program("rustc", "#!/bin/sh\necho @\n");
        project
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Makes a program that comes first on PATH. `@` in it stands for the folder.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let file = format!("bin/{name}");
        self.write(&file, &script.replace('@', self.folder.to_str().expect("text")));
        fs::set_permissions(self.folder.join(file), fs::Permissions::from_mode(0o755)).expect("a program");
    }

    /// The launcher, with these words.
    pub(crate) fn launch(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").expect("a PATH");
        let mut command = Command::new(component::launcher());
        command.args(words).current_dir(&self.folder).stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        command
    }

    /// The calls of cargo, one per line.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}
