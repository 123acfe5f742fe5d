//! Bytes in a scratch file: written sequentially, read at any offset, in blocks with checksums.
//!
//! ```text
//!  file  = block*
//!  block = payload (BLOCK_BYTES; the last block has the rest), crc32 of the block's number and payload
//! ```
//!
//! All blocks except the last have the same length, so the position of a byte follows from its offset, and a reader
//! needs no index. For the same reason, blocks are not compressed. A run has its records compressed, but can be read
//! only from its start.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::scratch::{Scratch, ScratchFile, ScratchWriter};
use super::transfer::read_error;
use crate::error::{Error, ErrorKind, Result};

/// Length of the payload of a block, in bytes. A read of a few bytes takes longer with larger blocks; with smaller
/// ones, sequential access makes more system calls.
const BLOCK_BYTES: usize = 64 << 10;

/// Length of a checksum, in bytes.
const SUM_BYTES: usize = 4;

/// Length of a stored block that is not the last, in bytes.
const STORED_BYTES: u64 = (BLOCK_BYTES + SUM_BYTES) as u64;

/// Writes bytes to a new scratch file.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    output: ScratchWriter,
    /// Payload of the next block.
    block: Vec<u8>,
    /// Number of blocks that have been written.
    blocks: u64,
}

impl BlockWriter {
    /// Creates a file in `scratch`. `name` need not be unique.
    pub(crate) fn create(scratch: &Scratch, name: &str) -> Result<Self> {
        Ok(Self {
            output: scratch.create(name)?,
            block: Vec::new(),
            blocks: 0,
        })
    }

    /// Appends all of `bytes`.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.block.len() == BLOCK_BYTES {
                self.write_block()?;
            }
            let (fitting, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(fitting);
            bytes = rest;
        }
        Ok(())
    }

    /// Returns the number of bytes that have been appended.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks * BLOCK_BYTES as u64 + self.block.len() as u64
    }

    /// Writes the rest, and returns the file for its readers.
    pub(crate) fn finish(mut self) -> Result<BlockFile> {
        let bytes = self.bytes();
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(BlockFile::new(Arc::clone(self.output.file()), bytes))
    }

    fn write_block(&mut self) -> Result<()> {
        let sum = checksum(self.blocks, &self.block);
        self.block.extend_from_slice(&sum);
        let written = self.output.append(&self.block);
        if written.is_ok() {
            self.block.clear();
            self.blocks += 1;
        } else {
            // The next attempt appends the checksum again.
            self.block.truncate(self.block.len() - SUM_BYTES);
        }
        written
    }
}

/// A file that a [`BlockWriter`] has written. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct BlockFile {
    file: Arc<ScratchFile>,
    bytes: u64,
}

impl BlockFile {
    /// Returns the file with `bytes` bytes, without those of its checksums.
    pub(crate) fn new(file: Arc<ScratchFile>, bytes: u64) -> Self {
        Self { file, bytes }
    }

    /// Returns the number of bytes that were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn file(&self) -> &Arc<ScratchFile> {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Fills `buffer` with the bytes at `offset`. Returns their number, which is smaller than the length of `buffer`
    /// only if the file ends before.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::CorruptRun`] if the file is missing, or if a block does not match its checksum.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let length = self.bytes.saturating_sub(offset).min(buffer.len() as u64) as usize;
        if length == 0 {
            return Ok(0);
        }
        let first = offset / BLOCK_BYTES as u64;
        let blocks = (offset + length as u64).div_ceil(BLOCK_BYTES as u64) - first;
        let start = first * STORED_BYTES;
        let mut input = self.file.open()?.range(start, blocks * STORED_BYTES);
        let mut block = Vec::new();
        let mut skipped = (offset % BLOCK_BYTES as u64) as usize;
        let mut filled = 0;
        for number in first..first + blocks {
            self.read_block(number, &mut input, &mut block)?;
            let wanted = &block[skipped..];
            let wanted = &wanted[..wanted.len().min(length - filled)];
            buffer[filled..filled + wanted.len()].copy_from_slice(wanted);
            filled += wanted.len();
            skipped = 0;
        }
        Ok(length)
    }

    /// Reads the next block of `input`, whose number is `number`. Returns its payload in `block`.
    fn read_block(&self, number: u64, input: &mut impl Read, block: &mut Vec<u8>) -> Result<()> {
        let left = self.bytes - number * BLOCK_BYTES as u64;
        let payload_bytes = left.min(BLOCK_BYTES as u64) as usize;
        block.resize(payload_bytes + SUM_BYTES, 0);
        input
            .read_exact(block)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.corrupt(number, "the file is cut short"),
                _ => read_error(self.path(), error),
            })?;
        let (payload, sum) = block.split_at(payload_bytes);
        if *sum != checksum(number, payload) {
            return Err(self.corrupt(number, "the block's checksum does not match"));
        }
        block.truncate(payload_bytes);
        Ok(())
    }

    #[cold]
    fn corrupt(&self, block: u64, reason: &'static str) -> Error {
        Error::new(ErrorKind::CorruptRun {
            path: self.path().to_owned(),
            offset: block * STORED_BYTES,
            reason,
        })
    }
}

/// Includes the number of the block, so that a block in the place of another is detected.
fn checksum(number: u64, payload: &[u8]) -> [u8; SUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(payload);
    hasher.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|n| (n * n % 251) as u8).collect()
    }

    fn written(scratch: &Scratch, bytes: &[u8]) -> BlockFile {
        let mut writer = BlockWriter::create(scratch, "blocks").unwrap();
        for piece in bytes.chunks(1_000) {
            writer.append(piece).unwrap();
        }
        assert_eq!(writer.bytes(), bytes.len() as u64);
        writer.finish().unwrap()
    }

    #[test]
    fn any_range_is_read() {
        let scratch = Scratch::new(None, None);
        let lengths = [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 17];
        for length in lengths {
            let bytes = content(length);
            let file = written(&scratch, &bytes);
            let offsets = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, length, length + 1];
            for offset in offsets {
                for wanted in [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5] {
                    let mut buffer = vec![7; wanted];
                    let count = file.read_at(offset as u64, &mut buffer).unwrap();
                    let expected = bytes.get(offset..).unwrap_or_default();
                    let expected = &expected[..expected.len().min(wanted)];
                    assert!(buffer[..count] == *expected);
                }
            }
        }
        assert!(scratch.written_bytes() > 0);
        assert_eq!(scratch.used_bytes(), 0);
    }

    #[test]
    fn damage_is_found_where_it_is_and_only_there() {
        let scratch = Scratch::new(None, None);
        let bytes = content(3 * BLOCK_BYTES);
        let file = written(&scratch, &bytes);
        let whole = fs::read(file.path()).unwrap();
        let at = STORED_BYTES as usize;
        let swapped = [&whole[at..2 * at], &whole[..at], &whole[2 * at..]].concat();
        let mut flipped = whole.clone();
        flipped[at + 5] ^= 1;
        let mut buffer = vec![0; BLOCK_BYTES];
        for (damaged, is_first_damaged) in [(swapped, true), (flipped, false)] {
            fs::write(file.path(), &damaged).unwrap();
            let first = file.read_at(0, &mut buffer);
            assert_eq!(first.is_err(), is_first_damaged);
            let error = file.read_at(BLOCK_BYTES as u64 + 3, &mut buffer[..9]);
            assert!(error.unwrap_err().is_recoverable());
            assert!(file.read_at(2 * BLOCK_BYTES as u64, &mut buffer).is_ok());
        }
        fs::write(file.path(), &whole[..at]).unwrap();
        assert!(file.read_at(0, &mut buffer).is_ok());
        let error = file.read_at(1, &mut buffer).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
        fs::remove_file(file.path()).unwrap();
        assert!(file.read_at(0, &mut buffer).unwrap_err().is_recoverable());
    }
}
