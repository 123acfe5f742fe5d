//! Transformations of neighbouring records.

use std::marker::PhantomData;

use super::Bag;
use crate::operators::neighbours::{InChunks, Windows};
use crate::operators::runs::{ChunkBy, ChunkWhile, Dedup, DedupCounted, Runs};
use crate::pipeline::{Call, Data, Pipeline, Plain, Record};
use crate::task::Site;

/// Transformations of neighbours, also if they are in different partitions. They keep partitions and order.
///
/// A separate stage first reads each partition, and sends the records at its ends to all tasks. A job therefore computes
/// the bag twice, and the bag must be finite. If computing it is expensive, or if the source can be read only once,
/// [`persist`](Bag::persist) the bag first. [`windows`](Bag::windows) reads only the first records of each partition
/// twice, and so does [`chunks`](Bag::chunks) if the lengths of the partitions are known: those of
/// [`from_vec`](crate::from_vec) and [`range`](crate::range), also after `map`.
///
/// # Errors
///
/// An action fails with [`NotRepeatable`](crate::ErrorKind::NotRepeatable) if a partition that was read to its end has
/// another number of records the second time, with [`StreamReadTwice`](crate::ErrorKind::StreamReadTwice) if the bag
/// reads a pipe, and with [`BroadcastTooLarge`](crate::ErrorKind::BroadcastTooLarge) if the records at the ends of all
/// partitions together exceed half of the memory budget.
impl<T, P> Bag<T, P>
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
    P: Pipeline<Out = T>,
{
    /// Returns each sequence of `n` neighbouring records. Windows overlap. Keeps partitions and order: each window is in
    /// the partition of its first record.
    ///
    /// There are no windows if the bag has fewer than `n` records. Each record is cloned `n` times.
    ///
    /// # Panics
    ///
    /// Panics if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["to", "be", "or", "not"]);
    /// let pairs = words.windows(2).map(|pair| pair.join(" "));
    /// assert_eq!(pairs.collect()?, ["to be", "be or", "or not"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn windows(self, n: usize) -> Bag<Vec<T::Owned>, impl Pipeline<Out = Vec<T::Owned>>> {
        assert!(n > 0, "a window of at least 1 record");
        self.scan_at(Site::new("windows"), Windows { n })
    }

    /// Divides the bag into lists of `n` records. Keeps partitions and order: each list is in the partition of its first
    /// record.
    ///
    /// Only the last list may have fewer records. The first `n - 1` records of each partition are sent to all tasks. For
    /// lists of about `n` records that need not cross the ends of partitions, use
    /// [`map_partitions`](Bag::map_partitions).
    ///
    /// # Panics
    ///
    /// Panics if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let threes = holdall::range(0..7).chunks(3);
    /// assert_eq!(threes.collect()?, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn chunks(self, n: usize) -> Bag<Vec<T::Owned>, impl Pipeline<Out = Vec<T::Owned>>> {
        assert!(n > 0, "a chunk of at least 1 record");
        self.scan_at(Site::new("chunks"), InChunks { n })
    }

    /// Replaces each sequence of equal neighbours by one of them. Keeps partitions and order: the record is in the
    /// partition of the last of its equals.
    ///
    /// On a sorted bag, this leaves each record once. [`distinct`](Bag::distinct) does so for every bag, by a shuffle.
    ///
    /// # Examples
    ///
    /// ```
    /// let changes = holdall::from_vec(vec![1, 1, 2, 2, 2, 1]).dedup();
    /// assert_eq!(changes.collect()?, [1, 2, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn dedup(self) -> Bag<T, impl Pipeline<Out = T>>
    where
        T::Owned: PartialEq,
        for<'a, 'b> T::Peek<'a>: PartialEq<T::Peek<'b>>,
    {
        self.scan_at(Site::new("dedup"), Runs(Dedup))
    }

    /// Replaces each sequence of equal neighbours by one of them and their number. Keeps partitions and order: the pair
    /// is in the partition of the last of the equal records.
    ///
    /// # Examples
    ///
    /// ```
    /// let runs = holdall::from_vec(vec!['a', 'a', 'b', 'a']).dedup_with_count();
    /// assert_eq!(runs.collect()?, [('a', 2), ('b', 1), ('a', 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn dedup_with_count(self) -> Bag<(T::Owned, u64), impl Pipeline<Out = (T::Owned, u64)>>
    where
        T::Owned: PartialEq,
        for<'a, 'b> T::Peek<'a>: PartialEq<T::Peek<'b>>,
    {
        self.scan_at(Site::new("dedup_with_count"), Runs(DedupCounted))
    }

    /// Divides the bag into lists of neighbours for which `key_of` returns the same key, and pairs each list with its
    /// key. Keeps partitions and order: each list is in the partition of its last record.
    ///
    /// Each list must fit into memory. A list that crosses the end of a partition is sent to all tasks. To bring all
    /// records of a key together, wherever they are, use [`group_by_key`](Bag::group_by_key).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![1, 3, 2, 5, 7]);
    /// let runs = numbers.chunk_by(|n| n % 2);
    /// assert_eq!(runs.collect()?, [(1, vec![1, 3]), (0, vec![2]), (1, vec![5, 7])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "an alias would hide the pair")]
    #[track_caller]
    pub fn chunk_by<K, F>(
        self,
        key_of: F,
    ) -> Bag<(K, Vec<T::Owned>), impl Pipeline<Out = (K, Vec<T::Owned>)>>
    where
        K: Data + Clone + Sync + PartialEq,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        self.chunk_by_at(Site::new("chunk_by"), Plain(key_of))
    }

    #[expect(clippy::type_complexity, reason = "an alias would hide the pair")]
    pub(super) fn chunk_by_at<K, C>(
        self,
        site: Site,
        key_of: C,
    ) -> Bag<(K, Vec<T::Owned>), impl Pipeline<Out = (K, Vec<T::Owned>)> + use<T, P, K, C>>
    where
        K: Data + Clone + Sync + PartialEq,
        C: for<'a> Call<(T::Peek<'a>,), Out = K>,
    {
        let key = PhantomData;
        self.scan_at(site, Runs(ChunkBy { key_of, key }))
    }

    /// Divides the bag into lists of neighbours: a list goes on as long as `belongs` returns `true` for a record and the
    /// next one. Keeps partitions and order: each list is in the partition of its last record.
    ///
    /// Each list must fit into memory. A list that crosses the end of a partition is sent to all tasks. This is
    /// [`slice::chunk_by`] for bags. After [`sort_values`](Bag::sort_values), it divides the values of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = holdall::from_vec(vec![("eve", 2), ("ada", 905), ("ada", 10), ("ada", 12)]);
    /// let sessions = visits.sort_values().chunk_while(|(user, minute), (next_user, next)| {
    ///     user == next_user && next - minute < 30
    /// });
    /// let ends = sessions.map(|visits| (visits[0].0, visits[0].1, visits[visits.len() - 1].1));
    /// assert_eq!(ends.sort().collect()?, [("ada", 10, 12), ("ada", 905, 905), ("eve", 2, 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn chunk_while<F>(
        self,
        belongs: F,
    ) -> Bag<Vec<T::Owned>, impl Pipeline<Out = Vec<T::Owned>>>
    where
        F: for<'a, 'b> Fn(T::Peek<'a>, T::Peek<'b>) -> bool + Send + Sync + 'static,
    {
        self.chunk_while_at(Site::new("chunk_while"), Plain(belongs))
    }

    pub(super) fn chunk_while_at<C>(
        self,
        site: Site,
        belongs: C,
    ) -> Bag<Vec<T::Owned>, impl Pipeline<Out = Vec<T::Owned>> + use<T, P, C>>
    where
        C: for<'a, 'b> Call<(T::Peek<'a>, T::Peek<'b>), Out = bool>,
    {
        self.scan_at(site, Runs(ChunkWhile(belongs)))
    }
}
