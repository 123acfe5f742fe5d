//! Ends of records of CSV, and places at which a file can be cut.
//!
//! A line end within quotes does not end a record. Whether a byte is within quotes depends on all quotes before it, but
//! mostly a look at the text before the byte is enough: a closing quote is followed by a delimiter, by a line end or by
//! another quote, and an opening quote is at the start of a field. Text that is read as if it began within quotes,
//! although it did not, breaks these rules soon, and the other way round (Ge, Li, Eilebrecht, Chandramouli and Kossmann:
//! Speculative distributed CSV data parsing for big data analytics, SIGMOD 2019).

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::start::BYTE_ORDER_MARK;
use crate::error::Result;
use crate::files::InputFile;

/// Number of bytes before a cut that decide whether the cut is within quotes. A longer field with line ends, but without
/// quotes, would be taken for records; the reader of the part before it notices.
const WINDOW_BYTES: u64 = 64 << 10;

/// Number of bytes behind a cut that are read first. Most records are shorter.
const FIRST_BLOCK_BYTES: u64 = 4 << 10;

/// The characters with a meaning.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct CsvSyntax {
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
}

/// State of the syntax before a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CsvState {
    /// The start of a field.
    Start,
    /// A part of a field without quotes, or what follows the closing quote.
    Unquoted,
    /// A part of a field within quotes.
    Quoted,
    /// A quote within quotes, which closes the field unless another one follows.
    Quote,
}

impl CsvSyntax {
    /// Reads `bytes` from `state` on, and passes the position after each record to `on_end`, until that returns `false`.
    /// Returns whether the quotes follow the rules.
    pub(crate) fn scan(
        self,
        state: &mut CsvState,
        bytes: &[u8],
        mut on_end: impl FnMut(usize) -> bool,
    ) -> bool {
        let mut is_regular = true;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let is_quote = Some(*byte) == self.quote;
            match *state {
                CsvState::Start if is_quote => {
                    *state = CsvState::Quoted;
                    at += 1;
                }
                CsvState::Start => *state = CsvState::Unquoted,
                CsvState::Quote if is_quote => {
                    *state = CsvState::Quoted;
                    at += 1;
                }
                CsvState::Quote => {
                    is_regular &= *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
                    *state = CsvState::Unquoted;
                }
                CsvState::Quoted => {
                    let quote = self.quote.unwrap_or_default();
                    let Some(next) = memchr::memchr(quote, &bytes[at..]) else {
                        return is_regular;
                    };
                    *state = CsvState::Quote;
                    at += next + 1;
                }
                CsvState::Unquoted => {
                    let rest = &bytes[at..];
                    let next = memchr::memchr3(self.delimiter, b'\n', b'\r', rest);
                    let field = &rest[..next.unwrap_or(rest.len())];
                    let has_quote = |quote| memchr::memchr(quote, field).is_some();
                    is_regular &= !self.quote.is_some_and(has_quote);
                    let Some(next) = next else {
                        return is_regular;
                    };
                    *state = CsvState::Start;
                    at += next + 1;
                    if rest[next] == self.delimiter {
                        continue;
                    }
                    let is_pair = rest[next] == b'\r' && bytes.get(at) == Some(&b'\n');
                    at += usize::from(is_pair);
                    if !on_end(at) {
                        return is_regular;
                    }
                }
            }
        }
        is_regular
    }

    /// Reads `bytes` from `state` on. Returns the position after the last record that ends in them.
    pub(crate) fn last_end(self, state: &mut CsvState, bytes: &[u8]) -> Option<usize> {
        let mut rest = 0;
        let mut last = None;
        let is_outside = matches!(state, CsvState::Start | CsvState::Unquoted);
        let has_quote = |quote| memchr::memchr(quote, bytes).is_some();
        // Without quotes, each line end is the end of a record.
        if is_outside
            && !self.quote.is_some_and(has_quote)
            && let Some(at) = memchr::memrchr(b'\n', bytes)
        {
            rest = at + 1;
            last = Some(rest);
            *state = CsvState::Start;
        }
        self.scan(state, &bytes[rest..], |end| {
            last = Some(rest + end);
            true
        });
        last
    }

    /// Returns the state after `window`, which begins at the start of a record or anywhere.
    fn state_after(self, window: &[u8], is_start: bool) -> CsvState {
        let has_quote = |quote| memchr::memchr(quote, window).is_some();
        if !self.quote.is_some_and(has_quote) {
            // The last byte tells whether a field begins after the window.
            let is_end = |byte: &u8| *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            return match window.last().is_none_or(is_end) {
                true => CsvState::Start,
                false => CsvState::Unquoted,
            };
        }
        let read = |mut state| {
            let is_regular = self.scan(&mut state, window, |_| true);
            (state, is_regular)
        };
        let (outside, is_outside) = read(CsvState::Start);
        if is_start || is_outside {
            return outside;
        }
        match read(CsvState::Quoted) {
            (inside, true) => inside,
            // The quotes follow no rules, so a line end is more likely than anything else to end a record.
            _ => CsvState::Unquoted,
        }
    }

    /// Returns the offset of the first record of a file that begins at `cut` or later: after a `\n` that ends a record.
    pub(crate) fn record_start(self, file: &InputFile, cut: u64) -> Result<u64> {
        if cut == 0 || cut >= file.bytes() {
            return Ok(cut.min(file.bytes()));
        }
        // The line end may be the byte before the cut.
        let mut from = cut - 1;
        let start = from.saturating_sub(WINDOW_BYTES);
        let mut window = Vec::new();
        let mark = BYTE_ORDER_MARK.len() as u64;
        let end = if start == 0 { from.max(mark) } else { from };
        file.open(start..end)?.read_to_end(&mut window)?;
        if start == 0 && window.starts_with(BYTE_ORDER_MARK) {
            window.drain(..BYTE_ORDER_MARK.len());
            from = end;
        } else {
            window.truncate((from - start) as usize);
        }
        let mut state = self.state_after(&window, start == 0);
        let (mut offset, mut block_bytes) = (from, FIRST_BLOCK_BYTES);
        loop {
            window.clear();
            let block = offset..offset.saturating_add(block_bytes);
            block_bytes = WINDOW_BYTES;
            file.open(block)?.read_to_end(&mut window)?;
            if window.is_empty() {
                return Ok(file.bytes());
            }
            let mut found = None;
            self.scan(&mut state, &window, |end| {
                let is_line_end = window[end - 1] == b'\n';
                found = is_line_end.then_some(end);
                !is_line_end
            });
            if let Some(end) = found {
                return Ok(offset + end as u64);
            }
            offset += window.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: CsvSyntax = CsvSyntax {
        delimiter: b',',
        quote: Some(b'"'),
    };

    fn ends(text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        SYNTAX.scan(&mut CsvState::Start, text.as_bytes(), |end| {
            ends.push(end);
            true
        });
        ends
    }

    #[test]
    fn a_line_end_in_quotes_ends_no_record() {
        assert_eq!(ends("a,b\nc\n"), [4, 6]);
        assert_eq!(ends("a,\"b\nc\"\nd\n"), [8, 10]);
        assert_eq!(ends("\"a\"\"\n\"\"\",b\r\nc"), [12]);
        assert_eq!(ends("\"a\n"), [0; 0]);
        assert_eq!(ends("a\"b\nc\"\n"), [4, 7]);
        assert_eq!(ends("a\rb\n"), [2, 4]);
    }

    #[test]
    fn the_last_end_is_that_of_a_scan() {
        let alphabet = b"a,\"\n\r";
        for number in 0..alphabet.len().pow(6) {
            let digit = |n: usize| alphabet[number / alphabet.len().pow(n as u32) % alphabet.len()];
            let text: Vec<u8> = (0..6).map(digit).collect();
            for start in [
                CsvState::Start,
                CsvState::Unquoted,
                CsvState::Quoted,
                CsvState::Quote,
            ] {
                let (mut scanned, mut last) = (start, None);
                SYNTAX.scan(&mut scanned, &text, |end| {
                    last = Some(end);
                    true
                });
                let mut state = start;
                assert_eq!(SYNTAX.last_end(&mut state, &text), last, "{text:?}");
                assert_eq!(state, scanned, "{text:?}");
            }
        }
    }

    #[test]
    fn the_text_before_a_cut_tells_whether_it_is_in_quotes() {
        let state = |window: &str| SYNTAX.state_after(window.as_bytes(), false);
        assert_eq!(state("b,c\nd,\"e"), CsvState::Quoted);
        assert_eq!(state("in quotes\",d\ne,f"), CsvState::Unquoted);
        assert_eq!(state("x\ny\nz\",\"a\nb"), CsvState::Quoted);
        assert_eq!(state("x,\"y\",\"z\"\na"), CsvState::Unquoted);
        assert_eq!(state("no quotes\nat all"), CsvState::Unquoted);
    }
}
