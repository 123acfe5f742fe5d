//! The parts of a compressed file that can be decoded separately, if headers or an index tell where they begin.
//!
//! - BGZF: each member of gzip has its length in its header, and that of its text at its end.
//! - Zstd: a seek table at the end has the lengths of all frames. Without one, the headers of frames and blocks have them.
//! - Xz: the index of each stream has the lengths of its blocks.
//!
//! Nothing is decoded. What is found here is checked when the file is read: see
//! [`UnitInput`](super::input::UnitInput). If anything is unusual, a file has no units.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use super::Compression;
use super::xz_index::find_blocks;
use super::zstd_units::find_frames;

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

/// Returns the units of a file of `bytes` bytes that begin at least `min_bytes` apart. Returns `None` if they cannot be
/// found without decoding.
///
/// # Errors
///
/// Returns an error if the file cannot be read.
pub(in crate::text) fn find_units(
    compression: Compression,
    file: &mut (impl Read + Seek),
    bytes: u64,
    min_bytes: u64,
) -> io::Result<Option<Units>> {
    let mut units = Units {
        min_bytes,
        starts: vec![UnitStart::default()],
        text_bytes: 0,
    };
    let found = match compression {
        Compression::Gzip => find_bgzf_blocks(file, bytes, &mut units)?,
        Compression::Zstd => find_frames(file, bytes, &mut units)?,
        Compression::Xz => find_blocks(file, bytes, &mut units)?,
        Compression::Bzip2 | Compression::Lz4 | Compression::Snappy => None,
    };
    Ok(found.map(|()| units))
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

/// Length of the header of a member of BGZF, in bytes.
const BGZF_HEADER_BYTES: usize = 18;

/// Finds the members of a file all of which are of BGZF.
fn find_bgzf_blocks(
    file: &mut (impl Read + Seek),
    bytes: u64,
    units: &mut Units,
) -> io::Result<Option<()>> {
    const TEXT_BYTES: usize = 4;
    let (mut header, _) = read_at::<BGZF_HEADER_BYTES>(file, 0)?;
    let mut start = 0;
    while start < bytes {
        let Some(end) = bgzf_bytes(&header).map(|len| start + len) else {
            return Ok(None);
        };
        // The length of the text is directly before the next header.
        let both = read_at::<{ TEXT_BYTES + BGZF_HEADER_BYTES }>(file, end - TEXT_BYTES as u64)?;
        let Some((text_bytes, next)) = both.0.split_first_chunk() else {
            return Ok(None);
        };
        let text_bytes = u32::from_le_bytes(*text_bytes).into();
        if end > bytes || units.add(start, None, text_bytes).is_none() {
            return Ok(None);
        }
        header.copy_from_slice(next);
        start = end;
    }
    Ok(Some(()))
}

/// Returns the length of a member from its header, if it is of BGZF.
fn bgzf_bytes(header: &[u8; BGZF_HEADER_BYTES]) -> Option<u64> {
    match header {
        [
            0x1f,
            0x8b,
            8,
            4,
            _,
            _,
            _,
            _,
            _,
            _,
            6,
            0,
            b'B',
            b'C',
            2,
            0,
            l0,
            l1,
        ] => {
            let bytes = u64::from(u16::from_le_bytes([*l0, *l1])) + 1;
            (bytes > BGZF_HEADER_BYTES as u64 + 8).then_some(bytes)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
