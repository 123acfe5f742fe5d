//! Search for a key without branches, for tables in the cache.

use super::{HashedKey, Table};
use crate::shuffle::table::slot::Slot;

/// Number of slots in which [`Table::update_near`] searches.
const NEAR_SLOTS: usize = 4;

impl<V> Table<V> {
    /// Calls `update` with the slot of a short key, if that is one of the first slots of its probe sequence. Otherwise,
    /// returns `extra` as the error; the key may still be in the table.
    ///
    /// Which of these slots has the key cannot be predicted, so choosing it is branchless. It reads all of them, which
    /// pays off only if they are in the cache.
    #[inline(always)]
    pub(crate) fn update_near<X>(
        &mut self,
        hashed: &HashedKey,
        extra: X,
        update: impl FnOnce(&mut Slot<V>, X),
    ) -> Result<(), X> {
        let home = self.home(hashed.rank);
        let slots = self.slots.as_mut_slice().get_mut(home..);
        let Some(near) = slots.and_then(<[_]>::first_chunk_mut::<NEAR_SLOTS>) else {
            return Err(extra);
        };
        let mut at = 0;
        for (other, slot) in near.iter().enumerate().skip(1) {
            at = match slot.rank() == hashed.rank {
                true => other,
                false => at,
            };
        }
        // The rank of an empty slot means nothing, but its key differs from all others.
        let slot = &mut near[at];
        if slot.rank() != hashed.rank || *slot.key() != hashed.key {
            return Err(extra);
        }
        update(slot, extra);
        Ok(())
    }
}
