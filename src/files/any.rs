//! File systems whose type is erased.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::file::{FileInfo, OpenedFile};
use super::file_system::FileSystem;
use crate::error::Result;
use crate::portable::{FunctionEntry, Saver};

/// The methods of a [`FileSystem`] of any type, and how it is sent to a worker process.
pub(crate) trait ErasedFileSystem: Send + Sync {
    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>>;
    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile>;
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
    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>> {
        self.0.find(path)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        self.0.open(path, range)
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
