//! Entries by partition and, within it, by radix partition of its hash ranks. The map side appends to them in the order
//! of arrival.
//!
//! An entry is appended to the open piece of its bucket and never moves again. There are only as many buckets as the
//! CPU cache can hold open for writing, and enough of them that one bucket fits into the cache when it is read.

use crate::shuffle::key::partitioner::{HashPartitioner, KeyPosition};
use crate::shuffle::key::short_entry::ShortEntry;
use crate::shuffle::key::slices::{bucket_of, slice_bits};
use crate::shuffle::memory::slab::{SlabSpan, Slabs};
use crate::storage::codec::Short;
use crate::storage::memory::Reservation;

/// Maximum length of a piece, in bytes, unless one entry is longer. The pieces of a bucket double up to this length.
const MAX_PIECE_BYTES: usize = 32 << 10;
pub(crate) const MIN_PIECE_BYTES: usize = 1 << 10;

pub(crate) struct Buckets {
    /// Open piece of each bucket.
    open: Vec<SlabSpan>,
    /// Full pieces, with the numbers of their buckets.
    full: Vec<(usize, SlabSpan)>,
    slice_bits: u32,
    slabs: Slabs,
}

impl Buckets {
    /// Creates as many buckets as can be filled in `memory_bytes`.
    pub(crate) fn new(partitioner: HashPartitioner, memory_bytes: usize) -> Self {
        let slice_bits = slice_bits(partitioner, memory_bytes);
        let mut open = Vec::new();
        open.resize_with(partitioner.partitions() << slice_bits, SlabSpan::default);
        Self {
            open,
            full: Vec::new(),
            slice_bits,
            slabs: Slabs::default(),
        }
    }

    /// Returns the number of bits of a hash rank that determine its radix partition.
    pub(crate) fn slice_bits(&self) -> u32 {
        self.slice_bits
    }

    /// Returns the number of the bucket for a key.
    #[inline(always)]
    pub(crate) fn number(&self, position: KeyPosition) -> usize {
        bucket_of(position, self.slice_bits)
    }

    /// Appends an entry. Returns `false` if the bucket first needs [capacity](Self::make_room).
    #[inline(always)]
    #[must_use]
    pub(crate) fn push(&mut self, number: usize, entry: &[u8]) -> bool {
        self.open[number].push(entry)
    }

    /// Like [`push`](Self::push), for an entry that is in registers.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push_short(&mut self, number: usize, entry: ShortEntry) -> bool {
        self.open[number].push_short(entry)
    }

    /// Like [`push`](Self::push), for an entry that is still a key and a value.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push_keyed(&mut self, number: usize, key: &[u8], value: Short) -> bool {
        self.open[number].push_keyed(key.len() as u8, key, value)
    }

    /// Opens another piece, for an entry of `entry_bytes` bytes. Returns `false` if a slab must first be
    /// [added](Self::add_slab). A piece begins with `head`.
    #[cold]
    #[must_use]
    pub(crate) fn make_room(&mut self, number: usize, head: &[u8], entry_bytes: usize) -> bool {
        let usual = (self.open[number].capacity() * 2).clamp(MIN_PIECE_BYTES, MAX_PIECE_BYTES);
        let least = head.len() + entry_bytes;
        let piece = self.slabs.piece(usual.max(least));
        let Some(mut piece) = piece.or_else(|| self.slabs.piece(least.max(MIN_PIECE_BYTES))) else {
            return false;
        };
        let has_room = piece.push(head);
        let full = std::mem::replace(&mut self.open[number], piece);
        if !full.is_empty() {
            self.full.push((number, full));
        }
        has_room
    }

    /// Adds memory.
    pub(crate) fn add_slab(&mut self, bytes: usize, reservation: Option<Reservation>) {
        self.slabs.add(bytes, reservation);
    }

    /// Returns the memory of all slabs, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.slabs.bytes()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.iter().all(|piece| piece.is_empty())
    }

    /// Removes and returns the pieces of each partition, by radix partition, and within one in the order of arrival.
    /// Once they have been dropped, their memory is reused.
    pub(crate) fn take(&mut self) -> Vec<Vec<SlabSpan>> {
        let mut full = std::mem::take(&mut self.full);
        full.sort_by_key(|(number, _)| *number);
        let mut full = full.into_iter().peekable();
        let slices = 1 << self.slice_bits;
        let mut partitions = Vec::with_capacity(self.open.len() / slices);
        for (number, open) in self.open.iter_mut().enumerate() {
            if number % slices == 0 {
                partitions.push(Vec::new());
            }
            let Some(partition) = partitions.last_mut() else {
                continue;
            };
            while let Some((_, piece)) = full.next_if(|(of, _)| *of == number) {
                partition.push(piece);
            }
            let last = std::mem::take(open);
            if !last.is_empty() {
                partition.push(last);
            }
        }
        partitions
    }

    /// Leaves the memory to the pieces that were taken.
    pub(crate) fn forget_slabs(&mut self) {
        self.slabs.forget();
    }
}
