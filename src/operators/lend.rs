//! Owned records as borrowed ones, such as `String` as `str`. Narrow.

use std::marker::PhantomData;

use super::Step;
use crate::pipeline::{Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Task};

pub(crate) struct Lend<T: ?Sized>(PhantomData<fn(&T)>);

portable! { [T: ?Sized] Lend<T> { 0: part } }

impl<T: ?Sized> Lend<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Record + ?Sized> Step<T::Owned> for Lend<T> {
    type Out = T;

    const IS_ONE_TO_ONE: bool = true;

    #[inline]
    fn push<S>(&self, record: T::Owned, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        T::lend(record, sink)
    }
}
