//! Outputs on the file system of their path: what may be there before, and what must not be there afterwards.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::any::AnyFileSystem;
use super::file_systems::FileSystems;
use super::local::{self, LocalFiles};
use super::output::{OutputOptions, PendingFile, PendingOutput, Token};
use super::path::check_local;
use super::retry::retry;
use crate::error::{Error, ErrorKind, Result, plain};
use crate::storage::file::write_error;
use crate::storage::output::is_part;

/// An output that has been begun. Dropping it aborts it.
pub(crate) struct NewOutput {
    /// Path as the user has specified it.
    path: PathBuf,
    file_system: AnyFileSystem,
    pending: Box<dyn PendingOutput>,
    /// Files that the output replaces. The local file system replaces them itself.
    replaced: Vec<OldFile>,
}

/// A file that was at the path before.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OldFile {
    /// Path without the scheme.
    path: String,
    /// Name in the directory of the output, or `None` for a file at the path itself.
    name: Option<String>,
}

/// Creates the files of an output, in tasks.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutputWriter {
    #[serde(with = "plain")]
    path: PathBuf,
    file_system: AnyFileSystem,
    token: Token,
}

impl NewOutput {
    /// Begins an output at `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if something exists at `path` that may not be replaced, or if the file system fails.
    pub(crate) fn begin(
        file_systems: &FileSystems,
        path: &Path,
        options: &OutputOptions,
    ) -> Result<Self> {
        let Some((file_system, rest)) = file_systems.find(path)? else {
            return Ok(Self {
                path: path.to_owned(),
                file_system: AnyFileSystem::new(LocalFiles),
                pending: local::begin(path, check_local(path)?, options)?,
                replaced: Vec::new(),
            });
        };
        let rest = rest.trim_end_matches('/');
        let replaced = find_replaced(file_system, rest, path, options.overwrite)?;
        let pending = file_system.get().begin(rest, options);
        Ok(Self {
            path: path.to_owned(),
            file_system: file_system.clone(),
            pending: pending.map_err(|error| not_created(path, error))?,
            replaced,
        })
    }

    /// Returns what tasks need to create files.
    ///
    /// # Errors
    ///
    /// Returns an error if the output cannot be serialised.
    pub(crate) fn writer(&self) -> Result<OutputWriter> {
        let token = self.pending.token();
        Ok(OutputWriter {
            path: self.path.clone(),
            file_system: self.file_system.clone(),
            token: token.map_err(|error| failed("create", &self.path, error))?,
        })
    }

    /// Makes the files visible, and removes those that they replace and that have other names.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails.
    pub(crate) fn commit(self, files: Vec<Token>, names: &[String]) -> Result<()> {
        let names: HashSet<_> = names.iter().map(String::as_str).collect();
        let committed = self.pending.commit(files);
        committed.map_err(|error| not_created(&self.path, error))?;
        for old in &self.replaced {
            let name = old.name.as_deref();
            if name.is_some_and(|name| names.contains(name)) {
                continue;
            }
            let remove = || self.file_system.get().remove(&old.path);
            match retry(&self.file_system, remove) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let reason =
                        format!("{error}; the new files are beside this one of the old output");
                    let error = io::Error::new(error.kind(), reason);
                    let path = name.map(|name| self.path.join(name));
                    return Err(Error::io(
                        "remove",
                        path.as_ref().unwrap_or(&self.path),
                        error,
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Returns the files at `directory`, which errors call `path`, and below it.
fn find_replaced(
    file_system: &AnyFileSystem,
    directory: &str,
    path: &Path,
    overwrite: bool,
) -> Result<Vec<OldFile>> {
    let listed = retry(file_system, || file_system.get().list(directory));
    let listed = listed.map_err(|error| failed("list", path, error))?;
    let mut replaced = Vec::new();
    for file in listed {
        let name = match file.path.strip_prefix(directory) {
            // All files are below the root.
            Some(below) if directory.is_empty() => Some(below),
            Some("") => None,
            // A store may have an empty file that stands for a directory.
            Some("/") | None => continue,
            Some(below) => match below.strip_prefix('/') {
                Some(name) => Some(name),
                None => continue,
            },
        };
        if !overwrite {
            return Err(output_exists(path));
        }
        if let Some(name) = name.filter(|name| !is_part(name)) {
            return Err(Error::new(ErrorKind::NotAnOutput {
                path: path.to_owned(),
                found: path.join(name),
            }));
        }
        let name = name.map(str::to_owned);
        let path = file.path;
        replaced.push(OldFile { path, name });
    }
    replaced.sort();
    Ok(replaced)
}

impl OutputWriter {
    /// Creates a file of the output.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails.
    pub(crate) fn create(&self, name: &str, attempt: &str) -> Result<Box<dyn PendingFile>> {
        let file = self.file_system.get().create(&self.token, name, attempt);
        file.map_err(|error| failed("create", &self.path.join(name), error))
    }

    /// Returns the error of a file that could not be written. Never inlined, to keep the loop over records small.
    #[cold]
    #[inline(never)]
    pub(crate) fn failed(&self, name: &str, error: io::Error) -> Error {
        failed("write", &self.path.join(name), error)
    }
}

fn output_exists(path: &Path) -> Error {
    let path = path.to_owned();
    Error::new(ErrorKind::OutputExists { path })
}

/// Returns the error of an output that could not be begun or committed.
fn not_created(path: &Path, error: io::Error) -> Error {
    match failed("create", path, error).into_kind() {
        ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            output_exists(path)
        }
        kind => Error::new(kind),
    }
}

/// Returns the error of a failed operation. Local files have errors with paths of their own.
fn failed(operation: &'static str, path: &Path, error: io::Error) -> Error {
    match error.downcast() {
        Ok(error) => error,
        Err(error) => write_error(operation, path, 0, error),
    }
}
