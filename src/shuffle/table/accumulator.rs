//! A combined value in the place where it is stored.

/// The combined value of a key: in the slot of a table, or in an `Option` that is `Some`.
pub(crate) trait Accumulator<V> {
    /// Returns the value, to be changed in place.
    fn get_mut(&mut self) -> &mut V;

    /// Replaces the value by the result of `update`. If `update` panics, the value is gone.
    fn replace(&mut self, update: impl FnOnce(V) -> V);
}

impl<V> Accumulator<V> for Option<V> {
    #[inline(always)]
    fn get_mut(&mut self) -> &mut V {
        match self {
            Some(value) => value,
            None => unreachable!("a held value exists"),
        }
    }

    #[inline(always)]
    fn replace(&mut self, update: impl FnOnce(V) -> V) {
        *self = self.take().map(update);
    }
}

/// A value that stays in its place, for a `Combine` that does not replace values.
pub(crate) struct InPlace<'v, V>(pub(crate) &'v mut V);

impl<V> Accumulator<V> for InPlace<'_, V> {
    #[inline(always)]
    fn get_mut(&mut self) -> &mut V {
        self.0
    }

    fn replace(&mut self, _: impl FnOnce(V) -> V) {
        unreachable!("the value is changed in place");
    }
}
