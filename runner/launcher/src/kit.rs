//! `kit`: packs the programs into one archive, which serves on machines of this kind without Rust. Its components lie beside the
//! launcher; a launcher with components beside it is in a kit.

use std::env::{self, consts};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context as _;
use hello_failure::Failure;

use crate::cargo::{self, Product};
use crate::{print, tab};

/// The text of `--help`.
const HELP: &str = "\
Packs the server, the sandbox and the clients into one archive, for machines of this kind without Rust.

  runner/kit              with the sandbox that runner/serve builds
  runner/kit --release    with the optimized sandbox, which takes 6 to 10 minutes to build, once; the archive is a third smaller

Unpack the archive anywhere: `runner/serve` and `runner/client` work there at once, without the internet. (Or: cargo kit)
";

/// The first line that a launcher in a kit prints.
pub(crate) const GREETING: &str =
    "This is a kit: it serves what it was built with, and a change in src changes nothing.\n";

/// Advice if a kit is not enough.
pub(crate) const WHOLE_PROJECT: &str = "for that, take the whole project, and Rust from https://rustup.rs";

/// The texts in a kit. The rest of the source is of use only on a machine that can build it.
const TEXTS: [&str; 10] = [
    "LICENSE",
    "docs/lecture.md",
    "docs/steps.md",
    "docs/exercises.md",
    "docs/solutions.md",
    "docs/sheet.html",
    "docs/sandbox.md",
    "bench/python",
    "examples",
    "src",
];

/// The components of a kit.
const COMPONENTS: [&Product; 5] =
    [&cargo::SERVER, &cargo::HTTP_SERVER, &cargo::SOCKET_CLIENT, &cargo::URL_CLIENT, &cargo::INTRUDER];

/// The subcommands of a kit. Each is a copy of the launcher, because a script would work on one system only.
const PROGRAMS: [&str; 2] = ["serve", "client"];

/// The folder with the programs and components of the kit that this program is in, if it is in one.
pub(crate) fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let program = env::current_exe().and_then(fs::canonicalize).ok()?;
        let folder = program.parent()?;
        folder.join(cargo::SERVER.file_name()).is_file().then(|| folder.to_owned())
    };
    FOLDER.get_or_init(find).as_deref()
}

/// The subcommand that this program has as its name, if it is in a kit.
pub(crate) fn name() -> Option<OsString> {
    folder()?;
    Some(env::current_exe().and_then(fs::canonicalize).ok()?.file_stem()?.to_owned())
}

/// Packs a kit, and prints its path.
///
/// # Errors
/// The command line is wrong, or a program cannot be built, or a file cannot be written.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let sandbox = match words.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..] {
        [] => &cargo::SANDBOX,
        ["--release"] => &cargo::RELEASE_SANDBOX,
        ["--help" | "-h"] => {
            print(HELP);
            return Ok(0);
        }
        _ => {
            let cause = format!("it does not take {}", words.join(" "));
            return Err(Failure::usage(cause, "say --release, or nothing").into());
        }
    };
    cargo::add_target()?;
    let mut programs = Vec::new();
    for product in COMPONENTS.into_iter().chain([sandbox]) {
        programs.push((cargo::build(product)?, product.file_name()));
    }
    let this = env::current_exe().context("where is this program?")?;
    for name in PROGRAMS {
        programs.push((this.clone(), Path::new(name).with_extension(consts::EXE_EXTENSION)));
    }

    let all = cargo::target_folder().unwrap_or_else(|| "target".into()).join("kit");
    let name = format!("hello-server-{}-{}-{}", env!("CARGO_PKG_VERSION"), consts::ARCH, consts::OS);
    let kit = all.join(&name);
    let archive = all.join(format!("{name}.{}", if cfg!(windows) { "zip" } else { "tar.gz" }));
    let page = tab::page()?;
    fill(&kit, &programs, &page).with_context(|| kit.display().to_string())?;
    pack(&all, &name, &archive)?;
    let size = fs::metadata(&archive).with_context(|| archive.display().to_string())?.len();
    let megabytes = size.div_ceil(1_000_000);
    print(&format!(
        "{} ({megabytes} MB) is for {} on {}.\nUnpack it there, and start runner/serve; START.md says the rest.\n",
        archive.display(),
        consts::OS,
        consts::ARCH
    ));
    Ok(0)
}

/// Makes a new folder of a kit, with these programs, and with the lesson in one file.
fn fill(kit: &Path, programs: &[(PathBuf, PathBuf)], page: &str) -> io::Result<()> {
    match fs::remove_dir_all(kit) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(kit.join("runner"))?;
    fs::create_dir_all(kit.join("docs"))?;
    fs::write(kit.join("START.md"), include_str!("kit.md"))?;
    fs::write(kit.join(tab::NAME), page)?;
    for text in TEXTS {
        copy(Path::new(text), &kit.join(text))?;
    }
    for (program, name) in programs {
        fs::copy(program, kit.join("runner").join(name))?;
    }
    Ok(())
}

/// Copies a file, or a folder and its contents.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Makes `archive` of the folder `name` in `all`, with the `tar` that Linux, macOS and Windows bring along.
fn pack(all: &Path, name: &str, archive: &Path) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    // Otherwise `tar` of macOS adds files of its own.
    tar.env("COPYFILE_DISABLE", "1").stdin(Stdio::null()).current_dir(all);
    tar.args(if cfg!(windows) { ["-a", "-cf"] } else { ["-z", "-cf"] });
    // The name alone: some versions of `tar` take a colon in a path for the name of another machine.
    tar.arg(archive.file_name().unwrap_or_default()).arg(name);
    match tar.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::new(
            "tar has not packed the kit",
            format!("see to it that tar is on PATH; or copy the folder as it is: {}", all.join(name).display()),
        )
        .into()),
    }
}
