//! What users call: methods that build lineage, and actions that run it.

mod actions;
mod explain;
mod extremes;
mod iter;
mod joins;
mod keyed;
mod narrow;
mod ordered;
mod output;
mod partitioning;
mod persist;
mod positions;
mod ranked;
mod search;
mod sources;
#[cfg(test)]
mod tests;
mod text;
mod with;
mod with_actions;
mod with_wide;

pub use iter::Iter;
pub use ordered::Sortable;
pub use output::{Line, TextWriter};
pub use sources::{empty, from_fn, from_iter, from_vec, range, read_text, union_all};
pub use text::TextReader;
pub use with::BagWith;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::context::Context;
use crate::id::ShuffleId;
use crate::lineage::{Handle, Keyed, Node, Parent, ShuffleDependency};
use crate::operators::map_side::{MapDependency, MapSide, ShuffleKind};
use crate::pipeline::{Boxed, Link, Pipeline, Record};
use crate::task::Site;

/// A lazy, partitioned collection of records, which may be larger than memory.
///
/// A bag is a description of work. Methods that give another bag (transformations) run nothing; methods that give a
/// [`Result`](crate::Result) (actions) run a job, on all cores. Running an action twice does the work twice, unless the
/// bag is told to [`persist`](Bag::persist).
///
/// `T` is the type of the records: any sized type that borrows nothing, or `str` or `[u8]` for text, which is handed to
/// closures as slices of the buffer it was read into. `P` is the chain of operators behind the bag, which the compiler
/// fuses into one loop; it can be forgotten by [`boxed`](Bag::boxed), so that `Bag<T>` is the type to write in
/// signatures and structs.
///
/// A bag is cheap to clone, so that several can go on from one.
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
    records: PhantomData<fn(&T)>,
}

impl<T: Record + ?Sized, P> Clone for Bag<T, P> {
    fn clone(&self) -> Self {
        Self {
            pipeline: Arc::clone(&self.pipeline),
            node: self.node.clone(),
            context: self.context.clone(),
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
            records: PhantomData,
        }
    }

    /// The bag that `make` gives of this one's pipeline, with the operator at `site` in between.
    fn then<U: Record + ?Sized, Q: Pipeline<Out = U>>(
        self,
        site: Site,
        make: impl FnOnce(Arc<P>) -> Q,
    ) -> Bag<U, Q> {
        let node = Node::narrow(site, self.pipeline.partitions(), &[&self.node]);
        Bag::new(make(self.pipeline), node, self.context)
    }

    /// Shuffles the records, as `kind` says; if it looks at what another shuffle leaves, `after` that.
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

    /// Notes how pairs are divided among the partitions of this bag, which was just made.
    fn keyed(mut self, keyed: Option<Keyed>) -> Self {
        if let Some(node) = self.node.get_mut() {
            node.keyed = keyed;
        }
        self
    }

    /// The number of partitions, or `None` if it is known only once the source has been read to its end, as with
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

    /// Forgets the chain of operators, so that the type is `Bag<T>`.
    ///
    /// Records then cross to the next operator through a pointer: sized ones in batches, at about a nanosecond each,
    /// text one by one at about two. Use it for fields, for branches that give different chains, and in loops that put
    /// operator upon operator. A loop may have any number of rounds; each of them takes 1 to 3 KiB of stack while a task
    /// runs, on an additional stack once the thread's is used up. Partitions and order are kept; narrow.
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
            records: PhantomData,
        }
    }
}
