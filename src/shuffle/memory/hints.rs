//! Hints to the CPU and the kernel. They affect speed, never results.
#![expect(
    unsafe_code,
    reason = "processor intrinsics and system calls; figures in benches/README.md"
)]

use std::ptr::NonNull;

/// Length of a huge page, in bytes. Smaller allocations do not benefit from one.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Minimum length of memory to populate, in bytes. For less, the call costs more than it saves.
pub(crate) const MIN_POPULATED_BYTES: usize = 128 << 10;

/// Length of a cache line of most processors, in bytes.
pub(crate) const CACHE_LINE_BYTES: usize = 64;

/// Prefetches the cache line at `address`, which may be any address.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Prefetches the cache line after `address`, which will be written later, into the second-level cache: it is larger
/// than the first.
#[inline(always)]
pub(crate) fn prefetch_behind(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: as in `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.wrapping_add(CACHE_LINE_BYTES).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Tells the kernel to map all pages of fresh memory that will be filled. One call takes a fraction of the time of as
/// many page faults.
///
/// If memory is read before it is filled, like the slots of a table, each page would otherwise fault twice. The second
/// fault removes the mapping of the zero page that the first had set up, which interrupts all other threads.
pub(crate) fn populate(memory: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= MIN_POPULATED_BYTES {
        // SAFETY: the only argument is a number.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page_bytes = usize::try_from(page_bytes).map_or(1, |bytes| bytes.max(1));
        // Include the pages that are shared with other memory.
        let before = memory.as_ptr() as usize % page_bytes;
        let first = memory.as_ptr().wrapping_sub(before);
        let bytes = (before + bytes).next_multiple_of(page_bytes);
        // SAFETY: each of the pages contains memory of the caller, and their content is unchanged, whether or not the
        // kernel follows the advice.
        unsafe { libc::madvise(first.cast(), bytes, libc::MADV_POPULATE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, bytes);
}

/// Reserves capacity for exactly `more` items that will be filled soon.
pub(crate) fn reserve_populated<T>(items: &mut Vec<T>, more: usize) {
    items.reserve_exact(more);
    let spare = items.spare_capacity_mut();
    populate(NonNull::from(&mut *spare).cast(), size_of_val(spare));
}

/// Advises the kernel to use huge pages for those parts of the memory that fill some. Use it for large memory with
/// random access.
pub(crate) fn advise_huge_pages(memory: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        let start = memory.as_ptr() as usize;
        let first = start.next_multiple_of(HUGE_PAGE_BYTES);
        let end = (start + bytes) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        if first < end {
            // SAFETY: the range lies within the caller's memory, and its content is unchanged, whether or not the
            // kernel follows the advice.
            unsafe { libc::madvise(first as *mut _, end - first, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, bytes);
}

/// Makes the allocator return freed memory to the kernel. Otherwise, glibc keeps small allocations for the thread that
/// freed them.
///
/// Programs with their own allocator must do this themselves.
pub(crate) fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the only argument is a number, and no memory in use is moved.
    unsafe {
        libc::malloc_trim(0);
    }
}
