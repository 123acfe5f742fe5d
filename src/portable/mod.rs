//! Sends code and state to worker processes: code by its address, state by serde.
//!
//! Worker processes run this executable, so they already contain the code of a stage. To identify it, a
//! [`FunctionEntry`] suffices: a constant of the executable with a function that reads the state of the code. A closure
//! that captures nothing has no bytes, so its type, which the entry determines, describes it completely. A closure that
//! captures something is refused.
//!
//! | file | purpose |
//! | --- | --- |
//! | `state` | `Saver` and `Loader`: write and read the parts of a stage in the same order |
//! | `shared` | states that several stages share |
//! | `entry` | constants whose addresses identify code; `unsafe` |
//! | `image` | address ranges of the executable that never change; `unsafe` |
//! | `closure` | recreates closures that have no bytes; `unsafe` |
//! | `fields` | `portable!`: implements `Portable` for a type by its fields |

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
/// Only this library implements it. A [summary](crate::summary) of your own has it once it is wrapped by
/// [`custom`](crate::summary::custom).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to worker processes",
    note = "wrap a summary of your own: `summary::custom(..)`"
)]
pub trait Portable: Sized {
    /// Writes everything that `load` needs to create an equal value.
    ///
    /// # Errors
    ///
    /// Returns an error if a part cannot be sent: a closure that captures, code of a shared library, or a record that
    /// serde cannot write.
    #[doc(hidden)]
    fn save(&self, to: &mut Saver) -> Result<()>;

    /// Creates a value equal to the saved one.
    ///
    /// # Errors
    ///
    /// Returns an error if `save` of the same type did not write these bytes.
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

macro_rules! tuple {
    ($($name:ident: $at:tt),*) => {
        impl<$($name: Portable),*> Portable for ($($name,)*) {
            fn save(&self, to: &mut Saver) -> Result<()> {
                $(self.$at.save(to)?;)*
                Ok(())
            }

            fn load(from: &mut Loader<'_>) -> Result<Self> {
                Ok(($($name::load(from)?,)*))
            }
        }
    };
}

tuple!(A: 0);
tuple!(A: 0, B: 1);
tuple!(A: 0, B: 1, C: 2);
tuple!(A: 0, B: 1, C: 2, D: 3);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8, J: 9);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8, J: 9, K: 10);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8, J: 9, K: 10, L: 11);

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
