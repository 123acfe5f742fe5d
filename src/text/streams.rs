//! Pipes and devices that this program has read. Their bytes can be read only once.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::files::local_path;

/// Identity of a stream, whatever the path: device, inode, and creation time. The time is included because inode
/// numbers are reused.
type StreamId = (u64, u64, Option<SystemTime>);

/// All streams that have been opened. A program has few.
static OPENED: Mutex<BTreeSet<StreamId>> = Mutex::new(BTreeSet::new());

/// Opens a file that may be a stream.
///
/// # Errors
///
/// Returns an error if the file is a stream and has been opened before. Opening it again would yield no bytes, or block
/// indefinitely.
pub(super) fn open(path: &Path) -> Result<File> {
    let at_path = |error| Error::io("open", path, error);
    let local = local_path(path);
    let id = stream_id(&fs::metadata(local).map_err(at_path)?, local);
    let opened = || OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    // Register the stream before opening it, because opening may block.
    if let Some(id) = id
        && !opened().insert(id)
    {
        let path = path.to_owned();
        return Err(Error::new(ErrorKind::StreamReadTwice {
            path,
            context: ErrorContext::default(),
        }));
    }
    File::open(local).map_err(|error| {
        if let Some(id) = id {
            opened().remove(&id);
        }
        at_path(error)
    })
}

/// Returns the identity of a stream, or `None` if reading the file again yields the same bytes.
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
