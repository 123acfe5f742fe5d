//! Steps on text: parts and forms of each record, mostly borrowed from it. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use memchr::memmem::Finder;

use super::Step;
use crate::error::{self, BoxError};
use crate::pipeline::{Call, Record, Ref, Text, TextSlice};
use crate::portable::{Loader, Portable, Saver, portable};
use crate::task::{Flow, Site, Task};
use crate::text::Needle;

/// Text as a slice.
pub(crate) struct AsText;

portable! { [] AsText {} }

impl<T: Text + ?Sized> Step<T> for AsText {
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        sink(T::peek(&record).as_slice())
    }
}

/// A text between the parts of a record.
struct Separator(Finder<'static>);

impl Separator {
    fn new(text: &[u8]) -> Self {
        Self(Finder::new(text).into_owned())
    }

    /// Calls `each` with the parts of `text`, until it breaks.
    #[inline]
    fn for_each_part<T: TextSlice + ?Sized>(
        &self,
        text: &T,
        mut each: impl FnMut(&T) -> Flow,
    ) -> Flow {
        let bytes = text.as_bytes();
        let mut start = 0;
        for at in self.0.find_iter(bytes) {
            each(text.part(start..at))?;
            start = at + self.0.needle().len();
        }
        each(text.part(start..bytes.len()))
    }
}

impl Portable for Separator {
    fn save(&self, to: &mut Saver) -> error::Result<()> {
        to.data(self.0.needle())
    }

    fn load(from: &mut Loader<'_>) -> error::Result<Self> {
        let text: Vec<u8> = from.data()?;
        Ok(Self::new(&text))
    }
}

/// The parts of each record between separators: all of them, or one.
pub(crate) struct Separated {
    separator: Separator,
    only: Option<usize>,
}

portable! { [] Separated { separator: part, only: data } }

impl Separated {
    pub(crate) fn new(separator: &str, only: Option<usize>) -> Self {
        let separator = Separator::new(separator.as_bytes());
        Self { separator, only }
    }
}

impl<T: Text + ?Sized> Step<T> for Separated {
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        let record = T::peek(&record).as_slice();
        let Some(only) = self.only else {
            return self.separator.for_each_part(record, |part| sink(part));
        };
        let mut index = 0;
        let mut flow = ControlFlow::Continue(());
        // It breaks at the part, whatever `sink` returns.
        let _ = self.separator.for_each_part(record, |part| {
            if index == only {
                flow = sink(part);
                return ControlFlow::Break(());
            }
            index += 1;
            ControlFlow::Continue(())
        });
        flow
    }
}

/// The words of each record as Unicode defines them.
#[cfg(feature = "unicode")]
pub(crate) struct UnicodeWords;

#[cfg(feature = "unicode")]
portable! { [] UnicodeWords {} }

#[cfg(feature = "unicode")]
impl<T: Text + ?Sized> Step<T> for UnicodeWords {
    type Out = T::Slice;

    fn push<S>(&self, record: Ref<'_, T>, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        let record = T::peek(&record).as_slice();
        record.for_each_unicode_word(|word| sink(word))
    }
}

/// Each record without white space at its ends.
pub(crate) struct Trim;

portable! { [] Trim {} }

impl<T: Text + ?Sized> Step<T> for Trim {
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        sink(T::peek(&record).as_slice().trim())
    }
}

/// Each record in lower or in upper case.
pub(crate) struct InCase {
    pub(crate) is_upper: bool,
}

portable! { [] InCase { is_upper: data } }

impl<T: Text + ?Sized> Step<T> for InCase {
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        let record = T::peek(&record).as_slice();
        let changed = match self.is_upper {
            true => record.to_uppercase(),
            false => record.to_lowercase(),
        };
        T::Slice::lend(changed, sink)
    }
}

/// The slice of each record that a closure returns.
pub(crate) struct MapSlice<C> {
    pub(crate) op: C,
    pub(crate) site: Site,
}

portable! { [C: Portable] MapSlice<C> { site: part, op: part } }

impl<T, C> Step<T> for MapSlice<C>
where
    T: Text + ?Sized,
    C: for<'a> Call<(&'a T::Slice,), Out = &'a T::Slice>,
{
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        let record = T::peek(&record).as_slice();
        sink(task.call(&self.site, || self.op.call((record,))))
    }
}

/// The slice of each record that a closure returns, if it returns one.
pub(crate) struct FilterMapSlice<C> {
    pub(crate) op: C,
    pub(crate) site: Site,
}

portable! { [C: Portable] FilterMapSlice<C> { site: part, op: part } }

impl<T, C> Step<T> for FilterMapSlice<C>
where
    T: Text + ?Sized,
    C: for<'a> Call<(&'a T::Slice,), Out = Option<&'a T::Slice>>,
{
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        let record = T::peek(&record).as_slice();
        match task.call(&self.site, || self.op.call((record,))) {
            Some(part) => sink(part),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Like [`FilterMapSlice`], with a closure that may fail.
pub(crate) struct TryFilterMapSlice<C, E> {
    pub(crate) op: C,
    pub(crate) site: Site,
    pub(crate) error: PhantomData<fn() -> E>,
}

portable! { [C: Portable, E] TryFilterMapSlice<C, E> { site: part, op: part, error: part } }

impl<T, C, E> Step<T> for TryFilterMapSlice<C, E>
where
    T: Text + ?Sized,
    C: for<'a> Call<(&'a T::Slice,), Out = Result<Option<&'a T::Slice>, E>>,
    E: Into<BoxError> + 'static,
{
    type Out = T::Slice;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T::Slice>) -> Flow,
    {
        let record = T::peek(&record).as_slice();
        match task.call(&self.site, || self.op.call((record,))) {
            Ok(Some(part)) => sink(part),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => task.fail(self.site, error),
        }
    }
}

/// The result of a closure that drops no record.
pub(crate) struct Always<C>(pub(crate) C);

portable! { [C: Portable] Always<C> { 0: part } }

impl<'a, S, C, E> Call<(&'a S,)> for Always<C>
where
    S: ?Sized,
    C: Call<(&'a S,), Out = Result<&'a S, E>>,
{
    type Out = Result<Option<&'a S>, E>;

    #[inline(always)]
    fn call(&self, text: (&'a S,)) -> Self::Out {
        self.0.call(text).map(Some)
    }
}

/// The records that contain any of several texts, or none of them.
pub(crate) struct ContainingAny {
    needles: Vec<Needle>,
    contains: bool,
}

impl ContainingAny {
    pub(crate) fn new(texts: impl IntoIterator<Item: AsRef<[u8]>>, contains: bool) -> Self {
        let needles = texts.into_iter().map(|text| Needle::new(text.as_ref()));
        Self {
            needles: needles.collect(),
            contains,
        }
    }
}

impl Portable for ContainingAny {
    fn save(&self, to: &mut Saver) -> error::Result<()> {
        let texts: Vec<_> = self.needles.iter().map(Needle::bytes).collect();
        to.data(&(self.contains, texts))
    }

    fn load(from: &mut Loader<'_>) -> error::Result<Self> {
        let (contains, texts): (bool, Vec<Vec<u8>>) = from.data()?;
        Ok(Self::new(texts, contains))
    }
}

impl<T: Text + ?Sized> Step<T> for ContainingAny {
    type Out = T;

    const KEEPS_RECORDS: bool = true;

    #[inline]
    fn push<S>(&self, record: Ref<'_, T>, _: &Task<'_>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let bytes = T::peek(&record).as_ref();
        if self.needles.iter().any(|needle| needle.is_in(bytes)) == self.contains {
            sink(record)
        } else {
            ControlFlow::Continue(())
        }
    }
}
