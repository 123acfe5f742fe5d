//! Scratch files for code outside this crate, which may be sent between processes as part of a value.
//!
//! A file is deleted with its last reference in the process that owns it. Its handle is sent to other processes as a
//! path. So the code that sends a value must know which files it refers to, and keep them as long as the value:
//! [`referencing`] returns them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FilePart;
use crate::error::Result;
use crate::error::plain::ToPlain;
use crate::storage::blocks::{BlockFile, BlockWriter};
use crate::storage::scratch::{Scratch, ScratchFile};

/// Writes a new [`SpillFile`], which has an example, sequentially. If it is dropped before it is finished, the file is
/// deleted.
///
/// It buffers up to 64 KiB. [`io::Write`] adds nothing to [`append`](Self::append) but the trait: its errors are those
/// of `append`, converted to [`io::Error`].
///
/// Created by [`TaskScope::create_file`](crate::extend::TaskScope::create_file) and
/// [`ContextResources::create_file`](crate::extend::ContextResources::create_file).
#[derive(Debug)]
pub struct SpillWriter(BlockWriter);

impl SpillWriter {
    /// Creates a file in `scratch`.
    pub(crate) fn create(scratch: &Scratch) -> Result<Self> {
        BlockWriter::create(scratch, "file").map(Self)
    }

    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// Returns [`DiskFull`](crate::ErrorKind::DiskFull), [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded), or another
    /// error of the system. The file then contains the bytes of the earlier calls, and some of these.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.append(bytes)
    }

    /// Returns the number of bytes that have been appended.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Writes the rest of the buffer, and returns the file for its readers.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`append`](Self::append).
    pub fn finish(self) -> Result<SpillFile> {
        let file = self.0.finish()?;
        live().add(file.file());
        Ok(SpillFile(file))
    }
}

impl io::Write for SpillWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file in the scratch directory of a job or of a context. Clones share it; the last one deletes it.
///
/// The file counts towards the [disk quota](crate::ContextBuilder::disk_quota), and its bytes count as spilled. It has
/// checksums, so a reader never receives bytes that were not written. If the process is killed, the next context with
/// the same spill directory deletes the file.
///
/// The handle can be part of the value of a [task](crate::extend::Layer), and so be sent to other processes. holdall
/// keeps the file as long as such a value. A handle in any other data that is sent to a worker process is valid only as
/// long as a handle exists in this process.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::extend::ContextResources;
///
/// let context = Context::builder().build()?;
/// let mut writer = ContextResources::new(&context).create_file()?;
/// for n in 0..100_000_u32 {
///     writer.append(&n.to_le_bytes())?;
/// }
/// let file = writer.finish()?;
/// assert_eq!(file.bytes(), 400_000);
/// let mut number = [0; 4];
/// assert_eq!(file.read_at(4 * 77_777, &mut number)?, 4);
/// assert_eq!(u32::from_le_bytes(number), 77_777);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpillFile(BlockFile);

impl SpillFile {
    /// Returns the number of bytes that were written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Fills `buffer` with the bytes at `offset`. Returns their number, which is smaller than the length of `buffer`
    /// only if the file ends before.
    ///
    /// Reads whole blocks of 64 KiB, so many small reads cost more than a few large ones.
    ///
    /// # Errors
    ///
    /// Returns [`CorruptRun`](crate::ErrorKind::CorruptRun) if the file is damaged or missing. If a task returns this
    /// error, holdall recomputes the values that the task has read, and runs the task again.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

/// Sends the path. See [`SpillFile`] for how long it is valid.
impl Serialize for SpillFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        REFERENCES.with_borrow_mut(|references| {
            if let Some(references) = references {
                references.push(Arc::clone(self.0.file()));
            }
        });
        (self.0.path().to_owned().to_plain(), self.0.bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SpillFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (path, bytes) = Deserialize::deserialize(deserializer)?;
        let path = PathBuf::from_plain(path);
        let file = live().find(&path);
        // If this process does not own the file, dropping the handle does not delete it.
        let file = file.unwrap_or_else(|| {
            let scratch = SCRATCH.with_borrow(Clone::clone);
            scratch
                .unwrap_or_else(|| Scratch::new(None, None))
                .borrow(path)
        });
        Ok(Self(BlockFile::new(file, bytes)))
    }
}

thread_local! {
    /// Access to the files of handles that are deserialised on this thread, if they may have other homes.
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };

    /// Files of the handles that were serialised on this thread, if [`referencing`] collects them.
    static REFERENCES: RefCell<Option<Vec<Arc<ScratchFile>>>> = const { RefCell::new(None) };
}

/// Runs `work`. The handles that it deserialises refer to files that `scratch` can read.
pub(crate) fn resolving<R>(scratch: &Scratch, work: impl FnOnce() -> R) -> R {
    /// Restores the outer scratch when dropped, also by unwinding.
    struct Outer(Option<Scratch>);

    impl Drop for Outer {
        fn drop(&mut self) {
            SCRATCH.set(self.0.take());
        }
    }

    if !scratch.has_homes() {
        return work();
    }
    let _outer = Outer(SCRATCH.replace(Some(scratch.clone())));
    work()
}

/// Runs `work`, and returns the files of all handles that it has serialised.
pub(crate) fn referencing<R>(
    work: impl FnOnce() -> Result<R>,
) -> Result<(R, Vec<Arc<ScratchFile>>)> {
    /// Restores the outer collection when dropped, also by unwinding: user code may nest.
    struct Outer(Option<Vec<Arc<ScratchFile>>>);

    impl Drop for Outer {
        fn drop(&mut self) {
            REFERENCES.set(self.0.take());
        }
    }

    let _outer = Outer(REFERENCES.replace(Some(Vec::new())));
    let result = work()?;
    let mut references = REFERENCES.take().unwrap_or_default();
    // Checking a type serialises its value more than once.
    references.sort_by(|a, b| a.path().cmp(b.path()));
    references.dedup_by(|a, b| a.path() == b.path());
    Ok((result, references))
}

/// Files of this process to which handles may refer.
#[derive(Default)]
struct LiveFiles {
    by_path: HashMap<PathBuf, Weak<ScratchFile>>,
    /// Number of files at which those that have been deleted are removed.
    crowded: usize,
}

static LIVE: Mutex<Option<LiveFiles>> = Mutex::new(None);

/// The guard of the files of this process.
struct LiveGuard(MutexGuard<'static, Option<LiveFiles>>);

fn live() -> LiveGuard {
    LiveGuard(LIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

impl LiveGuard {
    fn add(&mut self, file: &Arc<ScratchFile>) {
        let live = self.0.get_or_insert_default();
        if live.by_path.len() >= live.crowded {
            live.by_path.retain(|_, file| file.strong_count() > 0);
            live.crowded = 2 * live.by_path.len() + 1;
        }
        let path = file.path().to_owned();
        live.by_path.insert(path, Arc::downgrade(file));
    }

    fn find(&self, path: &Path) -> Option<Arc<ScratchFile>> {
        self.0.as_ref()?.by_path.get(path)?.upgrade()
    }
}

/// Takes over a file that another process has created and left to this one.
pub(crate) fn adopted(file: FilePart, scratch: &Scratch) -> Result<Arc<ScratchFile>> {
    let bytes = file.end();
    let file = scratch.adopt(file.path, bytes)?;
    live().add(&file);
    Ok(file)
}

/// Returns a file to which handles may refer, if a handle to it exists in this process.
pub(crate) fn known(path: &Path) -> Option<Arc<ScratchFile>> {
    live().find(path)
}
