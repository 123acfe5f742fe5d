//! The commit marker: records that files are being moved into an output, so that a later process can complete or undo
//! the moves.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::directory::{self, Directory, FileKind};
use super::super::faults;
use super::super::rename::rename_new;

pub(super) const NEW: &str = "new";
pub(super) const OLD: &str = "old";
const NOTE: &str = "commit";
const NOTE_BEFORE: &str = "commit-0";

/// Maximum number of attempts to remove the marker.
const MAX_ENDS: usize = 10;

/// Name of the file that describes the other files of an output, if it has one.
pub(crate) const MANIFEST: &str = "_bag";

/// Returns `true` if `name` is the name of a part of an output: `part-`, at least five digits, and perhaps a `.` and an
/// extension.
pub(crate) fn is_part(name: &str) -> bool {
    name == MANIFEST || extension_of(name).is_some()
}

/// Returns the extension of a part, which may be empty, or `None` if `name` is not the name of a part.
fn extension_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("part-")?;
    let (number, extension) = rest.split_once('.').unwrap_or((rest, ""));
    let is_number = number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = rest.len() == number.len() || is_extension(extension);
    (is_number && is_whole).then_some(extension)
}

/// Returns one of the files in a directory that shows that the directory is not an output: a file that is no part, or a
/// part with another extension than others.
pub(crate) fn find_other<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let extension = names.clone().filter_map(extension_of).min();
    let is_own = |name: &str| {
        name == MANIFEST || extension_of(name).is_some_and(|its| Some(its) == extension)
    };
    names.into_iter().find(|name| !is_own(name))
}

/// Returns `true` for one or several words of letters and digits, with a `.` between two of them.
pub(crate) fn is_extension(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
    text.split('.').all(is_word)
}

/// Returns the names of the parts in a directory, in order.
pub(super) fn parts_in(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = Directory::open(directory)?.entries()?.into_iter();
    let mut parts: Vec<_> = entries
        .filter(|(name, kind)| *kind == FileKind::File && name.to_str().is_some_and(is_part))
        .map(|(name, _)| name)
        .collect();
    parts.sort();
    Ok(parts)
}

/// Returns the names of the parts in a directory of holdall, and of the directories of parts, in order.
pub(super) fn entries_in(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = Directory::open(directory)?.entries()?.into_iter();
    let is_own = |(name, kind): &(OsString, FileKind)| match kind {
        FileKind::Directory => true,
        FileKind::File => name.to_str().is_some_and(is_part),
        FileKind::Other => false,
    };
    let mut names: Vec<_> = entries.filter(is_own).map(|(name, _)| name).collect();
    names.sort();
    Ok(names)
}

/// Returns `true` if `name` is the name of the marker, or of the temporary file that becomes the marker.
pub(super) fn is_note(name: &str) -> bool {
    matches!(name, NOTE | NOTE_BEFORE)
}

/// Creates the marker in the directory `unfinished`: its `parts` will be moved to `target`.
pub(super) fn begin(unfinished: &Path, parts: usize, target: &Path) -> io::Result<()> {
    let parent = unfinished.parent().unwrap_or(unfinished);
    // Make the target relative, because the whole parent directory may be moved.
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

/// Removes the marker after the moves are complete. Returns `false` if that fails; [`recover`] then finds the marker.
pub(super) fn end(unfinished: &Path) -> bool {
    let note = unfinished.join(NOTE);
    (0..MAX_ENDS).any(|_| {
        let is_gone = match faults::point().and_then(|()| fs::remove_file(&note)) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        // The marker must be durably gone before the files around it are removed.
        is_gone && directory::sync(unfinished).is_ok()
    })
}

/// Completes or undoes moves that have failed or were interrupted. Returns `true` if the unfinished output can be
/// deleted.
///
/// As long as no new file has been moved in, the old files are moved back. Otherwise, the remaining new files are moved
/// in. No other file is touched: if a file is in the way, or the target is missing, everything is left as it is.
pub(super) fn recover(unfinished: &Path) -> bool {
    let path = unfinished.join(NOTE);
    // To look for the marker needs no descriptor, of which the process may have none left.
    match fs::symlink_metadata(&path).and_then(|_| fs::read(&path)) {
        Ok(note) => try_recover(unfinished, &note).is_some(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn try_recover(unfinished: &Path, note: &[u8]) -> Option<()> {
    let at = note.iter().position(|byte| *byte == b'\n')?;
    let parts: usize = std::str::from_utf8(&note[..at]).ok()?.parse().ok()?;
    let target = unfinished.parent()?.join(path_of(&note[at + 1..])?);
    let (old, new) = (unfinished.join(OLD), unfinished.join(NEW));
    let waiting = parts_if_there(&new)?;
    let directory = match fs::symlink_metadata(&old) {
        // `old` is a file or a link. It has been replaced if the output is at the target.
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
    match entries_in(directory) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_a_number_and_perhaps_an_extension() {
        for name in [
            "part-00000",
            "part-0123456789",
            "part-00001.csv",
            "part-00001.csv.gz",
        ] {
            assert!(is_part(name), "{name}");
        }
        for name in [
            "part-0000",
            "part-0000x",
            "Part-00000",
            "part-00000.",
            "part-00000..csv",
            "part-00000.c sv",
            "part-00000.csv~",
            "part-.csv",
        ] {
            assert!(!is_part(name), "{name}");
        }
    }

    #[test]
    fn all_parts_of_an_output_have_one_extension() {
        let other = |names: &[&'static str]| find_other(names.iter().copied());
        assert_eq!(other(&["part-00000", MANIFEST, "part-00001"]), None);
        assert_eq!(other(&["part-00001.csv", "part-00000.csv"]), None);
        assert_eq!(
            other(&["part-00001.csv", "part-00000"]),
            Some("part-00001.csv")
        );
        assert_eq!(other(&["part-00000.csv", "notes.csv"]), Some("notes.csv"));
    }
}
