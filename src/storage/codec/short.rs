//! A few bytes that stay in registers of the CPU.
//!
//! Most keys and values of a shuffle are numbers or short words. If they were written to memory byte by byte, and
//! immediately read in larger units for hashing or copying, the reads would stall: the CPU cannot forward several
//! writes from its store buffer to one read.

use bincode::error::EncodeError;

use super::encoder::ByteSink;
use super::number::{self, Number};

/// Maximum length of a [`Short`], in bytes.
pub(crate) const SHORT_BYTES: usize = 15;

/// Masks for the first n bytes of a word, for its lower and its upper half. They are two arrays, so that the compiler
/// does not load both into one vector register, from which moving them to other registers is slow.
const LOWER: [u64; SHORT_BYTES + 1] = masks(0);
const UPPER: [u64; SHORT_BYTES + 1] = masks(u64::BITS);

const fn masks(shift: u32) -> [u64; SHORT_BYTES + 1] {
    let mut masks = [0; SHORT_BYTES + 1];
    let mut len = 0;
    while len <= SHORT_BYTES {
        masks[len] = (((1_u128 << (8 * len)) - 1) >> shift) as u64;
        len += 1;
    }
    masks
}

/// Up to [`SHORT_BYTES`] bytes. The first byte is the lowest of `word`; unused bytes are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Short {
    word: u128,
    len: usize,
}

impl Short {
    /// Returns `bytes` as a `Short`; `None` if they are too long.
    #[inline(always)]
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let half = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
        };
        let len = bytes.len();
        let (head, tail) = match len {
            // Each shift moves the last bytes to the position after the first ones.
            9..=SHORT_BYTES => (word(0), word(len - 8) >> (8 * (16 - len))),
            8 => (word(0), 0),
            4..8 => (half(0) | half(len - 4) << (8 * (len - 4)), 0),
            1..4 => {
                let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
                (byte(0) | byte(len / 2) | byte(len - 1), 0)
            }
            0 => (0, 0),
            _ => return None,
        };
        let word = u128::from(head) | u128::from(tail) << 64;
        Some(Self { word, len })
    }

    /// Returns these bytes after another one; `None` if they are too long for that.
    #[inline(always)]
    pub(crate) fn after(self, first: u8) -> Option<Self> {
        (self.len < SHORT_BYTES).then_some(Self {
            word: self.word << 8 | u128::from(first),
            len: self.len + 1,
        })
    }

    /// Returns the first `len` of `bytes` as a `Short`; `None` if `len` is too large. If `bytes` is long enough for a
    /// whole word, there is no branch on `len`, which would be mispredicted for mixed lengths.
    #[inline(always)]
    pub(crate) fn first_of(bytes: &[u8], len: usize) -> Option<Self> {
        if len > SHORT_BYTES {
            return None;
        }
        let Some(word) = bytes.first_chunk() else {
            return Self::new(&bytes[..len]);
        };
        let word = u128::from_le_bytes(*word);
        let (lower, upper) = (word as u64 & LOWER[len], (word >> 64) as u64 & UPPER[len]);
        let word = u128::from(lower) | u128::from(upper) << 64;
        Some(Self { word, len })
    }

    /// Returns whether the first `len` of `bytes` are these bytes.
    #[inline(always)]
    pub(crate) fn is_first_of(self, bytes: &[u8], len: usize) -> bool {
        len == self.len && Self::first_of(bytes, self.len) == Some(self)
    }

    /// Returns the bytes with the length plus 1 in the highest byte. Distinct values have distinct results, and none is
    /// 0.
    #[inline(always)]
    pub(crate) fn tagged(self) -> u128 {
        self.word | (self.len as u128 + 1) << (8 * SHORT_BYTES)
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// Returns the byte of a `Short` of one byte.
    #[inline(always)]
    pub(crate) fn byte(self) -> Option<u8> {
        (self.len == 1).then_some(self.word as u8)
    }

    /// Returns the bytes as a word. The first byte is the lowest.
    #[inline(always)]
    pub(crate) fn word(self) -> u128 {
        self.word
    }

    /// Appends the `len` lowest bytes of `word`, whose other bytes are 0.
    #[inline(always)]
    fn push(&mut self, word: u128, len: usize) -> Result<(), EncodeError> {
        if len > SHORT_BYTES - self.len {
            return Err(EncodeError::UnexpectedEnd);
        }
        self.word |= word << (8 * self.len);
        self.len += len;
        Ok(())
    }
}

impl ByteSink for Short {
    #[inline(always)]
    fn put_number<N: Number>(&mut self, number: N) -> Result<(), EncodeError> {
        let (first, number, more) = number::parts(number);
        let rest = if more == 0 { 0 } else { number };
        self.push(u128::from(first) | u128::from(rest) << 8, 1 + more)
    }

    #[inline(always)]
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let Some(short) = Self::new(bytes) else {
            return Err(EncodeError::UnexpectedEnd);
        };
        self.push(short.word, short.len)
    }

    #[inline(always)]
    fn put_byte(&mut self, byte: u8) -> Result<(), EncodeError> {
        self.push(byte.into(), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_into_a_word_as_long_as_they_fit() {
        let bytes: Vec<u8> = (1..=20).collect();
        for len in 0..=20 {
            let short = Short::new(&bytes[..len]);
            assert_eq!(short.is_some(), len <= SHORT_BYTES);
            assert_eq!(Short::first_of(&bytes[..len], len), short);
            let Some(short) = short else { continue };
            let mut expected = [0; 16];
            expected[..len].copy_from_slice(&bytes[..len]);
            assert_eq!((short.word().to_le_bytes(), short.len()), (expected, len));
            assert_eq!(Short::first_of(&bytes, len), Some(short));
            assert!(short.is_first_of(&bytes, len) && short.is_first_of(&bytes[..len], len));
            assert!(!short.is_first_of(&bytes, len + 1));
            assert!(len == 0 || !short.is_first_of(&bytes[1..], len));
            expected[SHORT_BYTES] = len as u8 + 1;
            assert_eq!(short.byte(), (len == 1).then_some(1));
            assert_eq!(short.after(7), Short::new(&[&[7], &bytes[..len]].concat()));
            assert_eq!(short.tagged().to_le_bytes(), expected);
        }
    }
}
