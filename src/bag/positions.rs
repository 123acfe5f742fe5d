//! Transformations that depend on the position of a record in the bag.

use super::Bag;
use super::joins::Travel;
use crate::lineage::Node;
use crate::operators::records_by_key::Pairs;
use crate::operators::sample::Sample;
use crate::operators::zip_with_index::{CountEach, PartitionCount, ZipWithIndex};
use crate::pipeline::{Pipeline, Record};
use crate::shuffle::HashPartitioner;
use crate::task::Site;

/// Transformations by position. Their results depend on the order of the bag, or on its partitions.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Pairs each record with its index in the [order](crate#order-and-partitions) of the bag, starting from 0. Keeps
    /// partitions and order.
    ///
    /// A separate stage first counts the records of each partition, and only these counts are shuffled. A job therefore
    /// computes the bag twice, and the bag must be finite. If computing it is expensive, or if the source can be read
    /// only once, [`persist`](Bag::persist) the bag first.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["to", "be", "or"]).zip_with_index();
    /// assert_eq!(words.collect()?, [("to", 0), ("be", 1), ("or", 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn zip_with_index(self) -> Bag<(T::Owned, u64), impl Pipeline<Out = (T::Owned, u64)>> {
        let site = Site::new("zip_with_index");
        let counted = self
            .clone()
            .then(site, |parent| CountEach { parent })
            .records_by_key::<Pairs<(), PartitionCount>>(
                site,
                HashPartitioner::new(1),
                true,
                Travel::All,
            );
        let (counts, dependency) = counted;
        let node = Node::broadcast(site, self.partitions(), &self.node, dependency);
        let zipped = ZipWithIndex {
            parent: self.pipeline,
            counts,
            site,
        };
        Bag::new(zipped, node, self.context)
    }

    /// Keeps each record with probability `fraction`, independently of the others. Narrow: keeps partitions and order.
    ///
    /// The choice depends only on `seed`, the partition, and the position in it. The same program therefore keeps the
    /// same records in every run and on every executor. A different seed or partitioning selects other records.
    ///
    /// # Panics
    ///
    /// Panics if `fraction` is not in `0.0..=1.0`.
    ///
    /// # Examples
    ///
    /// ```
    /// let tenth = holdall::range(0..10_000).sample(0.1, 7);
    /// assert!((900..1_100).contains(&tenth.count()?));
    /// assert_eq!(tenth.collect()?, tenth.collect()?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sample(self, fraction: f64, seed: u64) -> Bag<T, impl Pipeline<Out = T>> {
        assert!(
            (0.0..=1.0).contains(&fraction),
            "a fraction from 0 to 1, not {fraction}"
        );
        let keyed = self.node.keyed;
        self.then(Site::new("sample"), |parent| Sample {
            parent,
            fraction,
            seed,
        })
        .keyed(keyed)
    }
}
