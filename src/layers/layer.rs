//! Layers: many tasks that run the same code, and what their authors see of them.

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::scope::TaskScope;
use super::value::Value;
use crate::error::BoxError;
use crate::pipeline::Data;

/// Tasks that run the same code, such as one task for each chunk of an array.
///
/// A task computes one value from the values of the tasks that it needs, which may belong to any layer. It runs once
/// these are done. Tasks have numbers, and a layer describes them by its methods, so that a million tasks take no more
/// than a struct. [`Layers`](crate::extend::Layers) runs them.
///
/// A layer and its values are plain data, because tasks may run in other processes: derive `Serialize` and
/// `Deserialize` for them. All methods must return the same for the same arguments. In particular, a task must return
/// the same value if it runs again, since a value that is lost is recomputed.
///
/// # Examples
///
/// The sum of a list in chunks, pair by pair:
///
/// ```
/// use holdall::Context;
/// use holdall::BoxError;
/// use holdall::extend::{Inputs, Layer, LayerId, Layers, Needs, TaskScope};
/// use serde::{Deserialize, Serialize};
///
/// /// Task `i` returns the sum of the numbers from `100 * i`.
/// #[derive(Serialize, Deserialize)]
/// struct Chunks;
///
/// impl Layer for Chunks {
///     type Value = u64;
///
///     fn name(&self) -> &'static str {
///         "chunks"
///     }
///
///     fn tasks(&self) -> usize {
///         4
///     }
///
///     fn run(&self, task: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<u64, BoxError> {
///         let start = 100 * task as u64;
///         Ok((start..start + 100).sum())
///     }
/// }
///
/// /// Task `i` adds the values of tasks `2 * i` and `2 * i + 1` of another layer.
/// #[derive(Serialize, Deserialize)]
/// struct Pairs {
///     of: LayerId<u64>,
///     tasks: usize,
/// }
///
/// impl Layer for Pairs {
///     type Value = u64;
///
///     fn name(&self) -> &'static str {
///         "pairs"
///     }
///
///     fn tasks(&self) -> usize {
///         self.tasks
///     }
///
///     fn needs(&self, task: usize, needs: &mut Needs<'_>) {
///         needs.add_all(self.of, 2 * task..2 * task + 2);
///     }
///
///     fn run(&self, _: usize, inputs: &Inputs<'_>, _: &TaskScope<'_>) -> Result<u64, BoxError> {
///         Ok(inputs.iter::<u64>().sum())
///     }
/// }
///
/// let context = Context::builder().build()?;
/// let mut layers = Layers::new(&context);
/// let chunks = layers.add(Chunks);
/// let halves = layers.add(Pairs { of: chunks, tasks: 2 });
/// let sum = layers.add(Pairs { of: halves, tasks: 1 });
/// assert_eq!(layers.get(sum, 0..1)?, [(0..400).sum::<u64>()]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Layer: Data + Sync {
    /// Type of the values of all of its tasks.
    type Value: Data + Sync;

    /// Name of the layer, for errors, events and the progress bar.
    fn name(&self) -> &'static str;

    /// Number of tasks.
    fn tasks(&self) -> usize;

    /// Adds what `task` needs to `needs`, in the order in which [`run`](Self::run) receives it. By default, a task needs
    /// nothing. Called in the process that runs the job, once for each task, before anything runs.
    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        let _ = (task, needs);
    }

    /// Computes the value of `task` from the values that it needs. Called in any process, on any thread, also
    /// concurrently.
    ///
    /// A long task should check [`TaskScope::is_stopped`] from time to time.
    ///
    /// # Errors
    ///
    /// An error ends the job with [`ErrorKind::Closure`](crate::ErrorKind::Closure), which names the layer, the task,
    /// and the line that added the layer. Return errors of holdall unchanged: those of a full disk keep their kind, and
    /// after damage, the task runs again.
    ///
    /// # Panics
    ///
    /// A panic is caught, and ends the job with [`ErrorKind::TaskPanicked`](crate::ErrorKind::TaskPanicked).
    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<Self::Value, BoxError>;
}

/// Identifies a layer whose tasks have values of type `T`. Returned by [`Layers::add`](crate::extend::Layers::add).
///
/// It is plain data, so that a layer can store the layers that it needs. [`Layer`] has an example.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LayerId<T> {
    /// Number of the `Layers` that it belongs to.
    pub(crate) set: u64,
    pub(crate) number: u32,
    values: PhantomData<fn() -> T>,
}

impl<T> LayerId<T> {
    pub(crate) fn new(set: u64, number: u32) -> Self {
        Self {
            set,
            number,
            values: PhantomData,
        }
    }
}

impl<T> Clone for LayerId<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for LayerId<T> {}

impl<T> fmt::Debug for LayerId<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LayerId").field(&self.number).finish()
    }
}

/// A task whose value is needed.
pub(crate) struct NeededTask {
    pub(crate) set: u64,
    pub(crate) layer: u32,
    pub(crate) task: usize,
    /// The expected type of its value.
    pub(crate) value: TypeId,
}

/// Collects the tasks that a task needs, for [`Layer::needs`]. [`Layer`] has an example.
pub struct Needs<'a> {
    pub(super) found: &'a mut Vec<NeededTask>,
    /// Number of the set and of the layer, and the type of its values.
    pub(super) own: (u64, u32, TypeId),
}

impl Needs<'_> {
    /// Adds a task of a layer. A task may be added several times.
    pub fn add<T: Data + Sync>(&mut self, layer: LayerId<T>, task: usize) {
        self.found.push(NeededTask {
            set: layer.set,
            layer: layer.number,
            task,
            value: TypeId::of::<T>(),
        });
    }

    /// Adds another task of the same layer, as in a tree or in a chain.
    pub fn add_own(&mut self, task: usize) {
        let (set, layer, value) = self.own;
        self.found.push(NeededTask {
            set,
            layer,
            task,
            value,
        });
    }

    /// Adds a task whose value has the type `value`.
    pub(crate) fn add_any(&mut self, layer: u32, task: usize, value: TypeId) {
        let (set, ..) = self.own;
        self.found.push(NeededTask {
            set,
            layer,
            task,
            value,
        });
    }

    /// Adds several tasks of a layer.
    pub fn add_all<T: Data + Sync>(
        &mut self,
        layer: LayerId<T>,
        tasks: impl IntoIterator<Item = usize>,
    ) {
        for task in tasks {
            self.add(layer, task);
        }
    }
}

impl fmt::Debug for Needs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needs")
            .field("tasks", &self.found.len())
            .finish()
    }
}

/// The values that a task needs, in the order of [`Layer::needs`]. [`Layer`] has an example.
pub struct Inputs<'a>(pub(super) &'a [Value]);

impl<'a> Inputs<'a> {
    /// Returns the values, whatever their types.
    pub(crate) fn values(&self) -> &'a [Value] {
        self.0
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the task needs nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value at `position`.
    ///
    /// # Panics
    ///
    /// Panics if the task needs fewer values, or if this one has another type. In a task, the panic becomes an error.
    #[must_use]
    pub fn get<T: 'static>(&self, position: usize) -> &'a T {
        let Some(value) = self.0.get(position) else {
            panic!("the task needs {} values, not {}", self.len(), position + 1);
        };
        let value = value.downcast_ref();
        value.unwrap_or_else(|| panic!("value {position} is no {}", type_name::<T>()))
    }

    /// Returns all values, if they have the same type.
    ///
    /// # Panics
    ///
    /// The iterator panics at a value of another type.
    pub fn iter<T: 'static>(&self) -> impl ExactSizeIterator<Item = &'a T> + use<'a, T> {
        let inputs = Inputs(self.0);
        (0..self.len()).map(move |position| inputs.get(position))
    }
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("values", &self.len())
            .finish()
    }
}
