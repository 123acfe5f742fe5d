//! The public methods: transformations, which build the lineage, and actions, which run it.

mod actions;
mod archives;
mod background;
mod bad_records;
mod by_key;
mod cogroups;
mod collections;
#[cfg(feature = "csv")]
mod csv;
mod emitting;
mod explain;
mod extremes;
mod fallible;
mod fallible_actions;
mod fallible_by_key;
mod fixed_length;
mod formats;
mod iter;
mod joins;
#[cfg(feature = "json")]
mod json;
mod keyed;
mod located;
#[cfg(feature = "regex")]
mod matching;
mod narrow;
mod neighbours;
mod ngrams;
mod ordered;
mod output;
mod pairs;
mod partial;
mod partitioning;
mod per_key;
mod per_key_any_order;
mod per_key_summaries;
mod persist;
#[cfg(unix)]
mod piping;
mod positions;
mod preview;
mod ranges;
mod ranked;
mod resume;
mod sampling;
mod saved;
mod search;
mod sources;
mod splits;
mod statistics;
mod summaries;
#[cfg(test)]
mod tests;
mod text;
mod toolbox;
mod whole_files;
mod with;
mod with_actions;
mod with_emitting;
mod with_fallible;
mod with_positions;
mod with_text;
mod with_wide;

#[cfg(feature = "csv")]
pub use self::csv::{CsvReader, CsvWriter, read_csv};
pub use archives::{ArchiveMember, read_archives};
pub use fixed_length::read_fixed_length;
pub use formats::{FormatSink, RecordFormat};
pub use iter::Iter;
#[cfg(feature = "json")]
pub use json::{JsonWriter, read_json};
pub use ordered::Sortable;
pub use output::{Attempt, PartitionWriter, Sink, TextWriter, WriteLine, Written};
pub use partial::PartialValue;
pub use per_key::PerKey;
pub use per_key_any_order::PerKeyAnyOrder;
pub use preview::{Preview, StageEstimate, StagePreview};
pub use saved::{BagWriter, load};
pub(crate) use sources::union_all_at;
pub use sources::{
    empty, from_fn, from_iter, from_source, from_vec, from_vec_partitioned, range,
    range_partitioned, read_text, union_all,
};
pub use text::TextReader;
pub use whole_files::read_files;
pub use with::BagWith;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::config::assert_partitions;
use crate::context::Context;
use crate::id::ShuffleId;
use crate::lineage::{Handle, Keyed, Node, Parent, PendingValue, RecordOrder, ShuffleDependency};
use crate::operators::map_side::{MapDependency, MapSide, ShuffleKind};
use crate::operators::results::{PartialResult, PartialResults, PartitionSummary};
use crate::pipeline::{Boxed, Link, Pipeline, Record};
use crate::task::Site;

/// A lazy, partitioned collection of records, which may be larger than memory.
///
/// A bag describes work. Methods that return another bag (transformations) run nothing. Methods that return a
/// [`Result`](crate::Result) (actions) run a job, on all cores. Each action computes the bag again, unless you
/// [`persist`](Bag::persist) it.
///
/// `T` is the type of the records: either a sized type without borrowed data, or `str` or `[u8]` for text, which
/// closures receive as slices of the buffer it was read into. `P` is the chain of operators, which the compiler fuses
/// into one loop. [`boxed`](Bag::boxed) erases `P`, so signatures and structs can use `Bag<T>`.
///
/// Cloning a bag is cheap, so several branches can start from the same bag.
///
/// Names that end in `_by_key` have one of two meanings. If a closure computes the key of a record, they mean what they
/// mean on an [`Iterator`]: `max_by_key(f)` is the greatest of all records. All others are for pairs, and return a
/// result for each key: [`sum_by_key`](Bag::sum_by_key), [`reduce_by_key`](Bag::reduce_by_key).
/// [`per_key`](Bag::per_key) has the methods whose names would otherwise have both meanings: `per_key().max()` is the
/// greatest value of each key.
///
/// # Examples
///
/// ```
/// let numbers = holdall::range(1..101);
/// let squares = numbers.clone().map(|n| n * n);
/// assert_eq!(numbers.sum::<u64>()?, 5050);
/// assert_eq!(squares.filter(|n| n % 2 == 0).count()?, 50);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "a bag does nothing until an action runs it"]
pub struct Bag<T: Record + ?Sized, P = Boxed<T>> {
    pipeline: Arc<P>,
    node: Handle,
    context: Context,
    /// Number of partitions after the next shuffle, if it is set for this bag.
    shuffle_partitions: Option<usize>,
    records: PhantomData<fn(&T)>,
}

impl<T: Record + ?Sized, P> Clone for Bag<T, P> {
    fn clone(&self) -> Self {
        Self {
            pipeline: Arc::clone(&self.pipeline),
            node: self.node.clone(),
            context: self.context.clone(),
            shuffle_partitions: self.shuffle_partitions,
            records: PhantomData,
        }
    }
}

impl<T: Record + ?Sized, P> fmt::Debug for Bag<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bag")
            .field("operator", &self.node.site.operator)
            .field("location", &format_args!("{}", self.node.site.location))
            .field("partitions", &self.node.partitions)
            .finish_non_exhaustive()
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    fn new(pipeline: P, node: Handle, context: Context) -> Self {
        Self {
            pipeline: Arc::new(pipeline),
            node,
            context,
            shuffle_partitions: None,
            records: PhantomData,
        }
    }

    /// Appends the operator at `site`; `make` builds its pipeline from that of this bag.
    fn then<U: Record + ?Sized, Q: Pipeline<Out = U>>(
        self,
        site: Site,
        make: impl FnOnce(Arc<P>) -> Q,
    ) -> Bag<U, Q> {
        let node = Node::narrow(site, self.pipeline.partitions(), &[&self.node]);
        Bag {
            shuffle_partitions: self.shuffle_partitions,
            ..Bag::new(make(self.pipeline), node, self.context)
        }
    }

    /// Lets jobs that read this bag compute a value before.
    pub(crate) fn needing(self, site: Site, pending: Arc<dyn PendingValue>) -> Self {
        let node = Node::pending(site, self.pipeline.partitions(), &self.node, pending);
        Self { node, ..self }
    }

    /// Creates a bag whose partitions are known once a value is.
    pub(crate) fn of_source(pipeline: P, node: Handle, context: Context) -> Self {
        Self::new(pipeline, node, context)
    }

    /// Returns what identifies the pipeline of this bag and of its clones.
    pub(crate) fn pipeline_address(&self) -> usize {
        Arc::as_ptr(&self.pipeline).addr()
    }

    /// Returns the values that must be known before a job reads this bag, and are not.
    pub(crate) fn pending_values(&self) -> Vec<Arc<dyn PendingValue>> {
        self.node.pending_values()
    }

    /// Replaces the records of each partition by parts of several results. `bag` is the number of this bag.
    pub(crate) fn partial_results(
        &self,
        site: Site,
        bag: u32,
        summaries: Vec<PartitionSummary<T>>,
    ) -> Bag<PartialResult> {
        let make = |parent| PartialResults {
            parent,
            bag,
            summaries,
        };
        self.clone().then(site, make).boxed()
    }

    /// Adds a shuffle of this bag's records. If `kind` uses the output of another shuffle, `after` is that shuffle.
    fn shuffle<K: ShuffleKind<P>>(
        &self,
        site: Site,
        kind: K,
        after: Option<Arc<dyn ShuffleDependency>>,
    ) -> (ShuffleId, Parent) {
        let id = ShuffleId::next();
        let side = MapSide {
            id,
            parent: Arc::clone(&self.pipeline),
            site,
            kind,
        };
        let dependency = MapDependency {
            side,
            parent_node: Link::new(Arc::clone(&self.node)),
            after: after.map(Link::new),
        };
        (id, Parent::shuffle(Arc::new(dependency)))
    }

    /// Sets the key that determines the partition of a record. The bag must be new: its node must not be shared yet.
    fn keyed(mut self, keyed: Option<Keyed>) -> Self {
        if let Some(node) = self.node.get_mut() {
            node.keyed = keyed;
        }
        self
    }

    /// Sets whether the records ascend in their natural order. The bag must be new: its node must not be shared yet.
    fn ascending(mut self, ascends: bool) -> Self {
        if let Some(node) = self.node.get_mut() {
            node.ascends = ascends;
        }
        self
    }

    /// Sets the order of the records. The bag must be new: its node must not be shared yet.
    fn ordered(mut self, order: RecordOrder) -> Self {
        if let Some(node) = self.node.get_mut() {
            node.order = order;
        }
        self
    }

    /// Returns the number of partitions after a shuffle of this bag.
    fn partitions_after_shuffle(&self) -> usize {
        let of_context = || self.context.shuffle_partitions();
        self.shuffle_partitions.unwrap_or_else(of_context)
    }

    /// Returns the partitioning of a shuffle of this bag by keys of type `K`: that of the records, if they are already
    /// in the partition of their key, and if no other number of partitions is set.
    fn keyed_by<K: ?Sized + 'static>(&self) -> Keyed {
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        match (keyed, self.shuffle_partitions) {
            (Some(keyed), None) => keyed,
            _ => Keyed::by::<K>(self.partitions_after_shuffle()),
        }
    }

    /// Returns the number of partitions, or `None` if it is unknown until the source has been read to its end, as with
    /// [`from_iter`](crate::from_iter).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::empty::<u64>().partitions(), Some(0));
    /// assert_eq!(holdall::from_iter(0..10).partitions(), None);
    /// ```
    #[must_use]
    pub fn partitions(&self) -> Option<usize> {
        self.pipeline.partitions()
    }

    /// Sets the number of partitions after the next shuffle: that of the next sort, join, set operation, or
    /// transformation by key. The methods after that use the number of the context again.
    ///
    /// The number of a context is set by [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions), and is 64 by
    /// default. Without either, a method by key keeps the number of a bag that is already partitioned by that key. In a
    /// join, the number of the first bag counts. Does not affect methods that take a number themselves, such as
    /// [`repartition`](Bag::repartition).
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..100).map(|n| n % 7);
    /// assert_eq!(numbers.clone().distinct().partitions(), Some(64));
    /// assert_eq!(numbers.shuffle_partitions(3).distinct().partitions(), Some(3));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn shuffle_partitions(mut self, partitions: usize) -> Self {
        assert_partitions(partitions);
        self.shuffle_partitions = Some(partitions);
        self
    }

    /// Returns the context that runs the jobs of this bag, for example to create another bag in it.
    ///
    /// A method that takes two bags, such as [`union`](Bag::union) or [`join`](Bag::join), returns a bag in the context
    /// of the first. The jobs of that bag also compute the second bag in that context.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..1000).map(|n| n % 7).distinct();
    /// assert_eq!(numbers.count()?, 7);
    /// let summary = numbers.context().last_job().unwrap();
    /// assert_eq!(summary.stages[0].shuffled_records, 1000);
    ///
    /// let context = holdall::Context::builder().shuffle_partitions(3).build()?;
    /// let both = context.range(0..5).intersection(holdall::range(3..9));
    /// assert_eq!(both.partitions(), Some(3));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Erases the chain of operators, so that the type is `Bag<T>`. Narrow: keeps partitions and order.
    ///
    /// Records are then passed to the next operator through a pointer. Sized records are passed in batches, at a cost
    /// of about one nanosecond each. Text is passed one record at a time, at about two nanoseconds each. Use this
    /// method for struct fields, for branches that return different chains, and in loops that add operators. A loop may
    /// have any number of rounds. Each of them takes 1 to 3 KiB of stack while a task runs, on an additional stack once
    /// that of the thread is used up.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Bag;
    ///
    /// let mut numbers: Bag<u64> = holdall::range(0..10).boxed();
    /// for add in 1..=3 {
    ///     numbers = numbers.with(add).map(|add, n| n + add).boxed();
    /// }
    /// assert_eq!(numbers.first()?, Some(6));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn boxed(self) -> Bag<T> {
        Bag {
            pipeline: Arc::new(self.pipeline.erase()),
            node: self.node,
            context: self.context,
            shuffle_partitions: self.shuffle_partitions,
            records: PhantomData,
        }
    }
}
