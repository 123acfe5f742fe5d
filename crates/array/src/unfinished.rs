//! Outputs that appear at their path when they are complete.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The path of an output that is being written. Dropping it removes the output, unless that was completed.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    pub(crate) path: PathBuf,
    target: &'a Path,
    is_complete: bool,
}

impl<'a> Unfinished<'a> {
    /// Returns a path beside that of the output. `create` must create a new file or directory there.
    pub(crate) fn new(
        target: &'a Path,
        create: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Self> {
        // Worker processes may run in another directory.
        let absolute = std::path::absolute(target)?;
        let mut name = absolute.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let path = absolute.with_file_name(name);
        create(&path)?;
        Ok(Self {
            path,
            target,
            is_complete: false,
        })
    }

    /// Moves the output to its path. A file replaces a file there, and a directory an empty one.
    pub(crate) fn complete(mut self) -> io::Result<()> {
        fs::rename(&self.path, self.target)?;
        self.is_complete = true;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let _ = fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
    }
}
