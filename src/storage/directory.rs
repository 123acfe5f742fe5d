//! An open directory: its entries, its lock and its removal.
//!
//! On Linux, operations on the directory go through its open descriptor. They reach the directory that was opened even
//! if its path now leads elsewhere, and need no further descriptor. Other systems use the path.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use super::faults;
#[cfg(target_os = "linux")]
use super::file::uninterrupted;
#[cfg(not(target_os = "linux"))]
use super::system;

#[cfg(target_os = "linux")]
pub(crate) use linux::Directory;

#[cfg(not(target_os = "linux"))]
pub(crate) use other::Directory;

/// Kind of an entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    Directory,
    /// A symbolic link, a pipe, and so on.
    Other,
}

/// Returns `true` if the lock was acquired, and `false` if the file system has no locks.
pub(super) fn lock(outcome: Result<(), TryLockError>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) if is_unsupported(&error) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns `true` if the file system or the kernel does not support the requested operation.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if matches!(
        error.raw_os_error(),
        // EBADF: NFS locks only files that are open for writing.
        Some(libc::ENOLCK | libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EBADF)
    ) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

/// Creates a directory that only this user can access.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    faults::point()?;
    #[cfg(unix)]
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if !is_unsupported(&error) => return Err(error),
        _ => {}
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Returns `true` if another file system, or another part of one, is mounted at `path`.
pub(super) fn is_mount_point(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
        found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::{self as at, AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom};

    use super::*;

    #[derive(Debug)]
    pub(crate) struct Directory(File);

    impl Directory {
        /// Opens the directory at `path`. Does not follow a link.
        pub(crate) fn open(path: &Path) -> io::Result<Self> {
            Self::open_at(CWD, path)
        }

        /// Opens a subdirectory.
        pub(crate) fn open_in(&self, name: &OsStr) -> io::Result<Self> {
            Self::open_at(&self.0, name.as_ref())
        }

        fn open_at(directory: impl std::os::fd::AsFd, path: &Path) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = || Ok(at::openat(&directory, path, flags, Mode::empty())?);
            let opened = uninterrupted(open)?;
            Ok(Self(opened.into()))
        }

        /// Opens a file of the directory for reading and writing. Does not follow a link.
        pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let open = || Ok(at::openat(&self.0, name, flags, Mode::empty())?);
            let file = File::from(uninterrupted(open)?);
            if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        }

        pub(crate) fn try_lock(&self) -> Result<(), TryLockError> {
            self.0.try_lock()
        }

        /// Returns `true` if the directory belongs to this user.
        pub(crate) fn is_own(&self) -> bool {
            let user = rustix::process::geteuid().as_raw();
            self.0.metadata().is_ok_and(|found| found.uid() == user)
        }

        /// Returns `true` if `path` currently leads to this directory.
        pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
            let found = match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                found => found?,
            };
            let open = self.0.metadata()?;
            Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
        }

        /// Returns `true` if it is the subdirectory `name` of another directory.
        pub(crate) fn is_in(&self, directory: &Self, name: &OsStr) -> io::Result<bool> {
            let found = at::statat(&directory.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let open = at::fstat(&self.0)?;
            Ok((open.st_dev, open.st_ino) == (found.st_dev, found.st_ino))
        }

        /// Returns all entries of the directory.
        pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, FileKind)>> {
            at::seek(&self.0, SeekFrom::Start(0))?;
            let mut buffer = [MaybeUninit::uninit(); 8 << 10];
            let mut listing = RawDir::new(&self.0, &mut buffer);
            let mut entries = Vec::new();
            while let Some(entry) = listing.next() {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                let kind = match entry.file_type() {
                    FileType::Unknown => {
                        let found = at::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
                        FileType::from_raw_mode(found.st_mode)
                    }
                    kind => kind,
                };
                let kind = match kind {
                    FileType::RegularFile => FileKind::File,
                    FileType::Directory => FileKind::Directory,
                    _ => FileKind::Other,
                };
                entries.push((OsString::from_vec(name.as_bytes().to_vec()), kind));
            }
            Ok(entries)
        }

        pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
            Ok(at::unlinkat(&self.0, name, AtFlags::empty())?)
        }

        pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
            Ok(at::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::path::PathBuf;

    use super::*;

    #[derive(Debug)]
    pub(crate) struct Directory(PathBuf);

    impl Directory {
        pub(crate) fn open(path: &Path) -> io::Result<Self> {
            if fs::symlink_metadata(path)?.is_dir() {
                Ok(Self(path.to_owned()))
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        }

        pub(crate) fn open_in(&self, name: &OsStr) -> io::Result<Self> {
            Self::open(&self.0.join(name))
        }

        pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
            let path = self.0.join(name);
            if fs::symlink_metadata(&path)?.is_file() {
                File::options().read(true).write(true).open(path)
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        }

        /// A directory cannot be locked. The caller locks a file in it instead.
        pub(crate) fn try_lock(&self) -> Result<(), TryLockError> {
            Err(TryLockError::Error(io::ErrorKind::Unsupported.into()))
        }

        pub(crate) fn is_own(&self) -> bool {
            system::is_own_directory(&self.0)
        }

        pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
            Ok(self.0 == path && path.is_dir())
        }

        pub(crate) fn is_in(&self, directory: &Self, name: &OsStr) -> io::Result<bool> {
            Ok(self.0 == directory.0.join(name))
        }

        pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, FileKind)>> {
            let entries = fs::read_dir(&self.0)?.map(|entry| {
                let entry = entry?;
                let found = entry.file_type()?;
                let kind = if found.is_file() {
                    FileKind::File
                } else if found.is_dir() {
                    FileKind::Directory
                } else {
                    FileKind::Other
                };
                Ok((entry.file_name(), kind))
            });
            entries.collect()
        }

        pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
            fs::remove_file(self.0.join(name))
        }

        pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
            fs::remove_dir(self.0.join(name))
        }
    }
}
