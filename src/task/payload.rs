//! Data that a source of unknown length attaches to a partition when the partition is pulled.

use std::any::Any;

use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Portable, Saver};

/// Any type that can be sent to the process that computes the partition.
pub(crate) trait Payload: Send {
    fn save(&self, to: &mut Saver) -> Result<()>;

    fn as_any(&self) -> &dyn Any;

    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Portable + Send + 'static> Payload for T {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<T>(load::<T>) })?;
        Portable::save(self, to)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn load<T: Portable + Send + 'static>(from: &mut Loader<'_>) -> Result<Box<dyn Payload>> {
    Ok(Box::new(T::load(from)?))
}
