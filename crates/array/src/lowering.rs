//! Layers of tasks for the arrays of a job.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use holdall::extend::{Inputs, Layer, LayerId, Layers, Needs, TaskScope};
use holdall::{BoxError, Context};
use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;
use crate::element::Element;
use crate::expr::{Expr, Loading, evaluate};
use crate::grid::{Grid, lengths};

/// An array whose chunks are computed by tasks, and may be needed by several others.
pub(crate) trait Node<A: Element>: Send + Sync {
    /// Adds its layers.
    fn add(&self, lowering: &mut Lowering) -> LayerId<Chunk<A>>;
}

/// Computation of an array, and the line that described it.
pub(crate) struct Located<T> {
    pub(crate) of: T,
    pub(crate) location: &'static Location<'static>,
}

/// Layers of a job. Each node is added once, however many arrays need it.
pub struct Lowering {
    pub(crate) layers: Layers,
    /// The layers of the nodes, by their addresses.
    known: HashMap<usize, Box<dyn Any>>,
}

impl Lowering {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            layers: Layers::new(context),
            known: HashMap::new(),
        }
    }

    /// Adds a layer. Its errors name the location of the method that describes the array.
    pub(crate) fn add<L: Layer>(
        &mut self,
        layer: L,
        location: &'static Location<'static>,
    ) -> LayerId<L::Value> {
        self.layers.add_at(layer, location)
    }

    /// Returns the layer of a node, whose tasks are the chunks.
    pub(crate) fn layer<A: Element>(&mut self, node: &Arc<dyn Node<A>>) -> LayerId<Chunk<A>> {
        let address = Arc::as_ptr(node).addr();
        let known = self.known.get(&address);
        if let Some(layer) = known.and_then(|layer| layer.downcast_ref::<LayerId<Chunk<A>>>()) {
            return *layer;
        }
        let layer = node.add(self);
        self.known.insert(address, Box::new(layer));
        layer
    }
}

impl fmt::Debug for Lowering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layers.fmt(f)
    }
}

/// Computes the chunks of an expression.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Chunks<E: Expr> {
    pub(crate) expr: E,
    pub(crate) grid: Grid,
}

impl<E: Expr> Chunks<E> {
    /// Computes the chunk with a number.
    pub(crate) fn chunk(
        &self,
        number: usize,
        loading: &mut Loading<'_>,
    ) -> Result<Chunk<E::Item>, BoxError> {
        let region = self.grid.region(number);
        let mut block = self.expr.load(&region, loading)?;
        Ok(Chunk::new(lengths(&region), evaluate(&mut block, &region)))
    }

    /// Returns the chunks of a job, after what they need was added to it.
    pub(crate) fn lowered(&self, lowering: &mut Lowering) -> Self {
        let mut lowered = self.clone();
        lowered.expr.lower(lowering);
        lowered
    }
}

impl<E: Expr> Layer for Chunks<E> {
    type Value = Chunk<E::Item>;

    fn name(&self) -> &'static str {
        "chunks"
    }

    fn tasks(&self) -> usize {
        self.grid.chunks()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.expr.needs(&self.grid.region(task), needs);
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<Chunk<E::Item>, BoxError> {
        self.chunk(task, &mut Loading::new(inputs, scope))
    }
}

impl<E: Expr> Node<E::Item> for Located<Chunks<E>> {
    fn add(&self, lowering: &mut Lowering) -> LayerId<Chunk<E::Item>> {
        let lowered = self.of.lowered(lowering);
        lowering.add(lowered, self.location)
    }
}
