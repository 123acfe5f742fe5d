//! Reads the records of a part of a CSV file.

use std::io::{self, Read};
use std::ops::ControlFlow;

use csv::{ByteRecord, ReaderBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::csv_error::CsvError;
use super::from_source::Reading;
use crate::counter::BadRecords;
use crate::error::{BoxError, Error, Result};
use crate::files::InputFile;
use crate::text::{BYTE_ORDER_MARK, Columns, CsvState, CsvSyntax, FieldRecords};

/// Number of bytes that are read in one call.
const BLOCK_BYTES: usize = 256 << 10;

/// The options of a reader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CsvOptions {
    pub(crate) syntax: CsvSyntax,
    pub(crate) has_headers: bool,
    pub(crate) max_record_bytes: usize,
    /// Target size of the partitions. By default, derived from the input.
    pub(crate) split_bytes: Option<u64>,
    /// Takes the records that cannot be read.
    pub(crate) bad: Option<BadRecords>,
}

/// A file, or a part of one.
#[derive(Debug, Serialize, Deserialize)]
pub struct CsvPart {
    pub(super) file: InputFile,
    /// The records that begin in this range, or `None` for the whole file, decompressed if necessary.
    pub(super) range: Option<(u64, u64)>,
}

/// Reason why a part was not read to its end.
pub(super) enum PartUnread {
    /// The file cannot be read.
    File(BoxError),
    /// A record cannot be read, and may not be skipped.
    Record(BoxError),
}

impl From<Error> for PartUnread {
    fn from(error: Error) -> Self {
        Self::File(error.into())
    }
}

/// Reads the records of a part.
pub(super) struct CsvPartReader<'r> {
    options: &'r CsvOptions,
    reading: &'r Reading<'r>,
    input: Box<dyn Read + Send>,
    /// Whether the part ends where the file does.
    ends_file: bool,
    /// Whether the next record is the header.
    at_header: bool,
    headers: Option<ByteRecord>,
    /// How to read text without quotes, or `None` if only the csv crate can.
    columns: Option<Columns>,
    /// Number of records that the csv crate has read.
    read_by_crate: u64,
    /// The error that follows the buffer.
    failed: Option<io::Error>,
    /// Offset of the buffer in the file.
    offset: u64,
    buffer: Vec<u8>,
}

impl<'r> CsvPartReader<'r> {
    pub(super) fn open(
        part: &CsvPart,
        options: &'r CsvOptions,
        reading: &'r Reading<'r>,
    ) -> Result<Self, PartUnread> {
        let file = &part.file;
        reading.set_file(file.path());
        reading.set_has_lines(true);
        let (start, end, input): (_, _, Box<dyn Read + Send>) = match part.range {
            None => (0, file.bytes(), Box::new(file.open_text()?)),
            Some((start, end)) => {
                let start = options.syntax.record_start(file, start)?;
                let end = options.syntax.record_start(file, end)?;
                (start, end, Box::new(file.open(start..end)?))
            }
        };
        reading.count_bytes(
            part.range
                .map_or(file.bytes(), |_| end.saturating_sub(start)),
        );
        let mut reader = Self {
            options,
            reading,
            input,
            ends_file: end == file.bytes(),
            at_header: options.has_headers && start == 0,
            headers: None,
            columns: (!options.has_headers).then_some(Columns::Unnamed),
            read_by_crate: 0,
            failed: None,
            offset: start,
            buffer: Vec::new(),
        };
        if options.has_headers && start > 0 && start < end {
            let mut head = Self {
                input: Box::new(file.open(0..file.bytes())?),
                ends_file: true,
                at_header: true,
                headers: None,
                offset: 0,
                buffer: Vec::new(),
                columns: None,
                failed: None,
                ..reader
            };
            head.next_block(&mut 0, &mut CsvState::Start)?;
            head.take_header().map_err(PartUnread::Record)?;
            reader = Self {
                headers: head.headers,
                ..reader
            };
        }
        Ok(reader)
    }

    /// Fills the buffer until it has a whole record. `state` is that at `scanned`. Returns the end of the last whole
    /// record, or `None` at the end of the part.
    fn next_block(
        &mut self,
        scanned: &mut usize,
        state: &mut CsvState,
    ) -> Result<Option<usize>, PartUnread> {
        loop {
            let fresh = &self.buffer[*scanned..];
            if let Some(end) = self.options.syntax.last_end(state, fresh) {
                let end = *scanned + end;
                *scanned = self.buffer.len();
                return Ok(Some(end));
            }
            *scanned = self.buffer.len();
            if *scanned > self.options.max_record_bytes {
                self.skip_long_record(state)?;
                *scanned = 0;
            } else if !self.fill()? {
                return self.last_record(*state);
            }
        }
    }

    /// Reads more into the buffer. Returns whether the part has more.
    fn fill(&mut self) -> Result<bool, PartUnread> {
        if let Some(error) = self.failed.take() {
            return Err(PartUnread::File(error.into()));
        }
        let filled = self.buffer.len();
        let mut input = self.input.by_ref().take(BLOCK_BYTES as u64);
        let read = input.read_to_end(&mut self.buffer);
        let has_read = self.buffer.len() > filled;
        match read {
            // What was read before the error comes first.
            Err(error) if has_read => self.failed = Some(error),
            Err(error) => return Err(PartUnread::File(error.into())),
            Ok(_) => {}
        }
        if filled == 0 && self.offset == 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
            self.offset = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(has_read)
    }

    /// Returns the end of the record in the buffer, which is the last one of the part.
    fn last_record(&mut self, state: CsvState) -> Result<Option<usize>, PartUnread> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        self.reading.set_offset(self.offset);
        if !self.ends_file {
            let reason = "the file is cut within quotes: a field has more than 64 KiB, or its quotes follow no rules; \
                          use a larger `CsvReader::partition_bytes`";
            return Err(PartUnread::Record(reason.into()));
        }
        if state != CsvState::Quoted {
            return Ok(Some(self.buffer.len()));
        }
        let reason = "the record has a quote that is not closed before the end of the file";
        let text = std::mem::take(&mut self.buffer);
        self.reject(reason, Some(text.trim_ascii_end()))?;
        Ok(None)
    }

    /// Skips the record at the start of the buffer, which is too long. `state` is that at the end of the buffer, and
    /// then that at its start.
    fn skip_long_record(&mut self, state: &mut CsvState) -> Result<(), PartUnread> {
        self.reading.set_offset(self.offset);
        self.reject(&self.too_long(), None)?;
        loop {
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            if !self.fill()? {
                return Ok(());
            }
            let mut first = None;
            self.options.syntax.scan(state, &self.buffer, |end| {
                first = Some(end);
                false
            });
            if let Some(end) = first {
                self.buffer.drain(..end);
                self.offset += end as u64;
                return Ok(());
            }
        }
    }

    fn too_long(&self) -> String {
        let limit = self.options.max_record_bytes;
        format!("the record is longer than the limit of {limit} bytes")
    }

    /// Passes a record that cannot be read to the bad records, or returns an error. A file without a header is bad as a
    /// whole.
    fn reject(&self, reason: &str, text: Option<&[u8]>) -> Result<(), PartUnread> {
        let error = CsvError::of_record(reason.to_owned());
        match &self.options.bad {
            _ if self.at_header => Err(PartUnread::File(error.into())),
            None => Err(PartUnread::Record(error.into())),
            Some(bad) => {
                let rejected = self.reading.reject(bad, &error, text);
                rejected.map_err(PartUnread::Record)
            }
        }
    }

    pub(super) fn read<U: DeserializeOwned>(
        mut self,
        emit: &mut impl FnMut(U) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, PartUnread> {
        let (mut scanned, mut state) = (0, CsvState::Start);
        let mut is_checked = false;
        while let Some(mut end) = self.next_block(&mut scanned, &mut state)? {
            if self.reading.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            if self.at_header {
                end -= self.take_header().map_err(PartUnread::Record)?;
            }
            if let Some(headers) = self.headers.as_ref().filter(|_| !is_checked) {
                self.columns = Columns::of::<U>(headers.iter());
                is_checked = true;
            }
            let buffer = std::mem::take(&mut self.buffer);
            let flow = self.read_block(&buffer[..end], emit)?;
            if flow.is_break() {
                return Ok(flow);
            }
            self.buffer = buffer;
            self.buffer.drain(..end);
            self.offset += end as u64;
            scanned = self.buffer.len();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Removes the header from the buffer. Returns its length.
    fn take_header(&mut self) -> Result<usize, BoxError> {
        self.at_header = false;
        let mut headers = ByteRecord::new();
        let mut reader = self.csv_reader(&self.buffer);
        reader.read_byte_record(&mut headers)?;
        let length = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let length = length.min(self.buffer.len());
        self.headers = Some(headers);
        self.buffer.drain(..length);
        self.offset += length as u64;
        Ok(length)
    }

    fn csv_reader<'b>(&self, bytes: &'b [u8]) -> csv::Reader<&'b [u8]> {
        let CsvSyntax { delimiter, quote } = self.options.syntax;
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quote(quote.unwrap_or(b'"'))
            .quoting(quote.is_some())
            .from_reader(bytes)
    }

    /// Passes the records of a block to `emit`.
    fn read_block<U: DeserializeOwned>(
        &mut self,
        block: &[u8],
        emit: &mut impl FnMut(U) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, PartUnread> {
        let CsvSyntax { delimiter, quote } = self.options.syntax;
        // A `\r` of its own also ends a record.
        let is_odd = |at: usize| block[at] != b'\r' || block.get(at + 1) != Some(&b'\n');
        let mut odd = memchr::memchr2_iter(quote.unwrap_or(b'\r'), b'\r', block);
        let is_simple =
            delimiter.is_ascii() && !odd.any(is_odd) && u32::try_from(block.len()).is_ok();
        match (self.columns.take(), simdutf8::basic::from_utf8(block)) {
            (Some(columns), Ok(text)) if is_simple => self.read_simple(text, columns, emit),
            (columns, _) => {
                self.columns = columns;
                self.read_any(block, 0, emit)
            }
        }
    }

    /// Passes the records of a text without quotes to `emit`.
    fn read_simple<U: DeserializeOwned>(
        &mut self,
        text: &str,
        columns: Columns,
        emit: &mut impl FnMut(U) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, PartUnread> {
        // A type may refuse columns that it does not name, which shows when the csv crate reads the first record.
        let needs_crate = columns.are_some();
        let mut records = FieldRecords::new(text, self.options.syntax.delimiter);
        while let Some(record) = records.next() {
            if record.is_empty() {
                continue;
            }
            self.reading.set_offset(self.offset + record.start as u64);
            if record.end - record.start > self.options.max_record_bytes {
                self.reject(&self.too_long(), None)?;
                continue;
            }
            let is_tried = self.read_by_crate > 0 || !needs_crate;
            if is_tried && let Some(value) = record.parse(&columns) {
                if emit(value).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            }
            // The crate reads some fields that cannot be read here, and has the error.
            let (start, read) = (record.start as u64, self.read_by_crate);
            if self
                .read_any(record.as_str().as_bytes(), start, emit)?
                .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            if is_tried && self.read_by_crate > read {
                // What only the crate can read, such as a value of any type, probably recurs.
                let rest = records.rest();
                return self.read_any(rest, (text.len() - rest.len()) as u64, emit);
            }
        }
        self.columns = Some(columns);
        Ok(ControlFlow::Continue(()))
    }

    /// Passes the records of `bytes`, at `at` in the buffer, to `emit`.
    fn read_any<U: DeserializeOwned>(
        &mut self,
        bytes: &[u8],
        at: u64,
        emit: &mut impl FnMut(U) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, PartUnread> {
        let mut reader = self.csv_reader(bytes);
        let mut record = ByteRecord::new();
        let headers = self.headers.as_ref();
        loop {
            let read = reader.read_byte_record(&mut record);
            if !read.map_err(|error| PartUnread::Record(CsvError::new(error, None).into()))? {
                return Ok(ControlFlow::Continue(()));
            }
            let start = record.position().map_or(0, csv::Position::byte) as usize;
            // The position is that before line ends which are skipped.
            let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            let skipped = bytes.get(start..).unwrap_or_default().iter();
            let start = start + skipped.take_while(|byte| is_line_end(byte)).count();
            self.reading.set_offset(self.offset + at + start as u64);
            let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
            let text = bytes.get(start..end).unwrap_or_default();
            if text.len() > self.options.max_record_bytes
                && without_line_end(text).len() > self.options.max_record_bytes
            {
                self.reject(&self.too_long(), None)?;
                continue;
            }
            let value = match headers {
                Some(headers) if headers.len() != record.len() => {
                    let (fields, columns) = (record.len(), headers.len());
                    let reason =
                        format!("the record has {fields} fields, and the header {columns}");
                    Err(CsvError::of_record(reason))
                }
                headers => {
                    let value = record.deserialize(headers);
                    value.map_err(|error| CsvError::new(error, headers))
                }
            };
            match (value, &self.options.bad) {
                (Ok(value), _) => {
                    self.read_by_crate += 1;
                    if emit(value).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                (Err(error), None) => return Err(PartUnread::Record(error.into())),
                (Err(error), Some(bad)) => self
                    .reading
                    .reject(bad, &error, Some(text.trim_ascii_end()))
                    .map_err(PartUnread::Record)?,
            }
        }
    }
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}
