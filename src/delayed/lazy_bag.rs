//! Actions of bags as delayed values, and delayed values as states of bags.

use std::fmt;
use std::sync::Arc;

use super::bag_result::{AnyBag, BagResult};
use super::node::{Delayed, DelayedWork};
use super::parts;
use super::pending::Pending;
use super::source::FromParts;
use crate::bag::{Bag, BagWith};
use crate::context::Context;
use crate::error::Site;
use crate::lineage::Node;
use crate::operators::results::ResultOf;
use crate::pipeline::{ClosureState, Data, Pipeline, Record};
use crate::portable::Portable;
use crate::summary::{
    self, CountSummary, Descending, DistinctSummary, ExtremeSummary, FirstSummary, LastSummary,
    MeanSummary, Natural, RankedSummary, StatsSummary, SumSummary, Summary, VecSummary,
};

/// The actions of a bag as [delayed values](Delayed). Created by [`Bag::delayed`].
#[derive(Clone)]
pub struct DelayedBag<T: Record + ?Sized, P> {
    bag: Bag<T, P>,
}

impl<T: Record + ?Sized, P> fmt::Debug for DelayedBag<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedBag")
            .field("bag", &self.bag)
            .finish()
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the actions of this bag as [delayed values](Delayed), which run no job yet.
    ///
    /// Results of the same bag, or of its clones, that are [computed](crate::compute) together are computed in one pass.
    /// Bags that were created by separate calls are separate bags, even if the closures are equal.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(1..11);
    /// let (lazy, same) = (numbers.delayed(), numbers.clone().delayed());
    /// let (count, max, squares) = holdall::compute((lazy.count(), same.max(), lazy.mean()))?;
    /// assert_eq!((count, max, squares), (10, Some(10), Some(5.5)));
    /// assert_eq!(numbers.context().last_job().unwrap().stages.len(), 1);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn delayed(&self) -> DelayedBag<T, P> {
        DelayedBag { bag: self.clone() }
    }

    /// Attaches a [delayed value](Delayed) as a state: the closures of the next method receive a reference to it, as
    /// after [`with`](Self::with).
    ///
    /// The value is computed before the stages of the first job that reads the bag, in the context of that job, together
    /// with all other values that the job needs. It belongs to the bag afterwards. It may itself be a result of another
    /// bag, or of this one.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(1..5);
    /// let greatest = numbers.delayed().max();
    /// let scaled = numbers.with_delayed(&greatest).map(|max, n| n as f64 / max.unwrap_or(1) as f64);
    /// assert_eq!(scaled.collect()?, [0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn with_delayed<S: Data + Sync>(self, state: &Delayed<S>) -> BagWith<T, P, S> {
        let pending = Pending::new(state.clone());
        let needed = Arc::clone(&pending);
        let state = ClosureState::later(move || pending.get());
        BagWith::of_state(self.needing(Site::new("with_delayed"), needed), state)
    }

    /// Returns each partition as a [delayed value](Delayed), or `None` if the number of partitions is not known before
    /// they are read. Partitions that are [computed](crate::compute) together are computed in one job. Other partitions
    /// are not read.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range_partitioned(0..6, 3);
    /// let parts = numbers.to_delayed().unwrap();
    /// let sums: Vec<_> = parts.iter().map(|part| part.map(|numbers: &Vec<u64>| numbers.iter().sum::<u64>())).collect();
    /// assert_eq!(holdall::compute(sums)?, [1, 5, 9]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn to_delayed<V>(&self) -> Option<Vec<Delayed<V>>>
    where
        VecSummary: Summary<T, Output = V>,
        V: Data + Sync,
    {
        let (bag, site): (Arc<dyn AnyBag>, _) = (Arc::new(self.clone()), Site::new("to_delayed"));
        let part = |partition| delayed_result(&bag, Some(partition), site, summary::to_vec());
        Some((0..self.partitions()?).map(part).collect())
    }
}

/// Returns a bag of records that delayed values compute: each value is a partition, in their order.
///
/// The task of a partition makes the calls that its value needs, one after the other, each time the bag is read. So its
/// records are in memory only while the task runs. [`persist`](Bag::persist) keeps them.
///
/// Results of bags, and values that several partitions need, are computed once, before the first job that reads the bag.
/// They are held in memory as long as the bag, and each worker process receives them.
///
/// # Examples
///
/// ```
/// use holdall::{delayed, from_delayed, value};
///
/// let load = delayed(|n: &u64| (0..*n).collect::<Vec<_>>());
/// let bag = from_delayed((1..4).map(|n| load(value(n))));
/// assert_eq!(bag.partitions(), Some(3));
/// assert_eq!(bag.collect()?, [0, 0, 1, 0, 1, 2]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_delayed<T: Data + Sync + Clone>(
    parts: impl IntoIterator<Item = Delayed<Vec<T>>>,
) -> Bag<T> {
    Context::default().from_delayed(parts)
}

impl Context {
    /// Like [`from_delayed`](crate::from_delayed()), in this context.
    #[track_caller]
    pub fn from_delayed<T: Data + Sync + Clone>(
        &self,
        parts: impl IntoIterator<Item = Delayed<Vec<T>>>,
    ) -> Bag<T> {
        let site = Site::new("from_delayed");
        let nodes: Vec<_> = parts.into_iter().map(|part| part.node).collect();
        let count = nodes.len();
        let pending = Pending::of_nodes(parts::common(&nodes));
        let node = Node::pending_source(site, count, Arc::clone(&pending) as _);
        let parts = FromParts::new(site, count, move || parts::tasks(&nodes, &pending));
        Bag::of_source(parts, node, self.clone()).boxed()
    }
}

fn delayed_result<T, S>(
    bag: &Arc<dyn AnyBag>,
    partition: Option<usize>,
    site: Site,
    summary: S,
) -> Delayed<S::Output>
where
    T: Record + ?Sized,
    S: Summary<T, Output: Data + Sync> + Portable,
{
    let summary = Arc::new(ResultOf { site, summary });
    let result = BagResult::new::<T>(Arc::clone(bag), partition, summary);
    Delayed::new(DelayedWork::Bag(result), site)
}

/// The result of a summary.
type SummaryOutput<S, T> = <S as Summary<T>>::Output;

macro_rules! results {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty)?) -> $summary:ty;)*) => {
        $(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self $(, $argument: $type)?) -> Delayed<SummaryOutput<$summary, T>>
            where
                $summary: Summary<T, Output: Data + Sync> + Portable,
            {
                self.result_at(Site::new(stringify!($name)), summary::$name($($argument)?))
            }
        )*
    };
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> DelayedBag<T, P> {
    /// The result of a [summary](crate::summary), or of a tuple of up to twelve.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::summary::{count, filter, histogram};
    ///
    /// let even = holdall::range(0..10).delayed().summarize(filter(|n: &u64| n % 2 == 0, count()));
    /// assert_eq!(even.compute()?, 5);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn summarize<S>(&self, summary: S) -> Delayed<S::Output>
    where
        S: Summary<T, Output: Data + Sync> + Portable,
    {
        self.result_at(Site::new("summarize"), summary)
    }

    fn result_at<S>(&self, site: Site, summary: S) -> Delayed<S::Output>
    where
        S: Summary<T, Output: Data + Sync> + Portable,
    {
        let bag: Arc<dyn AnyBag> = Arc::new(self.bag.clone());
        delayed_result(&bag, None, site, summary)
    }

    /// All records, as [`Bag::collect`] returns them.
    #[track_caller]
    pub fn collect(&self) -> Delayed<SummaryOutput<VecSummary, T>>
    where
        VecSummary: Summary<T, Output: Data + Sync>,
    {
        self.result_at(Site::new("collect"), summary::to_vec())
    }

    results! {
        /// The number of records.
        count() -> CountSummary;
        /// The sum of numbers.
        sum() -> SumSummary;
        /// The mean of numbers, or `None` if there are none.
        mean() -> MeanSummary;
        /// Several [statistics](crate::Stats) of numbers.
        stats() -> StatsSummary;
        /// The smallest record, or `None` if there are none.
        min() -> ExtremeSummary<Natural, false>;
        /// The greatest record, or `None` if there are none.
        max() -> ExtremeSummary<Natural, true>;
        /// The first record, or `None` if there are none. Reads the whole bag, as other results may need it.
        first() -> FirstSummary;
        /// The last record, or `None` if there are none.
        last() -> LastSummary;
        /// The number of distinct records.
        count_distinct() -> DistinctSummary;
        /// The `n` greatest records, the greatest first.
        top(n: usize) -> RankedSummary<Descending<Natural>>;
        /// The `n` smallest records, the smallest first.
        bottom(n: usize) -> RankedSummary<Natural>;
    }
}
