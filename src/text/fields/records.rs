//! Divides text without quotes into records and fields.
//!
//! First finds the ends of fields and lines in thousands of bytes, then reads the records between them. So the loop over
//! the fields of a record has no branch that depends on where they end.

use super::field::Field;
use crate::text::mask::{STEP, equal_mask, for_each_chunk, push_places};

/// Number of bytes in which ends are found in one step, unless a record is longer.
const WINDOW_BYTES: usize = 4096;

/// The end before the first field of a window, from the start of the window on.
const BEFORE_WINDOW: u32 = u32::MAX;

/// The records of a text, which are its lines. Each `\r` in the text must precede a `\n`.
pub(crate) struct FieldRecords<'t> {
    text: &'t str,
    delimiter: u8,
    /// Start of the next record.
    start: usize,
    /// Number of fields of the last record.
    fields: usize,
    /// Start of the window.
    base: usize,
    /// Ends of the fields in the window, those of lines among them, from `base` on. The first is [`BEFORE_WINDOW`].
    ends: Places,
    lines: Places,
    /// Position, in `ends`, of the end before the next record.
    next_end: usize,
    /// Position, in `lines`, of the end of the next record.
    next_line: usize,
}

/// Positions of bytes in a window.
#[derive(Default)]
struct Places {
    /// The positions, and what [`push_places`] writes behind them.
    places: Vec<u32>,
    len: usize,
}

impl Places {
    fn clear(&mut self, window: usize) {
        self.len = 0;
        // One end before the window, and one behind it.
        let most = window + 2 + STEP;
        if self.places.len() < most {
            self.places.resize(most, 0);
        }
    }

    #[inline(always)]
    fn push(&mut self, base: usize, mask: u64) {
        push_places(&mut self.places, &mut self.len, base, mask, |at| at as u32);
    }

    fn push_one(&mut self, place: u32) {
        self.places[self.len] = place;
        self.len += 1;
    }

    #[inline(always)]
    fn as_slice(&self) -> &[u32] {
        &self.places[..self.len]
    }
}

/// A record, without its line end.
#[derive(Clone, Copy)]
pub(crate) struct FieldRecord<'r, 't> {
    text: &'t str,
    base: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The end before the record, then those of its fields.
    ends: &'r [u32],
}

impl<'t> FieldRecords<'t> {
    pub(crate) fn new(text: &'t str, delimiter: u8) -> Self {
        Self {
            text,
            delimiter,
            start: 0,
            fields: 1,
            base: 0,
            ends: Places::default(),
            lines: Places::default(),
            next_end: 0,
            next_line: 0,
        }
    }

    /// Returns the next record.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<FieldRecord<'_, 't>> {
        if self.next_line == self.lines.len {
            self.find_ends()?;
        }
        let line = self.lines.as_slice()[self.next_line];
        let ends = &self.ends.as_slice()[self.next_end..];
        if ends.get(self.fields) != Some(&line) {
            self.fields = ends.iter().skip(1).take_while(|end| **end < line).count() + 1;
        }
        let ends = &ends[..=self.fields];
        let (start, line) = (self.start, self.base + line as usize);
        let has_return = line > start && self.text.as_bytes()[line - 1] == b'\r';
        self.start = line + 1;
        self.next_line += 1;
        self.next_end += self.fields;
        Some(FieldRecord {
            text: self.text,
            base: self.base,
            start,
            end: line - usize::from(has_return),
            ends,
        })
    }

    /// Returns the text from the next record on.
    pub(crate) fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.start..).unwrap_or_default()
    }

    /// Finds the ends in a window that begins with the next record, and has all of it. Returns `None` at the end of the
    /// text.
    #[inline(never)]
    fn find_ends(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.start..)?;
        let last = rest.last()?;
        (self.base, self.next_end, self.next_line) = (self.start, 0, 0);
        let mut window = WINDOW_BYTES;
        loop {
            let bytes = &rest[..rest.len().min(window)];
            self.ends.clear(bytes.len());
            self.lines.clear(bytes.len());
            self.ends.push_one(BEFORE_WINDOW);
            for_each_chunk(bytes, |base, chunk, within| {
                let lines = equal_mask(chunk, b'\n') & within;
                self.lines.push(base, lines);
                self.ends
                    .push(base, equal_mask(chunk, self.delimiter) & within | lines);
            });
            if bytes.len() == rest.len() && *last != b'\n' {
                self.ends.push_one(rest.len() as u32);
                self.lines.push_one(rest.len() as u32);
            }
            if self.lines.len > 0 {
                return Some(());
            }
            window *= 2;
        }
    }
}

impl<'t> FieldRecord<'_, 't> {
    /// Returns whether the record has no bytes.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn as_str(&self) -> &'t str {
        &self.text[self.start..self.end]
    }

    /// Returns the number of fields.
    #[inline(always)]
    pub(super) fn fields(&self) -> usize {
        self.ends.len() - 1
    }

    /// Returns a field of those that there are.
    #[inline(always)]
    pub(super) fn field(&self, at: usize) -> Field<'t> {
        let start = self.base + self.ends[at].wrapping_add(1) as usize;
        // The end of the last field is that of the line.
        let end = self.end.min(self.base + self.ends[at + 1] as usize);
        Field {
            text: self.text,
            range: start..end,
            needs_type: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn assert_agrees(text: &str) {
        let mut records = FieldRecords::new(text, b',');
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let expected = line
                .strip_suffix('\n')
                .map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
            assert_eq!(records.rest(), &text.as_bytes()[start..]);
            let record = records.next().unwrap();
            assert_eq!((record.start, record.as_str()), (start, expected));
            assert_eq!(record.is_empty(), expected.is_empty());
            let fields = (0..record.fields()).map(|at| record.field(at).as_str());
            assert!(fields.eq(expected.split(',')), "{expected:?}");
            start += line.len();
        }
        assert!(records.next().is_none());
        assert!(records.rest().is_empty());
    }

    #[test]
    fn records_longer_than_a_window() {
        for len in [0, 1, 63, 64, 65, 4094, 4095, 4096, 4097, 8192, 20_000] {
            for end in ["", "\n", "\r\n", "\n\n", "\n,", ",\r\n"] {
                let long = "x".repeat(len);
                assert_agrees(&format!("{long}{end}"));
                assert_agrees(&format!("1,2\n3\n{long},{long}{end}"));
                assert_agrees(&format!("{}{end}", ",".repeat(len)));
            }
        }
    }

    proptest! {
        #[test]
        fn records_are_lines(
            text in "([0-9\u{e9}]{0,70}(,[0-9]{0,3}){0,9}\r?\n){0,200}[0-9,]{0,40}"
        ) {
            assert_agrees(&text);
        }
    }
}
