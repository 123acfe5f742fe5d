//! Transformations that change the partitions of a bag.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::config::assert_partitions;
use crate::id::ShuffleId;
use crate::lineage::{Keyed, Node, Parent, RecordOrder};
use crate::operators::coalesce::Coalesce;
use crate::operators::map_partitions::Records;
use crate::operators::positions::{Both, Evenly, Opposite, Zipped};
use crate::operators::repartition::{ByClosure, ByKey, Choose, Dividing, InTurn, Repartitioned};
use crate::operators::scans::WithIndex;
use crate::operators::select_partitions::SelectPartitions;
use crate::operators::try_step::Outcome;
use crate::operators::zip_partitions::ZipPartitions;
use crate::pipeline::{Call, Data, Pipeline, Plain, Record, Storable};
use crate::shuffle::HashPartitioner;
use crate::storage::size::IntoByteSize;
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
        self.coalesce_at(Site::new("coalesce"), partitions)
    }

    fn coalesce_at(self, site: Site, most: usize) -> Bag<T, Coalesce<P>> {
        let known = self.pipeline.partitions().map(|known| known.min(most));
        let node = Node::narrow(site, known, &[&self.node]);
        let parent = self.pipeline;
        Bag::new(Coalesce { parent, most }, node, self.context)
    }

    /// Returns a bag of some partitions, in the order in which `partitions` lists them. Narrow: computes and reads no
    /// other partition.
    ///
    /// `partitions` is a range such as `0..3`, a vector, an array, or any other list that ends. The bag looks into few
    /// partitions of a large input, or processes it part by part. After a shuffle, the map side of the shuffle is still
    /// computed as a whole.
    ///
    /// If the [number of partitions](Bag::partitions) is unknown, `partitions` must be in ascending order. The source
    /// is then pulled up to the last of them, and the action returns
    /// [`ErrorKind::MissingPartition`](crate::ErrorKind::MissingPartition) if it ends before.
    ///
    /// # Panics
    ///
    /// Panics if a partition does not exist or is listed twice, and if the number of partitions is unknown and the list
    /// is not in ascending order.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range_partitioned(0..8, 4);
    /// assert_eq!(numbers.clone().select_partitions(1..3).collect()?, [2, 3, 4, 5]);
    /// assert_eq!(numbers.select_partitions([3, 0]).collect()?, [6, 7, 0, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn select_partitions(
        self,
        partitions: impl IntoIterator<Item = usize>,
    ) -> Bag<T, impl Pipeline<Out = T>> {
        let site = Site::new("select_partitions");
        let known = self.pipeline.partitions();
        let mut selected = Vec::new();
        for partition in partitions {
            if let Some(known) = known {
                assert!(
                    partition < known,
                    "there is no partition {partition}: the bag has {known}"
                );
            }
            selected.push(partition);
        }
        let is_ascending = selected.is_sorted_by(|a, b| a < b);
        if !is_ascending {
            assert!(
                known.is_some(),
                "partitions of an unknown number must be selected in ascending order"
            );
            let distinct: HashSet<_> = selected.iter().collect();
            assert_eq!(
                distinct.len(),
                selected.len(),
                "each partition can be selected once"
            );
        }
        // Otherwise, keys are no longer in the partitions of their hashes.
        let is_all = is_ascending && known == Some(selected.len());
        let keyed = self.node.keyed.filter(|_| is_all);
        let node = Node::selection(site, known.map(|_| selected.len()), &self.node);
        let pipeline = SelectPartitions {
            parent: self.pipeline,
            selected,
            site,
        };
        let bag = Bag::new(pipeline, node, self.context).keyed(keyed);
        if is_ascending {
            bag
        } else {
            bag.ordered(RecordOrder::KeptWithinPartitions)
        }
    }

    /// Passes each partition of this bag to `op` together with the same partition of `other`, and returns a bag of the
    /// records that `op` emits. Narrow: keeps partitions.
    ///
    /// Records are pushed, as in [`map_partitions`](Bag::map_partitions). So `op` reads one side after the other, or
    /// the whole of one side while it is at a record of the other. To process pairs of records, collect one side.
    /// Jobs run in the context of this bag.
    ///
    /// # Errors
    ///
    /// The action returns [`ErrorKind::MissingPartition`](crate::ErrorKind::MissingPartition) if the bags turn out to
    /// have different numbers of partitions. This is known only while the job runs if the
    /// [number of partitions](Bag::partitions) of one of the bags is unknown in advance.
    ///
    /// # Panics
    ///
    /// Panics if the numbers of partitions are known and differ.
    ///
    /// # Examples
    ///
    /// ```
    /// let prices = holdall::from_vec_partitioned(vec![10, 20, 30], 2);
    /// let counts = holdall::from_vec_partitioned(vec![1, 0, 2], 2);
    /// let totals = prices.zip_partitions(counts, |prices, counts, emit| {
    ///     let mut prices = prices.collect().into_iter();
    ///     counts.for_each(|count| emit(prices.next().map(|price| price * count)));
    /// });
    /// assert_eq!(totals.collect()?, [Some(10), Some(0), Some(60)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn zip_partitions<U, Q, W, F>(
        self,
        other: Bag<U, Q>,
        op: F,
    ) -> Bag<W, impl Pipeline<Out = W>>
    where
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
        W: 'static,
        F: for<'l, 'r, 'e> Fn(Records<'l, T>, Records<'r, U>, &'e mut (dyn FnMut(W) + 'e))
            + Send
            + Sync
            + 'static,
    {
        self.zip_partitions_at(Site::new("zip_partitions"), other, Plain(op))
    }

    #[track_caller]
    pub(super) fn zip_partitions_at<U, Q, W, C, R>(
        self,
        site: Site,
        other: Bag<U, Q>,
        op: C,
    ) -> Bag<W, impl Pipeline<Out = W> + use<T, P, U, Q, W, C, R>>
    where
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
        W: 'static,
        C: for<'l, 'r, 'e> Call<
                (Records<'l, T>, Records<'r, U>, &'e mut (dyn FnMut(W) + 'e)),
                Out = R,
            >,
        R: Outcome,
    {
        let (left, right) = (self.pipeline, other.pipeline);
        if let Some((left, right)) = left.partitions().zip(right.partitions()) {
            assert_eq!(left, right, "both bags need the same number of partitions");
        }
        let out = PhantomData;
        let pipeline = ZipPartitions {
            left,
            right,
            op,
            site,
            out,
        };
        let parents = [&self.node, &other.node];
        let node = Node::narrow(site, pipeline.partitions(), &parents);
        Bag::new(pipeline, node, self.context)
    }

    /// Merges neighbouring partitions, so that each has about `size` bytes of input. Narrow: keeps the order, and
    /// shuffles nothing.
    ///
    /// The input is what the sources of the bag read, such as the files of [`read_text`](crate::read_text), before
    /// decompression. If the number of these bytes or of the partitions is unknown, the bag is left unchanged.
    ///
    /// # Panics
    ///
    /// Panics if `size` is 0, or a text that is not a [`ByteSize`](crate::ByteSize).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// for name in 0..100 {
    ///     std::fs::write(dir.path().join(name.to_string()), "a line\n".repeat(10_000)).unwrap();
    /// }
    /// let lines = holdall::read_text(dir.path())?; // 7 MB
    /// assert!(lines.partitions() > Some(4));
    /// assert_eq!(lines.coalesce_bytes("2MB").partitions(), Some(4));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn coalesce_bytes<S: IntoByteSize>(
        self,
        size: S,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, S>> {
        let bytes = size.into_byte_size().unwrap_or_else(|text| {
            panic!("a size such as \"64MiB\", not \"{text}\"");
        });
        assert!(bytes.0 > 0, "a partition of at least 1 byte");
        let partitions =
            |input: u64| usize::try_from(input.div_ceil(bytes.0)).unwrap_or(usize::MAX);
        let most = self.node.source_bytes.map_or(usize::MAX, partitions);
        self.coalesce_at(Site::new("coalesce_bytes"), most.max(1))
    }

    /// Turns each partition into one record, a list of its records. Narrow: keeps partitions and order.
    ///
    /// The list of a partition must fit into memory. There is a list for each partition, even if it is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// let lists = holdall::from_vec_partitioned(vec![1, 2, 3, 4], 2).glom();
    /// assert_eq!(lists.collect()?, [[1, 2], [3, 4]]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn glom(self) -> Bag<Vec<T::Owned>, impl Pipeline<Out = Vec<T::Owned>>> {
        let list = |records: Records<'_, T>, emit: &mut (dyn FnMut(Vec<T::Owned>) + '_)| {
            emit(records.collect());
        };
        self.map_whole_partitions_at(Site::new("glom"), Plain(list))
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
    /// Panics if `partitions` is 0 or more than 2^24.
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
        assert_partitions(partitions);
        self.repartition_at(Site::new("repartition"), InTurn(partitions))
    }

    /// Distributes the records over `partitions` partitions by the number that `choose` returns, from 0. Each partition
    /// keeps the order of the bag. Wide.
    ///
    /// To keep equal keys together, use [`partition_by`](Bag::partition_by): keyed methods know its partitions, but not
    /// those of this method, and shuffle again.
    ///
    /// # Errors
    ///
    /// An action fails with [`Closure`](crate::ErrorKind::Closure) if `choose` returns `partitions` or more.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["pear", "fig", "apple", "plum"]);
    /// let by_length = words.partition_with(6, |word| word.len());
    /// assert_eq!(by_length.glom().collect()?[4], ["pear", "plum"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn partition_with<F>(self, partitions: usize, choose: F) -> Bag<T>
    where
        F: for<'a> Fn(T::Peek<'a>) -> usize + Send + Sync + 'static,
    {
        self.partition_with_at(Site::new("partition_with"), partitions, Plain(choose))
    }

    #[track_caller]
    pub(super) fn partition_with_at<C>(self, site: Site, partitions: usize, op: C) -> Bag<T>
    where
        C: for<'a> Call<(T::Peek<'a>,), Out = usize>,
    {
        assert_partitions(partitions);
        let choose = ByClosure {
            op,
            partitions,
            site,
        };
        self.repartition_at(site, choose)
    }

    /// Divides the records evenly among `partitions` partitions, and keeps their order. Wide.
    ///
    /// Each new partition is a range of the positions in the bag. A separate stage first counts the records of each old
    /// partition. A job therefore computes the bag twice, and the bag must be finite; see
    /// [`zip_with_index`](Bag::zip_with_index). If you need fewer partitions, and they need not be of the same size, use
    /// [`coalesce`](Bag::coalesce). If the order does not matter, use [`repartition`](Bag::repartition). Both compute the
    /// bag once.
    ///
    /// # Errors
    ///
    /// An action fails with [`NotRepeatable`](crate::ErrorKind::NotRepeatable) if a partition has another number of records
    /// the second time, and with [`StreamReadTwice`](crate::ErrorKind::StreamReadTwice) if the bag reads a pipe.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_iter(0..6).split_partitions(3);
    /// assert_eq!(numbers.map_partitions(|numbers, emit| emit(numbers.collect())).collect()?, [[0, 1], [2, 3], [4, 5]]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn split_partitions(self, partitions: usize) -> Bag<T> {
        assert_partitions(partitions);
        self.split_at(Site::new("split_partitions"), partitions)
    }

    fn split_at(self, site: Site, partitions: usize) -> Bag<T> {
        let (counts, dependency) = self.summaries(site, Arc::new(WithIndex));
        let choose = Evenly {
            partitions,
            counts,
            site,
        };
        let (shuffle, dependency) = self.shuffle_beside(site, choose, vec![dependency]);
        // Neighbouring ranges are neighbouring partitions.
        let node = Node::shuffled(site, partitions, dependency, RecordOrder::Kept);
        let pipeline = Repartitioned {
            shuffle,
            partitions,
            site,
            records: PhantomData,
        };
        Bag::new(pipeline, node, self.context).boxed()
    }

    /// Assigns each record to a partition by `choose`, which reads the output of `shuffles`.
    fn shuffle_beside<C: Choose<T>>(
        &self,
        site: Site,
        choose: C,
        shuffles: Vec<Parent>,
    ) -> (ShuffleId, Parent) {
        let mut counted = self.clone();
        counted.node = Node::beside(site, self.partitions(), &self.node, shuffles);
        counted.shuffle(site, Dividing(choose), None)
    }

    /// Pairs each record with the record of `other` at the same position. Keeps the partitions and the order of this
    /// bag; if their number is unknown or 0, the result has
    /// [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default). Wide: shuffles
    /// `other`.
    ///
    /// Two separate stages first count the records of each partition of both bags. A job therefore computes both bags
    /// twice, and they must be finite; see [`zip_with_index`](Bag::zip_with_index). Unlike [`Iterator::zip`], this
    /// method does not drop the rest of the longer bag. To do so, call [`limit`](Bag::limit) on it.
    ///
    /// Jobs run in the [context](Bag::context) of this bag, whatever the context of the other.
    ///
    /// # Errors
    ///
    /// An action fails with [`LengthMismatch`](crate::ErrorKind::LengthMismatch) if the bags have different numbers of
    /// records, and with the errors of [`zip_with_index`](Bag::zip_with_index) if a bag cannot be computed twice.
    ///
    /// # Examples
    ///
    /// ```
    /// let names = holdall::from_vec(vec!["ada", "grace"]);
    /// let years = holdall::from_iter([1815, 1906]);
    /// assert_eq!(names.zip(years).collect()?, [("ada", 1815), ("grace", 1906)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn zip<U, Q>(self, other: Bag<U, Q>) -> Bag<(T::Owned, U::Owned)>
    where
        U: Storable + ?Sized,
        Q: Pipeline<Out = U>,
    {
        let site = Site::new("zip");
        match self.partitions() {
            Some(partitions @ 1..) => self.zip_at(site, partitions, &other),
            // Without a partition, no task would compare the lengths.
            Some(0) | None => {
                let partitions = self.partitions_after_shuffle();
                self.split_at(site, partitions)
                    .zip_at(site, partitions, &other)
            }
        }
    }

    /// `partitions` is the number of partitions of this bag.
    fn zip_at<U, Q>(
        self,
        site: Site,
        partitions: usize,
        other: &Bag<U, Q>,
    ) -> Bag<(T::Owned, U::Owned)>
    where
        U: Storable + ?Sized,
        Q: Pipeline<Out = U>,
    {
        let (left, left_dependency) = self.summaries(site, Arc::new(WithIndex));
        let (right, right_dependency) = other.summaries(site, Arc::new(WithIndex));
        let counts = vec![left_dependency, right_dependency];
        let both = Both { left, right, site };
        let opposite = Opposite { both, partitions };
        let (right, dependency) = other.shuffle_beside(site, opposite, counts.clone());
        let shuffles = [counts, vec![dependency]].concat();
        let node = Node::beside(site, Some(partitions), &self.node, shuffles);
        let pipeline = Zipped::<_, U> {
            parent: self.pipeline,
            right,
            both,
            partitions,
            records: PhantomData,
        };
        Bag::new(pipeline, node, self.context).boxed()
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
    /// Panics if `partitions` is 0 or more than 2^24.
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
        assert_partitions(partitions);
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
