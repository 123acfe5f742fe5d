//! Zeroed memory that can grow.
#![expect(
    unsafe_code,
    reason = "large memory comes from the system itself, which can move it without a copy"
)]
//!
//! A table that doubles its size allocates fresh pages for each size, in total twice its final size, and fresh pages
//! are what makes large tables slow. Therefore, if the kernel supports it, large memory grows by remapping its pages.
//! Only the added part is fresh.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::num::NonZero;
use std::ptr::NonNull;

use super::{hints, mapped, regions};

pub(crate) struct Zeroed {
    start: NonNull<u8>,
    layout: Layout,
    is_in_region: bool,
}

impl Zeroed {
    /// Returns memory of no bytes, for a `layout` of none.
    pub(crate) fn empty(layout: Layout) -> Self {
        assert_eq!(layout.size(), 0, "memory of a length can be refused");
        Self {
            start: dangling(layout),
            layout,
            is_in_region: false,
        }
    }

    /// Returns `None` if the system has no such memory.
    fn try_new(layout: Layout) -> Option<Self> {
        let in_region = match regions::is_for(layout) {
            true => regions::new(layout.size()),
            false => None,
        };
        let start = if in_region.is_some() {
            in_region
        } else if layout.size() == 0 {
            Some(dangling(layout))
        } else if mapped::is_for(layout) {
            mapped::new(layout.size())
        } else if layout.size() < hints::MIN_POPULATED_BYTES {
            // Memory that `alloc_zeroed` gets from the kernel has not been touched, so each page would still fault
            // twice.
            // SAFETY: the layout is not empty, and all of the memory is filled.
            NonNull::new(unsafe { alloc(layout) })
                .inspect(|start| unsafe { start.write_bytes(0, layout.size()) })
        } else {
            // SAFETY: the layout is not empty.
            NonNull::new(unsafe { alloc_zeroed(layout) })
        };
        let start = start?;
        fill_with_pages(start, layout.size());
        Some(Self {
            start,
            layout,
            is_in_region: in_region.is_some(),
        })
    }

    /// Returns the start, aligned as the layout requires.
    #[inline(always)]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Returns whether [`try_grow`](Self::try_grow) moves pages, and copies nothing.
    pub(crate) fn is_mapped(&self) -> bool {
        mapped::is_for(self.layout)
    }

    /// Returns the number of bytes that [`try_grow`](Self::try_grow) allocates before it frees the old memory.
    pub(crate) fn growth_bytes(&self, layout: Layout) -> usize {
        match mapped::is_for(self.layout) {
            true => layout.size() - self.layout.size(),
            false => layout.size(),
        }
    }

    /// Grows the memory. Its content is kept, possibly at another address, and is followed by zeros. Returns `false`,
    /// and changes nothing, if the system has no such memory.
    #[must_use]
    pub(crate) fn try_grow(&mut self, layout: Layout) -> bool {
        let bytes = self.layout.size();
        assert!(layout.size() >= bytes, "memory grows");
        if !mapped::is_for(self.layout) {
            let Some(longer) = Self::try_new(layout) else {
                return false;
            };
            // SAFETY: both own at least `bytes` bytes, and do not overlap.
            unsafe { self.start.copy_to_nonoverlapping(longer.start, bytes) };
            *self = longer;
            return true;
        }
        // SAFETY: `start` is the result of `mapped` for `bytes`, and is not used again if there is a result.
        let start = unsafe { mapped::grow(self.start, bytes, layout.size()) };
        let Some(start) = start else {
            return false;
        };
        (self.start, self.layout) = (start, layout);
        // SAFETY: `bytes` is not past the end.
        fill_with_pages(unsafe { start.add(bytes) }, layout.size() - bytes);
        true
    }
}

/// Returns a pointer for an allocation of 0 bytes.
fn dangling(layout: Layout) -> NonNull<u8> {
    // No alignment is 0.
    NonZero::new(layout.align()).map_or(NonNull::dangling(), NonNull::without_provenance)
}

fn fill_with_pages(memory: NonNull<u8>, bytes: usize) {
    hints::advise_huge_pages(memory, bytes);
    hints::populate(memory, bytes);
}

impl Drop for Zeroed {
    fn drop(&mut self) {
        match self.layout.size() {
            0 => {}
            // SAFETY: `start` is the result of `mapped` for `bytes`.
            bytes if mapped::is_for(self.layout) => unsafe { mapped::free(self.start, bytes) },
            // SAFETY: `start` is the result of `regions::new` for `bytes`.
            bytes if self.is_in_region => unsafe { regions::free(self.start, bytes) },
            // SAFETY: it was allocated with this layout.
            _ => unsafe { dealloc(self.start.as_ptr(), self.layout) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(memory: &Zeroed) -> &[u8] {
        // SAFETY: it has this many bytes, all of which were set.
        unsafe { std::slice::from_raw_parts(memory.start.as_ptr(), memory.layout.size()) }
    }

    #[test]
    fn what_is_there_stays_and_zeros_follow() {
        let layout = |size| Layout::from_size_align(size, 32).unwrap();
        let mut memory = Zeroed::empty(Layout::from_size_align(0, 32).unwrap());
        let sizes = [
            1,
            100,
            100 << 10,
            1 << 20,
            (2 << 20) + 96,
            (4 << 20) + 96,
            (4 << 20) + 96,
            40 << 20,
        ];
        for (round, size) in (1..).zip(sizes) {
            let before = bytes(&memory).to_vec();
            assert!(memory.try_grow(layout(size)));
            assert_eq!(memory.start.as_ptr().align_offset(32), 0);
            assert!(bytes(&memory)[..before.len()] == before);
            assert!(bytes(&memory)[before.len()..].iter().all(|byte| *byte == 0));
            // SAFETY: as in `bytes`.
            unsafe { memory.start.write_bytes(round, size) };
        }
    }

    #[test]
    fn memory_that_the_system_has_not_got_is_refused() {
        let mut memory = Zeroed::empty(Layout::from_size_align(0, 32).unwrap());
        for size in [100, 4 << 20] {
            assert!(memory.try_grow(Layout::from_size_align(size, 32).unwrap()));
            // SAFETY: as in `bytes`.
            unsafe { memory.start.write_bytes(7, size) };
            let huge = Layout::from_size_align(isize::MAX as usize - 31, 32).unwrap();
            assert!(!memory.try_grow(huge));
            assert!(bytes(&memory).iter().all(|byte| *byte == 7));
        }
    }
}
