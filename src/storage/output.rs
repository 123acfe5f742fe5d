//! Outputs: directories of files that appear whole or not at all.
//!
//! ```text
//!  <parent>/
//!  ├─ .holdall-<process>-<time>-<n>-<check>/   unfinished: see `owned`
//!  │  ├─ lock
//!  │  ├─ <process>-<n>                         parts that tasks are writing
//!  │  ├─ out/part-00000 …                      parts that are complete, perhaps each in a directory of a key
//!  │  ├─ new/part-00000 …                      the same, once all are complete and durable
//!  │  ├─ old/part-00000 …                      files that are replaced one by one
//!  │  └─ commit                                marker of a move in progress, with its target
//!  └─ <name>/part-00000 …                      the output
//! ```
//!
//! At the end, `new` is moved to a path where nothing exists, or exchanged with the old output. Both are atomic, so a
//! whole output exists at any time, even after a power failure.
//!
//! Some directories must stay, and are filled file by file instead:
//!
//! - an empty directory, because the user has created it and may have set its permissions,
//! - a mount point,
//! - a directory whose parent this user cannot write to, and
//! - any directory on a file system that cannot exchange two paths.
//!
//! Old files are then moved to `old` before new ones are moved in. An error moves all of them back. If the process is
//! killed in between, `commit` tells the next [`sweep`](super::owned::sweep) how to continue; see [`commit`].

mod commit;
mod single;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use commit::{MANIFEST, find_other, is_extension};
use commit::{NEW, OLD, entries_in, is_part, parts_in};
pub(crate) use single::SingleFile;

use super::directory::{self, Directory, FileKind};
use super::owned::{self, Kind};
use super::owned_directory::OwnedDirectory;
use super::rename::{cannot_exchange, exchange, rename_new};
use super::{faults, file};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

const OUT: &str = "out";

static KIND: Kind = Kind {
    prefix: ".holdall-",
    has_file: |name, kind| {
        let is_attempt = |(process, number): (&str, &str)| {
            process.parse::<u32>().is_ok() && number.parse::<u64>().is_ok()
        };
        let is_file = commit::is_note(name) || name.split_once('-').is_some_and(is_attempt);
        // `old` may be a file or a link that was replaced.
        (kind == FileKind::File && is_file) || matches!(name, NEW | OLD)
    },
    directories: &[OUT, NEW, OLD],
    has_inner_file: is_part,
    has_nested: true,
    recover: commit::recover,
};

/// An unfinished output. Dropping it deletes it.
#[derive(Debug)]
pub(crate) struct Output {
    /// Path as the user has specified it.
    path: PathBuf,
    /// The same path, made absolute and with links resolved.
    target: PathBuf,
    existing: Existing,
    is_durable: bool,
    unfinished: OwnedDirectory,
}

/// Treatment of an output that exists at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Refused,
    Replaced,
    /// Parts with other names are added to it.
    Kept,
}

impl Existing {
    pub(crate) fn replaced_if(overwrite: bool) -> Self {
        match overwrite {
            true => Self::Replaced,
            false => Self::Refused,
        }
    }
}

/// Strategy for moving an output to its path.
enum Destination {
    /// Nothing exists at the path.
    Free,
    /// The existing output is replaced as a whole.
    Replaced,
    /// The existing directory stays, and the files are moved into it.
    Within,
}

impl Output {
    /// Begins an output at `local`, which errors call `path`. If `is_durable` is `true`, the output is on disk when it is
    /// finished.
    ///
    /// Deletes the unfinished outputs that dead processes have left at the path and next to it.
    pub(crate) fn create(
        path: &Path,
        local: &Path,
        existing: Existing,
        is_durable: bool,
    ) -> Result<Self> {
        let failed = |source| file::write_error("create", path, 0, source);
        let target = resolve(local).map_err(failed)?;
        let parent = target.parent().unwrap_or(&target);
        owned::sweep(&KIND, parent);
        owned::sweep(&KIND, &target);
        let within = || OwnedDirectory::create(&KIND, &target, Vec::new());
        let beside = || OwnedDirectory::create(&KIND, parent, make_all(parent)?);
        let unfinished = match Destination::find(path, &target, existing)? {
            Destination::Within => within(),
            Destination::Free => beside(),
            Destination::Replaced => match beside() {
                Err(error) if is_denied(&error) && target.is_dir() => within(),
                outcome => outcome,
            },
        };
        let unfinished = unfinished.map_err(failed)?.ok_or_else(cancelled)?;
        Ok(Self {
            path: path.to_owned(),
            target,
            existing,
            is_durable,
            unfinished,
        })
    }

    /// Returns the directory for complete parts of the output.
    pub(crate) fn parts(&self) -> PathBuf {
        self.unfinished.path().join(OUT)
    }

    /// Returns the directory in which parts are written. Their names are a process number, `-` and another number.
    pub(crate) fn attempts(&self) -> &Path {
        self.unfinished.path()
    }

    /// Returns whether the output must survive a power failure once it is finished.
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Moves the output to its path. After an error, the previous content is restored.
    pub(crate) fn finish(self) -> Result<()> {
        let new = self.unfinished.path().join(NEW);
        // Rename first, so that a late task no longer finds the directory.
        let renamed = fs::rename(self.parts(), &new).and_then(|()| self.sync_parts(&new));
        renamed.map_err(|source| self.failed(source))?;
        let finished = self.unfinished.uninterrupted(|| {
            match Destination::find(&self.path, &self.target, self.existing)? {
                Destination::Free => self.put(&new),
                Destination::Replaced => self.replace(&new),
                Destination::Within => self.move_in(&new),
            }
        });
        finished.unwrap_or_else(|| Err(cancelled()))
    }

    /// If the output is durable, waits until its parts and their names are on disk.
    fn sync_parts(&self, new: &Path) -> io::Result<()> {
        if self.is_durable {
            for name in files_below(new)? {
                faults::point()?;
                File::open(new.join(name))?.sync_data()?;
            }
            for name in entries_in(new)? {
                let path = new.join(name);
                if path.is_dir() {
                    self.sync(&path)?;
                }
            }
        }
        self.sync(new)
    }

    /// If the output is durable, waits until the names in a directory are on disk.
    fn sync(&self, directory: &Path) -> io::Result<()> {
        if self.is_durable {
            directory::sync(directory)?;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        file::write_error("create", &self.path, 0, source)
    }

    /// Returns the error of a failed move to a path at which nothing may exist.
    fn not_moved(&self, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return Error::new(ErrorKind::OutputExists {
                path: self.path.clone(),
                is_appended: self.existing == Existing::Kept,
                context: ErrorContext::default(),
            });
        }
        self.failed(source)
    }

    /// Returns the error of a move that could not be undone. It names the directory with the old and new files.
    fn not_undone(&self, source: &io::Error) -> Error {
        let unfinished = self.unfinished.path().display();
        self.failed(io::Error::new(
            source.kind(),
            format!("{source}; what was there, and what was to replace it, are in {unfinished}"),
        ))
    }

    /// Moves the output to a path where nothing exists.
    fn put(&self, new: &Path) -> Result<()> {
        let put = rename_new(new, &self.target).and_then(|()| {
            let added = self.unfinished.made().iter().chain([&self.target]);
            let mut above = added.filter_map(|path| path.parent());
            let synced = above.try_for_each(|above| self.sync(above));
            synced.inspect_err(|_| _ = fs::rename(&self.target, new))
        });
        put.map_err(|source| self.not_moved(source))
    }

    /// Exchanges the output with the existing one.
    fn replace(&self, new: &Path) -> Result<()> {
        match exchange(new, &self.target) {
            Ok(()) => {}
            Err(error) if !cannot_exchange(&error) => return Err(self.failed(error)),
            Err(_) if self.target.is_dir() => return self.move_in(new),
            Err(_) => return self.move_aside(new),
        }
        // Another process may have added files since the check.
        if let Err(error) = check_directory(new, &self.path) {
            exchange(new, &self.target).map_err(|source| self.not_undone(&source))?;
            return Err(error);
        }
        let synced = self.sync(self.target.parent().unwrap_or(new));
        // If the exchange back fails, the path still has a whole output: the new one.
        let synced = synced.inspect_err(|_| _ = exchange(new, &self.target));
        synced.map_err(|source| self.failed(source))
    }

    /// Replaces a file or a link that cannot be exchanged with the output.
    fn move_aside(&self, new: &Path) -> Result<()> {
        let old = self.unfinished.path().join(OLD);
        let moves = [
            (self.target.clone(), old),
            (new.to_owned(), self.target.clone()),
        ];
        let parts = entries_in(new).map_err(|source| self.failed(source))?.len();
        self.do_moves(parts, moves.into(), self.target.parent().unwrap_or(new))
    }

    /// Moves the files of the output into the existing directory, after moving the replaced files out of it.
    fn move_in(&self, new: &Path) -> Result<()> {
        let old = self.unfinished.path().join(OLD);
        let listed = fs::create_dir(&old).and_then(|()| {
            let replaced = if self.existing == Existing::Replaced {
                parts_in(&self.target)?
            } else {
                Vec::new()
            };
            Ok((replaced, entries_in(new)?))
        });
        let (replaced, parts) = listed.map_err(|source| self.failed(source))?;
        let out = replaced
            .iter()
            .map(|name| (self.target.join(name), old.join(name)));
        let back = parts
            .iter()
            .map(|name| (new.join(name), self.target.join(name)));
        self.do_moves(parts.len(), out.chain(back).collect(), &self.target)
    }

    /// Performs all `moves` and, if the output is durable, waits until `directory` is on disk. After an error, undoes
    /// all of them.
    fn do_moves(
        &self,
        parts: usize,
        moves: Vec<(PathBuf, PathBuf)>,
        directory: &Path,
    ) -> Result<()> {
        let unfinished = self.unfinished.path();
        let begun = commit::begin(unfinished, parts, &self.target);
        begun.map_err(|source| self.failed(source))?;
        let mut done = 0;
        let mut moved = moves.iter().try_for_each(|(from, to)| {
            rename_new(from, to)?;
            done += 1;
            Ok(())
        });
        moved = moved.and_then(|()| self.sync(directory));
        if moved.is_err() {
            for (from, to) in moves[..done].iter().rev() {
                rename_new(to, from).map_err(|source| self.not_undone(&source))?;
            }
        }
        // If this fails, dropping this output repeats it.
        commit::end(unfinished);
        moved.map_err(|source| self.not_moved(source))
    }
}

impl Destination {
    /// Determines the destination from the content of `target`, which errors call `path`.
    fn find(path: &Path, target: &Path, existing: Existing) -> Result<Self> {
        let exists = || {
            Err(Error::new(ErrorKind::OutputExists {
                path: path.to_owned(),
                is_appended: false,
                context: ErrorContext::default(),
            }))
        };
        let found = match fs::symlink_metadata(target) {
            Ok(found) => found,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return Ok(Self::Free),
                _ => return Err(Error::io("create", path, error)),
            },
        };
        if !found.is_dir() {
            return if existing == Existing::Replaced {
                Ok(Self::Replaced)
            } else {
                exists()
            };
        }
        let entries = match Directory::open(target).and_then(|target| target.entries()) {
            Ok(entries) => entries,
            Err(_) if existing == Existing::Refused => return exists(),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let staying = entries.iter().filter(|entry| stays(entry)).count();
        if staying == entries.len() {
            return Ok(Self::Within);
        }
        if existing == Existing::Refused {
            return exists();
        }
        check_parts(entries.iter().filter(|entry| !stays(entry)), path)?;
        if existing == Existing::Kept || staying > 0 || directory::is_mount_point(target) {
            Ok(Self::Within)
        } else {
            Ok(Self::Replaced)
        }
    }
}

/// Returns the files in a directory of parts and in its directories, as relative paths.
pub(crate) fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in entries_in(directory)? {
        let path = directory.join(&name);
        match fs::symlink_metadata(&path)?.is_dir() {
            true => files.extend(
                parts_in(&path)?
                    .iter()
                    .map(|file| Path::new(&name).join(file)),
            ),
            false => files.push(name.into()),
        }
    }
    Ok(files)
}

/// Returns the names of the parts in a directory. There are none if it does not exist.
pub(crate) fn part_names(directory: &Path) -> io::Result<Vec<String>> {
    match parts_in(directory) {
        Err(error) if file::is_missing(&error) => Ok(Vec::new()),
        names => Ok(names?
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect()),
    }
}

/// Returns `true` for entries that do not count as content and stay in the directory: `lost+found` at the root of a
/// volume, and unfinished outputs of other jobs.
fn stays((name, kind): &(OsString, FileKind)) -> bool {
    *kind == FileKind::Directory && (name == "lost+found" || KIND.is_name(name))
}

/// Returns an error unless the entries are the parts of an output. `path` is the user's path of their directory.
fn check_parts<'e>(
    entries: impl Iterator<Item = &'e (OsString, FileKind)> + Clone,
    path: &Path,
) -> Result<()> {
    let is_text =
        |(name, kind): &&(OsString, FileKind)| *kind == FileKind::File && name.to_str().is_some();
    let not_text = entries.clone().find(|entry| !is_text(entry));
    let names = entries.filter_map(|(name, _)| name.to_str());
    let other = not_text.map(|(name, _)| name.as_os_str());
    match other.or_else(|| find_other(names).map(AsRef::as_ref)) {
        None => Ok(()),
        Some(name) => Err(Error::new(ErrorKind::NotAnOutput {
            path: path.to_owned(),
            found: path.join(name),
            context: ErrorContext::default(),
        })),
    }
}

/// Checks all entries of `directory` like [`check_parts`]. Accepts a path that is not a directory.
fn check_directory(directory: &Path, path: &Path) -> Result<()> {
    if !fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    let entries = Directory::open(directory).and_then(|directory| directory.entries());
    let entries = entries.map_err(|source| Error::io("read", path, source))?;
    check_parts(entries.iter(), path)
}

/// Returns a path that does not depend on the working directory. Resolves links of an existing directory.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    if path.is_dir() {
        return fs::canonicalize(path);
    }
    Ok(std::path::absolute(path)?.components().collect())
}

/// Creates a directory and its missing ancestors. Returns those that were missing, the outermost first.
fn make_all(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = directory.ancestors().take_while(|above| !above.exists());
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    for (number, path) in missing.iter().enumerate() {
        let made = fs::create_dir(path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if path.is_dir() => Ok(()),
            _ => Err(error),
        });
        if let Err(error) = made {
            owned::remove_if_empty(&missing[..number]);
            return Err(error);
        }
    }
    Ok(missing)
}

fn is_denied(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem,
    ];
    kinds.contains(&error.kind())
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled)
}
