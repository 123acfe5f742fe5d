//! Single files that appear whole or not at all.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::any::AnyFileSystem;
use super::buffered_file::{BufferedFile, attempt_name, failed};
use super::file_systems::FileSystems;
use super::local;
use super::new_output::{not_created, output_exists};
use super::output::{OutputOptions, PendingOutput};
use super::path::{check_local, rest_of};
use super::retry::retry;
use crate::error::{Error, Result};

/// A single file that is being written, on the file system of its path. It appears with its whole content when it is
/// [committed](Self::commit), or not at all. [`Context::create_file`](crate::Context::create_file) creates it.
///
/// It is written by one thread, in the process that runs the actions. Its errors name its path. Dropping it discards it.
/// If the process is killed, the next output in the same directory deletes what remains, as for
/// [directories](crate#what-holdall-deletes).
pub struct NewFile {
    /// Path as the user has specified it.
    path: PathBuf,
    content: BufferedFile,
    pending: Box<dyn PendingOutput>,
}

impl NewFile {
    pub(crate) fn create(
        file_systems: &FileSystems,
        path: &Path,
        options: &OutputOptions,
    ) -> Result<Self> {
        if let Some((file_system, _)) = file_systems.find(path)? {
            Self::on(file_system, path, options)
        } else {
            let (pending, file) = local::begin_file(path, check_local(path)?, options)?;
            Ok(Self {
                path: path.to_owned(),
                content: BufferedFile::new(file, path.to_owned(), options.compression),
                pending,
            })
        }
    }

    /// Like [`create`](Self::create), on the file system of the path.
    pub(super) fn on(
        file_system: &AnyFileSystem,
        path: &Path,
        options: &OutputOptions,
    ) -> Result<Self> {
        let rest = rest_of(path);
        let (directory, name) = rest.rsplit_once('/').unwrap_or(("", rest));
        if name.is_empty() {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file");
            return Err(Error::io("create", path, reason));
        }
        if !options.overwrite {
            let listed = retry(file_system, || file_system.get().list(rest));
            let listed = listed.map_err(|error| failed("list", path, error))?;
            if listed.iter().any(|file| file.path == rest) {
                return Err(output_exists(path));
            }
        }
        let options = OutputOptions {
            single_file: true,
            ..*options
        };
        let pending = file_system.get().begin(directory, &options);
        let pending = pending.map_err(|error| not_created(path, error))?;
        let token = pending
            .token()
            .map_err(|error| failed("create", path, error))?;
        let file = file_system.get().create(&token, name, &attempt_name());
        let file = file.map_err(|error| failed("create", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            content: BufferedFile::new(file, path.to_owned(), options.compression),
            pending,
        })
    }

    /// Returns the path as you passed it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file visible. Returns its size, in bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails, or if something has appeared at the path that may not be replaced.
    pub fn commit(self) -> Result<u64> {
        let (bytes, token) = self.content.finish()?;
        let committed = self.pending.commit(vec![token]);
        committed.map_err(|error| not_created(&self.path, error))?;
        Ok(bytes)
    }
}

impl Write for NewFile {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
