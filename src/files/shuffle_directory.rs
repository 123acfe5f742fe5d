//! The shuffle directory: a place for map outputs that all machines reach, in a store or on a disk that they share.

use std::fs;
use std::path::{self, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use super::any::AnyFileSystem;
use super::buffered_file::{attempt_name, failed};
use super::file_systems::FileSystems;
use super::new_file::NewFile;
use super::output::OutputOptions;
use super::path::{check_local, rest_of};
use super::retry::retry;
use crate::error::{Error, Result, caught, plain};

/// Maximum number of files that are removed at a time. With fewer, a job with many map outputs ends later.
const REMOVALS: usize = 16;

/// The directory for the map outputs of one context: see
/// [`ContextBuilder::shuffle_directory`](crate::ContextBuilder::shuffle_directory).
///
/// Serde can send it to other processes of this program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShuffleDirectory {
    /// Path of the directory of a job, without `-` and the number of the job.
    #[serde(with = "plain")]
    path: PathBuf,
    /// The file system of the path, unless it is local.
    pub(super) file_system: Option<AnyFileSystem>,
}

impl ShuffleDirectory {
    /// Chooses a unique name in the directory `parent`, and creates and removes a file there.
    ///
    /// # Errors
    ///
    /// Returns an error if the scheme is unknown, or if files cannot be created and removed.
    pub(crate) fn create(file_systems: &FileSystems, parent: &Path) -> Result<Self> {
        let name = format!("holdall-{}", attempt_name());
        let Some((file_system, rest)) = file_systems.find(parent)? else {
            let local = path::absolute(check_local(parent)?);
            let local = local.map_err(|error| failed("create", parent, error))?;
            let path = local.join(name);
            let tested = fs::create_dir_all(&local)
                .and_then(|()| fs::create_dir(&path))
                .and_then(|()| fs::remove_dir(&path));
            tested.map_err(|error| failed("create", &path, error))?;
            return Ok(Self {
                path,
                file_system: None,
            });
        };
        let whole = parent.to_string_lossy();
        let scheme = &whole[..whole.len() - rest.len()];
        let path = match rest.trim_end_matches('/') {
            "" => format!("{scheme}{name}"),
            rest => format!("{scheme}{rest}/{name}"),
        };
        let directory = Self {
            path: path.into(),
            file_system: Some(file_system.clone()),
        };
        directory.test(file_system)?;
        Ok(directory)
    }

    /// Creates and removes a file.
    fn test(&self, file_system: &AnyFileSystem) -> Result<()> {
        use std::io::Write;
        let directory = self.of_job("test");
        let path = directory.join("part-00000");
        let mut file = NewFile::on(file_system, &path, &options())?;
        let written = file.write_all(b"holdall");
        written.map_err(|error| failed("write", &path, error))?;
        file.commit()?;
        let removed = retry(file_system, || file_system.get().remove(rest_of(&path)));
        removed.map_err(|error| failed("remove", &path, error))?;
        // Some file systems have directories.
        remove_file(file_system, rest_of(&directory));
        Ok(())
    }

    /// Returns the path with which those of all of its files begin. No other context has it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of a job.
    pub(super) fn of_job(&self, job: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("-{job}"));
        path.into()
    }

    /// Removes the files of all jobs, because the process that has run them is gone. Ignores errors.
    pub fn remove_all(&self) {
        let Some(file_system) = &self.file_system else {
            let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
                return;
            };
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let found = entry.file_name();
                let job = found
                    .as_encoded_bytes()
                    .strip_prefix(name.as_encoded_bytes());
                if job.is_some_and(|job| job.starts_with(b"-")) {
                    _ = fs::remove_dir_all(entry.path());
                }
            }
            return;
        };
        remove_files(file_system, rest_of(&self.of_job("")));
    }
}

/// Options of the files, whose names are unique, and which are useless after a power failure.
pub(super) fn options() -> OutputOptions {
    OutputOptions::default().overwrite(true).durable(false)
}

/// Removes a file. Ignores errors.
pub(super) fn remove_file(file_system: &AnyFileSystem, path: &str) {
    _ = caught(None, || {
        retry(file_system, || file_system.get().remove(path)).map_err(Error::from)
    });
}

/// Removes all files whose paths begin with `prefix`. Ignores errors.
pub(super) fn remove_files(file_system: &AnyFileSystem, prefix: &str) {
    let list = || retry(file_system, || file_system.get().list(prefix)).map_err(Error::from);
    let files = caught(None, list).unwrap_or_default();
    let threads = files.len().min(REMOVALS);
    let files = Mutex::new(files.into_iter());
    let next = || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let remove = || {
        while let Some(file) = next() {
            remove_file(file_system, &file.path);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // This thread removes what others do not.
            _ = thread::Builder::new().spawn_scoped(scope, remove);
        }
        remove();
    });
}
