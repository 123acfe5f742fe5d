//! A stable merge of k sorted sources.
//!
//! Records that compare equal keep the order of their sources, and within a source its order. A merge of runs in input
//! order is therefore in input order. Each source provides one record at a time.
//!
//! The merge uses a loser tree (Knuth, The Art of Computer Programming, vol. 3, 5.4.1). It needs log2(k) comparisons
//! per record, each with the record that lost the last match at that node; a binary heap needs up to twice as many. If
//! a [`MergeOrder`] has ranks, most comparisons are of two numbers in the tree. That halves the time for 16 and 128
//! runs of random keys (`storage::measure`).
//!
//! `itertools::kmerge_by` is a heap that owns the heads of infallible iterators. Its records cannot be borrowed from a
//! reader's frame, its sources cannot fail, and it specifies no order among equal records. Without ranks, it is about
//! as fast.

use std::cmp::Ordering;
use std::fmt;
use std::hint;

use crate::error::Result;

/// Provides records one after another. Each is lent until the next call of `advance`.
pub(crate) trait MergeInput {
    /// Type of a record, as it is compared.
    type Record: ?Sized;

    /// Advances to the next record. Returns `false` if there is none. After an error or the end, there are no more
    /// records.
    fn advance(&mut self) -> Result<bool>;

    /// Returns the current record, or `None` before the first and after the last.
    fn current(&self) -> Option<&Self::Record>;
}

/// Orders records.
pub(crate) trait MergeOrder<R: ?Sized> {
    /// Returns a number that approximates the order. Of two records, the one with the lower rank comes first; only
    /// records of equal rank are compared. The rank is computed once per record and kept in the tree, where comparing
    /// it does not access the records. An example is the hash by which records are sorted.
    #[inline]
    fn rank(&self, _record: &R) -> u64 {
        0
    }

    fn compare(&self, first: &R, second: &R) -> Ordering;
}

/// Orders records by their bytes. The first eight bytes are the rank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByBytes;

impl MergeOrder<[u8]> for ByBytes {
    #[inline]
    fn rank(&self, record: &[u8]) -> u64 {
        match record.first_chunk() {
            Some(prefix) => u64::from_be_bytes(*prefix),
            None => {
                let mut prefix = [0; 8];
                prefix[..record.len()].copy_from_slice(record);
                u64::from_be_bytes(prefix)
            }
        }
    }

    #[inline]
    fn compare(&self, first: &[u8], second: &[u8]) -> Ordering {
        first.cmp(second)
    }
}

/// Merges sources that are sorted by `O`.
///
/// After an error of a source, the merge has ended.
pub(crate) struct Merge<S, O> {
    sources: Vec<S>,
    order: O,
    /// `losers[1..]` are the inner nodes of a tree over the sources, each with the source that lost there. The children
    /// of node n are 2n and 2n + 1. Source i is the leaf at `sources.len() + i`.
    losers: Vec<Head>,
    winner: Head,
    state: State,
}

/// A source, and the rank of its current record.
#[derive(Clone, Copy, Debug)]
struct Head {
    rank: u64,
    source: usize,
}

/// Returns both heads, in reverse order if `swaps`, without a branch.
#[inline(always)]
fn swapped_if(swaps: bool, first: Head, second: Head) -> (Head, Head) {
    let choose = |one: Head, other: Head| Head {
        rank: hint::select_unpredictable(swaps, other.rank, one.rank),
        source: hint::select_unpredictable(swaps, other.source, one.source),
    };
    (choose(first, second), choose(second, first))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Running,
    Done,
}

impl<S: MergeInput, O: MergeOrder<S::Record>> Merge<S, O> {
    pub(crate) fn by(order: O, sources: impl IntoIterator<Item = S>) -> Self {
        let sources: Vec<S> = sources.into_iter().collect();
        let no_source = Head { rank: 0, source: 0 };
        Self {
            losers: vec![no_source; sources.len()],
            sources,
            order,
            winner: no_source,
            state: State::New,
        }
    }

    /// Returns the next record.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<&S::Record>> {
        match self.next_source()? {
            Some(source) => Ok(source.current()),
            None => Ok(None),
        }
    }

    /// Returns the record that [`next`](Self::next) returned last.
    #[inline]
    pub(crate) fn current(&self) -> Option<&S::Record> {
        self.sources.get(self.winner.source)?.current()
    }

    /// Returns the source of the next record. The caller may take the record out of the source, but must not advance
    /// it.
    #[inline]
    pub(crate) fn next_source(&mut self) -> Result<Option<&mut S>> {
        let result = self.step();
        if !matches!(result, Ok(true)) {
            self.state = State::Done;
            result?;
            return Ok(None);
        }
        Ok(Some(&mut self.sources[self.winner.source]))
    }

    /// Finds the next winner. Returns `false` if all sources have ended.
    #[inline]
    fn step(&mut self) -> Result<bool> {
        match self.state {
            State::Running => {
                let source = self.winner.source;
                self.sources[source].advance()?;
                self.replay(source);
                Ok(self.sources[self.winner.source].current().is_some())
            }
            State::New => self.start(),
            State::Done => Ok(false),
        }
    }

    /// Reads all first records, and plays every match once, from the leaves up.
    #[cold]
    fn start(&mut self) -> Result<bool> {
        self.state = State::Running;
        let count = self.sources.len();
        let mut any = false;
        for source in &mut self.sources {
            any |= source.advance()?;
        }
        if !any {
            return Ok(false);
        }
        let mut winners = self.losers.clone();
        winners.extend((0..count).map(|source| self.head(source)));
        for node in (1..count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let left_wins = self.is_before(left, right);
            winners[node] = if left_wins { left } else { right };
            self.losers[node] = if left_wins { right } else { left };
        }
        self.winner = winners[1];
        Ok(true)
    }

    /// Repeats the matches from the leaf of `source` up.
    #[inline]
    fn replay(&mut self, source: usize) {
        let mut winner = self.head(source);
        let mut node = (self.sources.len() + source) / 2;
        while node > 0 {
            let loser = self.losers[node];
            let mut wins = loser.rank < winner.rank;
            // Equal ranks are either rare or the rule, so this branch is predictable.
            if loser.rank == winner.rank {
                wins = self.is_before(loser, winner);
            }
            // Branchless: the winner is random, so every other branch would be mispredicted.
            let (first, second) = swapped_if(wins, winner, loser);
            self.losers[node] = second;
            winner = first;
            node /= 2;
        }
        self.winner = winner;
    }

    #[inline]
    fn head(&self, source: usize) -> Head {
        let record = self.sources[source].current();
        let rank = record.map_or(u64::MAX, |record| self.order.rank(record));
        Head { rank, source }
    }

    /// Returns whether the record of one source comes before that of another. A source that has ended comes after all
    /// others.
    #[inline]
    fn is_before(&self, a: Head, b: Head) -> bool {
        if a.rank != b.rank {
            return a.rank < b.rank;
        }
        let records = (
            self.sources[a.source].current(),
            self.sources[b.source].current(),
        );
        match records {
            (Some(first), Some(second)) => {
                let order = self.order.compare(first, second);
                order.then(a.source.cmp(&b.source)).is_lt()
            }
            (first, _) => first.is_some(),
        }
    }
}

impl<S, O> fmt::Debug for Merge<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge")
            .field("sources", &self.sources.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(in crate::storage) mod tests {
    use std::borrow::Borrow;
    use std::marker::PhantomData;

    use super::*;
    use crate::error::{Error, ErrorKind};

    /// A source of records in memory: an iterator over items that can be borrowed as `R`.
    pub(in crate::storage) struct InMemory<I: Iterator, R: ?Sized> {
        records: I,
        current: Option<I::Item>,
        record: PhantomData<fn(&R)>,
    }

    impl<I: Iterator, R: ?Sized> InMemory<I, R> {
        pub(in crate::storage) fn new(records: impl IntoIterator<IntoIter = I>) -> Self {
            Self {
                records: records.into_iter(),
                current: None,
                record: PhantomData,
            }
        }
    }

    impl<I, R> MergeInput for InMemory<I, R>
    where
        I: Iterator<Item: Borrow<R>>,
        R: ?Sized,
    {
        type Record = R;

        #[inline]
        fn advance(&mut self) -> Result<bool> {
            self.current = self.records.next();
            Ok(self.current.is_some())
        }

        #[inline]
        fn current(&self) -> Option<&R> {
            self.current.as_ref().map(Borrow::borrow)
        }
    }

    /// In tests, a comparison function is an order.
    impl<R: ?Sized, F: Fn(&R, &R) -> Ordering> MergeOrder<R> for F {
        #[inline]
        fn compare(&self, first: &R, second: &R) -> Ordering {
            self(first, second)
        }
    }

    type Records = InMemory<std::vec::IntoIter<(u8, usize, usize)>, (u8, usize, usize)>;

    /// Returns sources of sorted keys, each with its source and its position there.
    fn sources(keys: &[Vec<u8>]) -> Vec<Records> {
        let records = keys.iter().enumerate().map(|(source, keys)| {
            let mut keys = keys.clone();
            keys.sort_unstable();
            let records = keys.into_iter().enumerate();
            records
                .map(move |(position, key)| (key, source, position))
                .collect::<Vec<_>>()
        });
        records.map(InMemory::new).collect()
    }

    fn is_stable_merge(keys: &[Vec<u8>]) {
        let by_key = |a: &(u8, usize, usize), b: &(u8, usize, usize)| a.0.cmp(&b.0);
        let mut merge = Merge::by(by_key, sources(keys));
        let mut merged = Vec::new();
        while let Some(record) = merge.next().unwrap() {
            merged.push(*record);
        }
        assert!(merge.next().unwrap().is_none());
        // Ordered by key, then source, then position: that is what stable means.
        assert!(merged.is_sorted(), "{merged:?}");
        assert_eq!(merged.len(), keys.iter().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn any_number_of_sources_merges() {
        for count in 0..20_usize {
            let keys: Vec<_> = (0..count).map(|n| vec![1, (n * 7 % 5) as u8, 3]).collect();
            is_stable_merge(&keys);
        }
    }

    /// Ranks that determine nothing, little, or the whole order, including the highest rank, which is also that of
    /// ended sources.
    #[test]
    fn bytes_merge_by_rank_as_they_do_by_comparison() {
        let mut words: Vec<Vec<u8>> = (0..600_usize)
            .map(|n| vec![[0, 1, 255][n % 3]; n % 11])
            .collect();
        words.extend(
            (0..100_u8).map(|n| [b"same start ".as_slice(), &[n.wrapping_mul(77)]].concat()),
        );
        let mut parts: Vec<Vec<Vec<u8>>> = words.chunks(90).map(<[_]>::to_vec).collect();
        parts.iter_mut().for_each(|part| part.sort());
        let sources = parts
            .iter()
            .map(|part| InMemory::<_, [u8]>::new(part.iter().map(Vec::as_slice)));
        let mut merge = Merge::by(ByBytes, sources);
        words.sort();
        for word in &words {
            assert_eq!(merge.next().unwrap(), Some(word.as_slice()));
        }
        assert!(merge.next().unwrap().is_none());
    }

    #[test]
    fn empty_sources_are_no_matter() {
        is_stable_merge(&[vec![]]);
        is_stable_merge(&[vec![], vec![]]);
        is_stable_merge(&[vec![], vec![1], vec![], vec![0, 2], vec![]]);
    }

    proptest::proptest! {
        #[test]
        fn merges_are_stable(keys: Vec<Vec<u8>>) {
            is_stable_merge(&keys);
        }
    }

    #[test]
    fn an_error_of_a_source_ends_the_merge() {
        struct Fails(u8);
        impl MergeInput for Fails {
            type Record = u8;
            fn advance(&mut self) -> Result<bool> {
                self.0 += 1;
                if self.0 < 3 {
                    Ok(true)
                } else {
                    Err(Error::new(ErrorKind::Cancelled))
                }
            }
            fn current(&self) -> Option<&u8> {
                Some(&self.0)
            }
        }
        let mut merge = Merge::by(u8::cmp, [Fails(0), Fails(0)]);
        assert_eq!(merge.next().unwrap(), Some(&1));
        assert_eq!(merge.next().unwrap(), Some(&1));
        assert_eq!(merge.next().unwrap(), Some(&2));
        merge.next().unwrap_err();
        assert!(merge.next().unwrap().is_none());
    }
}
