//! Memory in large slabs, divided into pieces.
#![expect(
    unsafe_code,
    reason = "pieces of one slab are written by one and read by another, which a slice cannot be"
)]
//!
//! Fresh memory is expensive: it costs a page fault per 4 KiB, and these faults take as long as writing the data. So
//! the pages of a slab are mapped in one call (W4 of `examples/bench.rs` took 0.97, and W5 0.95 of the CPU time), and a
//! slab is reused once all of its pieces have been dropped. Slabs do not use huge pages, unlike tables. A slab is
//! written from start to end, so huge pages would only save faults. In a virtual machine, allocating huge pages may
//! take longer than all these faults (with them, W4 of `examples/bench.rs` took 1.03 to 1.08, and W5 1.07 of the CPU
//! time).

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use super::hints;
use crate::shuffle::key::short_entry::ShortEntry;
use crate::storage::codec::{Room, Short};
use crate::storage::memory::Reservation;

/// A slab, and its part of the budget.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
    _reservation: Option<Reservation>,
}

// SAFETY: `Memory` owns the memory it points to. It is accessed only through pieces, which do not overlap.
unsafe impl Send for Memory {}
// SAFETY: as above; nothing is read or written through a shared `Memory`.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(bytes: usize, reservation: Option<Reservation>) -> Self {
        let Ok(layout) = Layout::array::<u8>(bytes.max(1)) else {
            panic!("a slab of {bytes} bytes is larger than the address space");
        };
        // SAFETY: the layout is not empty.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        hints::populate(start, bytes);
        Self {
            start,
            layout,
            _reservation: reservation,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Allocates pieces of slabs.
#[derive(Default)]
pub(crate) struct Slabs {
    /// Pieces are allocated from the last slab, of which `used` bytes are in use.
    slabs: Vec<Arc<Memory>>,
    used: usize,
}

impl Slabs {
    /// Returns a piece of `bytes` bytes, or `None` if a slab must first be [added](Self::add).
    pub(crate) fn piece(&mut self, bytes: usize) -> Option<SlabSpan> {
        let fits = |slab: &Arc<Memory>, used| slab.layout.size() - used >= bytes;
        if !self.slabs.last().is_some_and(|slab| fits(slab, self.used)) {
            // Use `get_mut`, not the reference count: it synchronises with the thread that dropped the last piece, so
            // that thread has finished reading.
            let is_free = |slab: &mut Arc<Memory>| Arc::get_mut(slab).is_some() && fits(slab, 0);
            let free = self.slabs.iter_mut().position(is_free)?;
            let last = self.slabs.len() - 1;
            self.slabs.swap(free, last);
            self.used = 0;
        }
        let slab = self.slabs.last()?;
        // SAFETY: `used` bytes and `bytes` more are within the slab, as checked above.
        let start = unsafe { slab.start.add(self.used) };
        self.used += bytes;
        Some(SlabSpan {
            start,
            len: 0,
            capacity: bytes,
            _slab: Some(Arc::clone(slab)),
        })
    }

    /// Adds a slab. Its memory returns to the budget with the last of its pieces, once it is [forgotten](Self::forget).
    pub(crate) fn add(&mut self, bytes: usize, reservation: Option<Reservation>) {
        self.slabs.push(Arc::new(Memory::new(bytes, reservation)));
        self.used = 0;
    }

    /// Leaves all slabs except the last to their pieces.
    pub(crate) fn forget_full(&mut self) {
        let full = self.slabs.len().saturating_sub(1);
        self.slabs.drain(..full);
    }

    /// Returns the length of the last slab, or 0.
    pub(crate) fn last_bytes(&self) -> usize {
        self.slabs.last().map_or(0, |slab| slab.layout.size())
    }

    /// Leaves the slabs to their pieces.
    pub(crate) fn forget(&mut self) {
        self.slabs.clear();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slabs.iter().map(|slab| slab.layout.size()).sum()
    }
}

/// A piece of a slab: bytes up to a fixed capacity.
pub(crate) struct SlabSpan {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
    /// Keeps the memory alive.
    _slab: Option<Arc<Memory>>,
}

// SAFETY: only this piece accesses the bytes between `start` and `capacity`, because pieces of a slab do not overlap:
// `Slabs` reuses a slab only if it has no pieces.
unsafe impl Send for SlabSpan {}
// SAFETY: as above, and a shared piece is only read.
unsafe impl Sync for SlabSpan {}

impl Default for SlabSpan {
    fn default() -> Self {
        Self {
            start: NonNull::dangling(),
            len: 0,
            capacity: 0,
            _slab: None,
        }
    }
}

impl SlabSpan {
    /// Copies `bytes` into a slab of their own.
    pub(crate) fn copy(bytes: &[u8], reservation: Option<Reservation>) -> Self {
        let mut slabs = Slabs::default();
        slabs.add(bytes.len(), reservation);
        let mut piece = slabs.piece(bytes.len()).unwrap_or_default();
        let has_room = piece.push(bytes);
        debug_assert!(has_room, "it was made for them");
        piece
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Splits off the bytes that have been appended. The unused capacity remains.
    pub(crate) fn take_filled(&mut self) -> Self {
        let filled = Self {
            start: self.start,
            len: self.len,
            capacity: self.len,
            _slab: self._slab.clone(),
        };
        // SAFETY: the filled part does not extend past the end of the piece.
        self.start = unsafe { self.start.add(self.len) };
        self.capacity -= self.len;
        self.len = 0;
        filled
    }

    /// Appends `bytes`. Returns `false` if the capacity does not suffice.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len();
        if len > self.capacity - self.len {
            return false;
        }
        // SAFETY: the capacity suffices for `len` bytes, in memory that only this piece accesses.
        unsafe { copy(bytes, self.start.add(self.len).as_ptr()) };
        self.len += len;
        true
    }

    /// Appends a byte, a key and a value. Returns `false` if the capacity does not suffice for a whole last word.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push_keyed(&mut self, head: u8, key: &[u8], value: Short) -> bool {
        if self.capacity - self.len < 1 + key.len() + size_of::<u128>() {
            return false;
        }
        // SAFETY: the capacity suffices for the head, the key and a word after it, in memory that only this piece
        // accesses.
        unsafe {
            let to = self.start.add(self.len).as_ptr();
            to.write(head);
            let to = to.add(1);
            copy(key, to);
            let to = to.add(key.len());
            to.cast::<u128>().write_unaligned(value.word().to_le());
            hints::prefetch_behind(to);
        }
        self.len += 1 + key.len() + value.len();
        true
    }

    /// Appends an entry that is in registers. Returns `false` if the capacity does not suffice for both of its whole
    /// words.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push_short(&mut self, entry: ShortEntry) -> bool {
        if self.capacity - self.len < ShortEntry::WORDS_BYTES {
            return false;
        }
        let (first, first_len, second) = entry.words();
        // SAFETY: the capacity suffices for two words, and the second begins no later than the end of the first. Only
        // this piece accesses that memory.
        unsafe {
            let to = self.start.add(self.len).as_ptr();
            to.cast::<u128>().write_unaligned(first.to_le());
            let to = to.add(first_len.min(size_of::<u128>()));
            to.cast::<u128>().write_unaligned(second.to_le());
            hints::prefetch_behind(to);
        }
        self.len += entry.len();
        true
    }
}

impl SlabSpan {
    /// Returns the unused capacity, in bytes.
    #[inline(always)]
    pub(crate) fn left_bytes(&self) -> usize {
        self.capacity - self.len
    }

    /// Appends an entry in the form of a [chunk](crate::shuffle::key::entry), whose value `encode` appends. Returns its
    /// length in bytes. If `encode` fails, or if the value is longer than a length of one byte can tell, returns `None`,
    /// and appends nothing.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push_encoded(
        &mut self,
        key: Short,
        encode: impl FnOnce(&mut Room<'_>) -> Option<()>,
    ) -> Option<usize> {
        let left_bytes = self.left_bytes();
        // SAFETY: only this piece accesses its unused capacity, which is borrowed as long as `self` is.
        let left = unsafe {
            let start = self.start.add(self.len).cast::<MaybeUninit<u8>>();
            std::slice::from_raw_parts_mut(start.as_ptr(), left_bytes)
        };
        let mut room = Room::new(left);
        let (head, head_len) = ShortEntry::head_of_chunk(key)?;
        room.append(head.to_le_bytes(), head_len).ok()?;
        encode(&mut room)?;
        let bytes = left_bytes - room.left_bytes();
        let value_len = u8::try_from(bytes - head_len)
            .ok()
            .filter(|len| *len < 0x80)?;
        left[1].write(value_len);
        // `Room` has written these bytes.
        self.len += bytes;
        hints::prefetch_behind(self.start.as_ptr().wrapping_add(self.len));
        Some(bytes)
    }
}

/// Copies `bytes`. Two copies of a fixed length, which cover all bytes and may overlap, are faster than one copy of
/// variable length.
///
/// # Safety
///
/// `to` must be valid for writes of `bytes.len()` bytes, which must not overlap with `bytes`.
#[inline(always)]
unsafe fn copy(bytes: &[u8], to: *mut u8) {
    let (from, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: `len` bytes can be read at `from`, and written at `to`.
    unsafe {
        if (8..=16).contains(&len) {
            let first = from.cast::<u64>().read_unaligned();
            let last = from.add(len - 8).cast::<u64>().read_unaligned();
            to.cast::<u64>().write_unaligned(first);
            to.add(len - 8).cast::<u64>().write_unaligned(last);
        } else if (17..=32).contains(&len) {
            let first = from.cast::<u128>().read_unaligned();
            let last = from.add(len - 16).cast::<u128>().read_unaligned();
            to.cast::<u128>().write_unaligned(first);
            to.add(len - 16).cast::<u128>().write_unaligned(last);
        } else {
            std::ptr::copy_nonoverlapping(from, to, len);
        }
    }
}

impl Deref for SlabSpan {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: the first `len` bytes have been written, and are not written again while the piece is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for SlabSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlabSpan")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::key::entry;
    use crate::storage::memory::MemoryBudget;

    #[test]
    fn pieces_keep_what_is_theirs() {
        let mut slabs = Slabs::default();
        assert!(slabs.piece(1).is_none());
        slabs.add(1000, None);
        let mut pieces: Vec<_> = (0..10).filter_map(|_| slabs.piece(100)).collect();
        assert!(pieces.len() == 10 && slabs.piece(1).is_none());
        for len in 1..40 {
            for (n, piece) in pieces.iter_mut().enumerate() {
                let bytes: Vec<_> = (0..len).map(|at| (n + at) as u8).collect();
                let (before, has_room) = (piece.len(), 100 - piece.len() >= len);
                assert_eq!(piece.push(&bytes), has_room);
                assert!(piece[before..] == bytes[..if has_room { len } else { 0 }]);
            }
        }
        let first = |piece: &SlabSpan| usize::from(piece[0]);
        assert!(
            pieces
                .iter()
                .enumerate()
                .all(|(n, piece)| first(piece) == n)
        );
    }

    #[test]
    fn short_entries_stand_as_their_bytes_do() {
        let bytes: Vec<_> = (1..=15).collect();
        for (key_len, value_len) in [(0, 0), (0, 15), (5, 5), (9, 9), (14, 1), (14, 15)] {
            let [key, value] = [key_len, value_len].map(|len| Short::new(&bytes[..len]).unwrap());
            for entry in [
                ShortEntry::of_block(key, value),
                ShortEntry::of_chunk(key, value).unwrap(),
            ] {
                let (expected, len) = entry.bytes();
                let mut slabs = Slabs::default();
                slabs.add(100, None);
                let mut piece = slabs.piece(100).unwrap_or_default();
                assert!(piece.push(b"before") && piece.push_short(entry) && piece.push(b"behind"));
                assert_eq!(*piece, [b"before", &expected[..len], b"behind"].concat());
                let mut full = slabs.piece(ShortEntry::WORDS_BYTES - 1).unwrap_or_default();
                assert!(!full.push_short(entry) && full.is_empty());
            }
        }
    }

    #[test]
    fn values_are_encoded_behind_their_keys() {
        let bytes: Vec<_> = (1..=200).collect();
        let mut slabs = Slabs::default();
        slabs.add(10_000, None);
        for key_len in 0..=15 {
            for value_len in [0, 1, 15, 90, 127, 128, 180] {
                let key = Short::new(&bytes[..key_len]).unwrap();
                let value = &bytes[..value_len];
                let mut piece = slabs.piece(220).unwrap_or_default();
                slabs.forget();
                slabs.add(10_000, None);
                let encode = |room: &mut Room<'_>| {
                    value
                        .iter()
                        .try_for_each(|byte| room.append([*byte], 1).ok())
                };
                let pushed = piece.push_encoded(key, encode);
                if key_len == 15 || value_len >= 128 {
                    assert!(pushed.is_none() && piece.is_empty());
                    continue;
                }
                let mut expected = Vec::new();
                entry::push(&mut expected, key_len, &[&bytes[..key_len], value].concat());
                assert_eq!((pushed, &*piece), (Some(expected.len()), &expected[..]));
                let mut full = slabs.piece(value_len + 1).unwrap_or_default();
                assert!(full.push_encoded(key, encode).is_none() && full.is_empty());
                assert!(piece.push_encoded(key, |_| None).is_none());
                assert_eq!(*piece, expected[..]);
            }
        }
    }

    #[test]
    fn keys_of_any_length_stand_between_head_and_value() {
        let value = Short::new(b"value").unwrap();
        for len in 0..100 {
            let key: Vec<_> = (0..len).collect();
            let mut slabs = Slabs::default();
            slabs.add(200, None);
            let mut piece = slabs.piece(key.len() + 20).unwrap_or_default();
            assert!(piece.push_keyed(7, &key, value));
            assert!(!piece.push_keyed(7, &key, value));
            assert_eq!(*piece, [&[7][..], &key, b"value"].concat());
        }
    }

    #[test]
    fn what_is_filled_is_taken_and_the_rest_is_left() {
        let mut slabs = Slabs::default();
        slabs.add(10, None);
        let mut piece = slabs.piece(10).unwrap_or_default();
        assert!(piece.push(b"abc"));
        let filled = piece.take_filled();
        assert!(piece.is_empty() && piece.push(b"defghij") && !piece.push(b"k"));
        assert_eq!((&*filled, &*piece), (&b"abc"[..], &b"defghij"[..]));
        assert_eq!(SlabSpan::copy(b"xyz", None)[..], *b"xyz");
    }

    #[test]
    fn a_slab_is_used_again_once_its_pieces_are_gone() {
        let budget = MemoryBudget::new(1 << 20);
        let mut slabs = Slabs::default();
        slabs.add(1000, budget.try_reserve(1000));
        slabs.add(1000, budget.try_reserve(1000));
        let last = slabs.piece(1000);
        let start = last.as_ref().map(|piece| piece.start);
        let first = slabs.piece(1000);
        assert!(first.is_some() && slabs.piece(1).is_none());
        drop(last);
        let again = slabs.piece(600);
        assert_eq!(again.as_ref().map(|piece| piece.start), start);
        slabs.forget();
        assert!(budget.used_bytes() > 0);
        drop((first, again));
        assert_eq!(budget.used_bytes(), 0);
    }
}
