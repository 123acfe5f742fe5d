//! The note that files are being moved into the place of an output, and what a later process makes of it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::directory;
use super::super::faults;
use super::super::rename::rename_new;
use super::{NEW, OLD, parts_in};

const NOTE: &str = "commit";
const NOTE_BEFORE: &str = "commit-0";

/// How often it is tried to remove the note.
const MAX_ENDS: usize = 10;

/// Whether a file is the note, or will be it.
pub(super) fn is_note(name: &str) -> bool {
    matches!(name, NOTE | NOTE_BEFORE)
}

/// Notes in the directory `unfinished` that its `parts` will be moved to `target`.
pub(super) fn begin(unfinished: &Path, parts: usize, target: &Path) -> io::Result<()> {
    let parent = unfinished.parent().unwrap_or(unfinished);
    // From there, since all of it may be moved.
    let target = target.strip_prefix(parent).unwrap_or(target);
    let before = unfinished.join(NOTE_BEFORE);
    faults::point()?;
    let mut file = File::create(&before)?;
    file.write_all(format!("{parts}\n").as_bytes())?;
    file.write_all(target.as_os_str().as_encoded_bytes())?;
    file.sync_all()?;
    faults::point()?;
    fs::rename(before, unfinished.join(NOTE))?;
    directory::sync(unfinished)
}

/// Notes that nothing is left to be moved, and returns whether it could. If not, [`settle`] finds that out.
pub(super) fn end(unfinished: &Path) -> bool {
    let note = unfinished.join(NOTE);
    (0..MAX_ENDS).any(|_| {
        let is_gone = match faults::point().and_then(|()| fs::remove_file(&note)) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        // What is removed next must not be gone before the note is.
        is_gone && directory::sync(unfinished).is_ok()
    })
}

/// Brings moves to an end that have failed or were cut short. Returns whether what is left may go.
///
/// As long as no new file is in place, what was moved aside is put back; afterwards the rest of the new files is put
/// in place. Nothing else is touched: if something is in the way, or the target is gone, all is left as it is.
pub(super) fn settle(unfinished: &Path) -> bool {
    match fs::read(unfinished.join(NOTE)) {
        Ok(note) => try_end_batch(unfinished, &note).is_some(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn try_end_batch(unfinished: &Path, note: &[u8]) -> Option<()> {
    let at = note.iter().position(|byte| *byte == b'\n')?;
    let parts: usize = std::str::from_utf8(&note[..at]).ok()?.parse().ok()?;
    let target = unfinished.parent()?.join(path_of(&note[at + 1..])?);
    let (old, new) = (unfinished.join(OLD), unfinished.join(NEW));
    let waiting = parts_if_there(&new)?;
    let directory = match fs::symlink_metadata(&old) {
        // A file or a link. It was replaced if the output is in its place.
        Ok(found) if !found.is_dir() => {
            let is_moved = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            let is_replaced = fs::symlink_metadata(&target).is_ok()
                && fs::symlink_metadata(&new).is_err_and(is_moved);
            if !is_replaced {
                rename_new(&old, &target).ok()?;
            }
            target.parent()?
        }
        _ => {
            let (from, names) = if waiting.len() == parts {
                (&old, parts_if_there(&old)?)
            } else {
                (&new, waiting)
            };
            for name in names {
                rename_new(&from.join(&name), &target.join(&name)).ok()?;
            }
            &target
        }
    };
    directory::sync(directory).ok()?;
    end(unfinished).then_some(())
}

fn parts_if_there(directory: &Path) -> Option<Vec<OsString>> {
    match parts_in(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Vec::new()),
        parts => parts.ok(),
    }
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}
