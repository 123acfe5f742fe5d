//! `lookup`: the values of one key. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::Step;
use crate::error::Result;
use crate::pipeline::{Data, Key};
use crate::portable::portable;
use crate::storage::codec::Short;
use crate::task::{Flow, Site, Task};

/// Passes on the values whose key has certain bytes.
pub(crate) struct KeyIs<K, V> {
    key: Vec<u8>,
    site: Site,
    types: PhantomData<fn(K, V)>,
}

portable! {
    [K, V] KeyIs<K, V> { site: part, key: data, types: part }
}

impl<K: Data + Eq, V> KeyIs<K, V> {
    pub(crate) fn new(key: Vec<u8>, site: Site) -> Self {
        let types = PhantomData;
        Self { key, site, types }
    }

    fn is_it(&self, key: &K) -> Result<bool> {
        match (K::short(key), Short::new(&self.key)) {
            (Some(key), Some(wanted)) => Ok(key.tagged() == wanted.tagged()),
            (Some(_), None) => Ok(false),
            _ => K::with_bytes(key, &mut Vec::new(), |key| key == self.key),
        }
    }
}

impl<K: Data + Eq, V: 'static> Step<(K, V)> for KeyIs<K, V> {
    type Out = V;

    #[inline]
    fn push<S>(&self, (key, value): (K, V), task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: FnMut(V) -> Flow,
    {
        // The code that encodes a key may be user code.
        match task.call(&self.site, || self.is_it(&key)) {
            Ok(true) => sink(value),
            Ok(false) => ControlFlow::Continue(()),
            Err(error) => task.fail_at(self.site, error),
        }
    }
}
