//! Finds the blocks of an xz file, from the index at the end of each stream.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::input::take;
use super::unit::{Units, read_at};
use super::xz_block::read_number;
use super::xz_check::CHECK_BYTES;

const HEADER_BYTES: u64 = 12;
const FOOTER_BYTES: u64 = 12;

/// Maximum number of streams in a file that is divided.
const MAX_STREAMS: usize = 10_000;

/// A stream, as its footer describes it.
struct XzStream {
    start: u64,
    check: u8,
    /// Length of each block in the file, with padding, and of its text.
    blocks: Vec<(u64, u64)>,
}

/// Adds all blocks of a file. Returns `None` if an index is not as it should be.
pub(super) fn find_blocks(
    file: &mut (impl Read + Seek),
    bytes: u64,
    units: &mut Units,
) -> io::Result<Option<()>> {
    let mut streams = Vec::new();
    let mut end = bytes;
    while end > 0 {
        match last_stream(file, end) {
            Ok(Some(stream)) if streams.len() < MAX_STREAMS => {
                end = stream.start;
                streams.push(stream);
            }
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            // The reader returns the error.
            _ => return Ok(None),
        }
    }
    for stream in streams.iter().rev() {
        let mut start = stream.start + HEADER_BYTES;
        for (data_bytes, text_bytes) in &stream.blocks {
            if units.add(start, Some(stream.check), *text_bytes).is_none() {
                return Ok(None);
            }
            start += data_bytes;
        }
    }
    Ok(Some(()))
}

/// Returns the stream that ends at `end` or at padding before it.
fn last_stream(file: &mut (impl Read + Seek), mut end: u64) -> io::Result<Option<XzStream>> {
    // Padding.
    while end >= 4 && read_at::<4>(file, end - 4)?.0 == [0; 4] {
        end -= 4;
    }
    let Some(footer_at) = end.checked_sub(FOOTER_BYTES) else {
        return Ok(None);
    };
    let (footer, _) = read_at::<{ FOOTER_BYTES as usize }>(file, footer_at)?;
    let [c0, c1, c2, c3, s0, s1, s2, s3, 0, check @ 0..16, b'Y', b'Z'] = footer else {
        return Ok(None);
    };
    let index_bytes = 4 * (u64::from(u32::from_le_bytes([s0, s1, s2, s3])) + 1);
    let is_footer = crc32fast::hash(&footer[4..10]) == u32::from_le_bytes([c0, c1, c2, c3]);
    let Some(index_at) = footer_at.checked_sub(index_bytes).filter(|_| is_footer) else {
        return Ok(None);
    };
    let blocks = read_index(file, index_at, index_bytes, CHECK_BYTES[usize::from(check)])?;
    let data_bytes = blocks
        .iter()
        .try_fold(0_u64, |sum, (bytes, _)| sum.checked_add(*bytes));
    let start = data_bytes.and_then(|bytes| index_at.checked_sub(bytes)?.checked_sub(HEADER_BYTES));
    Ok(start.map(|start| XzStream {
        start,
        check,
        blocks,
    }))
}

/// Returns the lengths of blocks.
fn read_index(
    file: &mut (impl Read + Seek),
    start: u64,
    bytes: u64,
    check_bytes: u8,
) -> io::Result<Vec<(u64, u64)>> {
    file.seek(SeekFrom::Start(start))?;
    let mut index = BufReader::new(file.take(bytes));
    let mut number = || read_number(|| Ok(take::<1>(&mut index)?[0]));
    let mut blocks = Vec::new();
    if number()? == 0 {
        for _ in 0..number()? {
            let (unpadded_bytes, text_bytes) = (number()?, number()?);
            // A block has a header, and something for LZMA2.
            if unpadded_bytes <= u64::from(check_bytes) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            blocks.push((unpadded_bytes.next_multiple_of(4), text_bytes));
        }
    }
    Ok(blocks)
}
