//! Hints to the processor and the system. They change how fast things are, never what they are.
#![expect(
    unsafe_code,
    reason = "processor intrinsics and system calls; figures in benches/README.md"
)]

use std::ptr::NonNull;

/// The length of a huge page; shorter memory is not worth one.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Memory below this is not worth a call.
pub(crate) const LEAST_POPULATED_BYTES: usize = 128 << 10;

#[cfg(target_arch = "x86_64")]
const CACHE_LINE_BYTES: usize = 64;

/// Asks the processor to have what is at `address` at hand soon, if there is anything.
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

/// Asks the processor to fetch what comes behind `address` and is going to be written, but not yet: to where there is
/// more room than in the first cache.
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

/// Asks the system to put pages behind fresh memory that is going to be filled: all at once, which takes a fraction of
/// the time of as many faults.
///
/// And where memory is looked at before it is filled, as the slots of a table are, each page makes two faults, the
/// second of which interrupts all other threads, for the page of zeros that the first had mapped is taken away again.
pub(crate) fn populate(memory: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= LEAST_POPULATED_BYTES {
        // SAFETY: it takes a number.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page_bytes = usize::try_from(page_bytes).map_or(1, |bytes| bytes.max(1));
        // With the pages that are shared with other memory.
        let before = memory.as_ptr() as usize % page_bytes;
        let first = memory.as_ptr().wrapping_sub(before);
        let bytes = (before + bytes).next_multiple_of(page_bytes);
        // SAFETY: there is memory of the caller's in each of the pages, and what is in them stays as it is, whether the
        // system follows the advice or not.
        unsafe { libc::madvise(first.cast(), bytes, libc::MADV_POPULATE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, bytes);
}

/// Asks the system for huge pages behind those parts of the memory that fill some: large memory that is touched at
/// random.
pub(crate) fn advise_huge_pages(memory: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        let start = memory.as_ptr() as usize;
        let first = start.next_multiple_of(HUGE_PAGE_BYTES);
        let end = (start + bytes) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        if first < end {
            // SAFETY: the range lies within memory that is the caller's, and what is in it stays as it is, whether the
            // system follows the advice or not.
            unsafe { libc::madvise(first as *mut _, end - first, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, bytes);
}

/// Asks the allocator to give the system what has been freed: glibc keeps small pieces for the thread that had them.
///
/// Programs that bring an allocator of their own have to see to it themselves.
pub(crate) fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
