//! File systems whose type is erased.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::file::{FileInfo, OpenedFile};
use super::file_system::FileSystem;
use super::output::{OutputOptions, PendingFile, PendingOutput, Token};
use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Saver};

/// The methods of a [`FileSystem`] of any type, and how it is sent to a worker process.
pub(crate) trait ErasedFileSystem: Send + Sync {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>>;
    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>>;
    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile>;
    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>>;
    fn create(&self, output: &Token, name: &str, attempt: &str)
    -> io::Result<Box<dyn PendingFile>>;
    fn remove(&self, path: &str) -> io::Result<()>;
    fn is_transient(&self, error: &io::Error) -> bool;
    fn read_ahead_bytes(&self) -> usize;
    fn save(&self, to: &mut Saver) -> Result<()>;
}

struct Shared<F>(Arc<F>);

impl<F: FileSystem> Shared<F> {
    const ENTRY: &'static FunctionEntry<AnyFileSystem> =
        &FunctionEntry::of::<F>(|from| Ok(AnyFileSystem(Arc::new(Self(from.state::<F>()?)))));
}

impl<F: FileSystem> ErasedFileSystem for Shared<F> {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        self.0.list(prefix)
    }

    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>> {
        self.0.find(path)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        self.0.open(path, range)
    }

    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        self.0.begin(path, options)
    }

    fn create(
        &self,
        output: &Token,
        name: &str,
        attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        self.0.create(output, name, attempt)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }

    fn is_transient(&self, error: &io::Error) -> bool {
        self.0.is_transient(error)
    }

    fn read_ahead_bytes(&self) -> usize {
        self.0.read_ahead_bytes()
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(Self::ENTRY)?;
        to.state(&self.0)
    }
}

/// A file system of any type.
#[derive(Clone)]
pub(crate) struct AnyFileSystem(Arc<dyn ErasedFileSystem>);

impl AnyFileSystem {
    pub(crate) fn new(file_system: impl FileSystem) -> Self {
        Self(Arc::new(Shared(Arc::new(file_system))))
    }

    pub(super) fn get(&self) -> &dyn ErasedFileSystem {
        &*self.0
    }
}

impl fmt::Debug for AnyFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyFileSystem")
    }
}

/// As bytes, because the type is known only by its function entry.
impl Serialize for AnyFileSystem {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes = Saver::write(|to| self.get().save(to));
        bytes.map_err(ser::Error::custom)?.serialize(to)
    }
}

/// File systems with equal settings are one, so that those of many files share their connections.
impl<'de> Deserialize<'de> for AnyFileSystem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        type Loaded = (Vec<u8>, Weak<dyn ErasedFileSystem>);
        static LOADED: Mutex<Vec<Loaded>> = Mutex::new(Vec::new());
        let bytes = Vec::<u8>::deserialize(from)?;
        let loaded = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = loaded().iter().find_map(|(settings, file_system)| {
            let is_it = *settings == bytes;
            is_it.then(|| file_system.upgrade()).flatten()
        });
        if let Some(known) = known {
            return Ok(Self(known));
        }
        let new: Self = Loader::read(&bytes, Loader::entry).map_err(de::Error::custom)?;
        let mut loaded = loaded();
        loaded.retain(|(_, file_system)| file_system.strong_count() > 0);
        loaded.push((bytes, Arc::downgrade(&new.0)));
        Ok(new)
    }
}
