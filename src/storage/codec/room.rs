//! Encoding into memory that has not been written yet.

use std::mem::{self, MaybeUninit};

use bincode::error::EncodeError;

use super::encoder::ByteSink;
use super::number::{self, Number};

/// The rest of a piece of memory, for encoded values. Unlike a `Vec`, which might have to grow, it stays in registers of
/// the CPU.
pub(crate) struct Room<'b> {
    left: &'b mut [MaybeUninit<u8>],
}

impl<'b> Room<'b> {
    #[inline(always)]
    pub(crate) fn new(left: &'b mut [MaybeUninit<u8>]) -> Self {
        Self { left }
    }

    /// Returns the number of bytes that have not been appended yet.
    #[inline(always)]
    pub(crate) fn left_bytes(&self) -> usize {
        self.left.len()
    }

    /// Appends the first `len` of `bytes`, if there is room for all of them.
    #[inline(always)]
    pub(crate) fn append<const N: usize>(
        &mut self,
        bytes: [u8; N],
        len: usize,
    ) -> Result<(), EncodeError> {
        let place = self.left.first_chunk_mut::<N>();
        let place = place.ok_or(EncodeError::UnexpectedEnd)?;
        place.write_copy_of_slice(&bytes);
        self.left = &mut mem::take(&mut self.left)[len.min(N)..];
        Ok(())
    }
}

impl ByteSink for Room<'_> {
    #[inline(always)]
    fn put_number<N: Number>(&mut self, number: N) -> Result<(), EncodeError> {
        let (first, number, more) = number::parts(number);
        let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
        self.append([first, a, b, c, d, e, f, g, h], 1 + more)
    }

    #[inline(always)]
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let place = self.left.get_mut(..bytes.len());
        let place = place.ok_or(EncodeError::UnexpectedEnd)?;
        place.write_copy_of_slice(bytes);
        self.left = &mut mem::take(&mut self.left)[bytes.len()..];
        Ok(())
    }

    #[inline(always)]
    fn put_byte(&mut self, byte: u8) -> Result<(), EncodeError> {
        self.append([byte], 1)
    }
}
