//! Compression of files that are written: independent parts, so that they can be decoded on several threads.
//!
//! - gzip: members of BGZF, as bgzip(1) writes them.
//! - zstd: frames, and a seek table if there are several.
//! - lz4: frames.

use std::io::{self, Write};

use crc32fast::hash as crc32;
use flate2::{Compress, FlushCompress, Status};
use lz4_flex::block::{compress_into, get_maximum_output_size};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash32;

/// Number of bytes of text in a member of BGZF. Even if they do not become shorter, the length of the member is less than
/// 64 KiB.
const BGZF_TEXT_BYTES: usize = 0xff00;

/// Number of bytes of text in a frame. Larger frames are shorter in all, and take more memory.
const FRAME_TEXT_BYTES: usize = 4 << 20;

/// Level of gzip(1) if none is set.
const GZIP_LEVEL: u32 = 6;

/// Empty member at the end of a file of BGZF.
const BGZF_END: &[u8; 28] =
    b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0";

/// Compression of the files of an output.
///
/// The files consist of parts that holdall decodes on several threads. The tools of the formats read them, too.
///
/// # Examples
///
/// ```
/// use holdall::{Compression, TextWriter};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// let writer = TextWriter::new().compression(Compression::Gzip);
/// let written = writer.write(&holdall::range_partitioned(0..1000, 1), &path)?;
/// assert_eq!(written.files, [path.join("part-00000.gz")]);
/// assert_eq!(holdall::read_text(&path)?.count()?, 1000);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Compression {
    /// Gzip, in members of 64 KiB of text (BGZF, as bgzip writes it). Names end with `.gz`.
    Gzip,
    /// Lz4, in frames of 4 MiB of text. Names end with `.lz4`.
    Lz4,
    /// Zstd, in frames of 4 MiB of text with a seek table. Names end with `.zst`.
    Zstd,
}

impl Compression {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zst",
        }
    }
}

/// Compresses text.
#[derive(Debug)]
pub(super) struct FileEncoder {
    compression: Compression,
    /// Text that has not been compressed yet.
    text: Vec<u8>,
    /// Length of each frame of zstd, and of its text.
    frames: Vec<(u32, u32)>,
}

impl FileEncoder {
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            text: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Compresses `bytes`, and writes what is complete to `output`.
    pub(super) fn write(&mut self, mut bytes: &[u8], output: &mut impl Write) -> io::Result<()> {
        let part_bytes = match self.compression {
            Compression::Gzip => BGZF_TEXT_BYTES,
            Compression::Lz4 | Compression::Zstd => FRAME_TEXT_BYTES,
        };
        while self.text.len() + bytes.len() >= part_bytes {
            let (now, later) = bytes.split_at(part_bytes - self.text.len());
            self.text.extend_from_slice(now);
            self.write_part(output)?;
            bytes = later;
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the end of the file.
    pub(super) fn finish(&mut self, output: &mut impl Write) -> io::Result<()> {
        let is_gzip = self.compression == Compression::Gzip;
        if !self.text.is_empty() || self.frames.is_empty() && !is_gzip {
            self.write_part(output)?;
        }
        match self.compression {
            Compression::Gzip => output.write_all(BGZF_END),
            Compression::Zstd if self.frames.len() > 1 => output.write_all(&self.seek_table()),
            _ => Ok(()),
        }
    }

    fn write_part(&mut self, output: &mut impl Write) -> io::Result<()> {
        let part = match self.compression {
            Compression::Gzip => bgzf_member(&self.text)?,
            Compression::Lz4 => lz4_frame(&self.text)?,
            Compression::Zstd => zstd_frame(&self.text)?,
        };
        if self.compression != Compression::Gzip {
            self.frames
                .push((part.len() as u32, self.text.len() as u32));
        }
        self.text.clear();
        output.write_all(&part)
    }

    /// Returns the lengths of all frames, in a frame that decoders skip.
    fn seek_table(&self) -> Vec<u8> {
        let mut table = b"\x5e\x2a\x4d\x18".to_vec();
        table.extend((8 * self.frames.len() as u32 + 9).to_le_bytes());
        for (bytes, text_bytes) in &self.frames {
            table.extend(bytes.to_le_bytes());
            table.extend(text_bytes.to_le_bytes());
        }
        table.extend((self.frames.len() as u32).to_le_bytes());
        table.extend(b"\0\xb1\xea\x92\x8f");
        table
    }
}

fn bgzf_member(text: &[u8]) -> io::Result<Vec<u8>> {
    const HEADER: &[u8; 18] = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\0\0";
    let deflate = |level| {
        let mut member = Vec::with_capacity(64 << 10);
        member.extend_from_slice(HEADER);
        let mut compress = Compress::new(flate2::Compression::new(level), false);
        let status = compress.compress_vec(text, &mut member, FlushCompress::Finish)?;
        // The rest has to fit, too.
        let is_whole = status == Status::StreamEnd && member.len() + 8 <= 64 << 10;
        Ok::<_, io::Error>(is_whole.then_some(member))
    };
    let member = match deflate(GZIP_LEVEL)? {
        None => deflate(0)?,
        member => member,
    };
    let mut member = member.ok_or_else(|| io::Error::other("a member of gzip is too long"))?;
    member.extend(crc32(text).to_le_bytes());
    member.extend((text.len() as u32).to_le_bytes());
    let bytes = (member.len() - 1) as u16;
    member[16..18].copy_from_slice(&bytes.to_le_bytes());
    Ok(member)
}

#[cfg(not(feature = "zstd-c"))]
fn zstd_frame(text: &[u8]) -> io::Result<Vec<u8>> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    Ok(compress_to_vec(text, CompressionLevel::Fastest))
}

#[cfg(feature = "zstd-c")]
fn zstd_frame(text: &[u8]) -> io::Result<Vec<u8>> {
    use zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};
    let failed = |code| io::Error::other(get_error_name(code));
    let mut context = CCtx::create();
    let checksum = CParameter::ChecksumFlag(true);
    context.set_parameter(checksum).map_err(failed)?;
    let mut frame = Vec::with_capacity(compress_bound(text.len()));
    context.compress2(&mut frame, text).map_err(failed)?;
    Ok(frame)
}

/// Returns a frame of one block.
fn lz4_frame(text: &[u8]) -> io::Result<Vec<u8>> {
    /// The frame has a version, its blocks are independent, and the length and a checksum of its text follow.
    const FLAGS: u8 = 0x40 | 0x20 | 0x08 | 0x04;
    /// Blocks have up to 4 MiB.
    const SIZES: u8 = 7 << 4;
    const STORED: u32 = 1 << 31;
    let mut frame = b"\x04\x22\x4d\x18".to_vec();
    let mut header = vec![FLAGS, SIZES];
    header.extend((text.len() as u64).to_le_bytes());
    header.push((XxHash32::oneshot(0, &header) >> 8) as u8);
    frame.extend(header);
    if !text.is_empty() {
        let start = frame.len() + 4;
        frame.resize(start + get_maximum_output_size(text.len()), 0);
        let bytes = compress_into(text, &mut frame[start..]).map_err(io::Error::other)?;
        if bytes < text.len() {
            frame[start - 4..start].copy_from_slice(&(bytes as u32).to_le_bytes());
            frame.truncate(start + bytes);
        } else {
            let size = STORED | text.len() as u32;
            frame[start - 4..start].copy_from_slice(&size.to_le_bytes());
            frame.truncate(start);
            frame.extend_from_slice(text);
        }
    }
    frame.extend([0; 4]);
    frame.extend(XxHash32::oneshot(0, text).to_le_bytes());
    Ok(frame)
}
