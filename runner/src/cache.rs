//! A cache of compiled code, for the next start. Wasmtime stores the code, keyed by the component and by its own version, but
//! trusts the files that it finds. Compiled code is as good as a program: wasmtime would run code that another user has put
//! there, or that a disk has damaged. So each component has a folder of its own, which no other user may write to, with a
//! checksum (SHA-256) over all files of wasmtime. Code that does not match its checksum is compiled again.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use sha2::{Digest, Sha256};
use wasmtime::{Cache, CacheConfig};

use crate::limits::MIB;
use crate::system::cause_of;

/// The most components in the cache: those that were compiled last.
const MOST_KEPT: usize = 32;

/// The file with the checksum, and beside it the folder of wasmtime, which removes files that it does not know from its folder.
const SUM: &str = "sum.sha256";
const CODE: &str = "code";

/// The compiled code of one component.
pub(crate) struct CodeCache {
    folder: PathBuf,
    cache: Cache,
}

impl CodeCache {
    /// Finds the code of the component that has these bytes, and removes code that cannot be trusted.
    ///
    /// # Errors
    /// The folder cannot be made, belongs to another user, or has damaged code that cannot be removed; or wasmtime refuses it.
    pub(crate) fn find(component: &[u8]) -> anyhow::Result<Self> {
        let all = place(|name| std::env::var_os(name))?;
        own_folder(&all)?;
        let folder = all.join(text(&Sha256::digest(component)[..16]));
        own_folder(&folder)?;
        let is_whole = sum(&folder).is_ok_and(|sum| fs::read_to_string(folder.join(SUM)).is_ok_and(|kept| kept == sum));
        if !is_whole {
            let damaged = || format!("what is in {} is damaged, and cannot be removed", folder.display());
            remove(&folder.join(CODE)).with_context(damaged)?;
        }
        let mut config = CacheConfig::new();
        config.with_directory(folder.join(CODE));
        // Otherwise wasmtime compresses often used code again later, and the checksum no longer matches.
        config.with_optimized_compression_usage_counter_threshold(u64::MAX);
        let cache = Cache::new(config).map_err(|error| match cause_of(&error) {
            Some(error) => anyhow::Error::from(error),
            None => anyhow!("{error:#}"),
        })?;
        Ok(CodeCache { folder, cache })
    }

    /// The cache of wasmtime, in which it looks for code and stores new code.
    pub(crate) fn cache(&self) -> Cache {
        self.cache.clone()
    }

    /// Writes the checksum of new code, once the component is compiled. Code without a checksum is compiled again at the
    /// next start.
    ///
    /// # Errors
    /// The new code, or its checksum, cannot be written.
    pub(crate) fn seal(&self) -> anyhow::Result<()> {
        if self.cache.cache_hits() > 0 {
            return Ok(());
        }
        let new = self.folder.join(format!("{}.{SUM}", std::process::id()));
        let sealed = self.sum_of_the_new().and_then(|sum| fs::write(&new, sum));
        let sealed = sealed.and_then(|()| fs::rename(&new, self.folder.join(SUM)));
        if sealed.is_err() {
            // Half-written code is of no use. If it cannot be removed, it stays.
            let _ = fs::remove_file(&new);
            let _ = remove(&self.folder.join(CODE));
        }
        if let Some(all) = self.folder.parent() {
            forget_the_oldest(all);
        }
        sealed.with_context(|| self.folder.display().to_string())
    }

    /// The checksum of the code that wasmtime has written. If wasmtime could not write, it does not report why: writing a file of
    /// 1 MiB does.
    fn sum_of_the_new(&self) -> io::Result<String> {
        if self.cache.cache_misses() == 0 {
            let code = self.folder.join(CODE);
            fs::create_dir_all(&code).and_then(|()| fs::write(code.join("try"), vec![0; MIB]))?;
            return Err(io::Error::other("it could not be written"));
        }
        sum(&self.folder)
    }
}

/// The variable that names a folder of the user, and the folder for caches in it.
const USERS: (&str, &str) = if cfg!(windows) { ("LOCALAPPDATA", "") } else { ("HOME", ".cache") };

/// The folder that has the folders of all components, by the variables of the environment.
fn place(variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let (name, caches) = USERS;
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder(name)?.join(caches)));
    let caches = caches.ok_or_else(|| anyhow!("neither XDG_CACHE_HOME nor {name} is set"))?;
    Ok(caches.join("hello-runner"))
}

/// Makes the folder, if it does not exist, and checks that no other user can write to it. Every user may use a folder of root:
/// a container image brings its code in one.
fn own_folder(folder: &Path) -> anyhow::Result<()> {
    let name = || folder.display().to_string();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.create(folder).with_context(name)?;
    let found = fs::metadata(folder).with_context(name)?;
    match is_ours(&found) {
        true => Ok(()),
        false => bail!("{} belongs to another user, or others can write to it", folder.display()),
    }
}

#[cfg(unix)]
fn is_ours(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    const ROOT: u32 = 0;
    const OTHERS_WRITE: u32 = 0o022;
    [rustix::process::geteuid().as_raw(), ROOT].contains(&found.uid()) && found.mode() & OTHERS_WRITE == 0
}

/// Whether the folder is ours: always outside of Unix, where others cannot write to the folder of a user.
#[cfg(not(unix))]
fn is_ours(_found: &fs::Metadata) -> bool {
    true
}

/// The checksum of all code in `folder`, with the names of its files.
fn sum(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    list(&folder.join(CODE), &mut files)?;
    files.sort();
    let mut sum = Sha256::new();
    for file in files {
        // Reading a pipe might never end.
        if !fs::symlink_metadata(&file)?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let code = fs::read(&file)?;
        sum.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        sum.update((code.len() as u64).to_le_bytes());
        sum.update(code);
    }
    Ok(text(&sum.finalize()))
}

/// Adds the code below `folder` to `files`. Files with an extension (`.stats`) are about the code, and may change at any time.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_none() {
            files.push(path);
        }
    }
    Ok(())
}

/// Removes a folder and its contents, if it exists.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the code of the components that were compiled longest ago, if there are more than [`MOST_KEPT`]. Folders
/// that cannot be removed stay.
fn forget_the_oldest(all: &Path) {
    let Ok(folders) = fs::read_dir(all) else { return };
    let age = |folder: &Path| fs::metadata(folder.join(SUM)).and_then(|sum| sum.modified());
    let folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
    let mut aged: Vec<(SystemTime, PathBuf)> = folders.filter_map(|path| Some((age(&path).ok()?, path))).collect();
    aged.sort();
    for (_, folder) in aged.iter().rev().skip(MOST_KEPT) {
        let _ = remove(folder);
    }
}

/// Bytes as hexadecimal digits.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_kept_where_the_system_has_the_caches_of_a_user() {
        let top = std::env::temp_dir();
        let set = |names: &'static [&str]| {
            place(|name| names.contains(&name).then(|| top.join(name).into())).map_err(|error| error.to_string())
        };
        let users = if cfg!(windows) { top.join("LOCALAPPDATA") } else { top.join("HOME").join(".cache") };
        assert_eq!(set(&["HOME", "LOCALAPPDATA"]), Ok(users.join("hello-runner")));
        let chosen = top.join("XDG_CACHE_HOME").join("hello-runner");
        assert_eq!(set(&["HOME", "LOCALAPPDATA", "XDG_CACHE_HOME"]), Ok(chosen));
        let missing = if cfg!(windows) { "LOCALAPPDATA" } else { "HOME" };
        assert_eq!(set(&[]), Err(format!("neither XDG_CACHE_HOME nor {missing} is set")));
    }

    #[test]
    fn a_folder_that_depends_on_where_the_program_is_started_is_none() {
        assert!(place(|_| Some("caches".into())).is_err());
    }
}
