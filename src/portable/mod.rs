//! What travels to a worker process: code by its address, state by serde.
//!
//! Worker processes are this executable, started again. So the code of a stage is there already, and it is enough to
//! say which it is: by an [`FunctionEntry`], a constant of the executable that knows how to read its state back. A closure
//! that captures nothing has no bytes, so that its type, which the entry knows, is all of it. One that captures
//! something is refused.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `state` | `Saver` and `Loader`: what is sent, in the order in which it is asked for |
//! | `shared` | states that several stages have |
//! | `entry` | constants that say by their address which code is meant; `unsafe` |
//! | `image` | which addresses are of the executable, and never change; `unsafe` |
//! | `closure` | closures without bytes from nothing; `unsafe` |
//! | `fields` | `portable!`: types whose fields travel |

mod closure;
mod entry;
mod fields;
mod image;
mod shared;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use entry::FunctionEntry;
pub(crate) use fields::portable;
pub(crate) use shared::loading_stage;
pub(crate) use state::{Loader, Saver};

use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Result, Site};

/// Code and state that can be sent to a worker process of the same executable.
///
/// Only this library implements it; [`portable!`] does.
pub trait Portable: Sized {
    /// Says all that it takes to make a value like this one.
    ///
    /// # Errors
    ///
    /// If something of it cannot be sent: a closure that captures, code of a shared library, a record that serde
    /// cannot write.
    #[doc(hidden)]
    fn save(&self, to: &mut Saver) -> Result<()>;

    /// Makes the value that was saved.
    ///
    /// # Errors
    ///
    /// If it is not what `save` has written.
    #[doc(hidden)]
    fn load(from: &mut Loader<'_>) -> Result<Self>;
}

impl<T: Portable> Portable for Arc<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        T::save(self, to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        T::load(from).map(Self::new)
    }
}

impl<A: Portable, B: Portable> Portable for (A, B) {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.0.save(to)?;
        self.1.save(to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        Ok((A::load(from)?, B::load(from)?))
    }
}

impl Portable for Site {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.site(*self)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        from.site()
    }
}

impl<T: ?Sized> Portable for PhantomData<T> {
    fn save(&self, _: &mut Saver) -> Result<()> {
        Ok(())
    }

    fn load(_: &mut Loader<'_>) -> Result<Self> {
        Ok(Self)
    }
}
