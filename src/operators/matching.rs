//! Steps with regular expressions: the records, parts and values that match. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Record, Ref, Text, TextSlice};
use crate::portable::{Loader, Portable, Saver, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};
use crate::text::{TextRegex, parse_fields};

/// A regular expression for records of type `T`.
pub(crate) struct Expression<T: Text + ?Sized>(SliceRegex<T>);

type SliceRegex<T> = <<T as Text>::Slice as TextSlice>::Regex;
type GroupsOf<T> = <SliceRegex<T> as TextRegex<<T as Text>::Slice>>::Groups;

impl<T: Text + ?Sized> Expression<T> {
    pub(crate) fn parse(pattern: &str) -> Result<Self> {
        SliceRegex::<T>::parse(pattern)
            .map(Self)
            .map_err(Error::other)
    }
}

impl<T: Text + ?Sized> Portable for Expression<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.data(self.0.pattern())
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let pattern: String = from.data()?;
        Self::parse(&pattern)
    }
}

/// The effect of a regular expression on one record.
pub(crate) trait MatchStep<T: Text + ?Sized>: Portable + Send + Sync + 'static {
    type Out: Record + ?Sized;
    /// Data of one partition, in particular a clone of the expression.
    type Scratch;

    fn scratch(&self) -> Self::Scratch;

    fn push<S>(
        &self,
        scratch: &mut Self::Scratch,
        record: Ref<'_, T>,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;
}

/// A pipeline with one more step, which has memory of its own for each partition.
pub(crate) struct WithScratch<P, O> {
    pub(crate) parent: Arc<P>,
    pub(crate) step: O,
}

portable! {
    [P: Portable, O: Portable] WithScratch<P, O> { parent: part, step: part }
}

impl<P, O> Pipeline for WithScratch<P, O>
where
    P: Pipeline<Out: Text>,
    O: MatchStep<P::Out>,
{
    type Out = O::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, O::Out>) -> Flow,
    {
        let mut scratch = self.step.scratch();
        self.parent.run(partition, task, &mut |record| {
            self.step.push(&mut scratch, record, task, sink)
        })
    }
}

/// The records that match, or those that do not.
pub(crate) struct MatchingRecords<T: Text + ?Sized> {
    pub(crate) expression: Expression<T>,
    pub(crate) matches: bool,
}

portable! {
    [T: Text + ?Sized] MatchingRecords<T> { expression: part, matches: data }
}

impl<T: Text + ?Sized> MatchStep<T> for MatchingRecords<T> {
    type Out = T;
    type Scratch = SliceRegex<T>;

    fn scratch(&self) -> SliceRegex<T> {
        self.expression.0.clone()
    }

    #[inline]
    fn push<S>(
        &self,
        regex: &mut SliceRegex<T>,
        record: Ref<'_, T>,
        _: &Task<'_>,
        sink: &mut S,
    ) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        if regex.is_match(T::peek(&record).as_slice()) == self.matches {
            sink(record)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// All matches in each record.
pub(crate) struct FindMatches<T: Text + ?Sized>(pub(crate) Expression<T>);

portable! {
    [T: Text + ?Sized] FindMatches<T> { 0: part }
}

impl<T: Text + ?Sized> MatchStep<T> for FindMatches<T> {
    type Out = T::Slice;
    type Scratch = SliceRegex<T>;

    fn scratch(&self) -> SliceRegex<T> {
        self.0.0.clone()
    }

    #[inline]
    fn push<S>(
        &self,
        regex: &mut SliceRegex<T>,
        record: Ref<'_, T>,
        _: &Task<'_>,
        sink: &mut S,
    ) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        regex.for_each_match(T::peek(&record).as_slice(), sink)
    }
}

/// The groups of the first match in each record, as a value.
pub(crate) struct Captures<T: Text + ?Sized, U> {
    pub(crate) expression: Expression<T>,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> U>,
}

portable! {
    [T: Text + ?Sized, U] Captures<T, U> { expression: part, site: part, out: part }
}

pub(crate) struct CapturesScratch<T: Text + ?Sized> {
    regex: SliceRegex<T>,
    groups: GroupsOf<T>,
    /// The groups of a record as fields.
    fields: String,
}

impl<T: Text + ?Sized, U: DeserializeOwned + 'static> MatchStep<T> for Captures<T, U> {
    type Out = U;
    type Scratch = CapturesScratch<T>;

    fn scratch(&self) -> CapturesScratch<T> {
        let regex = self.expression.0.clone();
        CapturesScratch {
            groups: regex.groups(),
            regex,
            fields: String::new(),
        }
    }

    fn push<S>(
        &self,
        scratch: &mut CapturesScratch<T>,
        record: Ref<'_, T>,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Flow
    where
        S: FnMut(U) -> Flow,
    {
        let CapturesScratch {
            regex,
            groups,
            fields,
        } = scratch;
        let text = T::peek(&record).as_slice();
        if !regex.find_groups(text, groups) {
            return ControlFlow::Continue(());
        }
        let count = SliceRegex::<T>::count(groups);
        // Without groups, the whole match is the only field.
        let first = usize::from(count > 1);
        let delimiter = absent_char(text.as_bytes());
        fields.clear();
        for index in first..count {
            if index > first {
                fields.push(delimiter);
            }
            let Some(range) = SliceRegex::<T>::group(groups, index) else {
                continue;
            };
            match text.part(range).as_str() {
                Ok(group) => fields.push_str(group),
                Err(error) => return task.fail(self.site, error),
            }
        }
        match task.call(&self.site, || parse_fields(fields, delimiter)) {
            Ok(value) => sink(value),
            Err(error) => task.fail(self.site, error),
        }
    }
}

/// Returns a character that the text does not contain: nearly always U+001F, the ASCII character for this purpose.
fn absent_char(text: &[u8]) -> char {
    let is_absent = |c: &char| {
        let mut bytes = [0; 4];
        memchr::memmem::find(text, c.encode_utf8(&mut bytes).as_bytes()).is_none()
    };
    ('\u{1f}'..=char::MAX).find(is_absent).unwrap_or('\0')
}
