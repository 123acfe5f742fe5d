//! Byte ranges of files, and portions, which are units of reading.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, plain};
use crate::files::{InputFile, Listed, local_path};

use super::compression::UnitRange;
use super::planned::PlannedFile;
use super::version::Version;

/// A byte range of the (decompressed) text of a file. It stands for the records whose first byte is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Split {
    #[serde(with = "plain")]
    pub(crate) path: Arc<Path>,
    pub(crate) start: u64,
    /// `u64::MAX` stands for the end of the file when it is read.
    pub(crate) end: u64,
    /// Expected number of bytes to read, which determines the size of the buffer.
    pub(super) expected_bytes: u64,
    /// State of a file that is read in several ranges. The ranges fit together only if this state is unchanged.
    pub(super) version: Option<Version>,
    /// State of a local file, for other machines.
    pub(super) planned: Option<PlannedFile>,
    /// State of a file of another file system than the local one.
    pub(super) listed: Option<Listed>,
    /// Location of the range in a compressed file that is read in several ranges.
    pub(super) units: Option<UnitRange>,
}

impl Split {
    /// Returns whether the file may have other splits.
    pub(super) fn is_cut(&self) -> bool {
        let is_whole = match self.listed {
            None => self.version.is_none(),
            Some(_) => self.end == u64::MAX,
        };
        self.start > 0 || !is_whole
    }

    /// Returns the split of the same file on another machine than the one that has planned it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file there is known to be another one.
    pub(super) fn on_other_machine(&self) -> Result<Self> {
        if let Some(planned) = self.planned {
            planned.check(&self.path, self.version.is_some())?;
        }
        Ok(Self {
            version: self.version.map(Version::of_other_machine),
            ..self.clone()
        })
    }

    /// Returns the current size and modification time of a local file, in nanoseconds; 0 for a file of another file
    /// system, whose version is a part of the split. Returns `None` for a pipe or a device.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be found.
    pub(crate) fn state(&self) -> Result<Option<(u64, u128)>> {
        if self.listed.is_some() {
            return Ok(Some((0, 0)));
        }
        let found = fs::metadata(local_path(&self.path));
        let found = found.map_err(|error| Error::io("open", &self.path, error))?;
        let modified = found.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |since| since.as_nanos());
        Ok(found.is_file().then_some((found.len(), modified)))
    }

    /// Returns a split of a whole file, up to its end when it is read.
    pub(super) fn whole(path: &Arc<Path>, expected_bytes: u64) -> Self {
        Self {
            listed: None,
            units: None,
            path: Arc::clone(path),
            start: 0,
            end: u64::MAX,
            expected_bytes,
            version: None,
            planned: None,
        }
    }
}

impl Portion {
    /// Returns the byte ranges.
    pub(crate) fn splits(&self) -> impl Iterator<Item = &Split> {
        let splits = match self {
            Self::Split(split) | Self::Stream(split) => std::slice::from_ref(split),
            Self::Pack(splits) => splits,
        };
        splits.iter()
    }
}

impl From<&InputFile> for Split {
    fn from(file: &InputFile) -> Self {
        Self {
            listed: file.as_listed(),
            planned: PlannedFile::of_file(file),
            ..Self::whole(&file.path, file.bytes)
        }
    }
}

/// A unit of reading. The portions of an input, in order, contain its records in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Portion {
    Split(Split),
    /// Several files, read one after another.
    Pack(Vec<Split>),
    /// A compressed file that cannot be divided in advance, or a stream, to be read as
    /// [`TextPieces`](super::TextPieces) while other threads process the pieces.
    ///
    /// If a file is a large part of the input, the other threads would have to wait for the one that reads it, so they
    /// share the processing of its lines, and decode parts of it in advance if its format allows that. If there are many
    /// such files, each thread decodes its own, and no pieces are passed between threads. A pipe can be open in one
    /// process only.
    Stream(Split),
}
