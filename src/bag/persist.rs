//! Bags that are computed once.

use std::sync::Arc;

use super::Bag;
use crate::lineage::Node;
use crate::operators::persist::{Keeping, Persist, Persistence, Store};
use crate::pipeline::{Pipeline, Storable};
use crate::task::{Relieve, Site};

impl<T: Storable + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Keeps what is computed of this bag, so that later actions, and other branches, need not compute it again.
    ///
    /// Each partition is kept, serialised, when it is first computed as a whole; nothing runs before. Once all are
    /// there, stages before this one do not run at all. Records in memory count in the
    /// [budget](crate::ContextBuilder::memory), and make room for others: they go to the disk, or are dropped if
    /// `persistence` is [`Memory`](Persistence::Memory). What worker processes compute is in files, whatever `persistence`
    /// says, so that all of them can read it. All goes when the last bag that was made from this one is
    /// dropped. Partitions and order are kept; narrow.
    ///
    /// Text is kept as it is, and handed out as slices of what is kept. A group cannot be kept as a stream; `map` it to
    /// what is wanted of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Persistence;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static COMPUTED: AtomicU64 = AtomicU64::new(0);
    /// let squares = holdall::range(0..100)
    ///     .map(|n| {
    ///         COMPUTED.fetch_add(1, Ordering::Relaxed);
    ///         n * n
    ///     })
    ///     .persist(Persistence::default());
    /// assert_eq!(squares.count()?, 100);
    /// assert_eq!(squares.max()?, Some(9801));
    /// assert_eq!(COMPUTED.load(Ordering::Relaxed), 100);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn persist(self, persistence: Persistence) -> Bag<T, impl Pipeline<Out = T>> {
        let site = Site::new("persist");
        let partitions = self.pipeline.partitions();
        let (budget, scratch, relief) = self.context.for_store();
        let store = Arc::new(Store::new(persistence, partitions, budget, scratch));
        let holder: Arc<dyn Relieve> = Arc::<Store>::clone(&store);
        relief.add(&holder);
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
