//! Tests of growing tables, and of the order of their keys.

use std::collections::BTreeMap;

use super::*;
use crate::shuffle::table::accumulator::Accumulator;

fn put(table: &mut Table<String>, rank: u64, key: &[u8], value: &str) {
    let hashed = HashedKey::new(HashRank(rank), key);
    let long = &key[..hashed.long_len()];
    let append = |all: &mut Slot<String>, value: &str| all.get_mut().push_str(value);
    while let Err(_again) = table.upsert(&hashed, long, value, str::to_owned, append) {
        table.make_room(long);
    }
}

/// Returns keys of 0 to 39 bytes with three kinds of hash ranks: spread evenly, many in one home slot, and one for
/// several keys.
fn entries() -> Vec<(u64, Vec<u8>)> {
    let entry = |n: u64| {
        let rank = match n % 3 {
            0 => n.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            1 => (1 << 63) | (n * 31 % 500),
            _ => (n / 15) << 40,
        };
        (rank, n.to_le_bytes().repeat(5)[..n as usize % 40].to_vec())
    };
    let mut entries: Vec<_> = (0..1500).map(entry).collect();
    entries.sort();
    entries.dedup();
    entries
}

#[test]
fn keys_come_in_the_order_of_places_and_bytes() {
    let entries = entries();
    let mut table = Table::default();
    for round in 0..3 {
        for value in ["a", "b"] {
            for at in 0..entries.len() {
                let (rank, key) = &entries[at * 7 % entries.len()];
                put(&mut table, *rank, key, value);
            }
        }
        assert_eq!(table.len(), entries.len());
        let mut sorted = table.sorted();
        for (rank, key) in &entries {
            assert_eq!(sorted.rank(), Some(HashRank(*rank)), "round {round}");
            let taken = sorted.take(|key, value| (key.to_vec(), value));
            assert_eq!(taken, Some((key.clone(), "ab".to_owned())));
        }
        assert!(sorted.rank().is_none() && sorted.take(|_, _| ()).is_none());
        assert_eq!(table.len(), 0);
    }
}

#[test]
fn a_key_that_is_near_is_that_key() {
    let entries = entries();
    let mut table = Table::default();
    let update_all = |table: &mut Table<String>| {
        let is_updated = |(rank, key): &&(u64, Vec<u8>)| {
            let hashed = HashedKey::new(HashRank(*rank), key);
            let append = |all: &mut Slot<String>, value| all.get_mut().push_str(value);
            table.update_near(&hashed, "b", append).is_ok()
        };
        entries
            .iter()
            .filter(is_updated)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(update_all(&mut table).is_empty());
    for (rank, key) in &entries {
        put(&mut table, *rank, key, "a");
    }
    let near = update_all(&mut table);
    assert!(near.len() > entries.len() / 20, "{} keys", near.len());
    assert!(near.iter().all(|(_, key)| key.len() < 16));
    let mut sorted = table.sorted();
    for entry in &entries {
        let expected = if near.contains(entry) { "ab" } else { "a" };
        let taken = sorted.take(|key, value| (key.to_vec(), value));
        assert_eq!(taken, Some((entry.1.clone(), expected.to_owned())));
    }
    // The slots that are empty now still have ranks.
    assert!(update_all(&mut table).is_empty());
}

#[test]
fn what_was_not_taken_is_dropped_once() {
    let value = std::rc::Rc::new(());
    let mut table = Table::default();
    for (rank, key) in entries() {
        let hashed = HashedKey::new(HashRank(rank), &key);
        let long = &key[..hashed.long_len()];
        while table
            .upsert(
                &hashed,
                long,
                (),
                |()| value.clone(),
                |slot, ()| slot.replace(|value| value),
            )
            .is_err()
        {
            table.make_room(long);
        }
    }
    let keys = table.len();
    let mut sorted = table.into_sorted();
    for _ in 0..100 {
        sorted.take(|_, value| drop(value)).unwrap();
    }
    assert_eq!(std::rc::Rc::strong_count(&value), 1 + keys - 100);
    drop(sorted);
    assert_eq!(std::rc::Rc::strong_count(&value), 1);
}

/// Counts keys, each with its own hash rank, and takes them in order.
fn counts(keys: impl Iterator<Item = (u64, String)>) -> Vec<(u64, String, u32)> {
    let mut table = Table::<u32>::default();
    for (rank, key) in keys {
        let hashed = HashedKey::new(HashRank(rank), key.as_bytes());
        let count = |table: &mut Table<u32>| {
            table.upsert(
                &hashed,
                key.as_bytes(),
                (),
                |()| 1,
                |n, ()| *n.get_mut() += 1,
            )
        };
        while count(&mut table).is_err() {
            table.make_room(key.as_bytes());
        }
    }
    let mut counts = Vec::new();
    let mut sorted = table.into_sorted();
    while let Some(HashRank(rank)) = sorted.rank() {
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        counts.extend(sorted.take(|key, n| (rank, text(key), n)));
    }
    counts
}

fn check(keys: impl Iterator<Item = (u64, String)> + Clone) {
    let mut expected = BTreeMap::new();
    for key in keys.clone() {
        *expected.entry(key).or_insert(0) += 1;
    }
    let expected = expected.into_iter().map(|((rank, key), n)| (rank, key, n));
    assert!(counts(keys).into_iter().eq(expected));
}

#[test]
fn keys_stay_in_order_while_tables_grow() {
    let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for keys in [0, 1, 20, 21, 1000, 150_000] {
        // Each key twice, and some too long for a slot.
        let halves = (0..keys).map(|n| n / 2);
        check(halves.map(|n| (spread(n), format!("{n:0$}", n as usize % 3 * 9))));
    }
}

#[test]
fn keys_of_one_home_lie_side_by_side() {
    for rank in [0, u64::MAX / 2, u64::MAX] {
        // More than the slots after the last home slot, whichever it is.
        check((0..300).map(|n| (rank - rank.min(n % 5), n.to_string())));
        let others = (0..3000).map(|n| (n << 52, n.to_string()));
        check((0..300).map(|n| (rank, n.to_string())).chain(others));
    }
}
