//! Functions as data.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Saver};

/// A function or closure as a part of plain data, such as a [`Layer`](crate::extend::Layer).
///
/// It can be sent to worker processes if it captures nothing. Serialising one that captures something is an error, so it
/// works on threads only; put its state beside it instead. Its bytes are valid in processes of the same executable.
///
/// # Examples
///
/// ```
/// use holdall::{BoxError, Context};
/// use holdall::extend::{Function, Inputs, Layer, Layers, TaskScope};
/// use serde::{Deserialize, Serialize};
///
/// /// Task `n` calls the function with `n`.
/// #[derive(Serialize, Deserialize)]
/// #[serde(bound = "")]
/// struct Calls<F: 'static>(Function<F>);
///
/// impl<F: Fn(usize) -> usize + Send + Sync + 'static> Layer for Calls<F> {
///     type Value = usize;
///
///     fn name(&self) -> &'static str {
///         "calls"
///     }
///
///     fn tasks(&self) -> usize {
///         3
///     }
///
///     fn run(&self, n: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<usize, BoxError> {
///         Ok(self.0.get()(n))
///     }
/// }
///
/// let mut layers = Layers::new(&Context::builder().threads(1).build()?);
/// let squares = layers.add(Calls(Function::new(|n: usize| n * n)));
/// assert_eq!(layers.get(squares, 0..3)?, [0, 1, 4]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Function<F>(F);

impl<F> Function<F> {
    /// Wraps a function.
    pub fn new(function: F) -> Self {
        Self(function)
    }

    /// Returns the function.
    pub fn get(&self) -> &F {
        &self.0
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<F>())
    }
}

fn load<F: 'static>(from: &mut Loader<'_>) -> Result<Function<F>> {
    Ok(Function(from.code()?))
}

impl<F: 'static> Serialize for Function<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = Saver::write(|to| {
            to.code(&self.0)?;
            to.entry(const { &FunctionEntry::of::<Self>(load::<F>) })
        });
        bytes.map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de, F: 'static> Deserialize<'de> for Function<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The entry proves that the bytes are those of a function of this type in this executable.
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Loader::read(&bytes, |from| from.entry()).map_err(D::Error::custom)
    }
}
