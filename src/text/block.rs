//! Blocks of whole records, read from a split into a reused buffer.
//!
//! A record belongs to the split that its first byte lies in. So a split that does not begin the file starts looking
//! one delimiter's length before its start, and begins after the first delimiter it finds there; and each split reads
//! past its end as far as its last record goes.
//!
//! ```text
//!            split 1        |        split 2        |        split 3
//!  first record\nsecond rec ord\nthird\nthe fourth  recor d\n
//!  └──────── read by 1 ─────────┘└───── read by 2 ────────┘
//! ```
//!
//! The byte order mark of UTF-8 at the start of a file is dropped; offsets count it, and it lies in the first record.

use std::io::{ErrorKind as IoErrorKind, Read};
use std::mem;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

use super::delimiter::Delimiter;
use super::format::check_utf16;
use super::options::TextOptions;
use super::source::Source;
use super::split::Split;

/// The size of the buffer: small enough to stay in the second-level cache from `read` to the closure, large enough
/// that the calls do not count. From 128 KiB to 1 MiB it makes no difference that can be measured.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// What is read behind the end of a split at once, with the last of it: the end of most records. More would have to be
/// read twice, by the next one again, which shows where splits are of a few KiB.
const FIRST_COMPLETION_BYTES: usize = 2 << 10;

/// What is read in each further step to complete the last record of a split.
const COMPLETION_BYTES: usize = 16 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole records: each has its delimiter, but for a last one of the file that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where it starts in the (decompressed) file.
    pub(crate) offset: u64,
}

/// Pushes the records of `split`, block by block, into `on_block`, until that breaks.
///
/// `buffer` is only for reuse. `input_bytes` grows by what is read of the file, compressed if it is.
///
/// A file that is shorter than planned is read as far as it goes. What was appended to a file after planning is not
/// read, but for the end of the last record.
///
/// # Errors
///
/// Those of the file system, a format that cannot be read, and a record longer than `options` allow.
pub(crate) fn read_split(
    split: &Split,
    options: &TextOptions,
    buffer: &mut Vec<u8>,
    input_bytes: &AtomicU64,
    on_block: &mut impl FnMut(Block<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let mut reader = BlockReader::open(split, options, BLOCK_BYTES, mem::take(buffer))?;
    let result = push_blocks(&mut reader, input_bytes, on_block);
    *buffer = reader.into_buffer();
    result
}

fn push_blocks(
    reader: &mut BlockReader,
    input_bytes: &AtomicU64,
    on_block: &mut impl FnMut(Block<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let mut counted = 0;
    loop {
        let flow = match reader.next_block()? {
            Some(block) => Some(on_block(block)?),
            None => None,
        };
        let read = reader.input_bytes();
        input_bytes.fetch_add(read - counted, Ordering::Relaxed);
        counted = read;
        match flow {
            Some(ControlFlow::Continue(())) => {}
            Some(stop) => return Ok(stop),
            None => return Ok(ControlFlow::Continue(())),
        }
    }
}

/// The blocks of one split.
#[derive(Debug)]
pub(super) struct BlockReader {
    // What is read, and how.
    source: Source,
    path: Arc<Path>,
    delimiter: Delimiter,
    max_line_bytes: usize,
    block_bytes: usize,
    /// No record that begins here or later is read.
    end: u64,

    // The buffer: `start..filled` is text that has not been handed out, and begins with a record.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Where `buffer[0]` stands in the file.
    offset: u64,

    /// The source has no more.
    exhausted: bool,
    /// The last block has been handed out.
    done: bool,
}

impl BlockReader {
    /// `block_bytes` is the size of the buffer, and so about that of the blocks.
    pub(super) fn open(
        split: &Split,
        options: &TextOptions,
        block_bytes: usize,
        mut buffer: Vec<u8>,
    ) -> Result<Self> {
        let delimiter = Delimiter::new(&options.delimiter);
        debug_assert!(
            split.start == 0 || !delimiter.overlaps_itself(),
            "planned as one split"
        );
        // A delimiter that ends right at the start of the split shows that a record begins there.
        let search_from = split.start.saturating_sub(delimiter.bytes().len() as u64);
        // Whether there is a byte order mark matters only to a search that could begin inside of it.
        let offset = if search_from < BYTE_ORDER_MARK.len() as u64 {
            0
        } else {
            search_from
        };
        let source = if split.start == 0 {
            Source::open(&split.path)?
        } else {
            Source::open_at(&split.path, offset)?
        };
        // A record of the greatest length fits with its delimiter, and nothing longer does.
        let longest = options
            .max_line_bytes
            .saturating_add(delimiter.bytes().len());
        let end = if source.is_compressed() {
            u64::MAX
        } else {
            split.end
        };
        // Of a small split no more than it has, and mostly the rest of its last record: a buffer is filled with zeros
        // first, which thousands of small files would wait for.
        let expected = end
            .saturating_sub(offset)
            .saturating_add(FIRST_COMPLETION_BYTES as u64);
        let block_bytes = block_bytes
            .min(usize::try_from(expected).unwrap_or(usize::MAX))
            .max(BYTE_ORDER_MARK.len())
            .min(longest);
        if buffer.len() < block_bytes {
            buffer.resize(block_bytes, 0);
        }
        let mut reader = Self {
            end,
            source,
            path: Arc::clone(&split.path),
            delimiter,
            max_line_bytes: options.max_line_bytes,
            block_bytes,
            buffer,
            start: 0,
            filled: 0,
            offset,
            exhausted: false,
            done: false,
        };
        if offset == 0 {
            reader.skip_byte_order_mark(options.is_text)?;
        }
        if split.start > 0 {
            reader.skip_to_record((search_from - offset) as usize)?;
        }
        Ok(reader)
    }

    /// The next records, or nothing when the last have been handed out.
    pub(super) fn next_block(&mut self) -> Result<Option<Block<'_>>> {
        if self.done || self.position(self.start) >= self.end {
            return Ok(None);
        }
        self.compact();
        let mut searched = 0;
        loop {
            self.fill()?;
            if let Some(end) = self.block_end(searched) {
                return Ok(Some(self.hand_out(end)));
            }
            if self.exhausted {
                return self.last_block();
            }
            searched = (self.filled + 1).saturating_sub(self.delimiter.bytes().len());
            if self.filled == self.buffer.len() {
                self.grow()?;
            }
        }
    }

    /// What has been read of the file, compressed if it is.
    pub(super) fn input_bytes(&self) -> u64 {
        self.source.bytes_read()
    }

    /// The buffer for reuse, without the growth that a long line caused.
    pub(super) fn into_buffer(mut self) -> Vec<u8> {
        let usual = self.block_bytes.max(BLOCK_BYTES);
        self.buffer.truncate(usual);
        self.buffer.shrink_to(usual);
        self.buffer
    }

    /// The end of the records that can be handed out now. No delimiter begins before `searched`; `start` is 0.
    fn block_end(&mut self, searched: usize) -> Option<usize> {
        let text = &self.buffer[..self.filled];
        let end = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        if self.filled >= end
            && let Some(end) = self.delimiter.first_end(text, searched, end)
        {
            self.done = true;
            return Some(end);
        }
        if self.exhausted {
            return None;
        }
        self.delimiter.last_end(text, searched)
    }

    /// All that is left, when the source has no more.
    fn last_block(&mut self) -> Result<Option<Block<'_>>> {
        self.done = true;
        let text = &self.buffer[..self.filled];
        if text.is_empty() {
            return Ok(None);
        }
        let last_record = self.delimiter.last_end(text, 0).unwrap_or(0);
        if self.filled - last_record > self.max_line_bytes {
            return Err(self.line_too_long(last_record));
        }
        Ok(Some(self.hand_out(self.filled)))
    }

    fn hand_out(&mut self, end: usize) -> Block<'_> {
        self.start = end;
        Block {
            bytes: &self.buffer[..end],
            offset: self.offset,
        }
    }

    fn position(&self, index: usize) -> u64 {
        self.offset + index as u64
    }

    /// Moves what has not been handed out, mostly part of a line, to the front.
    fn compact(&mut self) {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.offset = self.position(self.start);
        self.filled -= self.start;
        self.start = 0;
    }

    /// Reads until the buffer is full, or a little past the end of the split; from there in small steps.
    fn fill(&mut self) -> Result<()> {
        let last = self.end.saturating_add(FIRST_COMPLETION_BYTES as u64);
        let to_end = usize::try_from(last.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let limit = if self.filled < to_end {
            to_end
        } else {
            self.filled + COMPLETION_BYTES
        };
        let limit = limit.min(self.buffer.len());
        while self.filled < limit && !self.exhausted {
            match self.source.read(&mut self.buffer[self.filled..limit]) {
                Ok(0) => self.exhausted = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == IoErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
        Ok(())
    }

    /// Makes room for a record that is longer than the buffer.
    fn grow(&mut self) -> Result<()> {
        let longest = self
            .max_line_bytes
            .saturating_add(self.delimiter.bytes().len());
        if self.buffer.len() >= longest {
            return Err(self.line_too_long(0));
        }
        let bytes = self.buffer.len().saturating_mul(2).min(longest);
        self.buffer.resize(bytes, 0);
        Ok(())
    }

    fn line_too_long(&self, start: usize) -> Error {
        Error::new(ErrorKind::LineTooLong {
            path: self.path.to_path_buf(),
            offset: self.position(start),
            limit_bytes: self.max_line_bytes,
        })
    }

    /// At the start of the file only.
    fn skip_byte_order_mark(&mut self, is_text: bool) -> Result<()> {
        self.fill_head()?;
        let text = &self.buffer[..self.filled];
        if text.starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
            // The first record counts as beginning at 0, and no other can begin before this.
            if self.end > 0 {
                self.end = self.end.max(BYTE_ORDER_MARK.len() as u64 + 1);
            }
        } else if is_text {
            check_utf16(text, &self.path)?;
        }
        Ok(())
    }

    /// Fills the buffer at least so far that a byte order mark would show, even if the split ends before.
    fn fill_head(&mut self) -> Result<()> {
        while self.filled < BYTE_ORDER_MARK.len() && !self.exhausted {
            self.fill()?;
        }
        Ok(())
    }

    /// Makes the first record that begins after a delimiter at `from` or later the current one.
    ///
    /// What is passed over is not kept, so the record it belongs to may have any length.
    fn skip_to_record(&mut self, from: usize) -> Result<()> {
        self.start = self.start.max(from);
        loop {
            self.fill()?;
            let text = &self.buffer[self.start.min(self.filled)..self.filled];
            if let Some(end) = self.delimiter.ends(text).next() {
                self.start += end;
                // A delimiter that ends the file is followed by no record, which `last_block` sees.
                return Ok(());
            }
            // A delimiter that is still to be completed would end after all that is here.
            if self.exhausted || self.position(self.filled) + 1 >= self.end {
                self.done = true;
                return Ok(());
            }
            let kept = self.delimiter.bytes().len() - 1;
            self.start = self
                .start
                .max(self.filled.saturating_sub(kept))
                .min(self.filled);
            self.compact();
            if self.filled == self.buffer.len() {
                self.grow()?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
