//! Pipes and devices that this program has read: they give their bytes once.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};

/// What tells a stream from others, whatever path names it: the device and the number of its file, and when that was
/// made, since numbers are used again.
type StreamId = (u64, u64, Option<SystemTime>);

/// All streams that have been opened. There are few in a program.
static OPENED: Mutex<BTreeSet<StreamId>> = Mutex::new(BTreeSet::new());

/// Opens a file, which may be a stream.
///
/// # Errors
///
/// If it is a stream and has been opened before. Opening it again would find no bytes, or wait for ever.
pub(super) fn open(path: &Path) -> Result<File> {
    let at_path = |error| Error::io("open", path, error);
    let id = stream_id(&fs::metadata(path).map_err(at_path)?, path);
    let opened = || OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    // Before it is opened, since that may wait.
    if let Some(id) = id
        && !opened().insert(id)
    {
        let path = path.to_owned();
        return Err(Error::new(ErrorKind::StreamReadTwice { path }));
    }
    File::open(path).map_err(|error| {
        if let Some(id) = id {
            opened().remove(&id);
        }
        at_path(error)
    })
}

/// Nothing if the file gives the same bytes again.
#[cfg(unix)]
fn stream_id(metadata: &Metadata, _: &Path) -> Option<StreamId> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let file_type = metadata.file_type();
    let is_null = || fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev());
    let is_repeatable = file_type.is_file()
        || file_type.is_block_device()
        || file_type.is_char_device() && is_null();
    let id = (metadata.dev(), metadata.ino(), metadata.created().ok());
    (!is_repeatable).then_some(id)
}

#[cfg(not(unix))]
fn stream_id(metadata: &Metadata, path: &Path) -> Option<StreamId> {
    let hash = crc32fast::hash(path.as_os_str().as_encoded_bytes());
    (!metadata.is_file()).then_some((0, hash.into(), None))
}
