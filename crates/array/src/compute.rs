//! Jobs that compute arrays.

use std::panic::Location;

use holdall::{Context, Error, Result};
use ndarray::{ArrayD, Dimension, Ix0};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::element::Element;
use crate::expr::Expr;
use crate::grid::Region;
use crate::leaf::Leaf;
use crate::lowering::Lowering;
use crate::places::Runs;

impl<A: Element, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    /// Computes the array. Runs a job.
    ///
    /// The result, and its chunks until it is complete, are in memory and do not count towards the budget.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, if a closure panics, or, on worker processes, if a closure captures
    /// something. The error names the line of the method that described the array.
    #[track_caller]
    pub fn compute(&self, context: &Context) -> Result<ndarray::Array<A, D>> {
        let mut chunks = self.computed(context)?;
        let array = match (chunks.pop(), chunks.is_empty()) {
            (Some(chunk), true) => chunk.into_array(),
            (last, _) => {
                chunks.extend(last);
                self.joined(&chunks)
            }
        };
        array.into_dimensionality().map_err(Error::other)
    }

    #[track_caller]
    fn computed(&self, context: &Context) -> Result<Vec<Chunk<A>>> {
        let mut lowering = Lowering::new(context);
        let chunks = self.all_chunks().lowered(&mut lowering);
        let layer = lowering.add(chunks, Location::caller());
        lowering.layers.get(layer, 0..self.grid.chunks())
    }

    fn joined(&self, chunks: &[Chunk<A>]) -> ArrayD<A> {
        let whole: Region = self.shape.iter().map(|length| 0..*length).collect();
        let mut elements = vec![A::default(); self.shape.iter().product()];
        for (number, chunk) in chunks.iter().enumerate() {
            let region = self.grid.region(number);
            let runs = Runs::new(&region, &whole).zip(Runs::new(&region, &region));
            for (to, from) in runs {
                elements[to].copy_from_slice(&chunk.elements[from]);
            }
        }
        Chunk::new(self.shape.clone(), elements).into_array()
    }

    /// Computes the array, and returns it as one whose chunks are in memory. Runs a job.
    ///
    /// The chunks do not count towards the budget. On worker processes, each worker receives all of them.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`compute`](Self::compute).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::arange;
    ///
    /// let context = holdall::Context::default();
    /// let squares = arange(0_i64..1_000, 100).map(|n| n * n).persist(&context)?;
    /// assert_eq!(squares.max().value(&context)?, 998_001); // computes no square
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn persist(&self, context: &Context) -> Result<Array<A, D>> {
        let chunks = self.computed(context)?;
        let leaf = Leaf::memory(&self.shape, self.grid.clone(), chunks);
        Ok(Array::new(self.shape.clone(), self.grid.clone(), leaf))
    }
}

impl<A: Element, E: Expr<Item = A>> Array<A, Ix0, E> {
    /// Computes the only element of an array without axes, such as a sum. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`compute`](Self::compute).
    #[track_caller]
    pub fn value(&self, context: &Context) -> Result<A> {
        Ok(self.compute(context)?.into_scalar())
    }
}
