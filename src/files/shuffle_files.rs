//! The map outputs of one job in a shuffle directory.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::any::AnyFileSystem;
use super::buffered_file::failed;
use super::new_file::NewFile;
use super::path::rest_of;
use super::range_reader::{RangeReader, RemoteFile};
use super::retry::retry;
use super::shuffle_directory::{ShuffleDirectory, options, remove_file, remove_files};
use crate::error::{Error, ErrorKind, Result, caught};
use crate::storage::scratch::ScratchFile;
use crate::storage::transfer::StoredFiles;
use crate::storage::{file, process_number};

/// Number of bytes that are copied at a time. With more, it takes longer until a job that is stopped ends.
const COPY_BYTES: usize = 256 << 10;

/// The files of a job in a shuffle directory. Those of the process that runs the job are removed when it is dropped.
pub(crate) struct ShuffleFiles {
    directory: ShuffleDirectory,
    /// Directory of the job.
    path: PathBuf,
    /// State of the process that runs the job.
    owner: Option<Owner>,
}

struct Owner {
    process: u64,
    /// Whether tasks may have written files.
    is_used: AtomicBool,
    removals: Mutex<Option<Removals>>,
}

impl ShuffleFiles {
    /// Begins the files of a job of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if a local directory cannot be created.
    pub(crate) fn create(directory: &ShuffleDirectory, job: u64) -> Result<Self> {
        let mut files = Self::open(directory, job);
        files.owner = Some(Owner {
            process: process_number(),
            is_used: AtomicBool::new(false),
            removals: Mutex::default(),
        });
        if files.directory.file_system.is_none() {
            // Tasks do not create it, so that none does after the end of the job.
            let created = fs::create_dir_all(&files.path);
            created.map_err(|error| file::write_error("create", &files.path, 0, error))?;
        }
        Ok(files)
    }

    /// Returns the files of a job of another process.
    pub(crate) fn open(directory: &ShuffleDirectory, job: u64) -> Self {
        Self {
            path: directory.of_job(&job.to_string()),
            directory: directory.clone(),
            owner: None,
        }
    }

    /// Returns the directory, for tasks.
    pub(crate) fn directory(&self) -> &ShuffleDirectory {
        &self.directory
    }

    /// Records that tasks may write files from now on.
    pub(crate) fn expect_files(&self) {
        if let Some(owner) = &self.owner {
            owner.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether the files are in a store. Others are on a disk that all machines share.
    pub(crate) fn are_stored(&self) -> bool {
        self.directory.file_system.is_some()
    }

    /// Copies the first `bytes` bytes of a scratch file to a new file. Returns its name for all processes.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or written, or once `is_stopped` returns `true`.
    pub(crate) fn put(
        &self,
        name: &str,
        source: &ScratchFile,
        bytes: u64,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<PathBuf> {
        let path = self.path.join(name);
        match &self.directory.file_system {
            None => copy(source, bytes, file::create_new(&path)?, &path, is_stopped)?,
            Some(file_system) => {
                let put = || {
                    let mut to = NewFile::on(file_system, &path, &options())?;
                    copy(source, bytes, &mut to, &path, is_stopped)?;
                    to.commit()
                };
                retry(file_system, || put().map_err(io::Error::from))?;
            }
        }
        Ok(path)
    }
}

/// Copies the start of a scratch file to a file at `path`.
fn copy(
    source: &ScratchFile,
    bytes: u64,
    mut to: impl Write,
    path: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Result<()> {
    let mut from = source.open()?.range(0, bytes);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        if is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled));
        }
        let read = from.read(&mut buffer);
        let read = read.map_err(|error| failed("read", source.path(), error))?;
        if read == 0 {
            return Ok(());
        }
        let written = to.write_all(&buffer[..read]);
        written.map_err(|error| failed("write", path, error))?;
    }
}

impl StoredFiles for ShuffleFiles {
    fn has(&self, name: &Path) -> bool {
        name.starts_with(&self.path)
    }

    fn read(&self, name: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file_system) = &self.directory.file_system else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let file = RemoteFile {
            file_system: file_system.clone(),
            path: rest_of(name).to_owned(),
            version: None,
        };
        let end = offset.saturating_add(buffer.len() as u64);
        let mut reader = RangeReader::new(file, offset..end, None);
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                // The reader of records finds out that some are missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn remove(&self, name: &Path) {
        if let Some(owner) = &self.owner
            && let Some(file_system) = &self.directory.file_system
        {
            owner.remove(file_system, rest_of(name));
        }
    }
}

impl Drop for ShuffleFiles {
    fn drop(&mut self) {
        let Some(owner) = self
            .owner
            .take_if(|owner| owner.process == process_number())
        else {
            return;
        };
        let Some(file_system) = &self.directory.file_system else {
            _ = fs::remove_dir_all(&self.path);
            return;
        };
        if !owner.is_used.load(Ordering::Relaxed) {
            return;
        }
        owner.end();
        let directory = rest_of(&self.path);
        // Aborts the uploads of workers that were lost.
        _ = caught(None, || {
            drop(file_system.get().begin(directory, &options())?);
            Ok(())
        });
        remove_files(file_system, &format!("{directory}/"));
        // Some file systems have directories.
        remove_file(file_system, directory);
    }
}

impl Owner {
    fn lock(&self) -> MutexGuard<'_, Option<Removals>> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a file in the background. If no thread can be started, it is removed at the end of the job.
    fn remove(&self, file_system: &AnyFileSystem, path: &str) {
        let mut removals = self.lock();
        if removals.is_none() {
            *removals = Removals::start(file_system.clone()).ok();
        }
        if let Some(removals) = &*removals {
            _ = removals.paths.send(path.to_owned());
        }
    }

    /// Ends the thread that removes files. Some files may remain.
    fn end(&self) {
        if let Some(removals) = self.lock().take() {
            removals.is_ended.store(true, Ordering::Relaxed);
            drop(removals.paths);
            _ = removals.thread.join();
        }
    }
}

/// A thread that removes files.
struct Removals {
    paths: Sender<String>,
    is_ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Removals {
    fn start(file_system: AnyFileSystem) -> io::Result<Self> {
        let (paths, received) = mpsc::channel::<String>();
        let is_ended = Arc::<AtomicBool>::default();
        let ended = Arc::clone(&is_ended);
        let remove = move || {
            for path in received {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                remove_file(&file_system, &path);
            }
        };
        let thread = thread::Builder::new().name("holdall-removals".to_owned());
        Ok(Self {
            paths,
            is_ended,
            thread: thread.spawn(remove)?,
        })
    }
}

impl fmt::Debug for ShuffleFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShuffleFiles").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;
    use crate::files::{FileSystems, LocalFiles};
    use crate::storage::codec;
    use crate::storage::scratch::Scratch;

    fn files_below(directory: &Path) -> usize {
        let entries = fs::read_dir(directory).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
            .sum()
    }

    /// Puts a file into each of the directories of two jobs.
    fn put_two(directory: &ShuffleDirectory, scratch: &Scratch) -> [(ShuffleFiles, PathBuf); 2] {
        let mut writer = scratch.create("out").unwrap();
        writer.append(b"0123456789").unwrap();
        [1, 12].map(|job| {
            let files = ShuffleFiles::create(directory, job).unwrap();
            // A task has it from serde.
            let mut bytes = Vec::new();
            codec::encode_own(files.directory(), &mut bytes).unwrap();
            files.expect_files();
            let tasks = ShuffleFiles::open(&codec::decode(&bytes).unwrap(), job);
            let put = tasks.put("part-00000", writer.file(), 9, &|| false);
            (files, put.unwrap())
        })
    }

    #[test]
    fn files_are_removed_with_their_job_or_by_another_process() {
        let (parent, spill) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let scratch = Scratch::new(Some(spill.path()), None);
        let mut file_systems = FileSystems::default();
        file_systems.insert("disk".to_owned(), AnyFileSystem::new(LocalFiles));
        let local = parent.path().to_str().unwrap();
        for path in [local.to_owned(), format!("disk://{local}/")] {
            let create = || ShuffleDirectory::create(&file_systems, path.as_ref()).unwrap();
            let (directory, other) = (create(), create());
            let [(first, name), (second, _)] = put_two(&directory, &scratch);
            let others = put_two(&other, &scratch);
            assert_eq!(files_below(parent.path()), 4, "{path}");

            let mut buffer = [0; 20];
            if first.are_stored() {
                assert!(first.has(&name) && !second.has(&name));
                assert_eq!(first.read(&name, 7, &mut buffer).unwrap(), 2);
                assert_eq!(buffer[..2], *b"78");
            } else {
                assert_eq!(fs::read(&name).unwrap(), b"012345678");
            }
            drop(first);
            assert_eq!(files_below(parent.path()), 3, "{path}");
            let error = second.read(&name, 7, &mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");

            // As if the process had been killed.
            mem::forget(second);
            directory.remove_all();
            assert_eq!(files_below(parent.path()), 2, "{path}");
            drop(others);
            assert_eq!(files_below(parent.path()), 0, "{path}");
        }
    }

    #[test]
    fn a_job_that_is_stopped_writes_nothing() {
        let (parent, spill) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let scratch = Scratch::new(Some(spill.path()), None);
        let directory = ShuffleDirectory::create(&FileSystems::default(), parent.path()).unwrap();
        let files = ShuffleFiles::create(&directory, 1).unwrap();
        let writer = scratch.create("out").unwrap();
        let error = files.put("part-00000", writer.file(), 9, &|| true);
        assert!(error.unwrap_err().is_cancelled());
        drop(files);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
