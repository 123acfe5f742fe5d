//! Bags that are stored, so that they are computed only once.

use std::sync::Arc;

use super::Bag;
use crate::lineage::Node;
use crate::operators::persist::{Keeping, Persist, StorageLevel, Store, StoredParent};
use crate::pipeline::{Pipeline, Storable};
use crate::task::Site;

impl<T: Storable + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Stores this bag as it is computed, so that later actions and other branches need not compute it again. Narrow:
    /// keeps partitions and order.
    ///
    /// The call itself runs nothing. A partition is serialised and stored when a job first computes all of it. Once
    /// every partition is stored, the stages before this bag no longer run.
    ///
    /// Stored records count towards the [budget](crate::ContextBuilder::memory). If other data needs the memory, they
    /// move to disk, or are dropped if `level` is [`Memory`](StorageLevel::Memory). Partitions that worker processes
    /// compute are always stored in files, one for each, so that every worker can read them.
    ///
    /// The store is deleted when the last bag made from this one is dropped. It is deleted earlier if every bag that
    /// can still read it reads from complete persisted bags that come after it. If a loop persists a bag in each round
    /// and drops the bag of the previous round, the last two rounds are therefore stored: the last one, which will be
    /// read, and the one before as a backup, from which damaged partitions of the last are recomputed. If the backup is
    /// damaged too, the earlier rounds are computed again, from the sources if necessary. A bag that was computed from
    /// [`from_fn`](crate::from_fn) may not be computable again, so it is stored until the bags are dropped.
    ///
    /// Text is stored unchanged and lent as slices of the store. Groups cannot be stored as streams: first `map` each
    /// group to the value that you need.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::StorageLevel;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static COMPUTED: AtomicU64 = AtomicU64::new(0);
    /// let squares = holdall::range(0..100)
    ///     .map(|n| {
    ///         COMPUTED.fetch_add(1, Ordering::Relaxed);
    ///         n * n
    ///     })
    ///     .persist(StorageLevel::default());
    /// assert_eq!(squares.count()?, 100);
    /// assert_eq!(squares.max()?, Some(9801));
    /// assert_eq!(COMPUTED.load(Ordering::Relaxed), 100);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// An iterative algorithm persists the bag of each round, and counts it to compute it:
    ///
    /// ```
    /// use holdall::{Bag, StorageLevel};
    ///
    /// let mut counts: Bag<(u64, u64)> = holdall::range(0..100).map(|n| (n % 7, 1)).boxed();
    /// for _ in 0..10 {
    ///     counts = counts.sum_by_key().map_values(|n| n + 1).persist(StorageLevel::default()).boxed();
    ///     counts.count()?;
    /// }
    /// assert_eq!(counts.map(|(_, count)| count).sum::<u64>()?, 100 + 7 * 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn persist(self, level: StorageLevel) -> Bag<T, impl Pipeline<Out = T>> {
        let site = Site::new("persist");
        let partitions = self.pipeline.partitions();
        let store = Store::new(level, partitions, self.context.for_store());
        let node = Node::stored(site, partitions, &self.node, Arc::<Store>::clone(&store));
        let persist = Persist {
            parent: StoredParent::Known(self.pipeline.erase()),
            keeping: Keeping::Here(Arc::clone(&store)),
            site,
        };
        let bag = Bag::new(persist, node, self.context)
            .keyed(self.node.keyed)
            .ascending(self.node.ascends);
        store.bind(&bag.node);
        bag
    }

    /// Deletes the records that [`persist`](Bag::persist) has stored for this bag, and stores no more of them. Later
    /// actions compute the bag again.
    ///
    /// Records are also deleted when the last bag made from the persisted one is dropped. Call this method if the bag,
    /// or one made from it, is still needed. It applies to all clones of the bag. Running jobs that read the stored
    /// records keep them until they end.
    ///
    /// Returns `false`, and does nothing, if this bag is not the one that `persist` returned, or a
    /// [boxed](Bag::boxed) one. A bag that was made from [`from_fn`](crate::from_fn) may not be computable again.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::StorageLevel;
    ///
    /// let squares = holdall::range(0..100).map(|n| n * n).persist(StorageLevel::default());
    /// assert_eq!(squares.count()?, 100); // stores the squares
    /// let odd = squares.clone().filter(|n| n % 2 == 1);
    /// assert!(!odd.unpersist());
    /// assert!(squares.unpersist());
    /// assert_eq!(odd.count()?, 50); // computes them again
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[expect(
        clippy::must_use_candidate,
        reason = "the result matters to few callers"
    )]
    pub fn unpersist(&self) -> bool {
        let stored = self.node.stored.as_ref();
        stored.inspect(|stored| stored.close()).is_some()
    }
}
