//! Reduces the fan-in of a merge: if there are too many runs for their readers, some are first merged into longer ones.

use std::mem;

use crate::error::Result;
use crate::storage::memory::Reservation;
use crate::storage::run::READER_BYTES;
use crate::task::Resources;

/// Minimum number of runs that are merged concurrently, whatever the budget. With fewer, each record would be written
/// too often.
const MIN_FAN_IN: usize = 8;

/// Maximum number of runs that are merged concurrently. The readers of more would exceed the CPU caches.
const MAX_FAN_IN: usize = 512;

/// The readers of one merge take at most the thread's share of the budget divided by this number. The rest is for sorting
/// entries, and for the output of the same task. With larger values, more runs are written again.
const READERS_OF_SHARE: usize = 2;

/// Returns how many of `runs` runs can be merged concurrently, and the memory for their readers.
pub(crate) fn fan_in(runs: usize, resources: &Resources) -> (usize, Reservation) {
    let reader_bytes = READER_BYTES + resources.scratch.transfer_bytes();
    let most = resources.share_bytes() / READERS_OF_SHARE / reader_bytes;
    let most = most.clamp(MIN_FAN_IN, MAX_FAN_IN).min(runs);
    resources
        .budget
        .reserve_most(most, MIN_FAN_IN, reader_bytes)
}

/// Merges neighbouring sources by `merge_some` until at most `fan_in` remain, in their order. `fan_in` must be at least
/// 2.
///
/// It takes as many rounds as necessary, so each record is written a number of times that is logarithmic in the number
/// of sources. The last round merges no more sources than necessary.
pub(crate) fn compact<S>(
    mut sources: Vec<S>,
    fan_in: usize,
    mut merge_some: impl FnMut(Vec<S>) -> Result<Option<S>>,
) -> Result<Vec<S>> {
    while sources.len() > fan_in {
        let mut too_many = sources.len() - fan_in;
        let mut left = mem::take(&mut sources).into_iter();
        while too_many > 0 && left.len() > 1 {
            let neighbours: Vec<_> = left.by_ref().take(fan_in.min(too_many + 1)).collect();
            too_many -= neighbours.len() - 1;
            sources.extend(merge_some(neighbours)?);
        }
        sources.extend(left);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryBudget;

    /// Compacts numbered sources. Returns the numbers in each remaining source, and how many were merged in total.
    fn compacted(sources: usize, fan_in: usize) -> (Vec<Vec<usize>>, usize) {
        let mut merged = 0;
        let sources = (0..sources).map(|number| vec![number]).collect();
        let compacted = compact(sources, fan_in, |some: Vec<Vec<usize>>| {
            assert!((2..=fan_in).contains(&some.len()));
            let all = some.concat();
            merged += all.len();
            Ok(Some(all))
        });
        (compacted.unwrap(), merged)
    }

    #[test]
    fn no_more_sources_than_necessary_are_merged_and_all_stay_in_order() {
        for (sources, fan_in, expected) in [(0, 2, 0), (8, 8, 0), (9, 8, 2), (16, 8, 10)] {
            let (left, merged) = compacted(sources, fan_in);
            assert_eq!(merged, expected, "{sources} sources");
            assert_eq!(left.len(), sources.min(fan_in));
        }
        for sources in 0..200 {
            for fan_in in [2, 3, 8] {
                let (left, merged) = compacted(sources, fan_in);
                assert_eq!(left.len(), sources.min(fan_in));
                assert!(left.concat().into_iter().eq(0..sources));
                // Each round writes a record at most once.
                let rounds = sources.max(1).ilog(fan_in) as usize + 1;
                assert!(merged <= sources * rounds, "{merged} of {sources}");
            }
        }
    }

    #[test]
    fn readers_take_what_the_budget_grants_but_a_few_take_more() {
        let fan_in_of = |budget_readers: usize, runs| {
            let resources = Resources {
                budget: MemoryBudget::new(budget_readers * READER_BYTES),
                ..Resources::unlimited()
            };
            let (fan_in, reservation) = fan_in(runs, &resources);
            (fan_in, reservation.bytes() / READER_BYTES)
        };
        assert_eq!(fan_in_of(400, 60), (60, 60));
        assert_eq!(fan_in_of(400, 1000), (200, 200));
        assert_eq!(fan_in_of(100_000, 1000), (MAX_FAN_IN, MAX_FAN_IN));
        assert_eq!(fan_in_of(4, 1000), (MIN_FAN_IN, 0));
        assert_eq!(fan_in_of(4, 3), (3, 3));
        assert_eq!(fan_in_of(4, 0), (0, 0));
    }
}
