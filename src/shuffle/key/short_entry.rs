//! Entries in registers.

use crate::storage::codec::{SHORT_BYTES, Short};

/// An entry of a short key and a short value, in registers.
#[derive(Clone, Copy)]
pub(crate) struct ShortEntry {
    /// The lengths and the key.
    head: u128,
    head_len: usize,
    value: Short,
}

impl ShortEntry {
    /// Size of both words, in bytes.
    pub(crate) const WORDS_BYTES: usize = 2 * size_of::<u128>();

    /// Creates an entry in the form of a [block](super::blocks): the length of the key, the key, the value.
    #[inline(always)]
    pub(crate) fn of_block(key: Short, value: Short) -> Self {
        Self {
            head: key.word() << 8 | key.len() as u128,
            head_len: 1 + key.len(),
            value,
        }
    }

    /// Creates an entry in the form of a [chunk](super::entry). Returns `None` if the head would be longer than a word.
    #[inline(always)]
    pub(crate) fn of_chunk(key: Short, value: Short) -> Option<Self> {
        let (head, head_len) = Self::head_of_chunk(key)?;
        Some(Self {
            head: head | (value.len() as u128) << 8,
            head_len,
            value,
        })
    }

    /// Returns the head of an entry in that form, for a value of no bytes, and the length of the head.
    #[inline(always)]
    pub(crate) fn head_of_chunk(key: Short) -> Option<(u128, usize)> {
        let head = key.word() << 16 | key.len() as u128;
        (key.len() < SHORT_BYTES).then_some((head, 2 + key.len()))
    }

    /// Returns the first word, its length in bytes, and the second word, which follows those bytes.
    #[inline(always)]
    pub(crate) fn words(self) -> (u128, usize, u128) {
        (self.head, self.head_len, self.value.word())
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.head_len + self.value.len()
    }

    /// Returns the bytes, and their number.
    pub(crate) fn bytes(self) -> ([u8; Self::WORDS_BYTES], usize) {
        let mut bytes = [0; Self::WORDS_BYTES];
        bytes[..size_of::<u128>()].copy_from_slice(&self.head.to_le_bytes());
        bytes[self.head_len..][..size_of::<u128>()]
            .copy_from_slice(&self.value.word().to_le_bytes());
        (bytes, self.len())
    }
}
