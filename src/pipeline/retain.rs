//! Drops the records of a batch that a predicate does not keep.

use std::mem;

/// Keeps the records for which `is_kept` returns `true`, in their order.
///
/// Branchless: whether a record is kept cannot be predicted in general. `Vec::retain` branches, and takes twice as long
/// even if its branches are predicted. Records that own memory are left to it. If `is_kept` panics, `records` is empty.
pub(crate) fn retain<T>(records: &mut Vec<T>, mut is_kept: impl FnMut(&T) -> bool) {
    if mem::needs_drop::<T>() {
        return records.retain(is_kept);
    }
    let (mut kept, len) = (0, records.len());
    // SAFETY: no record needs to be dropped. From here on, records may be in two places.
    unsafe { records.set_len(0) };
    let start = records.as_mut_ptr();
    for at in 0..len {
        // SAFETY: `at` is below the old length, and `kept` is at most `at`. So both places are in the allocation, and
        // the one at `at` still has its record: earlier iterations wrote below `at` only.
        kept += usize::from(unsafe {
            let is_kept = is_kept(&*start.add(at));
            start.add(at).copy_to(start.add(kept), 1);
            is_kept
        });
    }
    // SAFETY: each of the first `kept` places has a record that was moved there, and that is in no other place before
    // this length.
    unsafe { records.set_len(kept) };
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn records_that_are_kept_keep_their_order() {
        let predicates: [fn(usize) -> bool; 5] = [
            |_| false,
            |_| true,
            |n| n % 2 == 0,
            |n| n * 7919 % 10 < 3,
            |n| n > 50,
        ];
        for is_kept in predicates {
            for len in [0, 1, 2, 100] {
                let expected: Vec<usize> = (0..len).filter(|n| is_kept(*n)).collect();
                let mut numbers: Vec<usize> = (0..len).collect();
                retain(&mut numbers, |n| is_kept(*n));
                assert_eq!(numbers, expected);
                let mut texts: Vec<String> = (0..len).map(|n| n.to_string()).collect();
                retain(&mut texts, |text| is_kept(text.parse().unwrap()));
                let expected: Vec<String> = expected.iter().map(usize::to_string).collect();
                assert_eq!(texts, expected);
            }
        }
    }

    #[test]
    fn a_panic_leaves_no_record_twice() {
        let mut numbers: Vec<u32> = (0..9).collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            retain(&mut numbers, |n| {
                assert!(*n < 5);
                n % 2 == 1
            });
        }));
        assert!(outcome.is_err() && numbers.is_empty());
    }
}
