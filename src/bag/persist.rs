//! Bags that are computed once.

use std::sync::Arc;

use super::Bag;
use crate::lineage::Node;
use crate::operators::persist::{Keeping, Persist, StorageLevel, Store};
use crate::pipeline::{Pipeline, Storable};
use crate::task::{ReclaimMemory, Site};

impl<T: Storable + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Keeps what is computed of this bag, so that later actions, and other branches, need not compute it again.
    ///
    /// Each partition is kept, serialised, when it is first computed as a whole; nothing runs before. Once all are
    /// there, stages before this one do not run at all. Records in memory count in the
    /// [budget](crate::ContextBuilder::memory), and make room for others: they go to the disk, or are dropped if
    /// `level` is [`Memory`](StorageLevel::Memory). What worker processes compute is in files, whatever `level`
    /// says, so that all of them can read it. Partitions and order are kept; narrow.
    ///
    /// What is kept goes when the last bag that was made from this one is dropped, or earlier: when all bags that can
    /// still read it are read from persisted bags behind it that are complete. Of a loop that persists a bag in each
    /// round, and drops that of the round before, the last two rounds are kept: the last one to be read, and the one
    /// before as a backup, from which damaged parts of the last are computed. Should the backup be damaged too, the
    /// rounds before are computed again, from the sources if necessary. What was computed from
    /// [`from_fn`](crate::from_fn), which may be unable to give its records again, is kept until the bags are dropped.
    ///
    /// Text is kept as it is, and handed out as slices of what is kept. A group cannot be kept as a stream; `map` it to
    /// what is wanted of it.
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
    /// An algorithm of many rounds persists each of them, and counts it so that it is computed:
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
        let bag = Bag::new(persist, node, self.context).keyed(self.node.keyed);
        store.bind(&bag.node);
        bag
    }
}
