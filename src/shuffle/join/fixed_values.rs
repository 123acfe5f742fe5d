//! The values of one key, decoded once, for a join that pairs each of them with many other values.

use std::slice::ChunksExact;

use crate::error::Result;
use crate::shuffle::read::sorted_cursor::GroupValues;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Maximum width of a value, in bytes. Longer values take longer to copy than to find.
const MAX_WIDTH: usize = 64;

/// The values of a key, if all of them have the same length in a form that is faster to decode.
pub(crate) struct FixedValues {
    bytes: Vec<u8>,
    /// Length of each value, or 0 if there are no values.
    width: usize,
    reservation: Reservation,
}

impl FixedValues {
    pub(crate) fn new(resources: &Resources) -> Self {
        Self {
            bytes: Vec::new(),
            width: 0,
            reservation: resources.budget.reservation(),
        }
    }

    /// Removes all values.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.width = 0;
    }

    /// Adds all `values`, which `encode` converts. Adds none if their lengths differ, or if there is no memory.
    pub(crate) fn fill(
        &mut self,
        values: GroupValues<'_>,
        encode: impl Fn(&[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.bytes.clear();
        let (count, mut width) = (values.len(), 0);
        for value in values {
            let start = self.bytes.len();
            encode(value, &mut self.bytes)?;
            if start == 0 {
                width = self.bytes.len();
                if !(1..=MAX_WIDTH).contains(&width) || !self.make_room(count * width) {
                    return Ok(());
                }
            }
            if self.bytes.len() - start != width {
                return Ok(());
            }
        }
        self.width = width;
        Ok(())
    }

    /// Ensures capacity for `bytes` bytes in total. Returns `false` if the budget refuses.
    fn make_room(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes.capacity() {
            if !self.reservation.try_resize(bytes) {
                return false;
            }
            self.bytes.reserve_exact(bytes - self.bytes.len());
        }
        true
    }

    /// Returns the values, in order, if there are any.
    #[inline]
    pub(crate) fn values(&self) -> Option<ChunksExact<'_, u8>> {
        (self.width > 0).then(|| self.bytes.chunks_exact(self.width))
    }
}
