//! Single files that appear whole or not at all. They are written in a directory like that of an unfinished output.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::super::owned_directory::OwnedDirectory;
use super::super::rename::rename_new;
use super::super::{directory, faults, file, owned};
use super::{KIND, NEW, cancelled, make_all};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// An unfinished file. Dropping it deletes it.
#[derive(Debug)]
pub(crate) struct SingleFile {
    /// Path as the user has specified it.
    path: PathBuf,
    /// The same path, made absolute.
    target: PathBuf,
    overwrite: bool,
    is_durable: bool,
    directory: OwnedDirectory,
}

impl SingleFile {
    /// Begins a file at `local`, which errors call `path`. If `overwrite` is `true`, a file or a link may already exist
    /// there. If `is_durable` is `true`, the file is on disk when it is finished.
    ///
    /// Deletes the unfinished outputs that dead processes have left next to it.
    pub(crate) fn create(
        path: &Path,
        local: &Path,
        overwrite: bool,
        is_durable: bool,
    ) -> Result<Self> {
        let failed = |source| file::write_error("create", path, 0, source);
        let target = std::path::absolute(local).map_err(failed)?;
        check(path, &target, overwrite)?;
        let parent = target.parent().unwrap_or(&target);
        owned::sweep(&KIND, parent);
        let made = make_all(parent).map_err(failed)?;
        let directory = OwnedDirectory::create(&KIND, parent, made).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            directory: directory.ok_or_else(cancelled)?,
            target,
            overwrite,
            is_durable,
        })
    }

    /// Returns the path at which the file is written.
    pub(crate) fn unfinished(&self) -> PathBuf {
        let name = format!("{}-0", std::process::id());
        self.directory.path().join(name)
    }

    /// Returns the path of the file once all of it has been written.
    pub(crate) fn finished(&self) -> PathBuf {
        self.directory.path().join(NEW)
    }

    /// Creates the file.
    pub(crate) fn open(&self) -> Result<File> {
        File::create(self.unfinished()).map_err(|source| self.failed(source))
    }

    /// Moves the file to its path. It replaces another one in one step.
    pub(crate) fn finish(self) -> Result<()> {
        let moved = self.directory.uninterrupted(|| {
            check(&self.path, &self.target, self.overwrite)?;
            self.put().map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => exists(&self.path),
                _ => self.failed(source),
            })
        });
        moved.unwrap_or_else(|| Err(cancelled()))
    }

    fn put(&self) -> io::Result<()> {
        let new = self.finished();
        if self.is_durable {
            faults::point()?;
            File::open(&new)?.sync_all()?;
        }
        match self.overwrite {
            true => fs::rename(&new, &self.target)?,
            false => rename_new(&new, &self.target)?,
        }
        if self.is_durable {
            let added = self.directory.made().iter().chain([&self.target]);
            for above in added.filter_map(|path| path.parent()) {
                directory::sync(above)?;
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        file::write_error("create", &self.path, 0, source)
    }
}

/// Returns an error if something exists at `target` that may not be replaced, and another one if it is a directory, which
/// is not even replaced if the caller asks for it. Errors call it `path`.
fn check(path: &Path, target: &Path, overwrite: bool) -> Result<()> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => {
            let source = io::ErrorKind::IsADirectory.into();
            Err(file::write_error("create", path, 0, source))
        }
        Ok(_) if !overwrite => Err(exists(path)),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::OutputExists {
        path: path.to_owned(),
        is_appended: false,
        context: ErrorContext::default(),
    })
}
