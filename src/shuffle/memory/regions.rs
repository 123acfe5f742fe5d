//! Memory for tables that are smaller than a huge page. Several of them share one.
#![expect(
    unsafe_code,
    reason = "a lookup in pages of 4 KiB, which the allocator has, misses the TLB; W1 of 100 MB takes 0.75 of its CPU time"
)]
//!
//! ```text
//!  region          a huge page, 32 units of 64 KiB
//!    └─ piece      1 to 16 units in a row, for one table
//! ```
//!
//! All threads share the regions, so a thread can free what another one has allocated. The tables of a thread grow at
//! similar times, so larger tables soon fill the pieces that smaller ones have left. The budget does not include free
//! units, so these are limited: if there are more than a quarter of those in use, the next ones are returned to the
//! kernel.

use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hints::HUGE_PAGE_BYTES;
use super::mapped;

const UNITS: usize = u32::BITS as usize;
const UNIT_BYTES: usize = HUGE_PAGE_BYTES / UNITS;

/// Maximum length of a piece.
const MAX_PIECE: usize = UNITS / 2;

/// The [room](Region::room) of a region of which no unit is in use.
const UNUSED: usize = MAX_PIECE + 1;

/// Free units keep their memory up to 1/`FREE_OF_TAKEN` of the units in use, and one region. If fewer keep it, tables grow
/// into units without a huge page. If more keep it, the process exceeds its budget by more.
const FREE_OF_TAKEN: usize = 4;

static REGIONS: Mutex<Regions> = Mutex::new(Regions::new());

/// Returns whether regions have memory of this layout. The allocator has smaller memory. Larger memory has huge pages of
/// its own.
pub(crate) fn is_for(layout: Layout) -> bool {
    cfg!(target_os = "linux")
        && (UNIT_BYTES..=MAX_PIECE * UNIT_BYTES).contains(&layout.size())
        && layout.align() <= UNIT_BYTES
}

/// Returns zeroed memory for a layout that regions [have](is_for), or `None` if the system has none.
pub(crate) fn new(bytes: usize) -> Option<NonNull<u8>> {
    let (start, is_zero) = lock().take(bytes.div_ceil(UNIT_BYTES))?;
    if !is_zero {
        // SAFETY: the memory was just taken, so nothing else accesses it.
        unsafe { start.write_bytes(0, bytes) };
    }
    Some(start)
}

/// Frees memory.
///
/// # Safety
///
/// `start` must be the result of [`new`] for `bytes`, and must not be used again.
pub(crate) unsafe fn free(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the units of the piece belong to the caller.
    unsafe { lock().put_back(start, bytes.div_ceil(UNIT_BYTES)) };
}

fn lock() -> MutexGuard<'static, Regions> {
    REGIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All regions, in order of their addresses.
struct Regions {
    regions: BTreeMap<usize, Region>,
    /// The addresses of the regions, by their [room](Region::room).
    by_room: [BTreeSet<usize>; UNUSED + 1],
    /// Number of units in use.
    taken: usize,
    /// Number of free units that keep their memory.
    spare: usize,
}

impl Regions {
    const fn new() -> Self {
        Self {
            regions: BTreeMap::new(),
            by_room: [const { BTreeSet::new() }; UNUSED + 1],
            taken: 0,
            spare: 0,
        }
    }

    /// Takes a piece. Returns it, and whether it is zeroed.
    fn take(&mut self, units: usize) -> Option<(NonNull<u8>, bool)> {
        let fitting = self.by_room[units..].iter().find_map(BTreeSet::first);
        let mut region = match fitting.copied() {
            Some(address) => self.remove(address)?,
            None => Region::new()?,
        };
        let taken = region.take(units);
        self.insert(region);
        taken
    }

    /// Frees a piece.
    ///
    /// # Safety
    ///
    /// It must have been [taken](Self::take), and must not be used again.
    unsafe fn put_back(&mut self, start: NonNull<u8>, units: usize) {
        let offset = start.addr().get() % HUGE_PAGE_BYTES;
        let Some(mut region) = self.remove(start.addr().get() - offset) else {
            return;
        };
        region.free |= mask(offset / UNIT_BYTES, units);
        // One unused region is kept. Otherwise, a table that comes and goes would need a fresh huge page each time.
        if region.room() == UNUSED && !self.by_room[UNUSED].is_empty() {
            return;
        }
        let spare = self.spare + region.spare();
        if spare > UNITS + (self.taken + region.taken()) / FREE_OF_TAKEN {
            // SAFETY: nothing uses the units.
            unsafe { region.release(start, units) };
        }
        self.insert(region);
    }

    fn insert(&mut self, region: Region) {
        let address = region.start.addr().get();
        self.taken += region.taken();
        self.spare += region.spare();
        self.by_room[region.room()].insert(address);
        self.regions.insert(address, region);
    }

    fn remove(&mut self, address: usize) -> Option<Region> {
        let region = self.regions.remove(&address)?;
        self.by_room[region.room()].remove(&address);
        self.spare -= region.spare();
        self.taken -= region.taken();
        Some(region)
    }
}

/// A huge page. In its masks, each bit is a unit.
struct Region {
    start: NonNull<u8>,
    free: u32,
    /// Units that are not zeroed, because they have been in use.
    filled: u32,
}

// SAFETY: the region owns its memory, like a vector.
unsafe impl Send for Region {}

impl Region {
    fn new() -> Option<Self> {
        Some(Self {
            start: mapped::new(HUGE_PAGE_BYTES)?,
            free: u32::MAX,
            filled: 0,
        })
    }

    fn take(&mut self, units: usize) -> Option<(NonNull<u8>, bool)> {
        let at = self.place(units)?;
        let taken = mask(at, units);
        let is_zero = self.filled & taken == 0;
        self.free &= !taken;
        self.filled |= taken;
        // SAFETY: the free units are within the region.
        Some((unsafe { self.start.add(at * UNIT_BYTES) }, is_zero))
    }

    /// Returns the memory of a free piece to the kernel. The huge page is split.
    ///
    /// # Safety
    ///
    /// The piece must be of this region, and must not be in use.
    unsafe fn release(&mut self, start: NonNull<u8>, units: usize) {
        // SAFETY: nothing uses the memory.
        if unsafe { mapped::release(start, units * UNIT_BYTES) } {
            let offset = start.addr().get() % HUGE_PAGE_BYTES;
            self.filled &= !mask(offset / UNIT_BYTES, units);
        }
    }

    /// Returns where a piece fits.
    fn place(&self, units: usize) -> Option<usize> {
        let mut places = (0..UNITS).step_by(units.next_power_of_two());
        places.find(|at| self.free & mask(*at, units) == mask(*at, units))
    }

    /// Returns the length of the longest piece that fits. Each shorter one fits, too.
    fn room(&self) -> usize {
        if self.free == u32::MAX {
            return UNUSED;
        }
        let mut lengths = (1..=MAX_PIECE).rev();
        lengths
            .find(|units| self.place(*units).is_some())
            .unwrap_or(0)
    }

    fn taken(&self) -> usize {
        self.free.count_zeros() as usize
    }

    fn spare(&self) -> usize {
        (self.free & self.filled).count_ones() as usize
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it is the mapping of this region, which is dropped when no piece of it is in use.
        unsafe { mapped::free(self.start, HUGE_PAGE_BYTES) };
    }
}

fn mask(at: usize, units: usize) -> u32 {
    (((1_u64 << units) - 1) << at) as u32
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn bytes<'p>(start: NonNull<u8>, units: usize) -> &'p mut [u8] {
        // SAFETY: the tests access pieces that they have taken, one after another.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), units * UNIT_BYTES) }
    }

    #[test]
    fn pieces_do_not_overlap_and_are_zeroed_or_said_to_be_filled() {
        let mut regions = Regions::new();
        let mut pieces = Vec::new();
        for n in 0..300_usize {
            let units = [1, 2, 3, 16, 5][n * 7 % 5];
            let (start, is_zero) = regions.take(units).unwrap();
            let piece = bytes(start, units);
            assert!(!is_zero || piece.iter().all(|byte| *byte == 0));
            piece.fill(n as u8);
            pieces.push((n as u8, start, units));
            if n % 3 == 2 {
                let (n, start, units) = pieces.swap_remove(n * 5 % pieces.len());
                assert!(bytes(start, units).iter().all(|byte| *byte == n));
                // SAFETY: it was taken, and has been removed.
                unsafe { regions.put_back(start, units) };
            }
        }
        for (n, start, units) in pieces {
            assert!(bytes(start, units).iter().all(|byte| *byte == n));
            // SAFETY: it was taken, and is not used again.
            unsafe { regions.put_back(start, units) };
        }
        assert_eq!(regions.regions.len(), 1);
        assert_eq!(regions.taken, 0);
    }

    #[test]
    fn most_memory_of_free_units_is_returned() {
        let mut regions = Regions::new();
        let pieces: Vec<_> = (0..20 * UNITS)
            .map(|_| regions.take(1).unwrap().0)
            .collect();
        assert_eq!(regions.regions.len(), 20);
        for start in &pieces {
            bytes(*start, 1).fill(1);
        }
        // One piece of each region remains.
        for start in pieces
            .iter()
            .filter(|start| start.addr().get() % HUGE_PAGE_BYTES > 0)
        {
            // SAFETY: each is put back once.
            unsafe { regions.put_back(*start, 1) };
        }
        assert_eq!(regions.regions.len(), 20);
        // The limit was higher when there were more pieces.
        let spare: usize = regions.regions.values().map(Region::spare).sum();
        assert_eq!(regions.spare, spare);
        assert!(spare < 6 * UNITS);
        let (again, is_zero) = regions.take(1).unwrap();
        assert!(!is_zero || bytes(again, 1).iter().all(|byte| *byte == 0));
    }
}
