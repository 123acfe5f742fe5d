//! Blocks of whole records, read from a split into a reused buffer.
//!
//! A record belongs to the split that contains its first byte. Therefore:
//!
//! - If a split does not begin at the start of the file, its reader searches for a delimiter, beginning one delimiter
//!   length before the start of the split. The first record begins after the first delimiter that it finds.
//! - Each reader reads past the end of its split, up to the end of the last record.
//!
//! The reader of a split then stands where the next split begins, and can continue with it. If it does so, it also
//! reads ahead, so that thousands of small splits need few calls.
//!
//! ```text
//!            split 1        |        split 2        |        split 3
//!  first record\nsecond rec ord\nthird\nthe fourth  recor d\n
//!  └──────── read by 1 ─────────┘└───── read by 2 ────────┘
//! ```
//!
//! The byte order mark of UTF-8 at the start of a file is dropped. Offsets count it, as a part of the first record.

mod wrong;

use std::io::Read;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use crate::counter::BadRecords;
use crate::error::{Error, Result};
use crate::files::{Listed, changed, read_error};

use super::compression::{Codec, Helpers};
use super::delimiter::Delimiter;
use super::options::TextOptions;
use super::source::TextInput;
use super::split::Split;
use super::start::{BYTE_ORDER_MARK, TextBlock, search_start};
use super::streams;
use super::version::Version;

/// Default size of the buffer, in bytes. It is small enough for a block to stay in the L2 cache from `read` to the
/// closure, and large enough for the cost of the calls not to matter. Sizes from 128 KiB to 1 MiB show no measurable
/// difference.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Number of bytes that are read past the end of a split together with its end; most records end within them. More
/// would be read twice if the next split has another reader, which costs measurable time if splits have a few KiB.
const FIRST_COMPLETION_BYTES: u64 = 2 << 10;

/// Maximum number of bytes that are read ahead past the end of a split if the same reader is likely to read the next
/// one. With larger splits, the cost of calls does not matter.
const MAX_AHEAD_BYTES: u64 = 64 << 10;

/// Number of bytes in each further step that completes the last record of a split.
const COMPLETION_BYTES: usize = 16 << 10;

/// Reads the blocks of a split, and then those of other splits.
#[derive(Debug)]
pub(super) struct TextBlockReader {
    // The input and the settings.
    source: TextInput,
    path: Arc<Path>,
    version: Option<Version>,
    listed: Option<Listed>,
    delimiter: Delimiter,
    max_line_bytes: usize,
    has_lines: bool,
    bad: Option<BadRecords>,
    /// Start of the first of the consecutive splits that this reader has read.
    first: u64,
    /// End of the split: no record of it begins here or later.
    end: u64,
    /// Number of bytes to read past the end.
    ahead_bytes: u64,

    // The buffer: `start..filled` is text that has not been returned, and begins with a record.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Offset of `buffer[0]` in the file.
    offset: u64,

    /// `true` at the end of the source.
    exhausted: bool,
    /// The error that follows the text in the buffer.
    failed: Option<Error>,
    /// `true` if the last block of the split has been returned.
    done: bool,
    /// Number of bytes of the file that have been counted as read.
    counted_bytes: u64,
}

impl TextBlockReader {
    /// Returns a reader of `split`. `block_bytes` is the size of the buffer, and thus approximately that of the blocks.
    /// `last` is a reader that has finished its split: it is used again if it stands at the start of `split`.
    /// Otherwise, the new reader takes over its buffer and, if the file is the same, its open file.
    pub(super) fn open(
        split: &Split,
        options: &TextOptions,
        block_bytes: usize,
        last: Option<Box<Self>>,
    ) -> Result<Box<Self>> {
        match last {
            Some(mut reader) if reader.stands_at(split, options) => {
                reader.begin(split, block_bytes);
                Ok(reader)
            }
            last => Self::find(split, options, block_bytes, last).map(Box::new),
        }
    }

    /// Returns a reader of a split of a whole file, which may be a stream. `helpers` decode it in advance.
    pub(super) fn open_stream(
        split: &Split,
        options: &TextOptions,
        block_bytes: usize,
        helpers: Helpers,
    ) -> Result<Box<Self>> {
        let source = match split.listed {
            Some(_) => TextInput::open_helped(split, options, helpers)?,
            None => {
                let file = streams::open(&split.path)?;
                TextInput::of_helped(file, &split.path, options, helpers)?
            }
        };
        let split = Split {
            expected_bytes: u64::MAX,
            planned: None,
            ..split.clone()
        };
        Self::start(&split, options, block_bytes, source, Vec::new()).map(Box::new)
    }

    /// Creates a reader and finds the first record of `split`.
    fn find(
        split: &Split,
        options: &TextOptions,
        block_bytes: usize,
        last: Option<Box<Self>>,
    ) -> Result<Self> {
        let (open, buffer) = last.map_or_else(Default::default, |last| {
            let is_same = last.path == split.path && last.version == split.version;
            let is_plain = split.listed.is_none() && split.units.is_none();
            (
                Some(last.source).filter(|_| is_same && is_plain),
                last.buffer,
            )
        });
        if !split.is_cut() {
            let source = TextInput::open(split, options)?;
            return Self::start(split, options, block_bytes, source, buffer);
        }
        let counted_bytes = open.as_ref().map_or(0, TextInput::bytes_read);
        let (_, offset) = search_start(split, options);
        let source = TextInput::open_at(split, offset, options, open)?;
        let mut reader = Self::start(split, options, block_bytes, source, buffer)?;
        reader.counted_bytes = counted_bytes;
        Ok(reader)
    }

    /// Creates a reader and finds the first record of `split`. The position of `source` is the second offset of
    /// [`search_start`].
    fn start(
        split: &Split,
        options: &TextOptions,
        block_bytes: usize,
        source: TextInput,
        buffer: Vec<u8>,
    ) -> Result<Self> {
        let (search_from, offset) = search_start(split, options);
        let mut reader = Self {
            counted_bytes: 0,
            source,
            path: Arc::clone(&split.path),
            version: split.version,
            listed: split.listed.clone(),
            delimiter: Delimiter::new(&options.delimiter),
            max_line_bytes: options.max_line_bytes,
            has_lines: options.has_lines(),
            bad: options.bad.clone(),
            first: split.start,
            end: 0,
            ahead_bytes: 0,
            buffer,
            start: 0,
            filled: 0,
            offset,
            exhausted: false,
            failed: None,
            done: false,
        };
        debug_assert!(
            split.start == 0 || !reader.delimiter.overlaps_itself(),
            "planned as one split"
        );
        reader.begin(split, block_bytes);
        if offset == 0 {
            reader.skip_byte_order_mark()?;
        }
        if split.start > 0 || options.skips_header {
            reader.skip_to_record((search_from - offset) as usize)?;
        }
        Ok(reader)
    }

    /// Returns `true` if the first record of `split` is the next one, because all records before it have been returned.
    fn stands_at(&self, split: &Split, options: &TextOptions) -> bool {
        self.end == split.start
            && self.position(self.start) >= self.end
            && self.path == split.path
            && self.version == split.version
            && self.listed == split.listed
            && self.delimiter.bytes() == options.delimiter
            && self.max_line_bytes == options.max_line_bytes
    }

    /// Prepares for reading `split`.
    fn begin(&mut self, split: &Split, block_bytes: usize) {
        self.done = false;
        // The range of a compressed file that was not divided is one of its bytes, not of its text.
        let is_undivided = self.source.is_compressed() && split.units.is_none();
        self.end = if is_undivided { u64::MAX } else { split.end };
        // If this reader has read consecutive small splits, it is likely to read the next one too. A wrong guess wastes
        // at most a quarter of the bytes that it has read.
        self.ahead_bytes = FIRST_COMPLETION_BYTES;
        if self.end.saturating_sub(split.start) < MAX_AHEAD_BYTES {
            let read_bytes = split.start - self.first;
            self.ahead_bytes = (read_bytes / 4).clamp(FIRST_COMPLETION_BYTES, MAX_AHEAD_BYTES);
        }
        self.source
            .expect_end(self.end.saturating_add(MAX_AHEAD_BYTES));
        // For a small split, limit the buffer to the split and the bytes ahead: a buffer is zeroed first, which would
        // take noticeable time for thousands of small files.
        let block_bytes = if is_undivided {
            block_bytes
        } else {
            let end = split.start.saturating_add(split.expected_bytes);
            let expected = end.saturating_sub(self.position(self.start));
            let expected = expected.saturating_add(self.ahead_bytes);
            block_bytes.min(usize::try_from(expected).unwrap_or(usize::MAX))
        };
        let block_bytes = block_bytes.max(BYTE_ORDER_MARK.len());
        let bytes = self.buffer.len().max(block_bytes).min(self.longest());
        if self.buffer.is_empty() {
            // The allocator may have zeroed memory.
            self.buffer = vec![0; bytes];
        }
        self.buffer.resize(bytes, 0);
    }

    /// Returns the maximum length of a record with its ending. A record that ends without a `\r` and is one byte too
    /// long has this length, too.
    fn longest(&self) -> usize {
        let ending = self.delimiter.bytes().len() + usize::from(self.ends_at_line_feeds());
        self.max_line_bytes.saturating_add(ending)
    }

    /// Returns `true` if a `\r` before the delimiter belongs to the ending.
    fn ends_at_line_feeds(&self) -> bool {
        self.delimiter.bytes() == b"\n"
    }

    /// Returns `true` if the first record is one byte too long.
    fn is_one_too_long(&self, end: usize) -> bool {
        let block = &self.buffer[self.start..end];
        self.ends_at_line_feeds()
            && block.len() == self.longest()
            && !block.ends_with(b"\r\n")
            && memchr::memchr(b'\n', block) == Some(block.len() - 1)
    }

    /// Returns the next records, or `None` after the last ones.
    pub(super) fn next_block(&mut self) -> Result<Option<TextBlock<'_>>> {
        if self.done || self.position(self.start) >= self.end {
            return Ok(None);
        }
        // The rest of the split may have been read together with the previous one.
        if self.position(self.filled) < self.end && self.failed.is_none() {
            self.compact();
            self.fill()?;
        }
        let mut searched = self.start;
        loop {
            if let Some(end) = self.block_end(searched) {
                if !self.is_one_too_long(end) {
                    return Ok(Some(self.hand_out(end)));
                }
                self.skip_long_line(self.start)?;
                self.start = end;
                if self.done {
                    return Ok(None);
                }
                searched = end;
                continue;
            }
            if self.exhausted {
                return self.last_block();
            }
            self.compact();
            searched = (self.filled + 1).saturating_sub(self.delimiter.bytes().len());
            if self.filled == self.buffer.len() && !self.grow() {
                self.skip_long_line(self.start)?;
                self.skip_to_record(searched)?;
                if self.done {
                    // It stands within a line, so it must not go on with the next split.
                    self.end = u64::MAX;
                    return Ok(None);
                }
                if self.position(self.start) >= self.end {
                    return Ok(None);
                }
                searched = self.start;
                continue;
            }
            self.fill()?;
        }
    }

    /// Returns the number of bytes of the file, compressed if it is, that have been read since the last call.
    pub(super) fn count_input_bytes(&mut self) -> u64 {
        let read = self.source.bytes_read();
        let counted = mem::replace(&mut self.counted_bytes, read);
        read - counted
    }

    /// See [`TextInput::is_decoded`].
    pub(super) fn is_decoded(&self) -> bool {
        self.source.is_decoded()
    }

    /// Returns the format of a file that one thread decodes.
    pub(super) fn decoded_on_one_thread(&self) -> Option<Codec> {
        self.source.decoded_on_one_thread()
    }

    /// Closes a file of another file system than the local one until it is read again.
    pub(super) fn pause(&mut self) {
        self.source.pause();
    }

    /// Returns `true` if a long line has made the buffer larger than usual.
    pub(super) fn has_grown(&self) -> bool {
        self.buffer.len() > BLOCK_BYTES
    }

    /// Returns the end of the records that can be returned now. None of their delimiters begins before `searched`.
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

    /// Returns the remaining text after the end of the source.
    fn last_block(&mut self) -> Result<Option<TextBlock<'_>>> {
        self.done = true;
        let text = &self.buffer[self.start..self.filled];
        if text.is_empty() {
            return Ok(None);
        }
        let last_record = self.delimiter.last_end(text, 0).unwrap_or(0);
        if text.len() - last_record > self.max_line_bytes {
            self.skip_long_line(self.start + last_record)?;
            let end = self.start + last_record;
            return Ok((last_record > 0).then(|| self.hand_out(end)));
        }
        Ok(Some(self.hand_out(self.filled)))
    }

    fn hand_out(&mut self, end: usize) -> TextBlock<'_> {
        let start = mem::replace(&mut self.start, end);
        TextBlock {
            bytes: &self.buffer[start..end],
            offset: self.position(start),
        }
    }

    fn position(&self, index: usize) -> u64 {
        self.offset + index as u64
    }

    /// Moves the text that has not been returned to the front. This is mostly a part of a line.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        self.offset = self.position(self.start);
        self.filled -= self.start;
        self.start = 0;
    }

    /// Reads until the buffer is full or `ahead_bytes` past the end of the split have been read. From there on, reads
    /// in small steps. An error is returned by the call after the one that has read the text before it.
    fn fill(&mut self) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let filled_before = self.filled;
        let last = self.end.saturating_add(self.ahead_bytes);
        let to_end = usize::try_from(last.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let step = self.filled + COMPLETION_BYTES;
        let limit = if self.filled < to_end { to_end } else { step };
        let limit = limit.min(self.buffer.len());
        let is_plain = !self.source.is_compressed();
        while self.filled < limit && !self.exhausted {
            match self.source.read(&mut self.buffer[self.filled..limit]) {
                Ok(0) => {
                    self.exhausted = true;
                    let bytes = self.position(self.filled);
                    if is_plain && self.version.is_some_and(|version| bytes < version.bytes()) {
                        return Err(changed(&self.path));
                    }
                }
                Ok(read) => self.filled += read,
                Err(error) => {
                    let offset = is_plain.then(|| self.position(self.filled));
                    let error = read_error(&self.path, offset, error);
                    if self.filled == filled_before {
                        return Err(error);
                    }
                    self.failed = Some(error);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Enlarges the buffer for a record that is longer than it. Returns `false` if that is too long.
    fn grow(&mut self) -> bool {
        let longest = self.longest();
        if self.buffer.len() >= longest {
            return false;
        }
        let bytes = self.buffer.len().saturating_mul(2).min(longest);
        self.buffer.resize(bytes, 0);
        true
    }

    /// Skips a byte order mark. Only valid at the start of the file.
    fn skip_byte_order_mark(&mut self) -> Result<()> {
        // Read the whole mark even if the split ends within it.
        while self.filled < BYTE_ORDER_MARK.len() && !self.exhausted {
            self.fill()?;
        }
        if self.buffer[..self.filled].starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
            // The first record counts as beginning at 0, and no other record can begin before this offset.
            if self.end > 0 {
                self.end = self.end.max(BYTE_ORDER_MARK.len() as u64 + 1);
            }
        }
        Ok(())
    }

    /// Advances to the first record that begins after a delimiter at `from` or later.
    ///
    /// Skipped bytes are not kept, so the record that they belong to may have any length.
    fn skip_to_record(&mut self, from: usize) -> Result<()> {
        self.start = self.start.max(from);
        // The text before an error comes first.
        let mut is_full = self.failed.is_some();
        loop {
            if !mem::take(&mut is_full) {
                self.fill()?;
            }
            let text = &self.buffer[self.start.min(self.filled)..self.filled];
            if let Some(end) = self.delimiter.ends(text).next() {
                self.start += end;
                // If the delimiter ends the file, no record follows it. `last_block` handles that.
                return Ok(());
            }
            // A delimiter that is still incomplete would end after all bytes read so far.
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
            if self.filled == self.buffer.len() && !self.grow() {
                // Only a delimiter as long as the longest record could have filled the buffer.
                return Err(Error::internal("a delimiter fills the buffer".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
