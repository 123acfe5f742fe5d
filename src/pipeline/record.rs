//! What may flow through a pipeline.

use std::ops::ControlFlow;

use crate::task::Flow;

/// What a [`Bag`](crate::Bag) may hold: any sized type that borrows nothing, and `str` and `[u8]`.
///
/// `str` and `[u8]` are handed to closures as slices of the buffer they were read into, so that text is not copied.
///
/// | `T` | `Ref`: to `map`, `flat_map`, `for_each` | `Peek`: to `filter`, `inspect` | `Owned`: from `collect` |
/// | --- | --- | --- | --- |
/// | sized | `T` | `&T` | `T` |
/// | `str` | `&str` | `&str` | `String` |
/// | `[u8]` | `&[u8]` | `&[u8]` | `Vec<u8>` |
///
/// Two more stand for streams of values: [`Group`](crate::Group) and [`CoGroup`](crate::CoGroup).
///
/// Only this library implements it.
///
/// # Examples
///
/// A function for bags of whatever records:
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
pub trait Record: 'static {
    /// A record as it is handed on: by value, or as a slice.
    type Ref<'a>;
    /// A record as it is looked at.
    type Peek<'a>: Copy;
    /// A record as it is kept.
    type Owned: 'static;

    /// Whether a record is read while a closure goes through it, so that the closure sees a part of it if a file is found
    /// damaged.
    #[doc(hidden)]
    const IS_STREAM: bool = false;

    /// Looks at a record without taking it.
    #[doc(hidden)]
    fn peek<'s>(record: &'s Self::Ref<'_>) -> Self::Peek<'s>;

    /// Looks at a record that is kept.
    #[doc(hidden)]
    fn peek_owned(owned: &Self::Owned) -> Self::Peek<'_>;

    /// Makes a record one's own, copying it if it is a slice.
    #[doc(hidden)]
    fn into_owned(record: Self::Ref<'_>) -> Self::Owned;

    /// Hands a kept record on.
    #[doc(hidden)]
    fn lend<R>(owned: Self::Owned, f: impl FnOnce(Self::Ref<'_>) -> R) -> R;

    /// Takes a record through a type-erased boundary: into `batch`, if it can be kept for nothing, which the
    /// caller hands over once it is full; or else by calling `each` at once.
    #[doc(hidden)]
    fn cross(
        record: Self::Ref<'_>,
        batch: &mut Vec<Self::Owned>,
        each: &mut dyn for<'a> FnMut(Self::Ref<'a>) -> Flow,
    ) -> Flow;
}

impl<T: 'static> Record for T {
    type Ref<'a> = T;
    type Peek<'a> = &'a T;
    type Owned = T;

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
