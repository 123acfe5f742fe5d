//! The values of one key as a stream.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::vec;

use crate::pipeline::Data;
use crate::shuffle::{GroupCursor, TakenValues};
use crate::storage::codec;
use crate::task::{STOP_CHECK_RECORDS, Site, Task};

/// An iterator over the values of one key, in the order of their bag. It can be read once.
///
/// Closures receive it from [`group_by_key`](crate::Bag::group_by_key) and [`cogroup`](crate::Bag::cogroup). Values are
/// read one at a time, from disk if they did not fit into memory, so a key may have any number of values. Values that
/// the closure does not read are skipped. If a value cannot be read, the iterator ends and the job fails.
///
/// # Examples
///
/// ```
/// use holdall::Values;
///
/// fn mean(values: Values<'_, f64>) -> f64 {
///     let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
///     sum / count
/// }
///
/// let readings = holdall::from_vec(vec![(1, 2.0), (1, 4.0)]);
/// assert_eq!(readings.group_by_key().map_values(mean).collect()?, [(1, 3.0)]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Values<'a, V>(ValueInput<'a, V>);

enum ValueInput<'a, V> {
    StoredValues(StoredValues<'a, V>),
    Kept(vec::IntoIter<V>),
}

struct StoredValues<'a, V> {
    cursor: &'a mut GroupCursor,
    task: &'a Task<'a>,
    site: Site,
    is_at_end: bool,
    values: PhantomData<fn() -> V>,
}

impl<'a, V> Values<'a, V> {
    /// Reads the values of the current group of `cursor`.
    pub(crate) fn of_group(cursor: &'a mut GroupCursor, task: &'a Task<'a>, site: Site) -> Self {
        Self(ValueInput::StoredValues(StoredValues {
            cursor,
            task,
            site,
            is_at_end: false,
            values: PhantomData,
        }))
    }

    /// Returns no values.
    pub(crate) fn none() -> Self {
        Self::kept(Vec::new())
    }

    /// Returns values in memory.
    pub(crate) fn kept(values: Vec<V>) -> Self {
        Self(ValueInput::Kept(values.into_iter()))
    }
}

impl<V: Data> Iterator for Values<'_, V> {
    type Item = V;

    #[inline]
    fn next(&mut self) -> Option<V> {
        match &mut self.0 {
            ValueInput::StoredValues(stored) => stored.next(),
            ValueInput::Kept(values) => values.next(),
        }
    }

    /// Without the checks of [`next`](Self::next) for each value if they are in memory. `sum` and the like call this.
    #[inline]
    fn fold<B, F: FnMut(B, V) -> B>(self, init: B, add: F) -> B {
        match self.0 {
            ValueInput::StoredValues(stored) => stored.fold(init, add),
            ValueInput::Kept(values) => values.fold(init, add),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            ValueInput::StoredValues(_) => (0, None),
            ValueInput::Kept(values) => values.size_hint(),
        }
    }
}

impl<V: Data> std::iter::FusedIterator for Values<'_, V> {}

impl<V: Data> StoredValues<'_, V> {
    #[inline]
    fn next(&mut self) -> Option<V> {
        if self.is_at_end {
            return None;
        }
        let value = match self.cursor.advance() {
            Ok(true) => {
                // The code that decodes a value may be user code.
                let value = self
                    .task
                    .call(&self.site, || codec::decode(self.cursor.value()));
                value.map(Some)
            }
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        let value = value.unwrap_or_else(|error| {
            let _ = self.task.fail_at(self.site, error);
            None
        });
        self.is_at_end = value.is_none();
        value
    }

    #[inline]
    fn fold<B>(mut self, mut folded: B, mut add: impl FnMut(B, V) -> B) -> B {
        while !self.is_at_end {
            let (task, site) = (self.task, self.site);
            let values = match self.cursor.take_in_memory(STOP_CHECK_RECORDS) {
                Ok(Some(values)) => values,
                Ok(None) => break,
                Err(error) => {
                    let _ = task.fail_at(site, error);
                    return folded;
                }
            };
            let flow = match values {
                TakenValues::Slots(values) => fold_bytes(values, task, site, folded, &mut add),
                TakenValues::Streak(values) => fold_bytes(values, task, site, folded, &mut add),
            };
            match flow {
                ControlFlow::Continue(more) => folded = more,
                ControlFlow::Break(folded) => return folded,
            }
        }
        while let Some(value) = self.next() {
            folded = add(folded, value);
        }
        folded
    }
}

/// Folds encoded values. Breaks if the task has failed.
#[inline(always)]
fn fold_bytes<'b, V: Data, B>(
    values: impl Iterator<Item = &'b [u8]>,
    task: &Task<'_>,
    site: Site,
    mut folded: B,
    add: &mut impl FnMut(B, V) -> B,
) -> ControlFlow<B, B> {
    for bytes in values {
        match task.call(&site, || codec::decode(bytes)) {
            Ok(value) => folded = add(folded, value),
            Err(error) => {
                let _ = task.fail_at(site, error);
                return ControlFlow::Break(folded);
            }
        }
    }
    ControlFlow::Continue(folded)
}

impl<V> std::fmt::Debug for Values<'_, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Values")
    }
}
