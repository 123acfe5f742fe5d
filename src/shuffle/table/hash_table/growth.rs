//! Growing a table.

use super::Table;
use crate::shuffle::key::partitioner::HashRank;
use crate::shuffle::table::slot::{Packed, Slot, Slots};

impl<V> Table<V> {
    /// Adds slots, and moves all keys to their new positions. Returns `false` if the system has no memory for the slots.
    pub(super) fn resize(&mut self, capacity: usize, slots: usize) -> bool {
        if self.slots.are_mapped() {
            return self.resize_in_place(capacity, slots);
        }
        // A copy of the slots would have to be written and read in addition.
        let mut larger = Slots::none();
        if !larger.try_grow(slots) {
            return false;
        }
        let mut smaller = std::mem::replace(&mut self.slots, larger);
        self.capacity = capacity;
        for slot in smaller.as_mut_slice() {
            if let Some(full) = slot.take() {
                self.put_again(full);
            }
        }
        true
    }

    /// Adds slots at the end, and moves all keys to their new positions.
    ///
    /// With more home slots, positions move to the right, so the last run is moved first. Its first key is in its home
    /// slot, and none of its keys can move to the left of that, where the other runs still are.
    ///
    /// Returns `false` if the system has no memory for the slots.
    fn resize_in_place(&mut self, capacity: usize, slots: usize) -> bool {
        let mut end = self.slots.len();
        if !self.slots.try_grow(slots) {
            return false;
        }
        self.capacity = capacity;
        let mut run = Vec::new();
        while end > 0 {
            end -= 1;
            match self.slots.as_mut_slice()[end].take() {
                Some(full) => run.push(full),
                None => self.put_all(&mut run),
            }
        }
        self.put_all(&mut run);
        true
    }

    /// Puts keys into empty slots, the last of them first.
    #[inline]
    fn put_all(&mut self, run: &mut Vec<(Packed, HashRank, V)>) {
        while let Some(full) = run.pop() {
            self.put_again(full);
        }
    }

    /// Puts a key into the first empty slot for it.
    #[inline(always)]
    fn put_again(&mut self, full: (Packed, HashRank, V)) {
        let home = self.home(full.1);
        let free = self.slots.as_slice()[home..]
            .iter()
            .position(Slot::is_empty);
        let at = free.map_or(self.slots.len(), |distance| home + distance);
        if at == self.slots.len() {
            let more = at + (at - self.capacity);
            if !self.slots.try_grow(more) {
                Slots::<V>::abort(more);
            }
        }
        self.slots.as_mut_slice()[at].put(full);
    }
}
