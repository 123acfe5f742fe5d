//! Parts of JSON at a position of a text.

use std::fmt;

use serde::de::{self, IgnoredAny, Visitor};

/// Maximum number of digits of a number with a fraction. Such a number is exact as `f64` without its point.
const EXACT_DIGITS: usize = 15;

/// Maximum number of digits of an integer. It is less than 2^64.
const MAX_DIGITS: usize = 19;

/// The text is not as expected.
#[derive(Debug)]
pub(super) struct JsonMismatch;

pub(super) type JsonResult<T> = std::result::Result<T, JsonMismatch>;

/// A position in a text.
pub(super) struct JsonCursor<'de> {
    pub(super) text: &'de str,
    /// The next byte.
    pub(super) at: usize,
}

impl<'de> JsonCursor<'de> {
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    pub(super) fn skip(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// Reads a string without escapes.
    #[inline(always)]
    pub(super) fn string(&mut self) -> JsonResult<&'de str> {
        if self.peek() != Some(b'"') {
            return Err(JsonMismatch);
        }
        let start = self.at + 1;
        let rest = &self.text.as_bytes()[start..];
        let len = special(rest)
            .filter(|len| rest[*len] == b'"')
            .ok_or(JsonMismatch)?;
        self.at = start + len + 1;
        Ok(&self.text[start..start + len])
    }

    /// Reads digits without a superfluous zero. Returns their number and value.
    #[inline(always)]
    fn digits(&mut self) -> (usize, u64) {
        let bytes = &self.text.as_bytes()[self.at..];
        let mut value = 0_u64;
        let mut len = 0;
        while let Some(digit) = bytes.get(len).map(|byte| byte.wrapping_sub(b'0')) {
            if digit > 9 || len > MAX_DIGITS {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(digit.into());
            len += 1;
        }
        self.at += len;
        (len, value)
    }

    #[inline(always)]
    fn integer(&mut self) -> JsonResult<u64> {
        let is_zero = self.peek() == Some(b'0');
        let (len, value) = self.digits();
        match len {
            1 => Ok(value),
            2..=MAX_DIGITS if !is_zero => Ok(value),
            _ => Err(JsonMismatch),
        }
    }

    #[inline(always)]
    fn is_negative(&mut self) -> bool {
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        is_negative
    }

    pub(super) fn skip_value(&mut self) -> JsonResult<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(IgnoredAny).map(drop),
        }
    }

    pub(super) fn word(&mut self, word: &str) -> JsonResult<()> {
        let rest = &self.text.as_bytes()[self.at..];
        if !rest.starts_with(word.as_bytes()) {
            return Err(JsonMismatch);
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes a number to a visitor, as serde_json does.
    #[inline(always)]
    pub(super) fn number<V: Visitor<'de>>(&mut self, visitor: V) -> JsonResult<V::Value> {
        let is_negative = self.is_negative();
        let start = self.at;
        let value = self.integer()?;
        let whole = self.at - start;
        if self.peek() == Some(b'.') {
            self.at += 1;
            let (len, fraction) = self.digits();
            let is_exact = len > 0 && whole + len <= EXACT_DIGITS;
            let power = POWERS.get(len).filter(|_| is_exact).ok_or(JsonMismatch)?;
            // The quotient of two exact numbers is rounded once.
            let number = (value * *power as u64 + fraction) as f64 / power;
            return visitor.visit_f64(if is_negative { -number } else { number });
        }
        match (is_negative, i64::try_from(value)) {
            (false, _) => visitor.visit_u64(value),
            (true, Ok(value)) if value > 0 => visitor.visit_i64(-value),
            _ => Err(JsonMismatch),
        }
    }
}

/// Powers of ten.
const POWERS: [f64; EXACT_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Returns the position of the first quote, backslash or control character.
#[inline(always)]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST_BITS: u64 = ONES << 7;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quotes = zero(word ^ (ONES * u64::from(b'"')));
        let backslashes = zero(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quotes | backslashes | controls) & HIGHEST_BITS;
        if found != 0 {
            // A borrow can only set higher bytes wrongly.
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = &bytes[at..];
    let found = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    found.map(|found| at + found)
}

impl fmt::Display for JsonMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not as expected")
    }
}

impl std::error::Error for JsonMismatch {}

impl de::Error for JsonMismatch {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}
