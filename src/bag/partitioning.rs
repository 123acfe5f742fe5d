//! Transformations that change how a bag is divided.

use std::marker::PhantomData;

use super::Bag;
use crate::lineage::{Keyed, Node};
use crate::operators::coalesce::Coalesce;
use crate::operators::repartition::{ByKey, Choose, Dividing, InTurn, Repartitioned};
use crate::pipeline::{Data, Pipeline, Record, Storable};
use crate::shuffle::HashPartitioner;
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Puts neighbouring partitions together, so that there are no more than `partitions`. Narrow: records keep their
    /// order, and nothing travels.
    ///
    /// A bag whose number of partitions is not known is left as it is.
    ///
    /// # Panics
    ///
    /// If `partitions` is 0.
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
    /// Spreads the records evenly over `partitions` partitions. Wide.
    ///
    /// The records of each partition are dealt out in turn, beginning with another new partition each time, so where a
    /// record goes depends on its place alone: it is the same in every run. In a new partition they are in the order of
    /// the bag. Where fewer partitions will do, [`coalesce`](Bag::coalesce) gets by without moving records.
    ///
    /// # Panics
    ///
    /// If `partitions` is 0.
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
        let node = Node::shuffled(site, partitions, dependency);
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
    /// Brings pairs of equal keys into the same partition, of `partitions`: the one that the [hash](crate#hash) of the
    /// serialised key belongs to. In a partition pairs are in the order of the bag. Wide.
    ///
    /// # Panics
    ///
    /// If `partitions` is 0.
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
            // They are there already. The call is seen in the plan all the same.
            let node = Node::narrow(site, Some(partitions), &[&self.node]);
            return Bag::new(self.pipeline.erase(), node, self.context).keyed(keyed);
        }
        let by_key = ByKey(HashPartitioner::new(partitions));
        self.repartition_at(site, by_key).keyed(keyed)
    }
}
