//! Ranges of sorted bags.

use std::cmp::Ordering;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::{Bag, Sortable};
use crate::operators::ranges::{InRange, KeyBounds, KeyRange, bounds_of, place};
use crate::pipeline::{Call, ClosureState, Data, Given, Pipeline, Plain, Record, Stated};
use crate::task::Site;

fn natural_place<T: Record + ?Sized>(bounds: &KeyBounds<T::Owned>, record: T::Peek<'_>) -> Ordering
where
    for<'a, 'b> T::Peek<'a>: PartialOrd<T::Peek<'b>>,
{
    place(bounds, |bound| {
        let order = record.partial_cmp(&T::peek_owned(bound));
        // Sortable types have a total order.
        order.unwrap_or(Ordering::Equal)
    })
}

/// Ranges of sorted bags. They keep partitions and order; partitions outside of the range become empty.
///
/// A separate stage first reads one record of each partition. Only the partitions that may have records in the range are
/// then read, up to the end of the range. If the bag is sorted in the same job, all of it is shuffled first, so
/// [`filter`](Bag::filter) before the sort is faster. To read several ranges, [`persist`](Bag::persist) the sorted bag.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Keeps the records in `range`, by their natural order.
    ///
    /// If the bag was sorted by [`sort`](Bag::sort) or [`merge_sorted`](Bag::merge_sorted), and after that only
    /// filtered, inspected or persisted, partitions outside of the range are not read. Otherwise, this is a
    /// [`filter`](Bag::filter).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::StorageLevel;
    ///
    /// let sorted = holdall::range(0..10_000).permute(1).sort().persist(StorageLevel::default());
    /// assert_eq!(sorted.count()?, 10_000);
    /// let few = sorted.filter_range(4_000..4_010);
    /// assert_eq!(few.collect()?, (4_000..4_010).collect::<Vec<_>>());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_range<R>(self, range: R) -> Bag<T>
    where
        T: Sortable,
        T::Owned: Clone + Ord + Sync,
        R: RangeBounds<T::Owned>,
        for<'a, 'b> T::Peek<'a>: PartialOrd<T::Peek<'b>>,
    {
        let site = Site::new("filter_range");
        let bounds = Arc::new(bounds_of(&range));
        if self.node.ascends {
            let place =
                |bounds: &KeyBounds<_>, record: T::Peek<'_>| natural_place::<T>(bounds, record);
            let in_range = InRange(Stated(ClosureState::Given(bounds), place));
            return self.scan_at(site, in_range).ascending(true).boxed();
        }
        let is_in =
            |bounds: &KeyBounds<_>, record: T::Peek<'_>| natural_place::<T>(bounds, record).is_eq();
        self.filter_at(site, Stated(ClosureState::Given(bounds), is_in))
            .boxed()
    }

    /// Keeps the records whose key is in `range`, if the bag is sorted by the key that `key_of` returns: by
    /// [`sort_by_key`](Bag::sort_by_key), or because its source is sorted, as a log is by time.
    ///
    /// If the bag is not sorted by the key, the result is unspecified, as with [`slice::binary_search`]. Use
    /// [`filter`](Bag::filter) for such a bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["09:58 start".to_owned(), "10:02 ok".to_owned(), "11:30 end".to_owned()]);
    /// let hour = lines.filter_range_by_key("10:00".to_owned().."11:00".to_owned(), |line| line[..5].to_owned());
    /// assert_eq!(hour.collect()?, ["10:02 ok"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_range_by_key<K, R, F>(
        self,
        range: R,
        key_of: F,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, K, R, F>>
    where
        K: Data + Clone + Ord + Sync,
        R: RangeBounds<K>,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let site = Site::new("filter_range_by_key");
        self.filter_range_by_key_at(site, bounds_of(&range), Plain(key_of))
    }

    pub(super) fn filter_range_by_key_at<K, C>(
        self,
        site: Site,
        bounds: KeyBounds<K>,
        key_of: C,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, K, C>>
    where
        K: Data + Clone + Ord + Sync,
        C: for<'a> Call<(T::Peek<'a>,), Out = K>,
    {
        let place = |range: &KeyRange<C, K>, record: T::Peek<'_>| {
            let key = range.key_of.call((record,));
            place(&range.bounds, |bound| key.cmp(bound))
        };
        let keyed = self.node.keyed;
        let range = KeyRange { key_of, bounds };
        self.scan_at(site, InRange(Given(range, place)))
            .keyed(keyed)
    }
}
