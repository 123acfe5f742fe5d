//! Places of units: parts of a compressed file that can be decoded separately.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// Minimum number of bytes of text before the second unit of a division: more than a byte order mark has.
const MIN_TEXT_BYTES: u64 = 4;

/// Place of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::text) struct UnitStart {
    /// Offset in the file.
    pub(in crate::text) data: u64,
    /// Offset in the text.
    pub(in crate::text) text: u64,
    /// The type of check of the stream, for a block of xz.
    pub(super) check: Option<u8>,
}

/// Units at which a file can be divided, at least a certain number of bytes apart.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::text) struct Units {
    min_bytes: u64,
    /// The first is the start of the file.
    pub(in crate::text) starts: Vec<UnitStart>,
    pub(in crate::text) text_bytes: u64,
}

impl Units {
    pub(super) fn new(min_bytes: u64) -> Self {
        Self {
            min_bytes,
            starts: vec![UnitStart::default()],
            text_bytes: 0,
        }
    }

    /// Adds a unit, which begins after all text so far.
    pub(super) fn add(&mut self, data: u64, check: Option<u8>, text_bytes: u64) -> Option<()> {
        let start = UnitStart {
            data,
            text: self.text_bytes,
            check,
        };
        if let Some(last) = self.starts.last()
            && data - last.data >= self.min_bytes
            && start.text >= last.text + MIN_TEXT_BYTES
        {
            self.starts.push(start);
        }
        self.text_bytes = self.text_bytes.checked_add(text_bytes)?;
        Some(())
    }
}

/// Reads up to `N` bytes at an offset. Returns fewer at the end of the file.
pub(super) fn read_at<const N: usize>(
    file: &mut (impl Read + Seek),
    offset: u64,
) -> io::Result<([u8; N], usize)> {
    file.seek(SeekFrom::Start(offset))?;
    let (mut bytes, mut filled) = ([0; N], 0);
    while filled < N {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok((bytes, filled))
}
