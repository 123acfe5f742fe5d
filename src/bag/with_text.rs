//! Transformations of text whose closures receive a state.

use super::{Bag, BagWith};
use crate::counter::BadRecords;
use crate::error::BoxError;
use crate::operators::ngrams::FileText;
use crate::operators::read_text::ReadText;
use crate::operators::text_steps::{Always, FilterMapSlice, MapSlice};
use crate::pipeline::{Data, Pipeline, Text};
use crate::task::Site;

impl<T: Text + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::map_str`](crate::Bag::map_str), with the state.
    #[track_caller]
    pub fn map_str<F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        F: for<'a> Fn(&S, &'a T::Slice) -> &'a T::Slice + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("map_str"), self.stated(op));
        self.bag.step(site, MapSlice { op, site })
    }

    /// [`Bag::filter_map_str`](crate::Bag::filter_map_str), with the state.
    #[track_caller]
    pub fn filter_map_str<F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        F: for<'a> Fn(&S, &'a T::Slice) -> Option<&'a T::Slice> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("filter_map_str"), self.stated(op));
        self.bag.step(site, FilterMapSlice { op, site })
    }

    /// [`Bag::try_map_str`](crate::Bag::try_map_str), with the state.
    #[track_caller]
    pub fn try_map_str<E, F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, &'a T::Slice) -> Result<&'a T::Slice, E> + Send + Sync + 'static,
    {
        let op = Always(self.stated(op));
        self.bag.try_filter_map_str_at(Site::new("try_map_str"), op)
    }

    /// [`Bag::try_filter_map_str`](crate::Bag::try_filter_map_str), with the state.
    #[track_caller]
    pub fn try_filter_map_str<E, F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, &'a T::Slice) -> Result<Option<&'a T::Slice>, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .try_filter_map_str_at(Site::new("try_filter_map_str"), op)
    }

    /// [`Bag::parse_or_skip`](crate::Bag::parse_or_skip), with the state.
    #[track_caller]
    pub fn parse_or_skip<U, E, F>(
        self,
        bad: &BadRecords,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, S, U, E, F>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, &'a T::Slice) -> Result<U, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .parse_or_skip_at(Site::new("parse_or_skip"), bad, op)
    }
}

impl<T: FileText + ?Sized, S: Data + Sync> BagWith<T, ReadText<T>, S>
where
    ReadText<T>: Pipeline<Out = T>,
{
    /// [`Bag::ngrams_by`](crate::Bag::ngrams_by), with the state.
    #[track_caller]
    pub fn ngrams_by<F>(self, n: usize, words: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a, 'e> Fn(&S, &'a T, &'e mut (dyn FnMut(&T) + 'e)) + Send + Sync + 'static,
    {
        let words = self.stated(words);
        self.bag.ngrams_by_at(Site::new("ngrams_by"), n, words)
    }
}
