//! Transformations whose closures emit any number of records for each record.

use super::Bag;
use crate::error::BoxError;
use crate::operators::flat_map_emit::FlatMapEmit;
use crate::operators::try_step::Outcome;
use crate::pipeline::{Call, Pipeline, Plain, Record};
use crate::task::Site;

/// Transformations whose closures emit records. Narrow: they keep partitions and order.
///
/// A closure receives a record and a function `emit`, which it calls for each record of the result. It runs to its end
/// even if the job needs no more records; records that it then emits are dropped.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    pub(super) fn flat_map_emit_at<U, R, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, R, C>>
    where
        U: Record + ?Sized,
        R: Outcome,
        C: for<'a, 'e> Call<(T::Ref<'a>, &'e mut (dyn for<'u> FnMut(U::Ref<'u>) + 'e)), Out = R>,
    {
        self.step(site, FlatMapEmit::new(op, site))
    }

    /// Applies `op` to each record and returns a bag of the records that `op` emits through its second argument. Narrow:
    /// keeps partitions and order.
    ///
    /// Like [`flat_map`](Bag::flat_map), but `op` need not build a collection or an iterator, and so can emit values that
    /// it computes from a borrowed record. `op` runs to its end even if the job needs no more records; records that it
    /// then emits are dropped. For slices of text, use [`flat_map_str`](Bag::flat_map_str) or
    /// [`flat_map_bytes`](Bag::flat_map_bytes).
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["3 4", "", "5"]);
    /// let numbers = lines.flat_map_emit(|line, emit| {
    ///     line.split_whitespace().filter_map(|text| text.parse::<u32>().ok()).for_each(emit);
    /// });
    /// assert_eq!(numbers.collect()?, [3, 4, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_emit<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(U) + 'e)) + Send + Sync + 'static,
    {
        self.flat_map_emit_at::<U, _, _>(Site::new("flat_map_emit"), Plain(op))
    }

    /// Applies `op` to each record and returns a bag of the texts that `op` emits through its second argument. Narrow:
    /// keeps partitions and order.
    ///
    /// The texts may be slices of the record: the next operator uses them immediately, and nothing is copied. `op` runs
    /// to its end even if the job needs no more records; texts that it then emits are dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let names = holdall::from_vec(vec!["ada:1815", "grace:1906"])
    ///     .flat_map_str(|line, emit| line.split(':').take(1).for_each(emit));
    /// assert_eq!(names.collect()?, ["ada", "grace"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_str<F>(self, op: F) -> Bag<str, impl Pipeline<Out = str>>
    where
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(&str) + 'e)) + Send + Sync + 'static,
    {
        self.flat_map_emit_at::<str, _, _>(Site::new("flat_map_str"), Plain(op))
    }

    /// Applies `op` to each record and returns a bag of the byte strings that `op` emits through its second argument.
    /// Narrow: keeps partitions and order.
    ///
    /// Like [`flat_map_str`](Bag::flat_map_str), for bytes that need not be UTF-8. They may be slices of the record.
    ///
    /// # Examples
    ///
    /// ```
    /// let records = holdall::from_vec(vec![b"a\0b".to_vec(), b"c".to_vec()]);
    /// let parts = records.flat_map_bytes(|record, emit| record.split(|byte| *byte == 0).for_each(emit));
    /// assert_eq!(parts.collect()?, [b"a", b"b", b"c"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_bytes<F>(self, op: F) -> Bag<[u8], impl Pipeline<Out = [u8]>>
    where
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(&[u8]) + 'e)) + Send + Sync + 'static,
    {
        self.flat_map_emit_at::<[u8], _, _>(Site::new("flat_map_bytes"), Plain(op))
    }

    /// Like [`flat_map_emit`](Bag::flat_map_emit), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["3 4", "5"]).try_flat_map_emit(|line, emit| {
    ///     for text in line.split(' ') {
    ///         emit(text.parse::<u32>()?);
    ///     }
    ///     Ok::<_, std::num::ParseIntError>(())
    /// });
    /// assert_eq!(numbers.collect()?, [3, 4, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_flat_map_emit<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(U) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        self.flat_map_emit_at::<U, _, _>(Site::new("try_flat_map_emit"), Plain(op))
    }

    /// Like [`flat_map_str`](Bag::flat_map_str), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let values = holdall::from_vec(vec!["a=1", "b"]).try_flat_map_str(|line, emit| {
    ///     emit(line.split_once('=').ok_or("no value")?.1);
    ///     Ok::<_, &str>(())
    /// });
    /// assert_eq!(values.first()?.as_deref(), Some("1"));
    /// assert!(values.collect().unwrap_err().to_string().contains("no value"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_flat_map_str<E, F>(self, op: F) -> Bag<str, impl Pipeline<Out = str>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(&str) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        self.flat_map_emit_at::<str, _, _>(Site::new("try_flat_map_str"), Plain(op))
    }

    /// Like [`flat_map_bytes`](Bag::flat_map_bytes), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let bodies = holdall::from_vec(vec![b"\x02ab".to_vec()]).try_flat_map_bytes(|record, emit| {
    ///     let (length, body) = record.split_first().ok_or("an empty record")?;
    ///     emit(body.get(..usize::from(*length)).ok_or("a short record")?);
    ///     Ok::<_, &str>(())
    /// });
    /// assert_eq!(bodies.collect()?, [b"ab"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_flat_map_bytes<E, F>(self, op: F) -> Bag<[u8], impl Pipeline<Out = [u8]>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(&[u8]) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        self.flat_map_emit_at::<[u8], _, _>(Site::new("try_flat_map_bytes"), Plain(op))
    }
}
