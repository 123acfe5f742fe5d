//! A file system: a store of keys, such as an object store has, in a local directory. Its calls fail on request.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use holdall::files::{
    FileInfo, FileSystem, OpenedFile, OutputOptions, PendingFile, PendingOutput, Token,
};
use serde::{Deserialize, Serialize};

/// A flat list of keys, which are the paths of files below a directory.
///
/// New files are uploaded to another directory, where no key leads to, and renamed when they are committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Store {
    /// Directory of the files.
    pub root: PathBuf,
    /// Directory of the files that are not committed yet.
    pub uploads: PathBuf,
    /// The failure.
    pub fault: Fault,
    /// Whether files have versions.
    pub has_versions: bool,
    /// Number of bytes to read ahead.
    pub ahead_bytes: usize,
    /// Whether a reader ends where it is expected to, as one of an HTTP range does.
    pub is_exact: bool,
}

/// Failure while a file is read or written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every second attempt to open a file for reading is refused.
    Refuses,
    /// Each reader loses its connection after this number of bytes.
    BreaksAfter(u64),
    /// Each reader ends after this number of bytes.
    EndsAfter(u64),
    /// The byte at this offset cannot be read.
    ReadAt(u64, Failing),
    /// This call fails.
    In(Call),
    /// The process ends when this file is written, if it can delete the file at the path.
    DiesIn(String, PathBuf),
}

/// Failure of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failing {
    /// With an error that is not transient.
    ForGood,
    /// With a transient error, each time.
    Again,
    /// With the end of the file.
    AsEnd,
    /// As if a signal had interrupted it.
    AsInterruption,
    /// With a panic.
    ByPanic,
}

/// A call for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Begin an output.
    Begin,
    /// Create `part-00001`.
    Create,
    /// Write `part-00001`.
    Write,
    /// Finish `part-00001`.
    Finish,
    /// Commit the second file.
    Commit,
    /// Commit the second file, with a panic.
    CommitByPanic,
    /// Remove a file.
    Remove,
}

/// The file that faults concern.
const BAD: &str = "part-00001";

/// Number of open readers of this process, for each directory.
static OPEN: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

fn change_open<R>(root: &Path, change: impl FnOnce(&mut usize) -> R) -> R {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    change(open.entry(root.to_owned()).or_default())
}

impl Store {
    /// Returns a store in two directories of `directory`, with versions and without faults.
    ///
    /// # Errors
    ///
    /// Returns an error if the directories cannot be created.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let store = Self {
            root: directory.join("files"),
            uploads: directory.join("uploads"),
            fault: Fault::None,
            has_versions: true,
            ahead_bytes: 0,
            is_exact: false,
        };
        fs::create_dir_all(&store.root)?;
        fs::create_dir_all(&store.uploads)?;
        Ok(store)
    }

    /// Returns the number of readers of this process that are open.
    #[must_use]
    pub fn open_readers(&self) -> usize {
        change_open(&self.root, |open| *open)
    }

    fn add(&self, directory: &Path, prefix: &str, found: &mut Vec<FileInfo>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add(&path, prefix, found)?;
                continue;
            }
            let key = path.strip_prefix(&self.root).map_err(io::Error::other)?;
            let key = key.to_string_lossy().into_owned();
            if key.starts_with(prefix) {
                let file = FileInfo::new(key, path.metadata()?.len());
                found.push(match self.has_versions {
                    true => file.version(version_of(&path)?),
                    false => file,
                });
            }
        }
        Ok(())
    }

    fn fail_in(&self, call: Call) -> io::Result<()> {
        match self.fault == Fault::In(call) {
            true => Err(io::Error::other(format!("{call:?} fails"))),
            false => Ok(()),
        }
    }
}

fn version_of(path: &Path) -> io::Result<String> {
    let metadata = path.metadata()?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
    Ok(format!("{} {modified:?}", metadata.len()))
}

impl FileSystem for Store {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        let mut found = Vec::new();
        self.add(&self.root, prefix, &mut found)?;
        Ok(found)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let is_refused = CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        if is_refused && self.fault == Fault::Refuses {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        assert!(range.start < range.end, "an empty range is never requested");
        let path = self.root.join(path);
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(range.start))?;
        change_open(&self.root, |open| *open += 1);
        let reader = StoreReader {
            root: self.root.clone(),
            file,
            fault: self.fault.clone(),
            at: range.start,
            read: 0,
            end: if self.is_exact { range.end } else { u64::MAX },
        };
        let open = OpenedFile::new(reader);
        Ok(match self.has_versions {
            true => open.version(version_of(&path)?),
            false => open,
        })
    }

    fn begin(&self, path: &str, _: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        self.fail_in(Call::Begin)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let uploads = self.uploads.join(format!("{}-{number}", process::id()));
        fs::create_dir(&uploads)?;
        Ok(Box::new(StoreOutput {
            store: self.clone(),
            directory: self.root.join(path),
            uploads,
        }))
    }

    fn create(
        &self,
        output: &Token,
        name: &str,
        attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        if name == BAD {
            self.fail_in(Call::Create)?;
        }
        let path = output.get::<PathBuf>()?.join(attempt);
        Ok(Box::new(StoreFile {
            store: self.clone(),
            file: BufWriter::new(File::create(&path)?),
            path,
            name: name.to_owned(),
        }))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.fail_in(Call::Remove)?;
        fs::remove_file(self.root.join(path))
    }

    fn read_ahead_bytes(&self) -> usize {
        self.ahead_bytes
    }
}

struct StoreReader {
    root: PathBuf,
    file: File,
    fault: Fault,
    at: u64,
    read: u64,
    end: u64,
}

impl Drop for StoreReader {
    fn drop(&mut self) {
        change_open(&self.root, |open| *open -= 1);
    }
}

impl Read for StoreReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut left = self.end - self.at;
        match self.fault {
            Fault::BreaksAfter(bytes) if self.read == bytes => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Fault::EndsAfter(bytes) if self.read == bytes => return Ok(0),
            Fault::ReadAt(at, failing) if self.at == at => {
                return match failing {
                    Failing::ForGood => Err(io::Error::other("the disk is gone")),
                    Failing::Again => Err(io::Error::new(io::ErrorKind::TimedOut, "too slow")),
                    Failing::AsEnd => Ok(0),
                    Failing::AsInterruption => Err(io::ErrorKind::Interrupted.into()),
                    Failing::ByPanic => panic!("on purpose: a file system"),
                };
            }
            Fault::BreaksAfter(bytes) | Fault::EndsAfter(bytes) => left = bytes - self.read,
            Fault::ReadAt(at, _) if self.at < at => left = left.min(at - self.at),
            _ => {}
        }
        let len = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut out[..len])?;
        self.at += read as u64;
        self.read += read as u64;
        Ok(read)
    }
}

struct StoreOutput {
    store: Store,
    directory: PathBuf,
    uploads: PathBuf,
}

impl Drop for StoreOutput {
    fn drop(&mut self) {
        // What remains is never listed.
        _ = fs::remove_dir_all(&self.uploads);
    }
}

impl PendingOutput for StoreOutput {
    fn token(&self) -> io::Result<Token> {
        Token::new(&self.uploads)
    }

    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut visible = Vec::new();
        let outcome = files.iter().try_for_each(|file| {
            let (upload, name): (PathBuf, String) = file.get()?;
            if visible.len() == 1 {
                self.store.fail_in(Call::Commit)?;
            }
            let path = self.directory.join(name);
            fs::rename(upload, &path)?;
            visible.push(path);
            Ok(())
        });
        if outcome.is_err() {
            for path in visible {
                fs::remove_file(path)?;
            }
        }
        let panics = self.store.fault == Fault::In(Call::CommitByPanic);
        assert!(!panics, "on purpose: a commit");
        outcome
    }
}

struct StoreFile {
    store: Store,
    file: BufWriter<File>,
    path: PathBuf,
    name: String,
}

impl Write for StoreFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.name == BAD {
            self.store.fail_in(Call::Write)?;
        }
        if let Fault::DiesIn(name, path) = &self.store.fault
            && self.name == *name
            && fs::remove_file(path).is_ok()
        {
            process::abort();
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl PendingFile for StoreFile {
    fn finish(mut self: Box<Self>) -> io::Result<Token> {
        if self.name == BAD {
            self.store.fail_in(Call::Finish)?;
        }
        self.file.flush()?;
        Token::new(&(&self.path, &self.name))
    }
}
