//! The parts of a compressed file that can be decoded separately, if headers or an index tell where they begin.
//!
//! - BGZF: each member of gzip has its length in its header, and that of its text at its end.
//! - Zstd: a seek table at the end has the lengths of all frames. Without one, the headers of frames and blocks have them.
//! - Xz: the index of each stream has the lengths of its blocks.
//!
//! Nothing is decoded. What is found here is checked when the file is read: see
//! [`UnitInput`](super::input::UnitInput). If anything is unusual, a file has no units.

use std::io::{self, Read, Seek};

use super::codec::Codec;
use super::unit::{Units, read_at};
use super::xz_index::find_blocks;
use super::zstd_units::find_frames;

/// Returns the units of a file of `bytes` bytes that begin at least `min_bytes` apart. Returns `None` if they cannot be
/// found without decoding.
///
/// # Errors
///
/// Returns an error if the file cannot be read.
pub(in crate::text) fn find_units(
    compression: Codec,
    file: &mut (impl Read + Seek),
    bytes: u64,
    min_bytes: u64,
) -> io::Result<Option<Units>> {
    let mut units = Units::new(min_bytes);
    let found = match compression {
        Codec::Gzip => find_bgzf_blocks(file, bytes, &mut units)?,
        Codec::Zstd => find_frames(file, bytes, &mut units)?,
        Codec::Xz => find_blocks(file, bytes, &mut units)?,
        Codec::Bzip2 | Codec::Lz4 | Codec::Snappy => None,
    };
    Ok(found.map(|()| units))
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
