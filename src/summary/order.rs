//! The orders by which summaries compare records.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::records::OrderedRecord;
use crate::pipeline::{Peek, Record};
use crate::portable::{Portable, portable};

/// An order of records of type `T`.
///
/// Only this library implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not order records of type `{T}`",
    note = "a comparison takes two records as `filter` would pass them: `|a: &T, b: &T|`, or for text `|a: &str, b: &str|`"
)]
pub trait Order<T: Record + ?Sized>: Portable + Send + Sync + 'static {
    /// Compares two records.
    #[doc(hidden)]
    fn compare(&self, a: Peek<'_, T>, b: Peek<'_, T>) -> Ordering;
}

/// The order of `Ord`.
#[derive(Clone, Copy, Debug)]
pub struct Natural(pub(super) PhantomData<()>);

portable! { [] Natural { 0: part } }

impl<T: OrderedRecord + ?Sized> Order<T> for Natural {
    #[inline]
    fn compare(&self, a: Peek<'_, T>, b: Peek<'_, T>) -> Ordering {
        T::compare(a, b)
    }
}

/// The order of a comparison.
#[derive(Clone, Copy)]
pub struct CompareBy<F>(pub(super) F);

portable! { [F] CompareBy<F> { 0: code } }

impl<T, F> Order<T> for CompareBy<F>
where
    T: Record + ?Sized,
    F: for<'a, 'b> Fn(T::Peek<'a>, T::Peek<'b>) -> Ordering + Send + Sync + 'static,
{
    #[inline]
    fn compare(&self, a: Peek<'_, T>, b: Peek<'_, T>) -> Ordering {
        (self.0)(a, b)
    }
}

/// The order of the keys that a closure returns.
#[derive(Clone, Copy)]
pub struct CompareByKey<F>(pub(super) F);

portable! { [F] CompareByKey<F> { 0: code } }

impl<T, K, F> Order<T> for CompareByKey<F>
where
    T: Record + ?Sized,
    K: Ord,
    F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
{
    #[inline]
    fn compare(&self, a: Peek<'_, T>, b: Peek<'_, T>) -> Ordering {
        (self.0)(a).cmp(&(self.0)(b))
    }
}

/// The reverse of an order.
#[derive(Clone, Copy, Debug)]
pub struct Descending<O>(pub(super) O);

portable! { [O: Portable] Descending<O> { 0: part } }

impl<T: Record + ?Sized, O: Order<T>> Order<T> for Descending<O> {
    #[inline]
    fn compare(&self, a: Peek<'_, T>, b: Peek<'_, T>) -> Ordering {
        self.0.compare(b, a)
    }
}

impl<F> std::fmt::Debug for CompareBy<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CompareBy")
    }
}

impl<F> std::fmt::Debug for CompareByKey<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CompareByKey")
    }
}
