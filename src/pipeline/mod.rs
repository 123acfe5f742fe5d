//! A narrow chain of operators as one generic type, which the compiler fuses into one loop.
//!
//! Records are pushed: a source calls its sink for each record, and an operator is a sink that calls the next one.

mod action;
mod boxed;
mod call;
mod key;
mod link;
pub(crate) mod owned_bytes;
mod record;
mod stack;
mod storable;
pub(crate) mod text_bytes;
mod union;

pub(crate) use action::Action;
pub use boxed::Boxed;
pub(crate) use call::{Call, Given, Initial, Plain, Reversed, Stated, comparison};
pub use key::{Data, Key};
pub(crate) use link::{Link, Linked};
pub use record::Record;
pub use storable::Storable;
pub(crate) use union::{FlatUnion, partitions_of};

use std::sync::Arc;

use crate::error::Result;
use crate::portable::Portable;
use crate::task::{Flow, Partition, PartitionStream, Task};
use crate::text::{Needle, TextKind};

/// How a record of type `T` is handed on.
pub(crate) type Ref<'a, T> = <T as Record>::Ref<'a>;
/// How a record of type `T` is looked at.
pub(crate) type Peek<'a, T> = <T as Record>::Peek<'a>;
/// What a record of type `T` is when it is kept.
pub(crate) type Owned<T> = <T as Record>::Owned;

/// A source and the narrow operators on it: what the second parameter of [`Bag`](crate::Bag) is.
///
/// Only this library implements it. It appears in signatures that take any bag, whatever the chain behind it:
///
/// ```
/// use holdall::{Bag, Pipeline};
///
/// fn evens<P: Pipeline<Out = u64>>(numbers: Bag<u64, P>) -> holdall::Result<u64> {
///     numbers.filter(|n| n % 2 == 0).count()
/// }
/// assert_eq!(evens(holdall::range(0..10))?, 5);
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Pipeline: Portable + Send + Sync + 'static {
    /// The records that come out of it.
    type Out: Record + ?Sized;

    /// How many partitions there are, where that is known before they are read.
    #[doc(hidden)]
    fn partitions(&self) -> Option<usize>;

    /// The partitions, where [`partitions`](Self::partitions) does not know their number.
    #[doc(hidden)]
    fn stream(&self) -> PartitionStream<'_> {
        unreachable!("the number of partitions is known")
    }

    /// Forgets the types of the operators.
    #[doc(hidden)]
    fn erase(self: Arc<Self>) -> Boxed<Self::Out> {
        Boxed::new(self)
    }

    /// Pushes the records of one partition into `sink`, until it breaks off.
    #[doc(hidden)]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;

    /// The number of records of one partition, for those who do not look at them.
    #[doc(hidden)]
    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        let mut count = 0;
        let _ = self.run(partition, task, &mut |_| {
            count += 1;
            Flow::Continue(())
        })?;
        Ok(count)
    }

    /// Pushes the records of one partition that `needle` is in.
    ///
    /// For sources that can search many records at once.
    #[doc(hidden)]
    fn run_containing<S>(
        &self,
        needle: &Needle,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Result<Flow>
    where
        Self::Out: AsRef<[u8]> + for<'a> Record<Peek<'a> = &'a Self::Out>,
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        self.run(partition, task, &mut |record| {
            let is_in = needle.is_in(Self::Out::peek(&record).as_ref());
            if is_in {
                sink(record)
            } else {
                Flow::Continue(())
            }
        })
    }

    /// Pushes the text of one partition into `sink` in the largest pieces at hand that end where a record ends.
    ///
    /// Each is a record, or lines, as `sink` is told: then a record ends with `"\n"`, or `"\r\n"`, or the piece. For those
    /// who look for something smaller than a record.
    #[doc(hidden)]
    fn run_text<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        Self: Pipeline<Out = str>,
        S: FnMut(&str, TextKind) -> Flow,
    {
        self.run(partition, task, &mut |record| {
            sink(record, TextKind::Record)
        })
    }
}
