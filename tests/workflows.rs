//! The workflows in `.github/` and the dev container, as far as a test without GitHub can run them: the tests run the
//! scripts of a release, with stand-ins for `gh`, `wkg` and `7z`, and compare the files that must agree with the rest of
//! the project.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const RELEASE: &str = ".github/workflows/release.yml";

/// The text of a file of the project.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Every workflow: its name and its text.
fn workflows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let paths = fs::read_dir(folder).expect("the folder of workflows").map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a workflow"))).collect()
}

/// The script of the step of `release.yml` that has this name.
fn script(step: &str) -> String {
    let workflow = read(RELEASE);
    let (_, rest) = workflow.split_once(&format!("- name: {step}\n")).expect("a step with this name");
    let (_, script) = rest.split_once("        run: |\n").expect("its script");
    let lines =
        script.lines().map_while(|line| if line.is_empty() { Some("") } else { line.strip_prefix("          ") });
    lines.map(|line| format!("{line}\n")).collect()
}

/// A setting of `[package.metadata.binstall]`, or of one of its overrides.
fn binstall(section: &str, setting: &str) -> Option<String> {
    let manifest = read("runner/Cargo.toml");
    let (_, section) = manifest.split_once(&format!("\n[package.metadata.binstall{section}]\n"))?;
    let mut lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.find_map(|line| Some(line.strip_prefix(setting)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned()))
}

/// A folder in which a script runs, as in the checkout of a job.
struct Job(PathBuf);

impl Job {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workflows").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).expect("create a folder");
        Job(folder)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("create a folder");
        fs::write(path, text).expect("write a file");
    }

    /// Puts a stand-in for a program on `PATH`.
    fn program(&self, name: &str, script: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write a program");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("make it a program");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs a script as GitHub does.
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").expect("a PATH"));
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(&self.0);
        bash.env("PATH", path)
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_REPOSITORY", "Some-One/hello");
        bash.env("GITHUB_REF_NAME", "v1.2.3").env("GITHUB_OUTPUT", self.0.join("output"));
        bash.envs(variables.iter().copied()).output().expect("bash is there")
    }

    /// Runs a script that must succeed, and returns what it printed.
    fn succeed(&self, script: &str, variables: &[(&str, &str)]) -> String {
        let output = self.run(script, variables);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

#[test]
fn cargo_binstall_finds_the_archive_of_each_target() {
    let workflow = read(RELEASE);
    let targets: Vec<&str> = workflow.lines().filter_map(|line| line.trim().strip_prefix("- target: ")).collect();
    assert_eq!(targets.len(), 4, "{targets:?}");
    for target in targets {
        let format = binstall(&format!(".overrides.{target}"), "pkg-fmt").or_else(|| binstall("", "pkg-fmt"));
        let archive_suffix = match format.expect("a format").as_str() {
            "tgz" => ".tar.gz",
            "zip" => ".zip",
            other => panic!("a format that this test does not know: {other}"),
        };
        let binary_ext = if target.contains("windows") { ".exe" } else { "" };
        let expand = |setting: &str| {
            let template = binstall("", setting).expect("a setting");
            let template = template.replace("{ name }", "hello-runner").replace("{ bin }", "hello-runner");
            let template = template.replace("{ version }", "1.2.3").replace("{ target }", target);
            template.replace("{ archive-suffix }", archive_suffix).replace("{ binary-ext }", binary_ext)
        };

        let job = Job::new(target);
        job.write(&format!("target/{target}/dist/hello-runner{binary_ext}"), "a program");
        job.write("LICENSE", "a licence");
        job.program("7z", "[ \"$1\" = a ] && exec tar -cf \"$2\" \"$3\"");
        job.succeed(&script("Pack"), &[("TARGET", target), ("VERSION", "1.2.3")]);

        let url = expand("pkg-url");
        let archive = url.strip_prefix("{ repo }/releases/download/v1.2.3/").expect("a file of the release");
        let listed = job.succeed(&format!("tar -tf '{archive}'"), &[]);
        assert!(listed.lines().any(|path| path == expand("bin-dir")), "{archive} has {listed}");
        assert!(listed.contains("/LICENSE\n"), "{archive} has {listed}");
    }
}

#[test]
fn a_tag_needs_its_version_everywhere_and_a_heading_in_the_changelog() {
    let manifest = "[package]\nname = \"a\"\nversion = \"1.2.3\"\n";
    let job = Job::new("version");
    job.write("Cargo.toml", manifest);
    job.write("runner/Cargo.toml", &format!("{manifest}repository = \"https://github.com/Some-One/hello\"\n"));
    job.write("runner/launcher/Cargo.toml", manifest);
    job.write("fuzz/Cargo.toml", "[package]\nversion = \"0.0.0\"\n");
    job.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n");
    job.succeed("git init --quiet && git add .", &[]);

    job.succeed(&script("Compare"), &[]);
    assert_eq!(job.read("output"), "version=1.2.3\n");

    for (file, right, wrong) in [
        ("Cargo.toml", "1.2.3", "1.2.4"),
        ("Cargo.toml", "\nversion", "\nrust-version"),
        ("runner/launcher/Cargo.toml", "1.2.3", "1.2.30"),
        ("runner/Cargo.toml", "1.2.3", "1.2.2"),
        ("runner/Cargo.toml", "Some-One", "some-one-else"),
        ("CHANGELOG.md", "[1.2.3]", "[1.2.2]"),
    ] {
        let text = job.read(file);
        job.write(file, &text.replace(right, wrong));
        let output = job.run(&script("Compare"), &[]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{file} with {wrong}: {output:?}");
        assert!(told.starts_with(&format!("::error file={file}::{file} needs ")), "{file} with {wrong}: {told}");
        job.write(file, &text);
    }
}

#[test]
fn the_notes_of_a_release_are_its_part_of_the_changelog() {
    let job = Job::new("draft");
    job.write(
        "CHANGELOG.md",
        "# Changelog\n\n## [Unreleased]\n\n- Later.\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- This.\n\n## [1.2.2]\n\n- Before.\n",
    );
    job.write("files/hello-server.wasm", "a component");
    job.write("files/SHA256SUMS", "a sum");
    job.program("gh", "echo \"$@\"");
    let said = job.succeed(&script("Draft"), &[("VERSION", "1.2.3")]);
    assert!(said.starts_with("release create v1.2.3 --draft --verify-tag "), "{said}");
    assert!(said.ends_with(" files/SHA256SUMS files/hello-server.wasm\n"), "{said}");
    assert_eq!(job.read("notes.md").trim(), "### Added\n\n- This.");
}

#[test]
fn both_components_are_pushed_under_names_that_a_registry_accepts() {
    let job = Job::new("push");
    job.program("wkg", "echo \"$@\"");
    let said = job.succeed(&script("Push"), &[("VERSION", "1.2.3")]);
    let pushed: Vec<&str> = said.lines().filter_map(|line| line.rsplit_once("/hello ")).map(|(_, rest)| rest).collect();
    assert_eq!(
        pushed,
        [
            "ghcr.io/some-one/hello/hello-server:1.2.3 hello-server.wasm",
            "ghcr.io/some-one/hello/hello-http:1.2.3 hello-http.wasm"
        ]
    );
}

#[test]
fn the_files_of_an_artifact_come_from_one_folder() {
    let mut files = Vec::new();
    for (name, workflow) in workflows() {
        for step in workflow.split("uses: actions/upload-artifact@").skip(1) {
            let lines = step.lines().map(str::trim).skip_while(|line| !line.starts_with("path: "));
            let paths: Vec<&str> = lines.take_while(|line| !line.starts_with("if-no-files-found: ")).collect();
            let paths = if paths[0] == "path: |" { paths[1..].to_vec() } else { vec![&paths[0]["path: ".len()..]] };
            // The files keep the folders that they do not have in common, and a release has no folders.
            let folder = |path: &&str| Path::new(path).parent().map(Path::to_owned);
            assert!(paths.iter().all(|path| folder(path) == folder(&paths[0])), "{name}: {paths:?}");
            files.extend(paths.iter().map(|path| format!("{}: {path}", name.rsplit('/').next().unwrap_or_default())));
        }
    }
    for workflow in ["ci.yml", "release.yml"] {
        assert!(files.contains(&format!("{workflow}: target/tab/hello-server.html")), "{files:?}");
    }
}

#[test]
fn every_action_is_pinned_to_a_commit() {
    let mut pinned = 0;
    for (name, workflow) in workflows() {
        for line in workflow.lines() {
            let line = line.trim().trim_start_matches("- ");
            let Some(action) = line.strip_prefix("uses: ") else { continue };
            if action.starts_with("./") {
                continue;
            }
            let (commit, version) =
                action.split_once('@').and_then(|(_, rest)| rest.split_once(" # v")).unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{name}: {line}");
            pinned += 1;
        }
    }
    assert!(pinned >= 10, "there are more than {pinned} actions");
}

#[test]
fn rust_has_one_version_everywhere() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let version = version.expect("a version of Rust");
    for (path, text) in [
        ("runner/Cargo.toml", format!("\nrust-version = \"{version}\"\n")),
        ("deploy/Containerfile", format!("FROM docker.io/library/rust:{version}-")),
        (".devcontainer/devcontainer.json", format!("\"docker.io/library/rust:{version}-")),
        ("README.md", format!("{version} or newer")),
        ("docs/deploy/systemd.md", format!("Rust {version} or newer")),
        (RELEASE, format!("\nenv:\n  RUSTUP_TOOLCHAIN: \"{version}\"\n")),
        (".github/workflows/ci.yml", format!("\n      RUSTUP_TOOLCHAIN: \"{version}\"\n")),
    ] {
        assert!(read(path).contains(&text), "{path} does not have {text:?}");
    }
    for (name, workflow) in workflows() {
        for line in workflow.lines().filter_map(|line| line.trim().strip_prefix("RUSTUP_TOOLCHAIN: ")) {
            assert!(line == "stable" || line == format!("\"{version}\""), "{name} has Rust {line}");
        }
    }
}

#[test]
fn the_dev_container_adds_the_target_and_names_the_port() {
    let container: Value = serde_json::from_str(&read(".devcontainer/devcontainer.json")).expect("JSON");
    assert_eq!(container["postCreateCommand"], "rustup target add wasm32-wasip2");
    assert_eq!(container["forwardPorts"], serde_json::json!([9000]));
    assert!(container["portsAttributes"]["9000"]["label"].is_string(), "{container}");
}
