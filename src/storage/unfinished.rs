//! Finished partitions of an output that remain if the process ends early, so that the next run of the same program
//! continues with them.
//!
//! ```text
//!  <parent>/.<name>.unfinished/
//!  ├─ key                                       the key of the run
//!  ├─ <process>-<n>                             partitions that tasks are writing
//!  └─ part-<n>-<records>-<bytes>-<checksum>     finished partitions
//! ```
//!
//! The directory is locked while a process writes to it. A partition gets its name once it is complete and, if the output
//! is durable, on disk. At the end, the output has links to the files, so they remain until it is at its path.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::directory::{self, Directory};
use super::output::Output;
use super::saved::{MANIFEST, SavedPart};

const KEY: &str = "key";
const NEW_KEY: &str = "key-new";

/// Maximum number of attempts to open the directory while another process removes it.
const MAX_OPENINGS: usize = 10;

/// The directory, which is locked.
#[derive(Debug)]
pub(crate) struct UnfinishedOutput {
    path: PathBuf,
    directory: Directory,
    finished: HashMap<usize, SavedPart>,
}

/// Returns the name of the file of a finished partition.
fn name_of(partition: usize, part: &SavedPart) -> String {
    let [records, bytes, checksum] = part.numbers();
    format!("part-{partition}-{records}-{bytes}-{checksum}")
}

/// Returns the partition that a file name stands for.
fn partition_of(name: &str) -> Option<(usize, SavedPart)> {
    let mut numbers = name.strip_prefix("part-")?.split('-').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let (partition, part) = (next()?, SavedPart::of([next()?, next()?, next()?])?);
    let partition = usize::try_from(partition).ok()?;
    (name_of(partition, &part) == name).then_some((partition, part))
}

/// Returns `true` if `name` is that of a file which is being written.
fn is_attempt(name: &str) -> bool {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let numbers = name.split_once('-');
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

impl UnfinishedOutput {
    /// Returns the path of the directory for the output at `target`.
    fn path_for(target: &Path) -> io::Result<PathBuf> {
        let target = std::path::absolute(target)?;
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut hidden = OsStr::new(".").to_owned();
        hidden.push(name);
        hidden.push(".unfinished");
        Ok(target.with_file_name(hidden))
    }

    /// Opens or creates the directory for the output at `target`. Deletes the partitions of a run with another key.
    ///
    /// # Errors
    ///
    /// Returns `WouldBlock` if another process is writing this output, or an error if the system fails.
    pub(crate) fn open(target: &Path, key: &str) -> io::Result<Self> {
        let path = Self::path_for(target)?;
        let directory = open_locked(&path)?;
        let mut unfinished = Self {
            path,
            directory,
            finished: HashMap::new(),
        };
        let known = fs::read_to_string(unfinished.path.join(KEY));
        let is_same = known.is_ok_and(|known| known == key);
        for (name, _) in unfinished.directory.entries()? {
            let text = name.to_str().unwrap_or_default();
            match partition_of(text) {
                Some((partition, part)) if is_same => {
                    let file = unfinished.path.join(text).metadata()?;
                    let [_, bytes, _] = part.numbers();
                    if file.len() == bytes && unfinished.finished.insert(partition, part).is_none()
                    {
                        continue;
                    }
                    // Two different files of one partition: neither counts.
                    unfinished.finished.remove(&partition);
                }
                Some(_) => {}
                None if is_attempt(text) || text == NEW_KEY => {}
                None => continue,
            }
            unfinished.directory.remove_file(&name)?;
        }
        if !is_same {
            let new = unfinished.path.join(NEW_KEY);
            let mut file = File::create(&new)?;
            file.write_all(key.as_bytes())?;
            file.sync_all()?;
            fs::rename(new, unfinished.path.join(KEY))?;
            directory::sync(&unfinished.path)?;
        }
        Ok(unfinished)
    }

    /// Removes what a run that was killed after its commit has left for the output at `target`.
    pub(crate) fn remove_for(target: &Path) {
        let path = Self::path_for(target);
        if let Ok(path) = path
            && path.exists()
            && let Ok(directory) = open_locked(&path)
        {
            remove(&directory, &path);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the partitions that are finished.
    pub(crate) fn finished(&self) -> &HashMap<usize, SavedPart> {
        &self.finished
    }

    /// Gives the file `written` the name of a finished partition.
    pub(crate) fn finish_partition(
        directory: &Path,
        written: &Path,
        partition: usize,
        part: &SavedPart,
    ) -> io::Result<()> {
        fs::rename(written, directory.join(name_of(partition, part)))
    }

    /// Completes `output` with all partitions, in order, and removes the directory.
    pub(crate) fn commit(
        self,
        output: Output,
        names: &[String],
        parts: &[SavedPart],
        manifest: &[u8],
    ) -> crate::error::Result<()> {
        let to = output.parts();
        for (partition, (name, part)) in names.iter().zip(parts).enumerate() {
            let (from, to) = (self.path.join(name_of(partition, part)), to.join(name));
            // Some file systems have no links.
            let linked = fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop));
            linked.map_err(|error| super::file::write_error("create", &to, 0, error))?;
        }
        let path = to.join(MANIFEST);
        let written = fs::write(&path, manifest);
        written.map_err(|error| super::file::write_error("write", &path, 0, error))?;
        output.finish()?;
        remove(&self.directory, &self.path);
        Ok(())
    }
}

/// Opens or creates the directory at `path`, and locks it.
fn open_locked(path: &Path) -> io::Result<Directory> {
    for _ in 0..MAX_OPENINGS {
        match directory::make_private(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(path))?;
                continue;
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let directory = match Directory::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            directory => directory?,
        };
        directory::lock(directory.try_lock())?;
        // The process that held the lock may have removed the directory.
        if directory.is_at(path)? {
            return Ok(directory);
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Removes the files of the directory that holdall writes, and the directory if it is then empty.
fn remove(directory: &Directory, path: &Path) {
    let Ok(entries) = directory.entries() else {
        return;
    };
    for (name, _) in entries {
        let text = name.to_str().unwrap_or_default();
        if partition_of(text).is_some() || is_attempt(text) || matches!(text, KEY | NEW_KEY) {
            // If this fails, the directory remains.
            let _ = directory.remove_file(&name);
        }
    }
    let _ = fs::remove_dir(path);
}
