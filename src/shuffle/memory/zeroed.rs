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

use super::hints;

pub(crate) struct Zeroed {
    start: NonNull<u8>,
    layout: Layout,
}

impl Zeroed {
    /// Returns memory of no bytes, for a `layout` of none.
    pub(crate) fn empty(layout: Layout) -> Self {
        assert_eq!(layout.size(), 0, "memory of a length can be refused");
        Self {
            start: dangling(layout),
            layout,
        }
    }

    /// Returns `None` if the system has no such memory.
    fn try_new(layout: Layout) -> Option<Self> {
        let start = if layout.size() == 0 {
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
        Some(Self { start, layout })
    }

    /// Returns the start, aligned as the layout requires.
    #[inline(always)]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
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
            // SAFETY: it was allocated with this layout.
            _ => unsafe { dealloc(self.start.as_ptr(), self.layout) },
        }
    }
}

/// Memory mapped by the kernel, aligned to huge pages.
#[cfg(target_os = "linux")]
mod mapped {
    use std::alloc::Layout;
    use std::ptr::{NonNull, null_mut};

    use crate::shuffle::memory::hints::HUGE_PAGE_BYTES;

    /// The length of a mapping is a multiple of this, in bytes. It is a multiple of the page size on every machine.
    const PAGE_BYTES: usize = 64 << 10;

    /// Returns whether memory of this layout is mapped. Smaller memory comes from the allocator; mapped memory is
    /// aligned to huge pages.
    pub(crate) fn is_for(layout: Layout) -> bool {
        layout.size() >= HUGE_PAGE_BYTES && layout.align() <= HUGE_PAGE_BYTES
    }

    pub(crate) fn new(bytes: usize) -> Option<NonNull<u8>> {
        let length = bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let with_margin = length.checked_add(HUGE_PAGE_BYTES)?;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(null_mut(), with_margin, access, kind, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        let before = start.align_offset(HUGE_PAGE_BYTES);
        // SAFETY: the unmapped parts lie within the mapping, on both sides of the `length` bytes at offset `before`,
        // which is less than a huge page. Both offsets are multiples of a page, as is the start of a mapping. If a part
        // is empty, or the kernel fails to unmap it, no harm is done. The advice covers all of the remaining memory: if
        // only a part had it, the memory would be two mappings, and could not be moved by one call.
        unsafe {
            libc::munmap(start, before);
            let start = start.byte_add(before);
            libc::munmap(start.byte_add(length), HUGE_PAGE_BYTES - before);
            libc::madvise(start, length, libc::MADV_HUGEPAGE);
            NonNull::new(start.cast())
        }
    }

    /// Moves the memory at `start` to a larger mapping.
    ///
    /// # Safety
    ///
    /// `start` must be the result of [`new`] or of this function for `bytes`. It must not be used again if there is a
    /// result.
    pub(crate) unsafe fn grow(
        start: NonNull<u8>,
        bytes: usize,
        new_bytes: usize,
    ) -> Option<NonNull<u8>> {
        let to = new(new_bytes)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: both lengths are those of mappings that the caller owns. The old mapping replaces the new one, and is
        // extended to its length. The result is one mapping, as the next call requires: `mremap` moves only one.
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

    /// Unmaps memory.
    ///
    /// # Safety
    ///
    /// `start` must be the result of [`new`] or [`grow`] for `bytes`, and must not be used again.
    pub(crate) unsafe fn free(start: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller owns the mapping.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes.next_multiple_of(PAGE_BYTES)) };
    }
}

/// On other systems, all memory comes from the allocator.
#[cfg(not(target_os = "linux"))]
mod mapped {
    use std::alloc::Layout;
    use std::ptr::NonNull;

    pub(crate) fn is_for(_: Layout) -> bool {
        false
    }

    pub(crate) fn new(_: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(crate) unsafe fn grow(_: NonNull<u8>, _: usize, _: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(crate) unsafe fn free(_: NonNull<u8>, _: usize) {}
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
