//! Messages between the driver and a worker about a task, as plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cache::InFileKey;
use super::values::InFile;
use crate::error::{Error, Result, plain};
use crate::portable::{Loader, Portable, Saver};
use crate::storage::blocks::BlockFile;
use crate::storage::bytes;
use crate::storage::scratch::Scratch;

/// A task with the values that it needs.
#[derive(Serialize, Deserialize)]
pub(super) struct TaskCall {
    /// Its rank, which is the same in each attempt.
    pub(super) rank: u32,
    pub(super) layer: u32,
    /// Number of the task in its layer.
    pub(super) task: usize,
    pub(super) inputs: Vec<SentInput>,
    /// Data that the layer has saved for this task.
    #[serde(with = "bytes")]
    pub(super) saved: Vec<u8>,
}

/// A value that a task needs.
#[derive(Serialize, Deserialize)]
pub(super) struct SentInput {
    /// Layer of the task that has computed it.
    pub(super) layer: u32,
    pub(super) value: SentValue,
}

/// The bytes of a value.
#[derive(Serialize, Deserialize)]
pub(super) enum SentValue {
    Inline(#[serde(with = "bytes")] Vec<u8>),
    File {
        #[serde(with = "plain")]
        path: PathBuf,
        /// Length of the file, without its checksums.
        file_bytes: u64,
        offset: u64,
        bytes: u64,
    },
}

/// Metadata of a task's block in the report.
#[derive(Serialize, Deserialize)]
pub(super) enum TaskReport {
    /// The task has returned a value.
    Value {
        /// The value, or its place in the file of the block.
        value: SentValue,
        /// Files of other values to which this one refers. Files that the task has created have blocks of their own.
        refers_to: Vec<RefersTo>,
    },
    /// The task has found damage in the value at this position, or in a file that one of its values refers to.
    Damaged { need: Option<usize>, error: Error },
    /// A file that the task has created, and to which its value refers.
    Created,
}

/// A path, which need not be UTF-8.
#[derive(Serialize, Deserialize)]
pub(super) struct RefersTo(#[serde(with = "plain")] pub(super) PathBuf);

impl SentValue {
    /// Returns the place of a value in a file.
    pub(super) fn in_file(file: &InFile) -> Self {
        Self::File {
            path: file.file.path().to_owned(),
            file_bytes: file.file.bytes(),
            offset: file.offset,
            bytes: file.bytes,
        }
    }

    /// Returns the file of a value and its offset there, if it is in a file.
    pub(super) fn key(&self) -> Option<InFileKey> {
        match self {
            Self::Inline(_) => None,
            Self::File { path, offset, .. } => Some((path.clone(), *offset)),
        }
    }

    /// Returns the bytes, in a worker.
    pub(super) fn into_bytes(self, scratch: &Scratch) -> Result<Vec<u8>> {
        match self {
            Self::Inline(bytes) => Ok(bytes),
            Self::File {
                path,
                file_bytes,
                offset,
                bytes,
            } => {
                let file = BlockFile::new(scratch.borrow(path), file_bytes);
                let in_file = InFile {
                    file,
                    offset,
                    bytes,
                };
                in_file.read()
            }
        }
    }
}

impl Portable for TaskCall {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.data(self)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        from.data()
    }
}
