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
    /// What the two words take, whole.
    pub(crate) const WORDS_BYTES: usize = 2 * size_of::<u128>();

    /// As it stands in a [block](super::blocks): the length of the key, the key, the value.
    #[inline(always)]
    pub(crate) fn of_block(key: Short, value: Short) -> Self {
        Self {
            head: key.word() << 8 | key.len() as u128,
            head_len: 1 + key.len(),
            value,
        }
    }

    /// As it stands in a [chunk](super::entry); `None` if the head would be longer than a word.
    #[inline(always)]
    pub(crate) fn of_chunk(key: Short, value: Short) -> Option<Self> {
        let lengths = (key.len() | value.len() << 8) as u128;
        (key.len() < SHORT_BYTES).then_some(Self {
            head: key.word() << 16 | lengths,
            head_len: 2 + key.len(),
            value,
        })
    }

    /// Its first word, how many bytes that has, and the second one, which follows them.
    #[inline(always)]
    pub(crate) fn words(self) -> (u128, usize, u128) {
        (self.head, self.head_len, self.value.word())
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.head_len + self.value.len()
    }

    /// Its bytes, and how many there are.
    pub(crate) fn bytes(self) -> ([u8; Self::WORDS_BYTES], usize) {
        let mut bytes = [0; Self::WORDS_BYTES];
        bytes[..size_of::<u128>()].copy_from_slice(&self.head.to_le_bytes());
        bytes[self.head_len..][..size_of::<u128>()]
            .copy_from_slice(&self.value.word().to_le_bytes());
        (bytes, self.len())
    }
}
