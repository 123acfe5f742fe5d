//! Renames that overwrite nothing: a move to an unused path, and an exchange of two paths.

use std::fs;
use std::io;
use std::path::Path;

use super::directory::is_unsupported;
use super::faults;

/// Moves `from` to `to`. If something exists at `to`, returns an error of the kind `AlreadyExists`.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    faults::point()?;
    match without_replacing(from, to) {
        Err(error) if is_unsupported(&error) => rename_new_by_parts(from, to),
        outcome => outcome,
    }
}

/// Emulates [`rename_new`] on file systems that do not support it in one step. A directory atomically replaces an empty
/// one, so this creates an empty directory first. A file may overwrite another that is created at `to` in the meantime.
fn rename_new_by_parts(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        fs::create_dir(to)?;
        return fs::rename(from, to).inspect_err(|_| _ = fs::remove_dir(to));
    }
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// Exchanges two paths atomically.
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    faults::point()?;
    if !faults::can_exchange() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    try_exchange(one, other)
}

#[cfg(target_os = "linux")]
fn try_exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn without_replacing(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn try_exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns `true` if two paths cannot be exchanged there, although each can be moved.
pub(super) fn cannot_exchange(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::CrossesDevices, io::ErrorKind::ResourceBusy];
    is_unsupported(error) || kinds.contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_replaced_in_one_step_or_two() {
        for rename in [rename_new, rename_new_by_parts] {
            let root = tempfile::tempdir().unwrap();
            let path = |name: &str| root.path().join(name);
            fs::write(path("file"), "f").unwrap();
            fs::write(path("precious"), "p").unwrap();
            fs::create_dir(path("directory")).unwrap();
            fs::create_dir(path("empty")).unwrap();
            for from in ["file", "directory"] {
                for to in ["precious", "empty"] {
                    let error = rename(&path(from), &path(to)).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
                }
                rename(&path(from), &path("free")).unwrap();
                assert!(!path(from).exists());
                rename(&path("free"), &path(from)).unwrap();
            }
            assert_eq!(fs::read_to_string(path("precious")).unwrap(), "p");
            assert!(path("empty").is_dir() && !path("free").exists());
        }
    }
}
