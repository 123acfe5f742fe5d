//! `Saver` and `Loader`: write and read the parts of a stage in the same order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::closure;
use super::shared;
use crate::error::{Error, ErrorContext, ErrorKind, Result, Site, intern, panicked};
use crate::id::renumbering;
use crate::storage::codec::{self, Sampling};

/// Writes values so that a worker process can recreate them.
#[derive(Debug, Default)]
pub struct Saver {
    bytes: Vec<u8>,
    /// The operator whose parts are being saved.
    site: Option<Site>,
    /// Whether workers need the parts only if stored partitions are damaged.
    is_in_backup: bool,
    is_key: bool,
}

impl Saver {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the bytes that `save` writes. If user code panics in `save`, returns an error.
    pub(crate) fn write(save: impl FnOnce(&mut Self) -> Result<()>) -> Result<Vec<u8>> {
        let mut to = Self::new();
        let saved = catch_unwind(AssertUnwindSafe(|| save(&mut to)));
        saved.unwrap_or_else(|payload| Err(panicked(to.site, payload)))?;
        Ok(to.bytes)
    }

    /// Begins the parts of an operator. Errors name the operator if one of its parts cannot be sent.
    pub(crate) fn site(&mut self, site: Site) -> Result<()> {
        self.site = Some(site);
        self.data(&(site.operator, site.location))
    }

    /// Returns bytes that identify the code and the input that `save` describes, for this executable. No process reads
    /// them.
    pub(crate) fn key(save: impl FnOnce(&mut Self) -> Result<()>) -> Result<Vec<u8>> {
        renumbering(|| {
            Self::write(|to| {
                to.is_key = true;
                save(to)
            })
        })
    }

    /// Returns whether [`key`](Self::key) has been called. Parts then include what identifies their input, and leave out
    /// what differs from run to run.
    pub(crate) fn is_key(&self) -> bool {
        self.is_key
    }

    /// Returns an error if this is a key: the input cannot be identified.
    pub(crate) fn refuse_key(&self, input: &str) -> Result<()> {
        if !self.is_key {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidSetting {
            setting: "BagWriter::resume",
            value: input.to_owned(),
            expected: "an input that can be identified, such as files, ranges and vectors",
        }))
    }

    /// Returns whether workers need these parts only to compute partitions that are already stored.
    pub(crate) fn is_in_backup(&self) -> bool {
        self.is_in_backup
    }

    /// Saves the pipeline from which stored partitions were computed. If all of them are stored, it is a backup.
    pub(crate) fn within(
        &mut self,
        is_stored: bool,
        save: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let outer = self.is_in_backup;
        self.is_in_backup |= is_stored;
        let saved = save(self);
        self.is_in_backup = outer;
        saved
    }

    /// Writes a value of a type of this library.
    pub(crate) fn data<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<()> {
        let encoded = codec::encode_own(data, &mut self.bytes);
        encoded.map_err(|error| at(self.site, error))
    }

    /// Writes a value of a user's type. The frame isolates it: if its type reads another number of bytes than it has
    /// written, `load` returns an error, and the values after it are unaffected.
    pub(crate) fn value<T>(&mut self, value: &T) -> Result<()>
    where
        T: Serialize + Deserialize<'static>,
    {
        let checked = codec::check(value);
        let encoded = checked.and_then(|_| codec::encode_framed(value, &mut self.bytes));
        encoded.map_err(|error| at(self.site, error))
    }

    /// Writes a state of the user. Checks it only once if it is large.
    pub(crate) fn state<S>(&mut self, state: &Arc<S>) -> Result<()>
    where
        S: Serialize + Deserialize<'static> + Send + Sync + 'static,
    {
        let start = self.bytes.len();
        let checked = if shared::is_checked(state) {
            Ok(0)
        } else {
            codec::check(&**state)
        };
        let encoded = checked.and_then(|_| codec::encode_framed(&**state, &mut self.bytes));
        encoded.map_err(|error| at(self.site, error))?;
        shared::note_checked(state, self.bytes.len() - start);
        Ok(())
    }

    /// Writes several values, each in its own frame, because the codec limits the length of what it reads in one call.
    pub(crate) fn values<T>(&mut self, values: &[T]) -> Result<()>
    where
        T: Serialize + Deserialize<'static>,
    {
        self.data(&values.len())?;
        let mut sampling = Sampling::default();
        let encoded = values.iter().try_for_each(|value| {
            sampling.check(|| codec::check(value))?;
            codec::encode_framed(value, &mut self.bytes)
        });
        encoded.map_err(|error| at(self.site, error))
    }

    /// Checks that a closure can be sent. Writes nothing, because a worker recreates the closure from its type.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::CapturingClosure`] if the closure captures something.
    pub(crate) fn code<F>(&mut self, _: &F) -> Result<()> {
        match const { closure::is_portable::<F>() } {
            true => Ok(()),
            false => Err(self.capturing()),
        }
    }

    fn capturing(&self) -> Error {
        let context = self.context();
        Error::new(ErrorKind::CapturingClosure { context })
    }

    pub(super) fn context(&self) -> ErrorContext {
        self.site.map(ErrorContext::from).unwrap_or_default()
    }
}

/// Recreates values that a [`Saver`] has written.
#[derive(Debug)]
pub struct Loader<'a> {
    bytes: &'a [u8],
    /// The operator whose parts are being loaded.
    site: Option<Site>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, site: None }
    }

    /// Calls `load`, and returns an error unless it reads all of `bytes`. If user code panics in `load`, returns an
    /// error.
    pub(crate) fn read<R>(bytes: &'a [u8], load: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let mut from = Self::new(bytes);
        let loaded = catch_unwind(AssertUnwindSafe(|| load(&mut from)));
        let loaded = loaded.unwrap_or_else(|payload| Err(panicked(from.site, payload)))?;
        from.finish()?;
        Ok(loaded)
    }

    /// See [`Saver::site`].
    pub(crate) fn site(&mut self) -> Result<Site> {
        let (operator, location): (String, _) = self.data()?;
        let operator = intern(&operator);
        Ok(*self.site.insert(Site { operator, location }))
    }

    /// See [`Saver::data`].
    pub(crate) fn data<T: Deserialize<'static>>(&mut self) -> Result<T> {
        let decoded = codec::decode_prefix(&mut self.bytes);
        decoded.map_err(|error| at(self.site, error))
    }

    /// See [`Saver::value`].
    pub(crate) fn value<T: Deserialize<'static>>(&mut self) -> Result<T> {
        let decoded = codec::decode_framed(&mut self.bytes);
        decoded.map_err(|error| at(self.site, error))
    }

    /// See [`Saver::state`].
    pub(crate) fn state<S>(&mut self) -> Result<Arc<S>>
    where
        S: Deserialize<'static> + Send + Sync + 'static,
    {
        let frame = codec::take_frame::<S>(&mut self.bytes);
        let state = frame.and_then(|frame| shared::state(frame, codec::decode));
        state.map_err(|error| at(self.site, error))
    }

    /// See [`Saver::values`].
    pub(crate) fn values<T: Deserialize<'static>>(&mut self) -> Result<Vec<T>> {
        let length: usize = self.data()?;
        (0..length).map(|_| self.value()).collect()
    }

    /// See [`Saver::code`].
    pub(crate) fn code<F>(&mut self) -> Result<F> {
        match closure::revive() {
            Some(code) => Ok(code),
            None => Err(damaged("a closure that captures")),
        }
    }

    /// Returns an error unless all bytes have been read.
    pub(crate) fn finish(self) -> Result<()> {
        match self.bytes {
            [] => Ok(()),
            rest => Err(damaged(format!("{} bytes are left over", rest.len()))),
        }
    }
}

fn at(site: Option<Site>, error: Error) -> Error {
    match site {
        Some(site) => error.at(site),
        None => error,
    }
}

#[cold]
pub(super) fn damaged(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::NotPortable {
        context: ErrorContext::default(),
        reason: reason.into(),
    })
}
