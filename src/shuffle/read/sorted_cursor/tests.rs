//! Tests of `sorted` and the cursor.

use std::ops::ControlFlow;

use super::*;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::key::slices::{SliceLayout, slice_of};
use crate::shuffle::memory::slab::SlabSpan;
use crate::shuffle::outputs::segment::{Chunk, MAX_CHUNK_BYTES};
use crate::storage::codec::Short;
use crate::storage::memory::MemoryBudget;

const SLICE_BITS: u32 = 1;

/// Sorts `keys`, whose values are their numbers, in chunks of about `most_bytes` bytes.
fn sorted<K: AsRef<[u8]>>(keys: &[K], most_bytes: usize) -> ChunkSet {
    let partitioner = HashPartitioner::new(1);
    let mut chunks = Vec::new();
    let mut open = [Vec::new(), Vec::new()];
    let mut close = |slice: usize, bytes: &[u8], entries| {
        let number = chunks.len() as u64;
        chunks.push(Chunk {
            bytes: SlabSpan::copy(bytes, None),
            entries,
            slice,
            order: EntrySeq {
                task: number / 3,
                chunk: number % 3,
            },
        });
    };
    let mut entries = [0; 2];
    for (n, key) in keys.iter().enumerate() {
        let key = key.as_ref();
        let slice = slice_of(partitioner.position(key).rank.0, SLICE_BITS);
        let key_value = [key, &n.to_le_bytes()[..]].concat();
        entry::push(&mut open[slice], key.len(), &key_value);
        entries[slice] += 1;
        if open[slice].len() >= most_bytes {
            close(slice, &open[slice], std::mem::take(&mut entries[slice]));
            open[slice].clear();
        }
    }
    for slice in 0..2 {
        if entries[slice] > 0 {
            close(slice, &open[slice], entries[slice]);
        }
    }
    let layout = SliceLayout {
        partitioner,
        slice_bits: SLICE_BITS,
    };
    ChunkSet::new(chunks, layout, Vec::new())
}

/// Asserts that the groups of these entries are right, for each way to iterate over them.
fn assert_groups<K: AsRef<[u8]>>(keys: &[K], sorted: &ChunkSet) {
    let numbered = keys.iter().enumerate();
    let mut expected: Vec<_> = numbered
        .map(|(n, key)| (sorted.rank(key.as_ref()), key.as_ref(), n))
        .collect();
    expected.sort();
    let cursor = || SortedCursor::new(sorted, None, &StopFlag::default());
    assert_read(&expected, cursor(), cursor());
    assert_read(&expected, cursor().with_streaks(), cursor().with_streaks());
    let mut groups = cursor();
    for group in expected.chunk_by(|a, b| a.1 == b.1) {
        assert!(groups.next_group().unwrap());
        let numbers = group.iter().map(|entry| entry.2.to_le_bytes());
        assert!(groups.values().eq(numbers));
    }
    let index = sorted.index(
        MemoryBudget::unlimited().reservation(),
        &StopFlag::default(),
    );
    let index = index.unwrap();
    for group in expected.chunk_by(|a, b| a.1 == b.1) {
        let (rank, key) = (group[0].0, group[0].1);
        for short in [None, Short::new(key)] {
            let found = sorted.matches(&index, rank, short, key);
            let values = group.iter().flat_map(|entry| entry.2.to_le_bytes());
            assert!(found.flatten().copied().eq(values));
        }
    }
}

/// Asserts that two cursors read these entries: one without regard to groups, the other each group in parts.
fn assert_read(
    expected: &[(u64, &[u8], usize)],
    mut entries: SortedCursor<&ChunkSet>,
    mut groups: SortedCursor<&ChunkSet>,
) {
    for (number, group) in expected.chunk_by(|a, b| a.1 == b.1).enumerate() {
        assert!(groups.next_group().unwrap());
        assert_eq!((groups.rank(), groups.key()), (group[0].0, group[0].1));
        let (first, rest) = group.split_at(group.len() * (number % 3) / 2);
        for entry in first {
            assert!(groups.advance_in_group().unwrap());
            assert_eq!(groups.key(), group[0].1);
            assert_eq!(groups.value(), entry.2.to_le_bytes());
        }
        // The unread values of a group are skipped.
        let mut rest = rest.iter().map(|entry| entry.2.to_le_bytes());
        while number % 5 > 0
            && let Some(taken) = groups.take(7).unwrap()
        {
            let mut check = |value: &[u8]| assert_eq!(value, rest.next().unwrap());
            match taken {
                TakenValues::Slots(values) => values.for_each(&mut check),
                TakenValues::Streak(values) => values.for_each(&mut check),
            }
        }
        assert!(number % 5 == 0 || rest.next().is_none());
        for entry in group {
            assert!(entries.advance().unwrap());
            assert_eq!((entries.rank(), entries.key()), (entry.0, entry.1));
            assert_eq!(entries.value(), entry.2.to_le_bytes());
        }
    }
    assert!(!groups.next_group().unwrap() && !groups.next_group().unwrap());
    assert!(!entries.advance().unwrap() && !entries.advance_in_group().unwrap());
}

#[test]
fn groups_are_in_order_of_places_and_their_values_as_they_came() {
    for (entries, keys) in [(0_u32, 1), (1, 1), (20, 3), (5_000, 1), (100_000, 30_000)] {
        let numbers = 0..entries;
        let keys: Vec<_> = numbers
            .map(|n| (n.wrapping_mul(2_654_435_761) % keys).to_le_bytes())
            .collect();
        assert_groups(&keys, &sorted(&keys, MAX_CHUNK_BYTES));
    }
}

#[test]
fn so_they_are_if_slots_have_but_a_few_bits_of_a_place() {
    let numbers = 0..3000_u32;
    let keys: Vec<_> = numbers.map(|n| (n % 700).to_le_bytes()).collect();
    for rank_bits in [SLICE_BITS, 3, 8] {
        let mut sorted = sorted(&keys, 300);
        sorted.at_bits = u64::BITS - rank_bits;
        assert_groups(&keys, &sorted);
    }
}

/// Returns the number of radix partitions that have [streaks](ChunkSet::has_streaks).
fn with_streaks(sorted: &ChunkSet) -> usize {
    let slices = sorted.slices.iter();
    slices
        .filter(|slice| sorted.has_streaks((*slice).clone()))
        .count()
}

#[test]
fn so_they_are_if_entries_with_one_key_are_neighbours() {
    let random = |n: usize| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let hot = |n: usize| if n.is_multiple_of(20) { random(n) } else { 3 };
    let mixed = |n: usize| match n / 1000 % 2 {
        0 => random(n),
        _ => 3,
    };
    let text = |n: usize| format!("{n}{}", "-".repeat(n % 60));
    for chunk_bytes in [100, 300, MAX_CHUNK_BYTES] {
        for (key, expected) in [
            (&random as &dyn Fn(usize) -> usize, 0..=0),
            (&hot, 1..=1),
            (&mixed, 0..=1),
            (&|n| n / 20, 0..=2),
            (&|n| n / 500, 1..=2),
            (&|n| n / 2000, 1..=2),
        ] {
            let keys: Vec<_> = (0..10_000).map(|n| key(n).to_le_bytes()).collect();
            let numbers = sorted(&keys, chunk_bytes);
            assert!(expected.contains(&with_streaks(&numbers)));
            assert_groups(&keys, &numbers);
            let keys: Vec<_> = (0..10_000).map(|n| text(key(n))).collect();
            assert_groups(&keys, &sorted(&keys, chunk_bytes));
        }
    }
}

/// Returns a key that the hash multiplies by zero: its last eight bytes do not matter.
fn key_of_one_place(n: usize) -> Vec<u8> {
    [0x8bb8_4b93_962e_acc9, n as u64]
        .map(u64::to_le_bytes)
        .concat()
}

#[test]
fn different_keys_of_one_place_are_parted() {
    let key = key_of_one_place;
    let rank = |n| HashPartitioner::new(1).position(&key(n)).rank;
    assert_eq!(rank(0), rank(1));
    let keys: Vec<_> = (0..500).map(|n| key(n * 7 % 11)).collect();
    assert_groups(&keys, &sorted(&keys, 300));
    let keys: Vec<_> = (0..500).map(|n| key(n / 50)).collect();
    assert_groups(&keys, &sorted(&keys, 300));
    let keys: Vec<_> = (0..9000).map(|n| key(n / 50 % 11)).collect();
    let neighbours = sorted(&keys, 4000);
    assert_eq!(with_streaks(&neighbours), 1);
    assert_groups(&keys, &neighbours);
}

#[test]
fn groups_are_compared_by_place_then_by_key() {
    let numbers = || 0..2000_u32;
    let left: Vec<_> = numbers().map(|n| (n * 3).to_le_bytes()).collect();
    let right: Vec<_> = numbers().map(|n| (n * 2).to_le_bytes()).collect();
    for rank_bits in [SLICE_BITS, 10, 40] {
        let (mut left, right) = (sorted(&left, 300), sorted(&right, 300));
        left.at_bits = u64::BITS - rank_bits;
        let (mut left, mut right) = (
            SortedCursor::new(&left, None, &StopFlag::default()),
            SortedCursor::new(&right, None, &StopFlag::default()),
        );
        let mut common = 0;
        let mut has_both = left.next_group().unwrap() && right.next_group().unwrap();
        while has_both {
            let order = left.compare(&right);
            assert_eq!(
                order,
                (left.rank(), left.key()).cmp(&(right.rank(), right.key()))
            );
            assert_eq!(order.reverse(), right.compare(&left));
            common += usize::from(order.is_eq());
            has_both = match order {
                Ordering::Less => left.next_group().unwrap(),
                Ordering::Greater => right.next_group().unwrap(),
                Ordering::Equal => left.next_group().unwrap() && right.next_group().unwrap(),
            };
        }
        assert_eq!(common, 2000_usize.div_ceil(3));
    }
}

/// Asserts that the values of the left side are found for each key of the right side, in order, whether or not keys
/// before the next one of the left side are skipped. Slots have `place_bits` bits of a hash rank.
fn assert_found<K: AsRef<[u8]>>(left_keys: &[K], right_keys: &[K], rank_bits: [u32; 2]) {
    let [left, right] =
        [(left_keys, rank_bits[0]), (right_keys, rank_bits[1])].map(|(keys, bits)| {
            let mut sorted = sorted(keys, 300);
            sorted.at_bits = sorted.at_bits.max(u64::BITS - bits);
            sorted
        });
    let mut keys: Vec<_> = right_keys.iter().map(AsRef::as_ref).collect();
    keys.sort_by_key(|key| (left.rank(key), *key));
    keys.dedup();
    let mut expected = Vec::new();
    for key in keys {
        let of_key = left_keys.iter().enumerate();
        let of_key = of_key.filter(|(_, its_key)| its_key.as_ref() == key);
        expected.extend(of_key.map(|(n, _)| (key, n.to_le_bytes().to_vec())));
    }
    for passes in [false, true] {
        let (mut lefts, mut rights) = (
            SortedCursor::new(&left, None, &StopFlag::default()),
            SortedCursor::new(&right, None, &StopFlag::default()),
        );
        let mut found = Vec::new();
        while (!passes || rights.pass_to_next(&mut lefts).unwrap()) && rights.next_group().unwrap()
        {
            let key = right.key(rights.slots[rights.group.start]);
            let flow = lefts.for_each_of(&rights, |value| {
                found.push((key, value.to_vec()));
                Ok(ControlFlow::Continue(()))
            });
            assert!(flow.unwrap().is_continue());
        }
        assert!(found == expected);
    }
}

#[test]
fn values_of_the_keys_of_another_side_are_found() {
    let numbers = || 0..1000_u32;
    let left: Vec<_> = numbers().map(|n| (n % 300 * 3).to_le_bytes()).collect();
    let right: Vec<_> = numbers().map(|n| (n * 2).to_le_bytes()).collect();
    for rank_bits in [[40, 40], [40, 10], [10, 40], [8, 8], [3, SLICE_BITS]] {
        assert_found(&left, &right, rank_bits);
        assert_found(&right, &left, rank_bits);
    }
    assert_found(&left, &[], [40, 40]);
    assert_found(&[], &right, [40, 40]);
    assert_found(&left[..1], &right, [40, 40]);
}

#[test]
fn so_they_are_where_different_keys_have_one_place() {
    let keys = |numbers: &[usize]| {
        numbers
            .iter()
            .map(|n| key_of_one_place(*n))
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = (0..50).map(|n| n * 7 % 11).collect();
    for (left, right) in [
        (&all[..], &[3, 1, 5, 3][..]),
        (&[1, 3, 5, 3, 1], &all),
        (&all, &all),
        (&[2, 4], &[3, 2, 2]),
        (&[4, 3, 9], &[3]),
    ] {
        assert_found(&keys(left), &keys(right), [40, 40]);
    }
}
