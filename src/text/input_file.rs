//! Input files: their path, their size, and whether other processes can read them.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::planned::PlannedFile;
use crate::files::FileInfo;

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputFile {
    pub(crate) path: Arc<Path>,
    /// Its size when it was found; 0 if it has none.
    pub(crate) bytes: u64,
    /// Whether only this process can read it, from the start to the end: a pipe, a device, or a file without a name.
    pub(crate) is_stream: bool,
    /// State of a local file, for other machines.
    pub(super) planned: Option<PlannedFile>,
    /// State of a file of another file system than the local one.
    pub(crate) listed: Option<Listed>,
}

/// A file of a file system, as it was listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(super) bytes: u64,
    pub(super) version: Option<String>,
}

impl InputFile {
    /// Describes a file that a file system has found. Its path includes the scheme.
    pub(super) fn listed(info: FileInfo) -> Self {
        Self {
            path: Path::new(&info.path).into(),
            bytes: info.bytes,
            is_stream: false,
            planned: None,
            listed: Some(Listed {
                bytes: info.bytes,
                version: info.version,
            }),
        }
    }

    /// `may_be_link` is false if the path is known to be no link.
    pub(super) fn new(path: &Path, metadata: &Metadata, may_be_link: bool) -> Self {
        let mut file = Self {
            path: path.into(),
            bytes: if metadata.is_file() {
                metadata.len()
            } else {
                0
            },
            is_stream: !metadata.is_file(),
            planned: metadata.is_file().then(|| PlannedFile::of(metadata)),
            listed: None,
        };
        if metadata.is_file() && leads_to_process(path, may_be_link) {
            match fs::canonicalize(path) {
                Ok(path) if is_at(metadata, &path) => file.path = path.into(),
                // It has no name any more.
                _ => file.is_stream = true,
            }
        }
        file
    }
}

/// Whether a path is another file in each process, as `/dev/stdin` is.
fn leads_to_process(path: &Path, may_be_link: bool) -> bool {
    const MAX_LINKS: usize = 40;
    const OF_PROCESS: [&str; 3] = ["/proc", "/dev/fd", "/dev/stdin"];
    let is_of_process = |path: &Path| OF_PROCESS.iter().any(|start| path.starts_with(start));
    let follow = |path: &PathBuf| Some(path.parent()?.join(fs::read_link(path).ok()?));
    let links = std::iter::successors(Some(path.to_owned()), follow);
    is_of_process(path) || may_be_link && links.take(MAX_LINKS).any(|path| is_of_process(&path))
}

#[cfg(unix)]
fn is_at(metadata: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_same = |other: Metadata| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino());
    fs::metadata(path).is_ok_and(is_same)
}

#[cfg(not(unix))]
fn is_at(_: &Metadata, _: &Path) -> bool {
    true
}
