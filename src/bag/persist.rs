//! Bags that are stored, so that they are computed only once.

use std::sync::Arc;

use super::Bag;
use crate::lineage::Node;
use crate::operators::persist::{Keeping, Persist, StorageLevel, Store};
use crate::pipeline::{Pipeline, Storable};
use crate::task::{ReclaimMemory, Site};

impl<T: Storable + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Stores this bag as it is computed, so that later actions and other branches need not compute it again. Narrow:
    /// keeps partitions and order.
    ///
    /// The call itself runs nothing. A partition is serialised and stored when a job first computes all of it. Once
    /// every partition is stored, the stages before this bag no longer run.
    ///
    /// Stored records count towards the [budget](crate::ContextBuilder::memory). If other data needs the memory, they
    /// move to disk, or are dropped if `level` is [`Memory`](StorageLevel::Memory). Partitions that worker processes
    /// compute are always stored in files, so that every worker can read them.
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
        let (budget, scratch, reclaimer) = self.context.for_store();
        let store = Arc::new(Store::new(level, partitions, budget, scratch));
        let holder: Arc<dyn ReclaimMemory> = Arc::<Store>::clone(&store);
        reclaimer.add(&holder);
        let node = Node::stored(site, partitions, &self.node, Arc::<Store>::clone(&store));
        let persist = Persist {
            parent: self.pipeline.erase(),
            keeping: Keeping::Here(Arc::clone(&store)),
            site,
        };
        let bag = Bag::new(persist, node, self.context)
            .keyed(self.node.keyed)
            .ascending(self.node.ascends);
        store.bind(&bag.node);
        bag
    }
}
