//! Transformations that go by where in the bag a record stands.

use super::Bag;
use super::joins::Travel;
use crate::lineage::Node;
use crate::operators::records_by_key::Pairs;
use crate::operators::sample::Sample;
use crate::operators::zip_with_index::{CountEach, PartitionCount, ZipWithIndex};
use crate::pipeline::{Pipeline, Record};
use crate::shuffle::HashPartitioner;
use crate::task::Site;

/// Transformations by position. What they give depends on the order of the bag, or on its partitions.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Each record with its number in the [order](crate#order-and-partitions) of the bag, from 0 on.
    ///
    /// The records of each partition are counted first, in a stage of its own, so the bag is computed twice by a job, and
    /// must have an end. Where that is dear, or where the source gives its records only once,
    /// [`persist`](Bag::persist) it before. Nothing is shuffled but the counts. Partitions and order are kept.
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

    /// About this fraction of the records, each chosen by chance and by itself.
    ///
    /// Which ones depends on `seed`, on the partition and on the position in it, and on nothing else: the same program
    /// chooses the same records each time, on any executor; with another seed, or with the bag divided otherwise, it
    /// chooses others. Partitions and order are kept; narrow.
    ///
    /// # Panics
    ///
    /// If `fraction` is not from 0 to 1.
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
