//! Memory mapped by the kernel, aligned to huge pages.
#![expect(unsafe_code, reason = "system calls for memory")]

pub(crate) use system::{free, grow, is_for, new, release};

#[cfg(target_os = "linux")]
mod system {
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

    /// Returns the memory of some pages to the kernel. They are zeroed then. Returns `false` if the kernel refuses.
    ///
    /// # Safety
    ///
    /// The pages must be within a mapping, and their content must not be needed.
    pub(crate) unsafe fn release(start: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: as above.
        unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) == 0 }
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
mod system {
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

    pub(crate) unsafe fn release(_: NonNull<u8>, _: usize) -> bool {
        false
    }

    pub(crate) unsafe fn free(_: NonNull<u8>, _: usize) {}
}
