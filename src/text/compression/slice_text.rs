//! The text of a slice that helpers decode, and its memory.

use crate::storage::memory::{MemoryBudget, Reservation};

/// Memory of a slice and its text that is not reserved, in bytes. Most slices need less, so they are decoded in advance
/// even if the budget is exhausted.
const FREE_BYTES: usize = 3 << 20;

/// Threads that help to decode a file, and the budget for what they decode in advance.
#[derive(Clone, Debug)]
pub(crate) struct Helpers {
    pub(super) threads: usize,
    pub(super) budget: MemoryBudget,
}

impl Helpers {
    /// Returns the helpers of a thread that decodes, too, so that there are `threads` in total.
    pub(crate) fn of(threads: usize, budget: MemoryBudget) -> Self {
        Self {
            threads: threads - 1,
            budget,
        }
    }

    /// Returns memory for a slice that is decoded in advance, which needs about `bytes` with its text. Returns `None` if
    /// the budget refuses.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.budget.try_reserve(bytes.saturating_sub(FREE_BYTES))
    }
}

/// The text of a slice.
#[derive(Debug, Default)]
pub(super) struct SliceText {
    pub(super) bytes: Vec<u8>,
    /// Length of the slice, in bytes.
    slice_bytes: usize,
    /// Memory of text that is decoded in advance, or `None` if the text is the next that is needed.
    reservation: Option<Reservation>,
}

impl SliceText {
    pub(super) fn new(slice_bytes: usize, reservation: Option<Reservation>) -> Self {
        Self {
            bytes: Vec::new(),
            slice_bytes,
            reservation,
        }
    }

    /// Makes room for `bytes` more. Returns `false` if the text is decoded in advance and the budget refuses.
    #[must_use]
    pub(super) fn make_room(&mut self, bytes: usize) -> bool {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if len + bytes <= capacity {
            return true;
        }
        let wanted = (len + bytes).max(capacity + capacity / 2);
        let reserved = (self.slice_bytes + wanted).saturating_sub(FREE_BYTES);
        let is_granted = match &mut self.reservation {
            Some(reservation) => {
                reservation.bytes() >= reserved || reservation.try_resize(reserved)
            }
            None => true,
        };
        if is_granted {
            self.bytes.reserve_exact(wanted - len);
        }
        is_granted
    }

    /// Drops the text, but not the memory of the slice.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        if let Some(reservation) = &mut self.reservation {
            let of_slice = self.slice_bytes.saturating_sub(FREE_BYTES);
            // A smaller number is never refused.
            let _ = reservation.try_resize(of_slice.min(reservation.bytes()));
        }
    }
}
