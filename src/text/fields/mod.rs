//! Converts lines of fields to values through serde.

#[cfg(feature = "csv")]
mod columns;
mod deserializer;
mod error;
mod field;
#[cfg(any(feature = "csv", feature = "json"))]
mod names;
#[cfg(feature = "csv")]
mod records;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::Deserialize;

use super::mask::{MASK_BYTES, equal_mask};
#[cfg(feature = "csv")]
pub(crate) use columns::Columns;
pub use error::FieldsError;
use field::Field;
#[cfg(any(feature = "csv", feature = "json"))]
pub(crate) use names::field_names;
#[cfg(feature = "csv")]
pub(crate) use records::FieldRecords;

/// Parses a line of fields that are separated by `delimiter`.
///
/// [`Bag::parse_fields`](crate::Bag::parse_fields) calls this for each record; its docs list the supported types. Use
/// this function for lines that may not match, and for values that borrow from the line:
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("visits.tsv");
/// std::fs::write(&path, "ada\t3\n# a remark\ngrace\t5\n").unwrap();
/// let lines = holdall::read_text(&path)?;
/// let visits = lines.flat_map(|line| holdall::parse_fields::<(String, u32)>(line, '\t').ok());
/// assert_eq!(visits.values().sum::<u32>()?, 8);
///
/// let (name, visits): (&str, u32) = holdall::parse_fields("ada,3", ',').unwrap();
/// assert_eq!((name, visits), ("ada", 3));
/// # Ok::<(), holdall::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if the line has fewer or more fields than `T`, or if a field cannot be parsed as its type.
pub fn parse_fields<'de, T: Deserialize<'de>>(
    line: &'de str,
    delimiter: char,
) -> Result<T, FieldsError> {
    Fields::new(line, TextKind::Record, delimiter).parse()
}

/// Structure of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// One record, whatever its content.
    Record,
    /// Records that end with `"\n"`, with `"\r\n"`, or at the end of the text.
    Lines,
}

/// The fields of a record, or of one line after another.
///
/// The ends of fields and lines are found for 64 bytes in one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'t> {
    text: &'t str,
    kind: TextKind,
    delimiter: char,
    /// Start of the current record.
    record: usize,
    /// Start of the next field.
    start: usize,
    /// `true` if the current record has no further fields.
    is_done: bool,
    /// `true` if another field was requested after the last one.
    ran_out: bool,
    /// Mask of the possible ends of fields in the 64 bytes from `base` on, without those already passed.
    ends: u64,
    base: usize,
}

impl<'t> Fields<'t> {
    /// Creates the fields of `text`. For lines, the delimiter must not be part of a line ending.
    pub(crate) fn new(text: &'t str, kind: TextKind, delimiter: char) -> Self {
        let mut fields = Self {
            text,
            kind,
            delimiter,
            record: 0,
            start: 0,
            is_done: false,
            ran_out: false,
            ends: 0,
            base: 0,
        };
        fields.ends = fields.ends_from(0);
        fields
    }

    /// Advances to the next line, and returns the text from there to the end; `None` if no line follows.
    #[inline(always)]
    pub(crate) fn next_line(&mut self) -> Option<&'t [u8]> {
        self.record = self.start;
        (self.is_done, self.ran_out) = (false, false);
        let rest = self.text.as_bytes().get(self.start..)?;
        (!rest.is_empty()).then_some(rest)
    }

    /// Parses the current record as a value.
    #[inline(always)]
    pub(crate) fn parse<T: Deserialize<'t>>(&mut self) -> Result<T, FieldsError> {
        match T::deserialize(&mut *self) {
            Ok(value) if self.is_done => Ok(value),
            Ok(_) => Err(self.in_record(FieldsError::surplus())),
            Err(error) => Err(self.in_record(error)),
        }
    }

    /// Advances to the end of the current record, and returns its text, without its ending.
    pub(crate) fn finish_record(&mut self) -> &'t str {
        while let Ok(field) = self.advance() {
            if self.is_done {
                return &self.text[self.record..field.end];
            }
        }
        // The last field has already been taken.
        let record = &self.text[self.record..self.start.min(self.text.len())];
        match self.kind {
            TextKind::Record => record,
            TextKind::Lines => {
                let line = record.strip_suffix('\n').unwrap_or(record);
                line.strip_suffix('\r').unwrap_or(line)
            }
        }
    }

    /// Adds the field of the current record to `error`.
    #[cold]
    fn in_record(&self, error: FieldsError) -> FieldsError {
        error.in_record(&self.taken(), self.ran_out)
    }

    /// Advances past the next field, and returns its range.
    #[inline(always)]
    fn advance(&mut self) -> Result<Range<usize>, FieldsError> {
        if self.is_done {
            return Err(FieldsError::missing());
        }
        let (bytes, start) = (self.text.as_bytes(), self.start);
        let end = self.next_end();
        self.start = end + 1;
        match bytes.get(end) {
            None => {
                self.is_done = true;
                Ok(start..end)
            }
            Some(b'\n') if self.kind == TextKind::Lines => {
                self.is_done = true;
                let has_return = end > start && bytes[end - 1] == b'\r';
                Ok(start..end - usize::from(has_return))
            }
            Some(byte) if byte.is_ascii() => Ok(start..end),
            Some(_) => self.advance_by_char(start, end),
        }
    }

    /// Handles a byte at `end` that begins a character of several bytes, which may be the delimiter.
    #[cold]
    #[inline(never)]
    fn advance_by_char(&mut self, start: usize, end: usize) -> Result<Range<usize>, FieldsError> {
        if self.text[end..].starts_with(self.delimiter) {
            self.start = end + self.delimiter.len_utf8();
            return Ok(start..end);
        }
        // Another character with the same first byte as the delimiter. Continue to the end of the field.
        let rest = &self.text[start..];
        let ends = |c| c == self.delimiter || c == '\n' && self.kind == TextKind::Lines;
        self.base = start + rest.find(ends).unwrap_or(rest.len());
        self.ends = self.ends_from(self.base);
        self.start = start;
        self.advance()
    }

    /// Returns the end of the field, or the start of another character with the same first byte as the delimiter.
    #[inline(always)]
    fn next_end(&mut self) -> usize {
        while self.ends == 0 {
            self.base += MASK_BYTES;
            self.ends = self.ends_from(self.base);
        }
        let end = self.base + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        end
    }

    /// Returns the mask of ends in the 64 bytes from `base` on. The end of the text is marked as well.
    #[inline(never)]
    fn ends_from(&self, base: usize) -> u64 {
        let first = self.delimiter.encode_utf8(&mut [0; 4]).as_bytes()[0];
        let ends = |chunk: &_| match self.kind {
            TextKind::Record => equal_mask(chunk, first),
            TextKind::Lines => equal_mask(chunk, first) | equal_mask(chunk, b'\n'),
        };
        let rest = &self.text.as_bytes()[base..];
        rest.first_chunk().map_or_else(
            || {
                let mut padded = [0; MASK_BYTES];
                padded[..rest.len()].copy_from_slice(rest);
                let end = 1 << rest.len();
                ends(&padded) & (end - 1) | end
            },
            ends,
        )
    }

    /// Returns the fields of the current record that have been taken.
    fn taken(&self) -> Vec<&'t str> {
        let mut again = Self::new(&self.text[self.record..], self.kind, self.delimiter);
        let mut taken = Vec::new();
        while self.record + again.start < self.start {
            taken.extend(again.take().map(|field| field.as_str()));
        }
        taken
    }

    #[inline(always)]
    fn take(&mut self) -> Result<Field<'t>, FieldsError> {
        Ok(Field {
            range: self.advance()?,
            text: self.text,
            needs_type: false,
        })
    }
}
