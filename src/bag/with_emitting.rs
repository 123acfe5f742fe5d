//! Transformations whose closures receive a state and emit records.

use super::{Bag, BagWith};
use crate::error::BoxError;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::map_init`](crate::Bag::map_init), with the state. Both closures receive it.
    #[track_caller]
    pub fn map_init<I, U, Init, F>(self, init: Init, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        I: 'static,
        U: 'static,
        Init: Fn(&S) -> I + Send + Sync + 'static,
        F: for<'s, 'a> Fn(&S, &'s mut I, T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        let (init, op) = (self.stated(init), self.stated(op));
        self.bag.map_init_at(Site::new("map_init"), init, op)
    }

    /// [`Bag::flat_map_emit`](crate::Bag::flat_map_emit), with the state.
    #[track_caller]
    pub fn flat_map_emit<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(U) + 'e)) + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_emit_at::<U, _, _>(Site::new("flat_map_emit"), op)
    }

    /// [`Bag::flat_map_str`](crate::Bag::flat_map_str), with the state.
    #[track_caller]
    pub fn flat_map_str<F>(self, op: F) -> Bag<str, impl Pipeline<Out = str>>
    where
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(&str) + 'e)) + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_emit_at::<str, _, _>(Site::new("flat_map_str"), op)
    }

    /// [`Bag::flat_map_bytes`](crate::Bag::flat_map_bytes), with the state.
    #[track_caller]
    pub fn flat_map_bytes<F>(self, op: F) -> Bag<[u8], impl Pipeline<Out = [u8]>>
    where
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(&[u8]) + 'e)) + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_emit_at::<[u8], _, _>(Site::new("flat_map_bytes"), op)
    }

    /// [`Bag::try_flat_map_emit`](crate::Bag::try_flat_map_emit), with the state.
    #[track_caller]
    pub fn try_flat_map_emit<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(U) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_emit_at::<U, _, _>(Site::new("try_flat_map_emit"), op)
    }

    /// [`Bag::try_flat_map_str`](crate::Bag::try_flat_map_str), with the state.
    #[track_caller]
    pub fn try_flat_map_str<E, F>(self, op: F) -> Bag<str, impl Pipeline<Out = str>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(&str) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_emit_at::<str, _, _>(Site::new("try_flat_map_str"), op)
    }

    /// [`Bag::try_flat_map_bytes`](crate::Bag::try_flat_map_bytes), with the state.
    #[track_caller]
    pub fn try_flat_map_bytes<E, F>(self, op: F) -> Bag<[u8], impl Pipeline<Out = [u8]>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(&[u8]) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_emit_at::<[u8], _, _>(Site::new("try_flat_map_bytes"), op)
    }
}
