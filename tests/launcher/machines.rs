//! The launcher on different machines: the programs that it chooses, its output during a build, and its errors.

use hello_test_support::{Server, run};

use super::pretended::Project;

#[test]
fn only_a_build_that_has_work_to_do_is_announced() {
    let project = Project::new("announced");
    let output = run(&mut project.launch(&["serve", "--version"]));
    let announcement = "Building the server: about 10 seconds on 2 cores, the first time.\n";
    assert_eq!(output.stderr, format!("{announcement}   Compiling hello-server\n    Finished in no time\n"));
    assert!(output.stdout.starts_with("hello-server ") && output.status.success(), "{output:?}");
    let output = run(&mut project.launch(&["serve", "--version"]));
    assert_eq!(output.stderr, "", "{output:?}");
}

#[test]
fn what_is_set_for_programs_of_this_system_does_not_reach_a_component_and_the_other_way_round() {
    let project = Project::new("flags");
    let mut launch = project.launch(&["serve", "--version"]);
    launch
        .env("CARGO_BUILD_TARGET", "wasm32-wasip2")
        .env("RUSTFLAGS", "-Clinker=no")
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clinker=no");
    let output = run(&mut launch);
    assert!(output.status.success(), "{output:?}");
    let calls = project.calls();
    let [component, sandbox] = &calls[..] else { panic!("{calls:?}") };
    assert!(component.contains("--target wasm32-wasip2; ") && component.ends_with("; flags "), "{calls:?}");
    assert!(!sandbox.contains("--target "), "{calls:?}");
    assert!(sandbox.ends_with("; target unset; flags -Clinker=no"), "{calls:?}");
}

#[test]
fn a_target_in_a_configuration_of_cargo_is_not_what_the_sandbox_is_built_for() {
    let project = Project::new("configured");
    project.write(".cargo/config.toml", "[build]\ntarget = \"wasm32-wasip2\"\n");
    assert!(run(&mut project.launch(&["serve", "--version"])).status.success());
    let calls = project.calls();
    assert!(calls[1].contains("--package hello-runner --target host-tuple; "), "{calls:?}");
}

#[test]
fn a_mistake_in_the_options_is_2_and_a_failure_of_the_sandbox_1() {
    let project = Project::new("codes");
    let output = run(&mut project.launch(&["serve", "--port", "x"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    std::fs::remove_file(project.folder.join("sandbox")).expect("a link");
    let failing = "#!/bin/sh\necho 'hello-runner: the system refuses to help' >&2\nexit 1\n";
    project.program("../sandbox", failing);
    for subcommand in [&["serve", "--port", "0"][..], &["client", "socket"]] {
        let output = run(&mut project.launch(subcommand));
        assert!(output.stderr.ends_with("hello-runner: the system refuses to help\n"), "{output:?}");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

#[test]
fn the_optimized_sandbox_is_taken_where_it_is_wanted_and_where_it_is_the_only_one() {
    let project = Project::new("optimized");
    let is_optimized = |words: &[&str]| {
        assert!(run(&mut project.launch(words)).status.success(), "{words:?}");
        project.calls().last().expect("a call").contains("--profile dist --package hello-runner")
    };
    assert!(is_optimized(&["serve", "--version", "--release"]));
    project.write("target/dist/hello-runner", "");
    assert!(!is_optimized(&["serve", "--version"]));
    std::fs::remove_file(project.folder.join("target/runner/hello-runner")).expect("a file");
    assert!(is_optimized(&["serve", "--version"]));
}

/// A sandbox that only prints its name.
const OTHER_SANDBOX: &str =
    "#!/bin/sh\n[ \"$1\" = --version ] && echo hello-runner VERSION || echo the other sandbox\n";

#[test]
fn a_sandbox_of_this_version_on_path_spares_to_build_one() {
    let project = Project::new("on-path");
    let here = env!("CARGO_PKG_VERSION");
    project.program("hello-runner", &OTHER_SANDBOX.replace("VERSION", here));
    // A sandbox in the target folder may be under development, so the launcher prefers it.
    let output = run(&mut project.launch(&["serve", "--version"]));
    assert!(output.stdout.starts_with("hello-server "), "{output:?}");
    std::fs::remove_file(project.folder.join("target/runner/hello-runner")).expect("a file");
    let output = run(&mut project.launch(&["serve", "--version"]));
    assert_eq!(output.stdout, "the other sandbox\n", "{output:?}");
    assert!(output.stderr.contains("The sandbox is the hello-runner on PATH"), "{output:?}");
    project.program("hello-runner", &OTHER_SANDBOX.replace("VERSION", "0.0.9"));
    let output = run(&mut project.launch(&["serve", "--version"]));
    assert!(output.stdout.starts_with("hello-server "), "{output:?}");
}

#[test]
fn before_a_build_of_the_sandbox_a_wasmtime_on_path_is_named() {
    let project = Project::new("hint");
    std::fs::remove_file(project.folder.join("target/runner/hello-runner")).expect("a file");
    for (version, is_told) in [("47.0.2", false), ("48.0.0", true), ("100.1.0", true)] {
        project.program("wasmtime", &format!("#!/bin/sh\necho 'wasmtime {version} (abc 2026-01-01)'\n"));
        let said = run(&mut project.launch(&["serve", "--version"])).stderr;
        assert!(said.contains("Building the sandbox: once, 2 to 4 minutes on 2 cores.\n"), "{said}");
        assert_eq!(said.contains("with --wasmtime this starts at once"), is_told, "{version}: {said}");
    }
}

#[test]
fn the_target_for_components_is_added_if_it_can_be() {
    let project = Project::new("target-added");
    project.program("rustc", "#!/bin/sh\necho @/added\n");
    project.program("rustup", "#!/bin/sh\nmkdir -p @/added\n");
    let output = run(&mut project.launch(&["serve", "--version"]));
    assert!(
        output.stderr.starts_with("Adding Rust's target wasm32-wasip2 (a download of about 20 MB).\n"),
        "{output:?}"
    );
    assert!(output.status.success(), "{output:?}");
    assert!(!run(&mut project.launch(&["serve", "--version"])).stderr.contains("Adding"));
}

#[test]
fn without_the_target_for_components_the_message_names_the_command() {
    let project = Project::new("target-missing");
    project.program("rustc", "#!/bin/sh\necho @/added\n");
    project.program("rustup", "#!/bin/sh\nexit 1\n");
    let fails = |path: Option<&str>, cause: &str, advice: &str| {
        let mut launch = project.launch(&["client", "socket"]);
        path.map(|path| launch.env("PATH", path));
        let output = run(&mut launch);
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{output:?}");
        assert!(lines[1].starts_with("runner/client: ") && lines[1].contains(cause), "{output:?}");
        assert!(lines[2].starts_with("  ") && lines[2].contains(advice), "{output:?}");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    };
    fails(None, "rustup has not added Rust's target", "rustup target add wasm32-wasip2");
    std::fs::remove_file(project.folder.join("bin/rustup")).expect("a file");
    let only = project.folder.join("bin");
    fails(only.to_str(), "there is no rustup on PATH", "https://rustup.rs");
}

#[test]
fn without_cargo_the_existing_build_is_taken() {
    let project = Project::new("no-cargo");
    std::fs::remove_file(project.folder.join("bin/cargo")).expect("a file");
    let alone = |words: &[&str]| {
        run(project.launch(words).env("PATH", project.folder.join("bin")).env_remove("CARGO_TARGET_DIR"))
    };
    let output = alone(&["serve", "--version"]);
    let lines = "runner/serve: there is no cargo on PATH, which builds this\n  \
                 install Rust from https://rustup.rs, and open a new terminal\n";
    assert_eq!((output.stderr.as_str(), output.status.code()), (lines, Some(1)));
    project.write("target/wasm32-wasip2/release/hello-server.wasm", "");
    let sandbox = project.folder.join("target/runner/hello-runner");
    std::fs::remove_file(&sandbox).expect("a file");
    std::os::unix::fs::symlink(hello_test_support::runner(), sandbox).expect("a link");
    let built = project.folder.join("target/wasm32-wasip2/release/hello-server.wasm");
    std::fs::copy(hello_test_support::component::path(), built).expect("a copy");
    let output = alone(&["serve", "--version"]);
    assert_eq!((output.stderr.as_str(), output.status.code()), ("", Some(0)));
    assert!(output.stdout.starts_with("hello-server "), "{output:?}");
}

#[test]
fn the_build_of_another_checkout_in_a_shared_target_folder_is_not_taken() {
    let project = Project::new("shared-target");
    let here = project.folder.to_str().expect("text");
    let (other, longer) = (format!("{here}/other"), format!("{here}2"));
    // The place of the target folder at the time of the build, and the checkout; the second row is a copy of a checkout.
    for (folder, checkout, is_cleaned) in
        [(here, here, false), (&*other, &*other, false), (here, "/other", true), (here, &*longer, true)]
    {
        for (file, source) in
            [("wasm32-wasip2/release/hello-server.wasm", "src/main.rs"), ("runner/hello-runner", "runner/src/main.rs")]
        {
            let note = format!("{folder}/target/{file}: /else.rs {checkout}/{source}\n");
            project.write(&format!("target/{}", file.replace(".wasm", "") + ".d"), &note);
        }
        project.write("calls", "");
        assert!(run(project.launch(&["serve", "--version"]).env_remove("CARGO_TARGET_DIR")).status.success());
        let calls = project.calls();
        for what in
            ["hello-server --target wasm32-wasip2 --profile release; ", "--package hello-runner --profile runner; "]
        {
            let cleaned = calls.iter().any(|call| call.starts_with("clean ") && call.contains(what));
            assert_eq!(cleaned, is_cleaned, "{folder}, {checkout}: {calls:?}");
        }
    }
}

#[test]
fn no_color_reaches_the_server() {
    let project = Project::new("no-color");
    project.program("../sandbox-that-tells", "#!/bin/sh\necho \"$*\"\n");
    std::fs::remove_file(project.folder.join("sandbox")).expect("a link");
    std::os::unix::fs::symlink("sandbox-that-tells", project.folder.join("sandbox")).expect("a link");
    let said = |no_color: &str| run(project.launch(&["serve", "--log", "off"]).env("NO_COLOR", no_color)).stdout;
    assert!(
        said("1").trim_end().ends_with("hello-server.wasm --stop-when-stdin-closes --color never --log off"),
        "{}",
        said("1")
    );
    assert!(!said("").contains("--color"), "{}", said(""));
}

#[test]
fn the_launcher_becomes_the_server() {
    let project = Project::new("becomes");
    let server = Server::launch(&mut project.launch(&["serve", "--port", "0"]));
    server.assert_serves();
    let name =
        std::fs::read_to_string(format!("/proc/{}/comm", server.pid())).unwrap_or_else(|_| "hello-runner\n".into());
    assert!(name.starts_with("hello-runner") || name.starts_with("sandbox"), "{name}");
}
