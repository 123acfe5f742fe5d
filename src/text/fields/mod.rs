//! Lines of fields to values, by way of serde.

mod deserializer;
mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;

use super::decimal::number_at_end;
use super::mask::{MASK_BYTES, equal_mask};
pub use error::FieldsError;

/// A value from a line of fields, which `delimiter` divides.
///
/// This is what [`Bag::parse_fields`](crate::Bag::parse_fields) does with each record, and says what may be asked for. By
/// itself it is for lines that may not fit, and for values that borrow from the line:
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
/// If the line has fewer or more fields than `T`, or one that its type cannot be read from.
pub fn parse_fields<'de, T: Deserialize<'de>>(
    line: &'de str,
    delimiter: char,
) -> Result<T, FieldsError> {
    Fields::new(line, TextKind::Record, delimiter).parse()
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// One record, whatever is in it.
    Record,
    /// Records that end with `"\n"`, or `"\r\n"`, or the text.
    Lines,
}

/// The fields of a record, or of one line after the other.
///
/// Where fields and lines end is found at once, for 64 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'t> {
    text: &'t str,
    kind: TextKind,
    delimiter: char,
    /// Where the current record begins.
    record: usize,
    /// Where the next field begins.
    start: usize,
    /// Whether no field of the current record is left.
    is_done: bool,
    /// Whether one more was asked for all the same.
    ran_out: bool,
    /// A mask of where fields may end, of the 64 bytes from `base` on, and only what is still ahead.
    ends: u64,
    base: usize,
}

impl<'t> Fields<'t> {
    /// The delimiter of fields in lines must not be part of a line's end.
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

    /// Goes to the next line, if there is one more, and gives all that is left with it.
    #[inline(always)]
    pub(crate) fn next_line(&mut self) -> Option<&'t [u8]> {
        self.record = self.start;
        (self.is_done, self.ran_out) = (false, false);
        let rest = self.text.as_bytes().get(self.start..)?;
        (!rest.is_empty()).then_some(rest)
    }

    /// The value that the current record is.
    #[inline(always)]
    pub(crate) fn parse<T: Deserialize<'t>>(&mut self) -> Result<T, FieldsError> {
        match T::deserialize(&mut *self) {
            Ok(value) if self.is_done => Ok(value),
            Ok(_) => Err(FieldsError::surplus().in_record(self)),
            Err(error) => Err(error.in_record(self)),
        }
    }

    /// Goes behind the next field, and says where it is.
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

    /// The same where the delimiter has several bytes, and the first one of them is at `end`.
    #[cold]
    #[inline(never)]
    fn advance_by_char(&mut self, start: usize, end: usize) -> Result<Range<usize>, FieldsError> {
        if self.text[end..].starts_with(self.delimiter) {
            self.start = end + self.delimiter.len_utf8();
            return Ok(start..end);
        }
        // Another character that begins as the delimiter does: on to where the field ends.
        let rest = &self.text[start..];
        let ends = |c| c == self.delimiter || c == '\n' && self.kind == TextKind::Lines;
        self.base = start + rest.find(ends).unwrap_or(rest.len());
        self.ends = self.ends_from(self.base);
        self.start = start;
        self.advance()
    }

    /// Where a field ends unless another character begins as the delimiter does.
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

    /// The next 64 bytes' ends; that of the text is one.
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

    /// The fields of the current record that were taken.
    fn taken(&self) -> Vec<&'t str> {
        let mut again = Self::new(&self.text[self.record..], self.kind, self.delimiter);
        let mut taken = Vec::new();
        while self.record + again.start < self.start {
            taken.extend(again.take_text());
        }
        taken
    }

    #[inline(always)]
    fn take_text(&mut self) -> Result<&'t str, FieldsError> {
        let field = self.advance()?;
        Ok(&self.text[field])
    }

    /// What [`str::parse`] makes of a field.
    fn take_parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<T, FieldsError> {
        self.take_text()?.parse().map_err(FieldsError::unread)
    }

    /// The same of a whole number, faster.
    #[inline(always)]
    fn take_number<T>(&mut self) -> Result<T, FieldsError>
    where
        T: FromStr<Err: fmt::Display> + TryFrom<u64>,
    {
        let field = self.advance()?;
        let number = number_at_end(&self.text.as_bytes()[..field.end], field.len());
        match number.and_then(|number| number.try_into().ok()) {
            Some(number) => Ok(number),
            None => parse_other(&self.text[field]),
        }
    }
}

/// A number with a sign, with many digits, near the start of the text, or none.
#[cold]
fn parse_other<T: FromStr<Err: fmt::Display>>(field: &str) -> Result<T, FieldsError> {
    field.parse().map_err(FieldsError::unread)
}
