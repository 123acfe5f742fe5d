//! Runs tasks of layers in a context.

use std::any::TypeId;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::Context;
use crate::error::{Error, ErrorKind, PlaceError as _, Result, caught};
use crate::layers::{Layer, LayerId, LayerPlan, LayerRun, LayerSet, TypedLayer, Value, Wanted};
use crate::lineage::Node;
use crate::pipeline::{Data, Storable};
use crate::task::{CancelHandle, ReclaimMemory, Site, in_task};

/// Layers whose tasks may need each other, and the context that runs them.
///
/// [`get`](Self::get) runs a job with one stage, in which a task begins once all tasks that it needs are done. The tasks
/// run on the executor of the context: inline, on threads, in worker processes, or on a custom executor. The values are
/// the same on each.
///
/// - **Order:** a fixed one, depth first from the wanted tasks, so that what is begun is ended before more is begun. A
///   value is dropped once its last reader has run, so few are held at a time. The plan takes about 60 bytes for each
///   task, and 8 for each need.
/// - **Memory:** values count towards the [budget](crate::ContextBuilder::memory) by the length of their encoding.
///   If the budget is exhausted, the values whose next reader is farthest in the order are written to files. In worker
///   processes, a value longer than 32 KiB is always written to a file, which the next worker reads; what a worker has
///   read for its current task does not count.
/// - **Damage:** if such a file is damaged or lost, the task that has computed the value runs again, after those that
///   it needs. After four attempts, the job fails with [`TooManyAttempts`](ErrorKind::TooManyAttempts).
/// - **Events:** in the [events](crate::events) of the job, partitions are tasks, numbered as they begin. A task that
///   runs again has another number.
///
/// # Examples
///
/// [`Layer`] has one of several layers. Here, the tasks of one layer form a chain:
///
/// ```
/// use holdall::Context;
/// use holdall::BoxError;
/// use holdall::extend::{Inputs, Layer, Layers, Needs, TaskScope};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Fibonacci;
///
/// impl Layer for Fibonacci {
///     type Value = u64;
///
///     fn name(&self) -> &'static str {
///         "fibonacci"
///     }
///
///     fn tasks(&self) -> usize {
///         50
///     }
///
///     fn needs(&self, task: usize, needs: &mut Needs<'_>) {
///         if task > 1 {
///             needs.add_own(task - 1);
///             needs.add_own(task - 2);
///         }
///     }
///
///     fn run(&self, _: usize, inputs: &Inputs<'_>, _: &TaskScope<'_>) -> Result<u64, BoxError> {
///         Ok(if inputs.is_empty() { 1 } else { inputs.iter::<u64>().sum() })
///     }
/// }
///
/// let context = Context::builder().build()?;
/// let mut layers = Layers::new(&context);
/// let numbers = layers.add(Fibonacci);
/// assert_eq!(layers.get(numbers, [10, 40])?, [89, 165_580_141]);
/// let stage = &context.last_job().unwrap().stages[0];
/// assert_eq!((stage.operator, stage.tasks), ("fibonacci", 41)); // only what is needed
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Layers {
    context: Context,
    set: LayerSet,
    cancel: CancelHandle,
}

impl Layers {
    /// Creates a collection without layers.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let set = LayerSet {
            number: LAST.fetch_add(1, Ordering::Relaxed),
            layers: Vec::new(),
        };
        Self {
            context: context.clone(),
            set,
            cancel: CancelHandle::default(),
        }
    }

    /// Adds a layer. Errors of its tasks name the line that has called this method.
    ///
    /// # Panics
    ///
    /// Panics if there are more than 4,294,967,295 layers.
    #[track_caller]
    pub fn add<L: Layer>(&mut self, layer: L) -> LayerId<L::Value> {
        self.add_at(layer, Location::caller())
    }

    /// Like [`add`](Self::add), but errors name another line: that of the method to which the layer belongs.
    ///
    /// # Panics
    ///
    /// Panics if there are more than 4,294,967,295 layers.
    pub fn add_at<L: Layer>(
        &mut self,
        layer: L,
        location: &'static Location<'static>,
    ) -> LayerId<L::Value> {
        let Ok(number) = u32::try_from(self.set.layers.len()) else {
            panic!("there are too many layers");
        };
        let site = Site {
            operator: layer.name(),
            location: location.into(),
        };
        self.set.layers.push(Arc::new(TypedLayer::new(layer, site)));
        LayerId::new(self.set.number, number)
    }

    /// Computes the values of some tasks of a layer, and returns them in the order of `tasks`. Runs a job.
    ///
    /// Everything that these tasks need is computed again. To compute several values from the same tasks, get them
    /// together. The values that it returns do not count towards the memory budget.
    ///
    /// # Errors
    ///
    /// Before anything runs, returns [`InvalidGraph`](ErrorKind::InvalidGraph) if a task does not exist, or needs
    /// itself. On worker processes, also returns [`NotPortable`](ErrorKind::NotPortable) or [`Codec`](ErrorKind::Codec)
    /// if a layer cannot be sent. Otherwise, returns the first error of a task.
    #[track_caller]
    pub fn get<T: Data + Sync>(
        &self,
        layer: LayerId<T>,
        tasks: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<T>> {
        let site = Site::new("get");
        // The id may have been deserialised, so that it need not be one that `add` has returned.
        let own = self.set.layers.get(layer.number as usize);
        let own = own.filter(|own| own.value_type().id == TypeId::of::<T>());
        if layer.set != self.set.number || own.is_none() {
            return Err(Error::new(ErrorKind::InvalidGraph {
                context: site.into(),
                reason: "the layer was added to other `Layers`".to_owned(),
            }));
        }
        let wanted: Vec<_> = tasks.into_iter().map(|task| (layer.number, task)).collect();
        let values = run_layers(&self.context, &self.set, &wanted, site, &self.cancel)?;
        let mut values = values.into_iter();
        let owned = || (0..values.len()).map(|_| owned(&mut values)).collect();
        let values = in_task(|| caught(Some(site), owned));
        values.at(site)
    }

    /// Returns a handle that cancels the jobs of these layers.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    /// use holdall::BoxError;
    /// use holdall::extend::{Inputs, Layer, Layers, TaskScope};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Endless;
    ///
    /// impl Layer for Endless {
    ///     type Value = ();
    ///
    ///     fn name(&self) -> &'static str {
    ///         "endless"
    ///     }
    ///
    ///     fn tasks(&self) -> usize {
    ///         1
    ///     }
    ///
    ///     fn run(&self, _: usize, _: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<(), BoxError> {
    ///         while !scope.is_stopped() {
    ///             std::thread::yield_now();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut layers = Layers::new(&Context::builder().threads(1).build()?);
    /// let endless = layers.add(Endless);
    /// let handle = layers.cancel_handle();
    /// std::thread::spawn(move || handle.cancel());
    /// assert!(layers.get(endless, 0..1).unwrap_err().is_cancelled());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }
}

/// Runs a job that computes the wanted values of layers.
pub(crate) fn run_layers(
    context: &Context,
    set: &LayerSet,
    wanted: &[Wanted],
    site: Site,
    cancel: &CancelHandle,
) -> Result<Vec<Value>> {
    let plan = in_task(|| LayerPlan::new(set.clone(), wanted))?;
    let detail = format!("{} tasks of {} layers", plan.tasks(), set.layers.len());
    let last = wanted.first().map(|(layer, _)| *layer as usize);
    let last = last.map_or(site, |layer| set.layers[layer].site());
    let node = Node::source(last, detail, Some(plan.tasks()), None);
    let job = context.job(&node, site)?;
    cancel.add(job.state());
    let resources = job.state().resources();
    let run = Arc::new(LayerRun::new(plan, resources));
    let holder: Arc<dyn ReclaimMemory> = Arc::<LayerRun>::clone(&run);
    resources.reclaimer.add(&holder);
    let values = job.run_layers(&run);
    // Dropping values may run code of the user.
    caught(None, || {
        drop((run, holder));
        values
    })
}

/// Returns the next value itself. Copies it, through its encoding, if it occurs again.
pub(crate) fn owned<T: Data + Sync>(values: &mut dyn Iterator<Item = Value>) -> Result<T> {
    let value = values.next().and_then(|value| value.downcast::<T>().ok());
    let mismatch = || Error::internal("a value is missing or has another type".to_owned());
    Arc::try_unwrap(value.ok_or_else(mismatch)?).or_else(|value| {
        let mut bytes = Vec::new();
        T::store(&value, &mut bytes)?;
        T::restore(&bytes, |value| value)
    })
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.set.layers.iter().map(|layer| layer.site().operator);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::error::BoxError;
    use crate::layers::{Inputs, TaskScope};

    #[derive(Serialize, Deserialize)]
    struct Numbers;

    impl Layer for Numbers {
        type Value = usize;

        fn name(&self) -> &'static str {
            "numbers"
        }

        fn tasks(&self) -> usize {
            3
        }

        fn run(&self, n: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<usize, BoxError> {
            Ok(n)
        }
    }

    #[test]
    fn an_id_that_was_not_added_is_refused() {
        let mut layers = Layers::new(&Context::builder().threads(1).build().unwrap());
        let numbers = layers.add(Numbers);
        assert_eq!(layers.get(numbers, [2, 0]).unwrap(), [2, 0]);
        let refused = |error: Error| {
            assert!(
                matches!(error.kind(), ErrorKind::InvalidGraph { .. }),
                "{error}"
            );
        };
        let set = numbers.set;
        refused(layers.get(LayerId::<usize>::new(set, 1), [0]).unwrap_err());
        refused(layers.get(LayerId::<String>::new(set, 0), [0]).unwrap_err());
        refused(
            layers
                .get(LayerId::<usize>::new(set + 1, 0), [0])
                .unwrap_err(),
        );
    }
}
