//! The file systems of a context, by their schemes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::any::AnyFileSystem;
use super::file::FileInfo;
use super::file_system::FileSystem;
use super::path::{FILE_SCHEME, is_scheme, split_scheme};
use super::retry::retry;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::portable::{Loader, Portable, Saver};

static REGISTERED: Mutex<Vec<(String, AnyFileSystem)>> = Mutex::new(Vec::new());

/// Registers a file system for the paths that begin with `scheme` and `://`, in all contexts of the process, including
/// those that exist. [`ContextBuilder::file_system`](crate::ContextBuilder::file_system) overrides it for one context.
///
/// A crate that provides a file system can call it in a function that programs call at the top of `main`. Worker
/// processes need not call it.
///
/// # Errors
///
/// Returns [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if the scheme is invalid or `file`.
///
/// # Examples
///
/// ```
/// use holdall::files::{self, LocalFiles};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("a.txt");
/// std::fs::write(&path, "one\ntwo\n")?;
/// files::register("disk", LocalFiles)?;
/// assert_eq!(holdall::read_text(format!("disk://{}", path.display()))?.count()?, 2);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn register(scheme: impl Into<String>, file_system: impl FileSystem) -> Result<()> {
    let scheme = scheme.into();
    if !is_valid_scheme(&scheme) {
        return Err(invalid_scheme(scheme));
    }
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    insert(&mut registered, scheme, AnyFileSystem::new(file_system));
    Ok(())
}

/// Returns whether a file system can have the scheme.
pub(crate) fn is_valid_scheme(scheme: &str) -> bool {
    is_scheme(scheme) && !scheme.eq_ignore_ascii_case(FILE_SCHEME)
}

/// Returns the error of a scheme that is not valid.
pub(crate) fn invalid_scheme(scheme: String) -> Error {
    Error::new(ErrorKind::InvalidSetting {
        setting: "file_system",
        value: scheme,
        expected: "a scheme other than `file`: a letter, then letters, digits, `+`, `-` and `.`",
    })
}

fn insert(systems: &mut Vec<(String, AnyFileSystem)>, scheme: String, system: AnyFileSystem) {
    systems.retain(|(other, _)| !other.eq_ignore_ascii_case(&scheme));
    systems.push((scheme, system));
}

/// The file systems of a context, each with its scheme.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSystems(Arc<Vec<(String, AnyFileSystem)>>);

impl FileSystems {
    /// Adds a file system, in place of one with the same scheme.
    pub(crate) fn insert(&mut self, scheme: String, file_system: AnyFileSystem) {
        insert(Arc::make_mut(&mut self.0), scheme, file_system);
    }

    /// Adds the registered file systems whose schemes have no file system of the context.
    pub(crate) fn with_registered(&self) -> Self {
        let mut all = REGISTERED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if all.is_empty() {
            return self.clone();
        }
        for (scheme, file_system) in &*self.0 {
            insert(&mut all, scheme.clone(), file_system.clone());
        }
        Self(Arc::new(all))
    }

    /// Returns the file systems that `paths` need.
    pub(crate) fn of(&self, paths: &[PathBuf]) -> Self {
        let is_used = |scheme: &str| {
            let mut used = paths.iter().filter_map(|path| split_scheme(path));
            used.any(|(used, _)| used.eq_ignore_ascii_case(scheme))
        };
        let used = self.0.iter().filter(|(scheme, _)| is_used(scheme));
        Self(Arc::new(used.cloned().collect()))
    }

    /// Returns the file system of a path, and the part of the path after the scheme. Returns `None` for a local path.
    ///
    /// # Errors
    ///
    /// Returns an error if no file system is known by the scheme, or if the path is not UTF-8.
    pub(crate) fn find<'p>(&self, path: &'p Path) -> Result<Option<(&AnyFileSystem, &'p str)>> {
        let Some((scheme, rest)) = split_scheme(path) else {
            return Ok(None);
        };
        if scheme.eq_ignore_ascii_case(FILE_SCHEME) {
            return Ok(None);
        }
        let is_it = |(other, _): &&(String, _)| scheme.eq_ignore_ascii_case(other);
        let Some((_, file_system)) = self.0.iter().find(is_it) else {
            let known = self.0.iter().map(|(scheme, _)| scheme.clone());
            return Err(Error::new(ErrorKind::UnknownScheme {
                path: path.to_owned(),
                scheme: scheme.to_owned(),
                known: known.collect(),
                context: ErrorContext::default(),
            }));
        };
        let rest = str::from_utf8(rest).map_err(|_| {
            let reason = "the path is not UTF-8";
            let source = io::Error::new(io::ErrorKind::InvalidInput, reason);
            Error::io("open", path, source)
        })?;
        Ok(Some((file_system, rest)))
    }

    /// Returns the files that `path` stands for, with the scheme in their paths, and their file system. Returns `None` if
    /// the path is local.
    ///
    /// # Errors
    ///
    /// Returns an error if the files cannot be found.
    pub(super) fn list(&self, path: &Path) -> Result<Option<(&AnyFileSystem, Vec<FileInfo>)>> {
        let Some((file_system, rest)) = self.find(path)? else {
            return Ok(None);
        };
        let found = retry(file_system, || file_system.get().find(rest));
        let mut found =
            found.map_err(
                |error| match error.downcast::<Error>().map(Error::into_kind) {
                    Ok(ErrorKind::InvalidPattern { reason, .. }) => {
                        let pattern = path.display().to_string();
                        Error::new(ErrorKind::InvalidPattern { pattern, reason })
                    }
                    Ok(kind) => Error::new(kind),
                    Err(error) => Error::io("list", path, error),
                },
            )?;
        let scheme = path.to_string_lossy();
        let scheme = &scheme[..scheme.len() - rest.len()];
        for file in &mut found {
            file.path.insert_str(0, scheme);
        }
        Ok(Some((file_system, found)))
    }
}

impl Portable for FileSystems {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.data(&self.0.len())?;
        self.0.iter().try_for_each(|(scheme, file_system)| {
            to.data(scheme)?;
            file_system.get().save(to)
        })
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let count: usize = from.data()?;
        let load = |_| Ok((from.data()?, from.entry()?));
        let loaded = (0..count).map(load).collect::<Result<_>>()?;
        Ok(Self(Arc::new(loaded)))
    }
}
