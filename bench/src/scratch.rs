//! A folder for what is written while it is measured.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::Failure;

/// The folder. It is removed with all that is in it when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it beside this program, so that what an interrupted run leaves is found, and removed, by the next one. Two
    /// that run at the same time need different ports, and have different folders.
    pub(crate) fn new(port: u16) -> Result<Self, Failure> {
        let path = env::current_exe().unwrap_or_default().with_file_name(format!("hello-bench-{port}"));
        _ = fs::remove_dir_all(&path);
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(Scratch(path)),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }

    /// Where something stands in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Begins a file in it.
    pub(crate) fn create(&self, name: &str) -> Result<fs::File, Failure> {
        let path = self.join(name);
        fs::File::create(&path).map_err(|error| unwritable(&path, &error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// The failure when something cannot be written.
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure(format!("cannot write {}: {error}", path.display()), "it takes a folder that you may write to")
}
