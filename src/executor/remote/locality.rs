//! Data locality: which home has the input of each partition.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::Range;

use crate::storage::transfer::Home;

/// The home of the input of each partition. It decides only where tasks run, so it may be incomplete or out of date.
#[derive(Debug, Default)]
pub(crate) struct Locality {
    numbers: HashMap<Home, usize>,
    /// Number of the home of each partition, if one has most of its input.
    homes: Vec<Option<usize>>,
}

impl Locality {
    /// Finds the home that has most of the input of each of `partitions` partitions. `input` are parts of the input:
    /// partition, home and bytes. Partitions beyond the last one are ignored.
    pub(crate) fn new(
        partitions: usize,
        input: impl IntoIterator<Item = (usize, Home, u64)>,
    ) -> Self {
        let mut numbers = HashMap::new();
        let mut bytes: HashMap<(usize, usize), u64> = HashMap::new();
        let mut total = vec![0_u64; partitions];
        for (partition, home, part_bytes) in input {
            let next = numbers.len();
            let number = *numbers.entry(home).or_insert(next);
            if let Some(total) = total.get_mut(partition) {
                *total += part_bytes;
                *bytes.entry((partition, number)).or_default() += part_bytes;
            }
        }
        let mut homes = vec![None; partitions];
        for ((partition, number), bytes) in bytes {
            if bytes > total[partition] / 2 {
                homes[partition] = Some(number);
            }
        }
        Self { numbers, homes }
    }

    fn home_of(&self, partition: usize) -> Option<usize> {
        self.homes.get(partition).copied().flatten()
    }

    /// Returns whether most of the input of a partition is at `home`.
    pub(super) fn is_at(&self, partition: usize, home: &Home) -> bool {
        let number = self.numbers.get(home).copied();
        number.is_some() && self.home_of(partition) == number
    }

    /// Takes neighbouring partitions out of `unclaimed`, at most `most`: the first ones that are at `home`. They begin
    /// and end at multiples of `group`, or at the end of a range. Returns `None` if there are none at `home`.
    pub(super) fn take(
        &self,
        unclaimed: &mut VecDeque<Range<usize>>,
        home: &Home,
        most: usize,
        group: usize,
    ) -> Option<Range<usize>> {
        let number = *self.numbers.get(home)?;
        let is_there = |partition: &usize| self.home_of(*partition) == Some(number);
        let mut ranges = unclaimed.iter().enumerate();
        let (at, first) = ranges.find_map(|(at, range)| {
            let first = range.clone().find(is_there)?;
            Some((at, first))
        })?;
        let range = unclaimed[at].clone();
        let start = (first - first % group).max(range.start);
        let others = (first..range.end).find(|partition| {
            let home = self.home_of(*partition);
            home.is_some() && home != Some(number)
        });
        let end = others.unwrap_or(range.end).next_multiple_of(group);
        let end = end.min(start + most).min(range.end);
        let rest = [range.start..start, end..range.end];
        unclaimed.remove(at);
        for rest in rest.into_iter().rev().filter(|rest| rest.start < rest.end) {
            unclaimed.insert(at, rest);
        }
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn homes() -> [Home; 3] {
        ["a", "b", "c"].map(Home::new)
    }

    #[test]
    fn a_partition_is_where_most_of_its_input_is() {
        let [a, b, c] = homes();
        let input = [
            (0, a.clone(), 5),
            (0, b.clone(), 6),
            (1, a.clone(), 5),
            (1, b.clone(), 5),
            (7, a.clone(), 1),
        ];
        let locality = Locality::new(3, input);
        assert!(locality.is_at(0, &b) && !locality.is_at(0, &a));
        assert!((1..9).all(|partition| !locality.is_at(partition, &a)));
        assert!(!locality.is_at(1, &c) && !locality.is_at(2, &c));
    }

    #[test]
    fn groups_stay_together_and_nothing_is_taken_twice() {
        let [a, b, c] = homes();
        let homes = [&a, &a, &b, &b, &b, &b, &b, &a, &b, &b];
        let input = homes.iter().enumerate();
        let input = input.map(|(partition, home)| (partition, Home::clone(home), 1));
        let locality = Locality::new(10, input);
        let mut unclaimed: VecDeque<_> = iter::once(0..10).collect();
        assert_eq!(locality.take(&mut unclaimed, &b, 4, 2), Some(2..6));
        assert_eq!(unclaimed, [0..2, 6..10]);
        assert_eq!(locality.take(&mut unclaimed, &b, 4, 2), Some(6..8));
        assert_eq!(locality.take(&mut unclaimed, &c, 4, 2), None);
        assert_eq!(locality.take(&mut unclaimed, &a, 4, 2), Some(0..2));
        assert_eq!(locality.take(&mut unclaimed, &b, 1, 1), Some(8..9));
        assert!(unclaimed.into_iter().eq(iter::once(9..10)));
    }
}
