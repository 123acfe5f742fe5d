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

/// A record of type `T` as it is passed to the next operator.
pub(crate) type Ref<'a, T> = <T as Record>::Ref<'a>;
/// A borrowed record of type `T`.
pub(crate) type Peek<'a, T> = <T as Record>::Peek<'a>;
/// An owned record of type `T`.
pub(crate) type Owned<T> = <T as Record>::Owned;

/// A source followed by narrow operators: the second type parameter of [`Bag`](crate::Bag).
///
/// Only this library implements it. Use it in signatures that accept a bag with any chain of operators:
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
    /// Type of the records that the pipeline emits.
    type Out: Record + ?Sized;

    /// Returns the number of partitions, if it is known before they are read.
    #[doc(hidden)]
    fn partitions(&self) -> Option<usize>;

    /// Returns the stream of partitions, if [`partitions`](Self::partitions) returns `None`.
    #[doc(hidden)]
    fn stream(&self) -> PartitionStream<'_> {
        unreachable!("the number of partitions is known")
    }

    /// Erases the types of the operators.
    #[doc(hidden)]
    fn erase(self: Arc<Self>) -> Boxed<Self::Out> {
        Boxed::new(self)
    }

    /// Pushes the records of one partition into `sink`, until it returns `Break`.
    #[doc(hidden)]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;

    /// Returns the number of records of one partition. Sources that can count without reading records override it.
    #[doc(hidden)]
    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        let mut count = 0;
        let _ = self.run(partition, task, &mut |_| {
            count += 1;
            Flow::Continue(())
        })?;
        Ok(count)
    }

    /// Pushes the records of one partition that contain `needle`.
    ///
    /// Sources that can search many records together override it.
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

    /// Pushes the text of one partition into `sink` in the largest available pieces that end at the end of a record.
    ///
    /// The [`TextKind`] tells `sink` whether a piece is one record or consists of lines. Lines end with `"\n"`, with
    /// `"\r\n"`, or at the end of the piece. Operators that search for units smaller than a record use this method.
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
