//! The scripts in surroundings where something is set, missing, or named in an odd way: they work, or print one line with
//! the cause, and one with advice.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_test_support::{Output, Server, component, not_tested, run, runner};

/// A name that a shell, a file of JSON and a regular expression would each parse in their own way.
const ODD: &str = r#"a "b" \n 'c' $d [e] José ж"#;

/// The path of a script, with everything built.
fn script(name: &str) -> PathBuf {
    component::path();
    runner();
    component::launcher();
    component::root().join("runner").join(name)
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("surroundings").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The target folder of the builds.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder")
}

/// A folder to be PATH, with the programs that the scripts need, and nothing else.
fn bare(name: &str) -> PathBuf {
    let bare = folder(name);
    for program in ["sh", "dirname", "readlink", "sed"] {
        let found = run(Command::new("sh").args(["-c", &format!("command -v {program}")])).stdout;
        symlink(found.trim_end(), bare.join(program)).expect("a link");
    }
    bare
}

/// Asserts that the server of this command serves, without a build.
fn assert_serves(command: &mut Command) {
    let server = Server::launch(command.args(["--port", "0", "--quiet"]));
    server.assert_serves();
    server.terminate();
    let output = server.wait();
    assert!(!output.stderr.contains("Compiling"), "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_script_serves_from_any_folder_behind_any_link() {
    let folder = folder("links");
    let script = script("serve");
    assert_serves(Command::new(&script).current_dir("/"));
    assert_serves(Command::new("sh").arg("serve").current_dir(script.parent().expect("a folder")));
    symlink(&script, folder.join(ODD)).expect("a link");
    symlink(ODD, folder.join("link")).expect("a link");
    assert_serves(Command::new(folder.join("link")).current_dir("/"));
    assert_serves(Command::new("sh").arg("link").current_dir(&folder));
}

#[test]
fn the_script_serves_whatever_is_set_for_other_programs() {
    let mut serve = Command::new(script("serve"));
    serve.env("CARGO_BUILD_TARGET", "wasm32-wasip2").env("CARGO_TARGET_WASM32_WASIP2_RUNNER", "false");
    serve.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "false").env("CDPATH", "/");
    assert_serves(&mut serve);
}

#[test]
fn the_script_serves_without_a_home() {
    assert_serves(Command::new(script("serve")).env_remove("HOME"));
}

#[test]
fn the_script_serves_from_a_target_folder_with_an_odd_name() {
    let script = script("serve");
    let odd = folder("target").join(ODD);
    symlink(target(), &odd).expect("a link");
    assert_serves(Command::new(script).env("CARGO_TARGET_DIR", odd));
}

#[test]
fn two_scripts_that_start_at_once_both_serve() {
    let script = script("serve");
    let start = || Server::launch(Command::new(&script).args(["--port", "0", "--quiet"]));
    std::thread::scope(|scope| {
        let other = scope.spawn(start);
        start().assert_serves();
        other.join().expect("it serves").assert_serves();
    });
}

#[test]
fn a_checkout_with_an_odd_name_and_without_x_bits_is_built_and_serves() {
    let root = component::copy(ODD);
    for entry in fs::read_dir(root.join("runner")).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o644)).expect("a file");
        }
    }
    let mut serve = Command::new("sh");
    // With --wasmtime, no build of the sandbox is necessary, which would take minutes.
    serve.arg(root.join("runner/serve")).args(["--wasmtime", "--port", "0"]);
    serve.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("target of {ODD}")));
    let server = Server::launch(&mut serve);
    server.assert_serves();
}

/// Asserts that the script failed with this cause and this advice, behind the output of cargo.
fn assert_explained(output: &Output, said: &[&str], cause: &str, advice: &str) {
    let lines: Vec<&str> = output.stderr.lines().collect();
    let [.., before_last, last] = &lines[..] else { panic!("{output:?}") };
    assert_eq!(*before_last, format!("runner/serve: {cause}"), "{output:?}");
    assert!(last.starts_with("  ") && last.contains(advice), "{output:?}");
    assert!(said.iter().any(|words| output.stderr.contains(words)), "none of {said:?} in {output:?}");
    assert_eq!((output.stdout.as_str(), output.status.code()), ("", Some(1)), "{output:?}");
}

const NOT_BUILT: &str = "cargo has not built the launcher; it says above why";

#[test]
fn without_cargo_and_a_build_the_message_names_what_to_install() {
    let mut serve = Command::new(script("serve"));
    let output = run(serve.env("PATH", bare("no-cargo")).env("CARGO_TARGET_DIR", folder("nothing")));
    assert_eq!(output.stderr.lines().count(), 2, "{output:?}");
    assert_explained(&output, &[""], "there is no cargo on PATH, which builds this", "https://rustup.rs");
}

#[test]
fn without_cargo_the_existing_build_serves() {
    assert_serves(Command::new(script("serve")).env("PATH", bare("only-built")).env("CARGO_TARGET_DIR", target()));
}

#[test]
fn without_a_compiler_for_c_the_message_names_one() {
    let tools = bare("no-cc");
    let cargo = run(Command::new("sh").args(["-c", "command -v cargo"])).stdout;
    let beside = Path::new(cargo.trim_end()).parent().expect("a folder");
    if beside.join("cc").exists() {
        return not_tested("cargo and the C compiler are in one folder", "install Rust with rustup");
    }
    let mut serve = Command::new(script("serve"));
    serve
        .env("PATH", format!("{}:{}", tools.display(), beside.display()))
        .env("CARGO_TARGET_DIR", folder("no-cc-target"));
    assert_explained(&run(&mut serve), &["linker `cc` not found"], NOT_BUILT, "a C compiler");
}

#[test]
fn without_the_internet_the_message_says_that_the_first_build_needs_it() {
    let mut serve = Command::new(script("serve"));
    serve
        .env("CARGO_HOME", folder("no-crates"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", folder("no-crates-target"));
    assert_explained(&run(&mut serve), &["offline"], NOT_BUILT, "the internet once");
}

#[test]
fn a_cargo_that_is_too_old_is_reported() {
    let tools = bare("too-old");
    let cargo = "#!/bin/sh\necho 'error: rustc 1.80.0 is not supported by the following package' >&2\nexit 101\n";
    fs::write(tools.join("cargo"), cargo).expect("a file");
    fs::set_permissions(tools.join("cargo"), fs::Permissions::from_mode(0o755)).expect("a program");
    let mut serve = Command::new(script("serve"));
    let output = run(serve.env("PATH", tools));
    assert_eq!(output.stderr.lines().count(), 3, "{output:?}");
    assert_explained(&output, &["rustc 1.80.0"], NOT_BUILT, "Rust 1.95 or newer");
}

/// `runner/serve` in a shell with disks of its own, after `mount` has run; none if the system allows no such disks.
fn with_disks(mount: &str) -> Option<Command> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c"]).stdin(Stdio::null());
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--mount", "sh", "-c", mount]).current_dir(component::root());
    if !probe.output().is_ok_and(|output| output.status.success()) {
        not_tested("no disk can be mounted here", "run it as root, or where user namespaces are allowed");
        return None;
    }
    unshare.arg(format!("{mount} && exec runner/serve \"$@\"")).arg("sh").current_dir(component::root());
    Some(unshare)
}

#[test]
fn on_a_full_disk_the_message_has_the_space_needed_and_the_way_to_take_another_disk() {
    script("serve");
    let disk = folder("small");
    let Some(mut serve) = with_disks(&format!("mount -t tmpfs -o size=200k none '{}'", disk.display())) else { return };
    let output = run(serve.env("CARGO_TARGET_DIR", &disk));
    assert_explained(&output, &["No space left on device"], NOT_BUILT, "3 GB");
}

/// Makes `folder` read-only, with all that is mounted in the folder.
fn read_only(folder: &Path) -> String {
    let folder = folder.display();
    format!("mount --rbind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'")
}

#[test]
fn a_read_only_checkout_serves_what_was_built() {
    script("serve");
    let root = component::root();
    let mount = format!("{} && {} && cd '{}'", read_only(root), read_only(target()), root.display());
    let Some(mut serve) = with_disks(&mount) else { return };
    let server = Server::launch(serve.args(["--port", "0", "--quiet"]));
    server.assert_serves();
    let said = server.finish().stderr;
    for title in ["the server", "the sandbox"] {
        assert!(
            said.contains(&format!("is read-only, so {title} is the one that was built there before.\n")),
            "{said}"
        );
    }
}

#[test]
fn a_read_only_checkout_is_built_in_a_target_folder_that_can_be_written_to() {
    script("serve");
    let (root, writable, empty) = (component::root(), folder("writable"), folder("empty"));
    let bind = format!("mount --bind '{}' '{}'", target().display(), writable.display());
    let mount = format!("{bind} && {} && cd '{}'", read_only(root), root.display());
    let Some(mut serve) = with_disks(&mount) else { return };
    assert_serves(serve.env("CARGO_TARGET_DIR", &writable));
    let output = run(with_disks(&mount).expect("there are disks").env("CARGO_TARGET_DIR", &empty));
    assert_explained(&output, &["Read-only file system"], NOT_BUILT, "CARGO_TARGET_DIR");
}

/// A stand-in for cargo that installs at once a wasmtime that prints its place.
const INSTALLER: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
echo "$*" >>"$XDG_CACHE_HOME/calls"
while [ $# -gt 1 ]; do
    case $1 in
    --config) cp "$2" "$XDG_CACHE_HOME/profile.toml" ;;
    --root) root=$2 ;;
    esac
    shift
done
mkdir -p "$root/bin"
printf '#!/bin/sh\necho "$0"\n' >"$root/bin/wasmtime"
chmod +x "$root/bin/wasmtime"
"#;

#[test]
fn wasmtime_is_built_once_quickly_and_once_optimized_where_that_is_asked_for() {
    let (tools, cache) = (bare("installing"), folder("installed"));
    for program in ["mkdir", "rm"] {
        let found = run(Command::new("sh").args(["-c", &format!("command -v {program}")])).stdout;
        symlink(found.trim_end(), tools.join(program)).expect("a link");
    }
    fs::write(tools.join("cargo"), INSTALLER).expect("a file");
    fs::set_permissions(tools.join("cargo"), fs::Permissions::from_mode(0o755)).expect("a program");
    for (asked, folder, profiles) in [
        ("", "-quick", &["runner"][..]),
        ("", "-quick", &["runner"]),
        ("optimized", "-serve", &["runner", "release"]),
        ("", "-serve", &["runner", "release"]),
    ] {
        let mut wasmtime = Command::new(component::root().join("runner/wasmtime"));
        wasmtime.env("PATH", &tools).env("XDG_CACHE_HOME", &cache).env("HELLO_WASMTIME", asked).stdin(Stdio::null());
        let output = run(&mut wasmtime);
        assert!(output.stdout.ends_with(&format!("{folder}/bin/wasmtime\n")), "{output:?}");
        let calls = fs::read_to_string(cache.join("calls")).expect("a file");
        let calls: Vec<&str> = calls.lines().collect();
        assert_eq!(calls.len(), profiles.len(), "{calls:?}");
        assert!(
            calls.iter().zip(profiles).all(|(call, name)| call.contains(&format!("--profile {name} "))),
            "{calls:?}"
        );
    }
    let profile = fs::read_to_string(cache.join("profile.toml")).expect("a file");
    assert!(profile.starts_with("[profile.runner]\n") && profile.contains("\nwasmtime.opt-level = 1\n"), "{profile}");
    assert!(!profile.contains("hello-") && !profile.contains("= 3"), "{profile}");
}

#[test]
fn cargo_serve_does_the_same_in_any_folder_of_the_project() {
    script("serve");
    assert_serves(Command::new(env!("CARGO")).arg("serve").current_dir(component::root().join("src/http")));
}
