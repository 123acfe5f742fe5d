//! Layers of all types as one type, and how they are sent to workers.

use std::sync::Arc;

use super::layer::{Inputs, Layer, Needs};
use super::scope::TaskScope;
use super::value::{Value, ValueType};
use crate::error::{BoxError, Error, ErrorContext, ErrorKind, Result, Site};
use crate::portable::{FunctionEntry, Loader, Saver};

/// A layer of any type.
///
/// A type whose tasks have different functions and values can implement it directly: a graph of functions, for example.
pub(crate) trait AnyLayer: Send + Sync {
    /// Name of the layer, and the line that added it.
    fn site(&self) -> Site;

    fn tasks(&self) -> usize;

    fn needs(&self, task: usize, needs: &mut Needs<'_>);

    /// Returns the place of a task, for errors.
    fn place(&self, task: usize) -> ErrorContext {
        ErrorContext {
            task: Some(task),
            ..ErrorContext::from(self.site())
        }
    }

    /// Computes the value of a task.
    fn run(&self, task: usize, inputs: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<Value>;

    /// Returns the type of the values of all tasks.
    fn value_type(&self) -> &'static ValueType;

    /// Writes the layer for [`load_layer`].
    fn save(&self, to: &mut Saver) -> Result<()>;

    /// Writes what a worker needs for one task, besides the layer.
    fn save_task(&self, task: usize, to: &mut Saver) -> Result<()> {
        let _ = (task, to);
        Ok(())
    }

    /// Computes the value of a task in a worker, with what [`save_task`](Self::save_task) has written.
    fn run_saved(
        &self,
        task: usize,
        from: Loader<'_>,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<Value> {
        from.finish()?;
        self.run(task, inputs, scope)
    }
}

/// Reads a layer that [`AnyLayer::save`] has written.
pub(super) fn load_layer(from: &mut Loader<'_>) -> Result<Arc<dyn AnyLayer>> {
    from.entry()
}

/// A layer of the type `L`.
pub(crate) struct TypedLayer<L> {
    layer: Arc<L>,
    site: Site,
}

impl<L: Layer> TypedLayer<L> {
    pub(crate) fn new(layer: L, site: Site) -> Self {
        Self {
            layer: Arc::new(layer),
            site,
        }
    }
}

impl<L: Layer> AnyLayer for TypedLayer<L> {
    fn site(&self) -> Site {
        self.site
    }

    fn tasks(&self) -> usize {
        self.layer.tasks()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.layer.needs(task, needs);
    }

    fn run(&self, task: usize, inputs: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<Value> {
        let outcome = scope
            .0
            .call(&self.site, || self.layer.run(task, inputs, scope));
        match outcome {
            Ok(value) => Ok(Arc::new(value)),
            Err(source) => Err(task_failure(self.site, source)),
        }
    }

    fn value_type(&self) -> &'static ValueType {
        const { &ValueType::of::<L::Value>() }
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<L>(load::<L>) })?;
        to.site(self.site)?;
        to.state(&self.layer)
    }
}

fn load<L: Layer>(from: &mut Loader<'_>) -> Result<Arc<dyn AnyLayer>> {
    let site = from.site()?;
    let layer = from.state()?;
    Ok(Arc::new(TypedLayer::<L> { layer, site }))
}

/// Returns the error of a task. An error of holdall keeps its kind if it is about the machine, not about the task.
#[cold]
pub(crate) fn task_failure(site: Site, cause: BoxError) -> Error {
    let of_closure = |source| {
        let context = ErrorContext::from(site);
        ErrorKind::Closure { context, source }
    };
    let error = Error::of_cause(cause, of_closure);
    if error.is_recoverable() || error.is_cancelled() || error.context().is_some() {
        return error.at(site);
    }
    Error::new(of_closure(error.into()))
}
