//! Zeroed memory that can become longer.
#![expect(
    unsafe_code,
    reason = "large memory comes from the system itself, which can move it without a copy"
)]
//!
//! A table that doubles as often as it must takes fresh pages for each of its lengths, together as many again as it has
//! in the end; and fresh pages are what large tables are slow by. Where the system can, large memory is therefore moved
//! by moving its pages, and only what is added is fresh.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::num::NonZero;
use std::ptr::NonNull;

use super::kernel;

pub(super) struct Zeroed {
    start: NonNull<u8>,
    layout: Layout,
}

impl Zeroed {
    /// No bytes yet, for a `layout` of none.
    pub(super) fn empty(layout: Layout) -> Self {
        assert_eq!(layout.size(), 0, "memory of a length can be refused");
        Self {
            start: dangling(layout),
            layout,
        }
    }

    /// `None` if the system has no such memory.
    fn try_new(layout: Layout) -> Option<Self> {
        let start = if layout.size() == 0 {
            Some(dangling(layout))
        } else if mapped::is_for(layout) {
            mapped::new(layout.size())
        } else if layout.size() < kernel::LEAST_POPULATED_BYTES {
            // What `alloc_zeroed` takes fresh from the system is not touched yet, with two faults to come for each page.
            // SAFETY: the layout is not empty, and so much memory is filled.
            NonNull::new(unsafe { alloc(layout) })
                .inspect(|start| unsafe { start.write_bytes(0, layout.size()) })
        } else {
            // SAFETY: the layout is not empty.
            NonNull::new(unsafe { alloc_zeroed(layout) })
        };
        let start = start?;
        fill_with_pages(start, layout.size());
        Some(Self { start, layout })
    }

    /// Where it begins, aligned as the layout says.
    #[inline(always)]
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The bytes that [`try_grow`](Self::try_grow) takes, before it gives others back.
    pub(super) fn growth_bytes(&self, layout: Layout) -> usize {
        match mapped::is_for(self.layout) {
            true => layout.size() - self.layout.size(),
            false => layout.size(),
        }
    }

    /// Makes it longer. What is there stays, maybe at another address, and is followed by zeros. False, with all as it
    /// was, if the system has no such memory.
    #[must_use]
    pub(super) fn try_grow(&mut self, layout: Layout) -> bool {
        let bytes = self.layout.size();
        assert!(layout.size() >= bytes, "memory grows");
        if !mapped::is_for(self.layout) {
            let Some(longer) = Self::try_new(layout) else {
                return false;
            };
            // SAFETY: the first `bytes` bytes of both are theirs, and they are not the same memory.
            unsafe { self.start.copy_to_nonoverlapping(longer.start, bytes) };
            *self = longer;
            return true;
        }
        // SAFETY: `start` is what `mapped` gave for `bytes`, and is forgotten if there is a result.
        let start = unsafe { mapped::grow(self.start, bytes, layout.size()) };
        let Some(start) = start else {
            return false;
        };
        (self.start, self.layout) = (start, layout);
        // SAFETY: `bytes` is not behind the end.
        fill_with_pages(unsafe { start.add(bytes) }, layout.size() - bytes);
        true
    }
}

/// Where memory of no bytes begins.
fn dangling(layout: Layout) -> NonNull<u8> {
    // No alignment is 0.
    NonZero::new(layout.align()).map_or(NonNull::dangling(), NonNull::without_provenance)
}

fn fill_with_pages(memory: NonNull<u8>, bytes: usize) {
    kernel::advise_huge_pages(memory, bytes);
    kernel::populate(memory, bytes);
}

impl Drop for Zeroed {
    fn drop(&mut self) {
        match self.layout.size() {
            0 => {}
            // SAFETY: `start` is what `mapped` gave for so many bytes.
            bytes if mapped::is_for(self.layout) => unsafe { mapped::free(self.start, bytes) },
            // SAFETY: it was allocated with this layout.
            _ => unsafe { dealloc(self.start.as_ptr(), self.layout) },
        }
    }
}

/// Memory that the system maps, aligned to huge pages.
#[cfg(target_os = "linux")]
mod mapped {
    use std::alloc::Layout;
    use std::ptr::{NonNull, null_mut};

    use crate::shuffle::kernel::HUGE_PAGE_BYTES;

    /// Mappings end at a multiple of this, which is one of the length of a page on every machine.
    const PAGE_BYTES: usize = 64 << 10;

    /// Shorter memory is the allocator's, and what is longer begins where a huge page does.
    pub(super) fn is_for(layout: Layout) -> bool {
        layout.size() >= HUGE_PAGE_BYTES && layout.align() <= HUGE_PAGE_BYTES
    }

    pub(super) fn new(bytes: usize) -> Option<NonNull<u8>> {
        let length = bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let with_margin = length.checked_add(HUGE_PAGE_BYTES)?;
        // SAFETY: a new mapping, where the system has room for it.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(null_mut(), with_margin, access, kind, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        let before = start.align_offset(HUGE_PAGE_BYTES);
        // SAFETY: what is taken away lies within the mapping, on both sides of the `length` bytes at `before`, which is
        // less than a huge page. Both are multiples of a page, as is the start of a mapping. Where nothing is to be
        // taken away, or the system does not do it, no harm is done. The advice is for all of what is left: memory of
        // which a part has another could not be moved at once.
        unsafe {
            libc::munmap(start, before);
            let start = start.byte_add(before);
            libc::munmap(start.byte_add(length), HUGE_PAGE_BYTES - before);
            libc::madvise(start, length, libc::MADV_HUGEPAGE);
            NonNull::new(start.cast())
        }
    }

    /// Moves what is at `start` to longer memory.
    ///
    /// # Safety
    ///
    /// `start` must be what [`new`] or this has given for `bytes`, and must not be used any more if there is a result.
    pub(super) unsafe fn grow(
        start: NonNull<u8>,
        bytes: usize,
        new_bytes: usize,
    ) -> Option<NonNull<u8>> {
        let to = new(new_bytes)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: both lengths are those of mappings that are the caller's. The new one is replaced by the old one, made
        // longer: as one mapping, which is all that the next call may move.
        let moved = unsafe {
            libc::mremap(
                start.as_ptr().cast(),
                bytes.next_multiple_of(PAGE_BYTES),
                new_bytes.next_multiple_of(PAGE_BYTES),
                flags,
                to.as_ptr(),
            )
        };
        if moved == libc::MAP_FAILED {
            // SAFETY: it is what `new` gave, and nothing was moved there.
            unsafe { free(to, new_bytes) };
            return None;
        }
        Some(to)
    }

    /// # Safety
    ///
    /// `start` must be what [`new`] or [`grow`] has given for `bytes`, and must not be used any more.
    pub(super) unsafe fn free(start: NonNull<u8>, bytes: usize) {
        // SAFETY: it is the mapping of the caller.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes.next_multiple_of(PAGE_BYTES)) };
    }
}

/// Elsewhere all memory is the allocator's.
#[cfg(not(target_os = "linux"))]
mod mapped {
    use std::alloc::Layout;
    use std::ptr::NonNull;

    pub(super) fn is_for(_: Layout) -> bool {
        false
    }

    pub(super) fn new(_: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(super) unsafe fn grow(_: NonNull<u8>, _: usize, _: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(super) unsafe fn free(_: NonNull<u8>, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(memory: &Zeroed) -> &[u8] {
        // SAFETY: it has so many bytes, all of which were set.
        unsafe { std::slice::from_raw_parts(memory.start.as_ptr(), memory.layout.size()) }
    }

    #[test]
    fn what_is_there_stays_and_zeros_follow() {
        let layout = |size| Layout::from_size_align(size, 32).unwrap();
        let mut memory = Zeroed::empty(Layout::from_size_align(0, 32).unwrap());
        let sizes = [
            1,
            100,
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
