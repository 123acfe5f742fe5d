//! The slots of a table. A slot has a key and a value, or is empty.
#![expect(
    unsafe_code,
    reason = "a slot that is empty has no value, and zeroed memory is made of such; with `Option` a slot is a quarter larger"
)]
//!
//! A key of up to 15 bytes is stored in its slot. For a longer key, the slot stores its address in the arena.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::shuffle::key::partitioner::HashRank;
use crate::shuffle::memory::arena::Arena;
use crate::shuffle::memory::hints::CACHE_LINE_BYTES;
use crate::shuffle::memory::zeroed::Zeroed;
use crate::shuffle::table::accumulator::Accumulator;
use crate::storage::codec::{SHORT_BYTES, Short};

/// Maximum length of a key that is stored in the slot.
const INLINE_BYTES: usize = SHORT_BYTES;

/// Tag of a key in the arena. A tag of 0 is an empty slot; a tag of `n + 1` is a key of `n` bytes.
const IN_ARENA: u8 = INLINE_BYTES as u8 + 2;

/// Address of a key that is not in the arena.
const NO_ADDRESS: u64 = u64::MAX;

const TAG_SHIFT: u32 = 56;
const BELOW_TAG: u64 = (1 << TAG_SHIFT) - 1;

/// The bytes of a key, or its address. `head` has the first 8 bytes, `tail` the next 7 and, on top, the tag. For a key
/// in the arena, `head` has the address, and `tail` the length.
///
/// Both words are little-endian on every machine, so that a key can be read in place. They are two words and not an
/// array of bytes, because the compiler keeps words in registers, and reads them with the same width as it writes them.
/// A wider load of two recent stores would have to wait for both (failed store forwarding).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Packed {
    head: u64,
    tail: u64,
}

impl Packed {
    #[inline(always)]
    fn of(head: u64, tail: u64) -> Self {
        Self {
            head: head.to_le(),
            tail: tail.to_le(),
        }
    }

    #[inline(always)]
    fn words(self) -> (u64, u64) {
        (u64::from_le(self.head), u64::from_le(self.tail))
    }

    #[inline(always)]
    fn tag(self) -> u8 {
        (self.words().1 >> TAG_SHIFT) as u8
    }

    /// Returns the key without its tag. In this form, it marks an empty slot.
    #[inline(always)]
    fn without_tag(self) -> Self {
        let (head, tail) = self.words();
        Self::of(head, tail & BELOW_TAG)
    }

    #[inline(always)]
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: two words without padding are 16 initialised bytes, and the lifetime is that of the borrow.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// Creates the search form of a key of `len` bytes: its bytes if it is short, otherwise its length.
    #[inline(always)]
    pub(crate) fn of_key(short: Option<Short>, len: usize) -> Self {
        match short.map(Short::tagged) {
            Some(both) => Self::of(both as u64, (both >> u64::BITS) as u64),
            None => Self::in_arena(NO_ADDRESS, len),
        }
    }

    fn in_arena(address: u64, len: usize) -> Self {
        Self::of(address, len as u64 | u64::from(IN_ARENA) << TAG_SHIFT)
    }

    /// Returns the same key with its address in the arena.
    #[inline(always)]
    pub(crate) fn at(self, address: u64) -> Self {
        Self::of(address, self.words().1)
    }

    /// Returns the length of a key that does not fit into a slot, or 0 for one that does.
    #[inline(always)]
    pub(crate) fn long_len(self) -> usize {
        if self.tag() == IN_ARENA {
            self.arena_len()
        } else {
            0
        }
    }

    /// Returns whether `self`, a key in a table with this arena, equals `key`. `long` has the bytes of `key` if it does
    /// not fit into a slot.
    #[inline(always)]
    pub(crate) fn is(self, arena: &Arena, key: Self, long: &[u8]) -> bool {
        let ((head, tail), (key_head, key_tail)) = (self.words(), key.words());
        // If the tails agree, the keys are almost always equal: different keys rarely have the same hash rank.
        tail == key_tail
            && (head == key_head || (key.tag() == IN_ARENA && arena.get(head, long.len()) == long))
    }

    /// Returns the bytes of the key.
    #[inline(always)]
    pub(crate) fn bytes<'k>(&'k self, arena: &'k Arena) -> &'k [u8] {
        self.tagged_bytes(self.tag(), arena)
    }

    /// Like [`bytes`](Self::bytes), for a key whose tag is given, because `self` may have lost it.
    #[inline(always)]
    fn tagged_bytes<'k>(&'k self, tag: u8, arena: &'k Arena) -> &'k [u8] {
        if tag == IN_ARENA {
            return arena.get(self.words().0, self.arena_len());
        }
        &self.as_bytes()[..usize::from(tag) - 1]
    }

    /// Returns the bytes of a key that fits into a slot.
    pub(crate) fn inline_bytes(&self) -> Option<&[u8]> {
        let tag = self.tag();
        (tag != IN_ARENA).then(|| &self.as_bytes()[..usize::from(tag) - 1])
    }

    /// Prefetches a key that is in the arena.
    #[inline(always)]
    pub(crate) fn prefetch(self, arena: &Arena) {
        // A useless prefetch of the start of the arena costs less than a mispredicted branch.
        let address = self.words().0;
        arena.prefetch(if self.tag() == IN_ARENA { address } else { 0 });
    }

    fn arena_len(self) -> usize {
        (self.words().1 & BELOW_TAG) as usize
    }
}

/// A key and its value, or nothing.
pub(crate) struct Slot<V> {
    key: Packed,
    rank: HashRank,
    /// Initialised if and only if the key's tag is not 0.
    value: MaybeUninit<V>,
}

impl<V> Slot<V> {
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.key.tag() == 0
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> &Packed {
        &self.key
    }

    #[inline(always)]
    pub(crate) fn rank(&self) -> HashRank {
        self.rank
    }

    /// Returns the value, unless the slot is empty.
    pub(crate) fn value(&self) -> Option<&V> {
        // SAFETY: a slot that is not empty has a value.
        (!self.is_empty()).then(|| unsafe { self.value.assume_init_ref() })
    }

    /// Moves the key and its value out, and leaves the slot empty.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<(Packed, HashRank, V)> {
        if self.is_empty() {
            return None;
        }
        let key = self.key;
        self.key = key.without_tag();
        let value = std::mem::replace(&mut self.value, MaybeUninit::uninit());
        // SAFETY: the slot was not empty, so it had a value. It is empty now, so the value is not read again.
        Some((key, self.rank, unsafe { value.assume_init() }))
    }

    /// Calls `f` with the key's bytes, in place, and the value. The slot is already empty during the call.
    #[inline(always)]
    pub(crate) fn take_with<R>(
        &mut self,
        arena: &Arena,
        f: impl FnOnce(&[u8], V) -> R,
    ) -> Option<R> {
        let tag = self.key.tag();
        let (_, _, value) = self.take()?;
        Some(f(self.key.tagged_bytes(tag, arena), value))
    }

    /// Stores a key and its value. The slot must be empty; otherwise, its old content is leaked.
    #[inline(always)]
    pub(crate) fn put(&mut self, (key, rank, value): (Packed, HashRank, V)) {
        self.rank = rank;
        self.value = MaybeUninit::new(value);
        self.key = key;
    }
}

impl<V> Accumulator<V> for Slot<V> {
    #[inline(always)]
    fn get_mut(&mut self) -> &mut V {
        assert!(!self.is_empty(), "an empty slot has no value");
        // SAFETY: a slot that is not empty has a value.
        unsafe { self.value.assume_init_mut() }
    }

    /// If `update` panics, the slot is left empty.
    #[inline(always)]
    fn replace(&mut self, update: impl FnOnce(V) -> V) {
        if let Some((key, rank, value)) = self.take() {
            self.put((key, rank, update(value)));
        }
    }
}

/// An array of slots. Zeroed memory is an array of empty slots.
pub(crate) struct Slots<V> {
    memory: Zeroed,
    len: usize,
    slots: PhantomData<Slot<V>>,
}

// SAFETY: `Slots` owns its memory and its values, like a `Vec`.
unsafe impl<V: Send> Send for Slots<V> {}

impl<V> Slots<V> {
    /// Returns no slots.
    pub(crate) fn none() -> Self {
        Self {
            memory: Zeroed::empty(Self::layout(0)),
            len: 0,
            slots: PhantomData,
        }
    }

    /// Adds empty slots at the end, up to a total of `len`. Returns `false` if the system has no memory for them.
    #[must_use]
    pub(crate) fn try_grow(&mut self, len: usize) -> bool {
        let has_grown = self.memory.try_grow(Self::layout(len));
        if has_grown {
            self.len = len;
        }
        has_grown
    }

    /// Returns whether [`try_grow`](Self::try_grow) moves the pages of the slots instead of copying them.
    pub(crate) fn are_mapped(&self) -> bool {
        self.memory.is_mapped()
    }

    /// Ends the process, as a vector does if the system has no memory for it.
    #[cold]
    pub(crate) fn abort(len: usize) -> ! {
        handle_alloc_error(Self::layout(len))
    }

    /// Returns the number of bytes that [`try_grow`](Self::try_grow) allocates before it frees the old memory.
    pub(crate) fn growth_bytes(&self, len: usize) -> usize {
        self.memory.growth_bytes(Self::layout(len))
    }

    /// A slot of 32 or 64 bytes lies in one cache line, because a prefetch fetches only one.
    fn layout(len: usize) -> Layout {
        let layout = Layout::array::<Slot<V>>(len);
        match layout.and_then(|layout| layout.align_to(CACHE_LINE_BYTES)) {
            Ok(layout) => layout,
            Err(_) => panic!("a table of {len} slots is larger than the address space"),
        }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[Slot<V>] {
        let start = self.memory.start().cast();
        // SAFETY: there are `len` slots. Each was zeroed, which is a valid empty slot: integers and an unset
        // `MaybeUninit`.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.len) }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Slot<V>] {
        let start = self.memory.start().cast();
        // SAFETY: as in `as_slice`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.len) }
    }
}

impl<V> Drop for Slots<V> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<V>() {
            self.as_mut_slice()
                .iter_mut()
                .for_each(|slot| drop(slot.take()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(key: &[u8]) -> Packed {
        Packed::of_key(Short::new(key), key.len())
    }

    #[test]
    fn keys_of_any_length_come_back() {
        let mut arena = Arena::default();
        for len in 0..40_u8 {
            let key: Vec<u8> = (1..=len).collect();
            let mut packed = of_bytes(&key);
            assert_eq!(packed.long_len(), if len > 15 { key.len() } else { 0 });
            if packed.long_len() > 0 {
                arena.make_room(key.len());
                packed = packed.at(arena.put(&key).unwrap());
            }
            assert_eq!(packed.bytes(&arena), key);
            assert!(packed.is(&arena, of_bytes(&key), &key));
            let mut other = key.clone();
            other.push(0);
            assert!(!packed.is(&arena, of_bytes(&other), &other));
        }
    }

    #[test]
    fn values_are_dropped_once() {
        let value = std::rc::Rc::new(());
        let mut slots = Slots::none();
        assert!(slots.try_grow(8));
        for slot in &mut slots.as_mut_slice()[..5] {
            slot.put((of_bytes(b"key"), HashRank(0), value.clone()));
        }
        let taken = slots.as_mut_slice()[0].take();
        assert!(taken.is_some() && slots.as_slice()[0].is_empty());
        slots.as_mut_slice()[1].replace(|value| value);
        assert_eq!(std::rc::Rc::strong_count(&value), 6);
        drop(taken);
        drop(slots);
        assert_eq!(std::rc::Rc::strong_count(&value), 1);
    }
}
