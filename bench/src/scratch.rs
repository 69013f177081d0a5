//! A folder for temporary files of a measurement.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::Failure;

/// The folder. Dropping it removes the folder with all its files.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder beside this program, so that the next run finds and removes the files of an interrupted run. Two
    /// runs at the same time need different ports, and have different folders.
    pub(crate) fn new(port: u16) -> Result<Self, Failure> {
        let path = env::current_exe().unwrap_or_default().with_file_name(format!("hello-bench-{port}"));
        _ = fs::remove_dir_all(&path);
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(Scratch(path)),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }

    /// The path of a file in the folder.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Creates a file in the folder.
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

/// The failure when a file cannot be written.
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure(format!("cannot write {}: {error}", path.display()), "it takes a folder that you may write to")
}
