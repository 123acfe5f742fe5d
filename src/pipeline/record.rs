//! Types of records that a pipeline can process.

use std::ops::ControlFlow;

use crate::task::Flow;

/// A record of a [`Bag`](crate::Bag): any sized type that borrows nothing, and `str` and `[u8]`.
///
/// Closures receive `str` and `[u8]` as slices of the buffer that they were read into, so that text is not copied.
///
/// | `T` | `Ref`: for `map`, `flat_map`, `for_each` | `Peek`: for `filter`, `inspect` | `Owned`: from `collect` |
/// | --- | --- | --- | --- |
/// | sized | `T` | `&T` | `T` |
/// | `str` | `&str` | `&str` | `String` |
/// | `[u8]` | `&[u8]` | `&[u8]` | `Vec<u8>` |
///
/// Two other record types are streams of values: [`Group`](crate::Group) and [`CoGroup`](crate::CoGroup).
///
/// Only this library implements it.
///
/// # Examples
///
/// A function for bags with any type of records:
///
/// ```
/// use holdall::{Bag, Data, Pipeline, Record};
///
/// fn first_or<T, P>(bag: &Bag<T, P>, other: T::Owned) -> holdall::Result<T::Owned>
/// where
///     T: Record<Owned: Data> + ?Sized,
///     P: Pipeline<Out = T>,
/// {
///     Ok(bag.first()?.unwrap_or(other))
/// }
///
/// assert_eq!(first_or(&holdall::range(5..9), 0)?, 5);
/// let words = holdall::from_vec(vec!["a bag"]).flat_map_str(|line, emit| line.split(' ').for_each(emit));
/// assert_eq!(first_or(&words, String::new())?, "a");
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a bag cannot hold records of type `{Self}`",
    note = "records are sized and borrow nothing, or are `str` or `[u8]`"
)]
pub trait Record: 'static {
    /// A record as it is passed to the next operator: by value, or as a slice.
    type Ref<'a>;
    /// A borrowed record.
    type Peek<'a>: Copy;
    /// An owned record.
    type Owned: 'static;

    /// `true` for records that are read while a closure iterates over them. If their file is found damaged, the closure
    /// has already seen a part of the record.
    #[doc(hidden)]
    const IS_STREAM: bool = false;

    /// Whether records pass through type-erased boundaries in batches that steps process one after another. Such records
    /// own no memory, and are so short that the batches of a few steps fit into the first-level cache.
    #[doc(hidden)]
    const IN_BATCHES: bool = false;

    /// Borrows a record.
    #[doc(hidden)]
    fn peek<'s>(record: &'s Self::Ref<'_>) -> Self::Peek<'s>;

    /// Borrows an owned record.
    #[doc(hidden)]
    fn peek_owned(owned: &Self::Owned) -> Self::Peek<'_>;

    /// Converts a record to an owned one, and copies it if it is a slice.
    #[doc(hidden)]
    fn into_owned(record: Self::Ref<'_>) -> Self::Owned;

    /// Passes an owned record to `f`.
    #[doc(hidden)]
    fn lend<R>(owned: Self::Owned, f: impl FnOnce(Self::Ref<'_>) -> R) -> R;

    /// Passes a record through a type-erased boundary. If the record can be owned at no cost, pushes it to `batch`,
    /// which the caller passes on once it is full. Otherwise, calls `each` immediately.
    #[doc(hidden)]
    fn cross(
        record: Self::Ref<'_>,
        batch: &mut Vec<Self::Owned>,
        each: &mut dyn for<'a> FnMut(Self::Ref<'a>) -> Flow,
    ) -> Flow;
}

/// Maximum size of a record that steps process in batches, in bytes. The batches of larger ones would exceed the
/// first-level cache.
const MAX_BATCHED_BYTES: usize = 16;

/// A record of type `T` as it is passed to the next operator.
pub(crate) type Ref<'a, T> = <T as Record>::Ref<'a>;
/// A borrowed record of type `T`.
pub(crate) type Peek<'a, T> = <T as Record>::Peek<'a>;
/// An owned record of type `T`.
pub(crate) type Owned<T> = <T as Record>::Owned;

impl<T: 'static> Record for T {
    type Ref<'a> = T;
    type Peek<'a> = &'a T;
    type Owned = T;

    const IN_BATCHES: bool = !std::mem::needs_drop::<T>() && size_of::<T>() <= MAX_BATCHED_BYTES;

    #[inline]
    fn peek(record: &T) -> &T {
        record
    }

    #[inline]
    fn peek_owned(owned: &T) -> &T {
        owned
    }

    #[inline]
    fn into_owned(record: T) -> T {
        record
    }

    #[inline]
    fn lend<R>(owned: T, f: impl FnOnce(T) -> R) -> R {
        f(owned)
    }

    #[inline]
    fn cross(record: T, batch: &mut Vec<T>, _: &mut dyn FnMut(T) -> Flow) -> Flow {
        batch.push(record);
        ControlFlow::Continue(())
    }
}

macro_rules! slice {
    ($slice:ty, $owned:ty) => {
        impl Record for $slice {
            type Ref<'a> = &'a $slice;
            type Peek<'a> = &'a $slice;
            type Owned = $owned;

            #[inline]
            fn peek<'s>(record: &'s &$slice) -> &'s $slice {
                record
            }

            #[inline]
            fn peek_owned(owned: &$owned) -> &$slice {
                owned
            }

            #[inline]
            fn into_owned(record: &$slice) -> $owned {
                record.to_owned()
            }

            #[inline]
            fn lend<R>(owned: $owned, f: impl FnOnce(&$slice) -> R) -> R {
                f(&owned)
            }

            #[inline]
            fn cross(
                record: &$slice,
                _: &mut Vec<$owned>,
                each: &mut dyn for<'a> FnMut(&'a $slice) -> Flow,
            ) -> Flow {
                each(record)
            }
        }
    };
}

slice!(str, String);
slice!([u8], Vec<u8>);
