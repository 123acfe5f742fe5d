//! Memory for entries and tables: slabs, arenas, zeroed pages, hints for the CPU and the kernel, and a radix sort.

pub(super) mod arena;
pub(super) mod hints;
mod mapped;
pub(super) mod radix_sort;
mod regions;
pub(super) mod slab;
pub(super) mod zeroed;
