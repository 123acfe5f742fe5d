//! Transformations that change the partitions of a bag.

use std::marker::PhantomData;

use super::Bag;
use crate::lineage::{Keyed, Node, RecordOrder};
use crate::operators::coalesce::Coalesce;
use crate::operators::repartition::{ByKey, Choose, Dividing, InTurn, Repartitioned};
use crate::pipeline::{Data, Pipeline, Record, Storable};
use crate::shuffle::HashPartitioner;
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Merges neighbouring partitions, so that at most `partitions` remain. Narrow: keeps the order, and shuffles
    /// nothing.
    ///
    /// If the number of partitions is unknown, the bag is left unchanged.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..1000).coalesce(3);
    /// assert_eq!(numbers.partitions(), Some(3));
    /// assert_eq!(numbers.first()?, Some(0));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn coalesce(self, partitions: usize) -> Bag<T, impl Pipeline<Out = T>> {
        assert!(partitions > 0, "records need a partition");
        let most = partitions;
        let known = self.pipeline.partitions().map(|known| known.min(most));
        let node = Node::narrow(Site::new("coalesce"), known, &[&self.node]);
        let parent = self.pipeline;
        Bag::new(Coalesce { parent, most }, node, self.context)
    }
}

impl<T: Storable + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Distributes the records evenly over `partitions` partitions. Wide.
    ///
    /// The records of each old partition are assigned to the new partitions round-robin. The first new partition moves
    /// by one from each old partition to the next. The assignment depends only on the position of the record, so it is
    /// the same in every run. Each new partition keeps the order of the bag. If you only need fewer partitions, use
    /// [`coalesce`](Bag::coalesce), which shuffles nothing.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_iter(0..6).repartition(2);
    /// assert_eq!(numbers.collect()?, [0, 2, 4, 1, 3, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition(self, partitions: usize) -> Bag<T> {
        assert!(partitions > 0, "records need a partition");
        self.repartition_at(Site::new("repartition"), InTurn(partitions))
    }

    fn repartition_at(self, site: Site, choose: impl Choose<T>) -> Bag<T> {
        let partitions = choose.partitions();
        let (shuffle, dependency) = self.shuffle(site, Dividing(choose), None);
        let order = RecordOrder::KeptWithinPartitions;
        let node = Node::shuffled(site, partitions, dependency, order);
        let pipeline = Repartitioned {
            shuffle,
            partitions,
            site,
            records: PhantomData,
        };
        Bag::new(pipeline, node, self.context).boxed()
    }
}

impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Distributes pairs over `partitions` partitions by the [hash](crate#hash) of the serialised key, so that pairs
    /// with equal keys are in the same partition. Each partition keeps the order of the bag. Wide.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(0..100).map(|n| (n % 10, n)).partition_by(4);
    /// let keys = pairs.map_partitions_with_index(|partition, pairs, emit| {
    ///     pairs.for_each(|(key, _)| emit((key, partition)));
    /// });
    /// // Each key is in one partition.
    /// assert_eq!(keys.distinct().count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn partition_by(self, partitions: usize) -> Bag<(K, V)> {
        assert!(partitions > 0, "records need a partition");
        let site = Site::new("partition_by");
        let keyed = Some(Keyed::by::<K>(partitions));
        if self.node.keyed == keyed {
            // The records are already partitioned this way. Add a node anyway, so that the plan shows the call.
            let node = Node::narrow(site, Some(partitions), &[&self.node]);
            return Bag::new(self.pipeline.erase(), node, self.context).keyed(keyed);
        }
        let by_key = ByKey(HashPartitioner::new(partitions));
        self.repartition_at(site, by_key).keyed(keyed)
    }
}
