//! Blocks of whole records, read from a split into a reused buffer.
//!
//! A record belongs to the split that its first byte lies in. So a split that does not begin the file starts looking
//! one delimiter's length before its start, and begins after the first delimiter it finds there; and each split reads
//! past its end as far as its last record goes. Who has done that stands where the next split begins, and can read on;
//! and once it has, it reads ahead, so that thousands of small splits take few calls.
//!
//! ```text
//!            split 1        |        split 2        |        split 3
//!  first record\nsecond rec ord\nthird\nthe fourth  recor d\n
//!  └──────── read by 1 ─────────┘└───── read by 2 ────────┘
//! ```
//!
//! The byte order mark of UTF-8 at the start of a file is dropped; offsets count it, and it lies in the first record.

use std::io::Read;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

use super::delimiter::Delimiter;
use super::options::TextOptions;
use super::source::{TextInput, changed};
use super::split::Split;
use super::streams;
use super::version::Version;

/// The size of the buffer: small enough to stay in the second-level cache from `read` to the closure, large enough
/// that the calls do not count. From 128 KiB to 1 MiB it makes no difference that can be measured.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// What is read behind the end of a split at once, with the last of it: the end of most records. More would be read
/// twice where the next split has another reader, which shows where splits are of a few KiB.
const FIRST_COMPLETION_BYTES: u64 = 2 << 10;

/// How far behind the end of a split is read at the most where the next one seems to be for the same reader. With larger
/// splits calls do not count.
const MAX_AHEAD_BYTES: u64 = 64 << 10;

/// What is read in each further step to complete the last record of a split.
const COMPLETION_BYTES: usize = 16 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole records: each has its delimiter, but for a last one of the file that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextBlock<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where it starts in the (decompressed) file.
    pub(crate) offset: u64,
}

/// The blocks of a split, and then of others.
#[derive(Debug)]
pub(super) struct TextBlockReader {
    // What is read, and how.
    source: TextInput,
    path: Arc<Path>,
    version: Option<Version>,
    delimiter: Delimiter,
    max_line_bytes: usize,
    /// Where the first of the splits that it has read one behind the other begins.
    first: u64,
    /// No record of the split begins here or later.
    end: u64,
    /// How much is read behind that.
    ahead_bytes: u64,

    // The buffer: `start..filled` is text that has not been handed out, and begins with a record.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Where `buffer[0]` stands in the file.
    offset: u64,

    /// The source has no more.
    exhausted: bool,
    /// The last block of the split has been handed out.
    done: bool,
    /// How much of what was read of the file has been counted.
    counted_bytes: u64,
}

impl TextBlockReader {
    /// `block_bytes` is the size of the buffer, and so about that of the blocks. `last` has done its work: it reads on if
    /// it stands at the start of `split`, or else gives away its buffer, and its file if it is the same.
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

    /// The same for a whole file that may be a stream.
    pub(super) fn open_stream(
        path: &Arc<Path>,
        options: &TextOptions,
        block_bytes: usize,
    ) -> Result<Box<Self>> {
        let source = TextInput::of(streams::open(path)?, path, options)?;
        let split = Split::whole(path, u64::MAX);
        Self::start(&split, options, block_bytes, source, Vec::new()).map(Box::new)
    }

    /// Finds the first record of `split`.
    fn find(
        split: &Split,
        options: &TextOptions,
        block_bytes: usize,
        last: Option<Box<Self>>,
    ) -> Result<Self> {
        let (open, buffer) = last.map_or_else(Default::default, |last| {
            let is_same = last.path == split.path && last.version == split.version;
            (Some(last.source).filter(|_| is_same), last.buffer)
        });
        if split.start == 0 && split.version.is_none() {
            let source = TextInput::open(&split.path, options)?;
            return Self::start(split, options, block_bytes, source, buffer);
        }
        // A file is divided only if it is plain text.
        let counted_bytes = open.as_ref().map_or(0, TextInput::bytes_read);
        let (_, offset) = search_start(split, options);
        let source = TextInput::open_at(&split.path, offset, open, split.version.as_ref())?;
        let mut reader = Self::start(split, options, block_bytes, source, buffer)?;
        reader.counted_bytes = counted_bytes;
        Ok(reader)
    }

    /// Finds the first record of `split` in a source that stands at the second offset of [`search_start`].
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
            delimiter: Delimiter::new(&options.delimiter),
            max_line_bytes: options.max_line_bytes,
            first: split.start,
            end: 0,
            ahead_bytes: 0,
            buffer,
            start: 0,
            filled: 0,
            offset,
            exhausted: false,
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

    /// Whether the first record of `split` is what comes next: all those before its start have been handed out.
    fn stands_at(&self, split: &Split, options: &TextOptions) -> bool {
        self.end == split.start
            && self.position(self.start) >= self.end
            && self.path == split.path
            && self.version == split.version
            && self.delimiter.bytes() == options.delimiter
            && self.max_line_bytes == options.max_line_bytes
    }

    /// Makes ready to read as far as `split` goes.
    fn begin(&mut self, split: &Split, block_bytes: usize) {
        self.done = false;
        self.end = if self.source.is_compressed() {
            u64::MAX
        } else {
            split.end
        };
        // Behind a small split comes another, it seems, once it has come behind others; in vain no more is read than a
        // quarter of them.
        self.ahead_bytes = FIRST_COMPLETION_BYTES;
        if self.end.saturating_sub(split.start) < MAX_AHEAD_BYTES {
            let read_bytes = split.start - self.first;
            self.ahead_bytes = (read_bytes / 4).clamp(FIRST_COMPLETION_BYTES, MAX_AHEAD_BYTES);
        }
        // Of a small split no more than it has, and what is read behind it: a buffer is filled with zeros first, which
        // thousands of small files would wait for.
        let block_bytes = if self.source.is_compressed() {
            block_bytes
        } else {
            let end = split.start.saturating_add(split.expected_bytes);
            let expected = end.saturating_sub(self.position(self.start));
            let expected = expected.saturating_add(self.ahead_bytes);
            block_bytes.min(usize::try_from(expected).unwrap_or(usize::MAX))
        };
        let block_bytes = block_bytes.max(BYTE_ORDER_MARK.len());
        let bytes = self.buffer.len().max(block_bytes).min(self.longest());
        self.buffer.resize(bytes, 0);
    }

    /// A record of the greatest length fits with its ending. Without a `\r`, one that is a byte longer does, too.
    fn longest(&self) -> usize {
        let ending = self.delimiter.bytes().len() + usize::from(self.ends_at_line_feeds());
        self.max_line_bytes.saturating_add(ending)
    }

    /// Whether a `\r` before the delimiter belongs to the ending.
    fn ends_at_line_feeds(&self) -> bool {
        self.delimiter.bytes() == b"\n"
    }

    /// Refuses a first record that is a byte too long.
    fn check_longest(&self, end: usize) -> Result<()> {
        let block = &self.buffer[self.start..end];
        let is_one_too_long = self.ends_at_line_feeds()
            && block.len() == self.longest()
            && !block.ends_with(b"\r\n")
            && memchr::memchr(b'\n', block) == Some(block.len() - 1);
        match is_one_too_long {
            true => Err(self.line_too_long(self.start)),
            false => Ok(()),
        }
    }

    /// The next records, or nothing when the last have been handed out.
    pub(super) fn next_block(&mut self) -> Result<Option<TextBlock<'_>>> {
        if self.done || self.position(self.start) >= self.end {
            return Ok(None);
        }
        // All of the split may have been read with the one before.
        if self.position(self.filled) < self.end {
            self.compact();
            self.fill()?;
        }
        let mut searched = self.start;
        loop {
            if let Some(end) = self.block_end(searched) {
                self.check_longest(end)?;
                return Ok(Some(self.hand_out(end)));
            }
            if self.exhausted {
                return self.last_block();
            }
            self.compact();
            searched = (self.filled + 1).saturating_sub(self.delimiter.bytes().len());
            if self.filled == self.buffer.len() {
                self.grow()?;
            }
            self.fill()?;
        }
    }

    /// What has been read of the file, compressed if it is, since this was last called.
    pub(super) fn count_input_bytes(&mut self) -> u64 {
        let read = self.source.bytes_read();
        let counted = mem::replace(&mut self.counted_bytes, read);
        read - counted
    }

    /// Whether a long line has made the buffer larger than usual.
    pub(super) fn has_grown(&self) -> bool {
        self.buffer.len() > BLOCK_BYTES
    }

    /// The end of the records that can be handed out now. None of their delimiters begins before `searched`.
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
    fn last_block(&mut self) -> Result<Option<TextBlock<'_>>> {
        self.done = true;
        let text = &self.buffer[self.start..self.filled];
        if text.is_empty() {
            return Ok(None);
        }
        let last_record = self.delimiter.last_end(text, 0).unwrap_or(0);
        if text.len() - last_record > self.max_line_bytes {
            return Err(self.line_too_long(self.start + last_record));
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

    /// Moves what has not been handed out, mostly part of a line, to the front.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        self.offset = self.position(self.start);
        self.filled -= self.start;
        self.start = 0;
    }

    /// Reads until the buffer is full, or somewhat past the end of the split; from there in small steps.
    fn fill(&mut self) -> Result<()> {
        let last = self.end.saturating_add(self.ahead_bytes);
        let to_end = usize::try_from(last.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let limit = if self.filled < to_end {
            to_end
        } else {
            self.filled + COMPLETION_BYTES
        };
        let limit = limit.min(self.buffer.len());
        while self.filled < limit && !self.exhausted {
            match self.source.read(&mut self.buffer[self.filled..limit]) {
                Ok(0) => {
                    self.exhausted = true;
                    let bytes = self.position(self.filled);
                    if self.version.is_some_and(|version| bytes < version.bytes) {
                        return Err(changed(&self.path));
                    }
                }
                Ok(read) => self.filled += read,
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
        Ok(())
    }

    /// Makes room for a record that is longer than the buffer.
    fn grow(&mut self) -> Result<()> {
        let longest = self.longest();
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
    fn skip_byte_order_mark(&mut self) -> Result<()> {
        // Even if the split ends within it.
        while self.filled < BYTE_ORDER_MARK.len() && !self.exhausted {
            self.fill()?;
        }
        if self.buffer[..self.filled].starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
            // The first record counts as beginning at 0, and no other can begin before this.
            if self.end > 0 {
                self.end = self.end.max(BYTE_ORDER_MARK.len() as u64 + 1);
            }
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

/// Where the search for the first record of a split begins, and from where on the file is read.
fn search_start(split: &Split, options: &TextOptions) -> (u64, u64) {
    // A delimiter that ends right at the start of the split shows that a record begins there.
    let search_from = split.start.saturating_sub(options.delimiter.len() as u64);
    // Whether there is a byte order mark matters only to a search that could begin inside of it.
    let is_near_mark = search_from < BYTE_ORDER_MARK.len() as u64;
    (search_from, if is_near_mark { 0 } else { search_from })
}

#[cfg(test)]
mod tests;
