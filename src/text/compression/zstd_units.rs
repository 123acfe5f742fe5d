//! Finds the frames of a zstd file, from its seek table or from the headers of frames and blocks.

use std::io::{self, Read, Seek};

use super::unit::{Units, read_at};

pub(super) const MAGIC: u32 = 0xfd2f_b528;

/// Magic number of skippable frames, without its lowest four bits.
pub(super) const SKIPPABLE: u32 = 0x184d_2a50;

/// Length of the header of a skippable frame, in bytes.
const SKIPPABLE_HEADER_BYTES: u64 = 8;

/// Kind of a unit of a file.
pub(super) enum ZstdStart {
    Frame,
    /// A skippable frame, which has been skipped.
    Skipped,
}

/// Adds all frames of a file. Returns `None` if the length of a frame or of its text is unknown.
pub(super) fn find_frames(
    file: &mut (impl Read + Seek),
    bytes: u64,
    units: &mut Units,
) -> io::Result<Option<()>> {
    if let Some(table) = SeekTable::read(file, bytes)? {
        return table.add_frames(file, units);
    }
    let mut start = 0;
    while start < bytes {
        let (head, len) = read_at::<18>(file, start)?;
        let Some(header) = FrameHeader::of(&head[..len]) else {
            return Ok(None);
        };
        let end = match header {
            FrameHeader::Skippable { bytes } => start + bytes,
            FrameHeader::Frame {
                bytes: header_bytes,
                text_bytes,
                has_checksum,
            } => {
                if units.add(start, None, text_bytes).is_none() {
                    return Ok(None);
                }
                let Some(end) = find_end(file, start + header_bytes, bytes)? else {
                    return Ok(None);
                };
                end + if has_checksum { 4 } else { 0 }
            }
        };
        start = end;
    }
    Ok((start == bytes).then_some(()))
}

/// Returns the end of the blocks that begin at `start`.
fn find_end(
    file: &mut (impl Read + Seek),
    mut start: u64,
    file_bytes: u64,
) -> io::Result<Option<u64>> {
    while start < file_bytes {
        let ([b0, b1, b2], 3) = read_at::<3>(file, start)? else {
            return Ok(None);
        };
        let header = u32::from_le_bytes([b0, b1, b2, 0]);
        let bytes = match header >> 1 & 3 {
            // A byte that is repeated.
            1 => 1,
            3 => return Ok(None),
            _ => u64::from(header >> 3),
        };
        start += 3 + bytes;
        if header & 1 == 1 {
            return Ok(Some(start));
        }
    }
    Ok(None)
}

enum FrameHeader {
    Skippable {
        /// Length of the whole frame.
        bytes: u64,
    },
    Frame {
        /// Length of the header.
        bytes: u64,
        text_bytes: u64,
        has_checksum: bool,
    },
}

impl FrameHeader {
    /// Returns `None` if it is invalid, or does not have the length of the text.
    fn of(head: &[u8]) -> Option<Self> {
        let (magic, rest) = head.split_first_chunk()?;
        let magic = u32::from_le_bytes(*magic);
        if magic & !0xf == SKIPPABLE {
            let bytes = u32::from_le_bytes(*rest.first_chunk()?);
            let bytes = SKIPPABLE_HEADER_BYTES + u64::from(bytes);
            return Some(Self::Skippable { bytes });
        }
        let flags = *rest.first().filter(|_| magic == MAGIC)?;
        let is_single_segment = flags & 0x20 != 0;
        let dictionary_bytes = [0, 1, 2, 4][usize::from(flags & 3)];
        let size_at = 5 + usize::from(!is_single_segment) + dictionary_bytes;
        let size = head.get(size_at..)?;
        let (text_bytes, size_bytes) = match flags >> 6 {
            0 if is_single_segment => (u64::from(*size.first()?), 1),
            0 => return None,
            1 => (u64::from(u16::from_le_bytes(*size.first_chunk()?)) + 256, 2),
            2 => (u32::from_le_bytes(*size.first_chunk()?).into(), 4),
            _ => (u64::from_le_bytes(*size.first_chunk()?), 8),
        };
        Some(Self::Frame {
            bytes: (size_at + size_bytes) as u64,
            text_bytes,
            has_checksum: flags & 4 != 0,
        })
    }
}

/// The table at the end of a seekable file: a skippable frame.
struct SeekTable {
    /// Offset in the file.
    start: u64,
    frames: u64,
    has_checksums: bool,
}

impl SeekTable {
    const FOOTER_BYTES: usize = 9;
    const FOOTER_MAGIC: u32 = 0x8f92_eab1;
    const FRAME_MAGIC: u32 = 0x184d_2a5e;

    fn read(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<Option<Self>> {
        let Some(footer_at) = bytes.checked_sub(Self::FOOTER_BYTES as u64) else {
            return Ok(None);
        };
        let (footer, _) = read_at::<{ Self::FOOTER_BYTES }>(file, footer_at)?;
        let [n0, n1, n2, n3, flags, magic @ ..] = footer;
        if u32::from_le_bytes(magic) != Self::FOOTER_MAGIC || flags & 0x7c != 0 {
            return Ok(None);
        }
        let mut table = Self {
            start: 0,
            frames: u32::from_le_bytes([n0, n1, n2, n3]).into(),
            has_checksums: flags & 0x80 != 0,
        };
        let content_bytes = table.frames * table.entry_bytes() + Self::FOOTER_BYTES as u64;
        let Some(start) = bytes.checked_sub(content_bytes + SKIPPABLE_HEADER_BYTES) else {
            return Ok(None);
        };
        table.start = start;
        let (header, _) = read_at::<{ SKIPPABLE_HEADER_BYTES as usize }>(file, start)?;
        let [m0, m1, m2, m3, size @ ..] = header;
        let is_table = u32::from_le_bytes([m0, m1, m2, m3]) == Self::FRAME_MAGIC
            && u64::from(u32::from_le_bytes(size)) == content_bytes;
        Ok(is_table.then_some(table))
    }

    fn entry_bytes(&self) -> u64 {
        8 + if self.has_checksums { 4 } else { 0 }
    }

    fn add_frames(
        &self,
        file: &mut (impl Read + Seek),
        units: &mut Units,
    ) -> io::Result<Option<()>> {
        let mut start = 0;
        for frame in 0..self.frames {
            let at = self.start + SKIPPABLE_HEADER_BYTES + frame * self.entry_bytes();
            let ([d0, d1, d2, d3, text @ ..], _) = read_at::<8>(file, at)?;
            let text_bytes = u32::from_le_bytes(text).into();
            if units.add(start, None, text_bytes).is_none() {
                return Ok(None);
            }
            start += u64::from(u32::from_le_bytes([d0, d1, d2, d3]));
        }
        Ok((start == self.start).then_some(()))
    }
}
