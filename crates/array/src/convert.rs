//! Conversions between arrays, bags and delayed values.

use holdall::{Bag, BoxError, Context, Delayed, Error, Pipeline, Result, try_delayed, value};
use ndarray::{Dimension, Ix2};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::element::Element;
use crate::expr::{Expr, Loading};
use crate::grid::Grid;
use crate::leaf::Leaf;
use crate::lowering::Chunks;

impl<A: Element, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    /// Returns the chunks as [delayed values](Delayed), in the order of their positions, the last axis first.
    ///
    /// Computing one computes its elements only. Runs a job if the array needs reductions, products or [boxed](Self::boxed)
    /// arrays; then the result is [persisted](Self::persist).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`compute`](Self::compute).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::{Chunk, arange};
    ///
    /// let context = holdall::Context::default();
    /// let chunks = (arange(0_i64..10, 4) + 1).to_delayed(&context)?;
    /// let sums = chunks.iter().map(|chunk| chunk.map(|chunk: &Chunk<i64>| chunk.clone().into_array().sum()));
    /// assert_eq!(context.compute(sums.collect::<Vec<_>>())?, [10, 26, 19]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn to_delayed(&self, context: &Context) -> Result<Vec<Delayed<Chunk<A>>>> {
        if self.expr.needs_tasks() {
            return self.persist(context)?.to_delayed(context);
        }
        let (chunk, chunks) = (try_delayed(chunk::<E>), value(self.all_chunks()));
        let numbers = 0..self.grid.chunks();
        Ok(numbers
            .map(|number| chunk(chunks.clone(), value(number)))
            .collect())
    }

    /// Returns a bag of the rows: the elements at each position of the first axis, in their order. A partition has the
    /// rows of a few chunks along the first axis.
    ///
    /// Runs a job if the array needs reductions, products or [boxed](Self::boxed) arrays; then the result is
    /// [persisted](Self::persist).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`compute`](Self::compute).
    ///
    /// # Panics
    ///
    /// Panics if the array has no axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::from_fn;
    ///
    /// let context = holdall::Context::default();
    /// let rows = from_fn((3, 2), (2, 1), |number| number).to_bag(&context)?;
    /// assert_eq!(rows.collect()?, [[0, 1], [2, 3], [4, 5]]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn to_bag(&self, context: &Context) -> Result<Bag<Vec<A>>> {
        assert!(!self.shape.is_empty(), "an array without axes has no rows");
        if self.expr.needs_tasks() {
            return self.persist(context)?.to_bag(context);
        }
        let mut grid = Grid::whole(&self.shape);
        grid.0[0].clone_from(&self.grid.0[0]);
        let numbers: Vec<_> = (0..grid.chunks()).collect();
        let chunks = Chunks {
            expr: self.expr.clone(),
            grid,
        };
        let rows = context
            .from_vec(numbers)
            .with(chunks)
            .try_flat_map(rows::<E>);
        Ok(rows.boxed())
    }
}

fn chunk<E: Expr>(chunks: &Chunks<E>, number: &usize) -> Result<Chunk<E::Item>, BoxError> {
    chunks.chunk(*number, &mut Loading::outside_of_layers())
}

fn rows<E: Expr>(chunks: &Chunks<E>, number: usize) -> Result<Vec<Vec<E::Item>>, BoxError> {
    let chunk = chunk(chunks, &number)?;
    let (rows, length) = match chunk.shape.split_first() {
        Some((rows, rest)) => (*rows, rest.iter().product()),
        None => (0, 0),
    };
    let row = |row: usize| chunk.elements[row * length..][..length].to_vec();
    Ok((0..rows).map(row).collect())
}

/// Returns the matrix whose rows are the records of a bag. Runs a job.
///
/// The rows are in memory, and do not count towards the budget.
///
/// # Errors
///
/// Returns the errors of the bag, and an error if the records have different lengths.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```
/// use holdall_array::{Axis, from_bag};
///
/// let rows = holdall::range(0..100).map(|n| vec![n, n * n, n * n * n]);
/// let sums = from_bag(&rows, (25, 3))?.sum_axis(Axis(0));
/// assert_eq!(sums.compute(&holdall::Context::default())?.to_vec(), [4_950_i64, 328_350, 24_502_500]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_bag<A: Element, P: Pipeline<Out = Vec<A>>>(
    rows: &Bag<Vec<A>, P>,
    chunk: (usize, usize),
) -> Result<Array<A, Ix2>> {
    let rows = rows.collect()?;
    let columns = rows.first().map_or(0, Vec::len);
    if let Some(row) = rows.iter().position(|row| row.len() != columns) {
        let length = rows[row].len();
        let message = format!("row {row} has {length} elements, but row 0 has {columns}");
        return Err(Error::other(message));
    }
    let shape = [rows.len(), columns];
    let chunks = vec![Chunk::new(shape.to_vec(), rows.concat())];
    let leaf = Leaf::memory(&shape, Grid::whole(&shape), chunks);
    let grid = Grid::regular(&shape, &[chunk.0, chunk.1]);
    Ok(Array::new(shape.to_vec(), grid, leaf))
}

/// Returns the array whose chunks are delayed values, one after the other along the first axis. Runs a job.
///
/// The chunks are in memory, and do not count towards the budget.
///
/// # Errors
///
/// Returns the errors of the values, and an error if there are none, or if they have other numbers of axes or different
/// lengths along axes other than the first.
///
/// # Examples
///
/// ```
/// use holdall::{delayed, value};
/// use holdall_array::{Chunk, Ix1, from_delayed};
///
/// let load = delayed(|n: &i64| Chunk::from(ndarray::Array1::from_elem(3, *n)));
/// let context = holdall::Context::default();
/// let x = from_delayed::<_, Ix1>(&context, (0..4).map(|n| load(value(n))))?;
/// assert_eq!((x.chunks(), x.sum().value(&context)?), (vec![vec![3; 4]], 18));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_delayed<A: Element, D: Dimension>(
    context: &Context,
    chunks: impl IntoIterator<Item = Delayed<Chunk<A>>>,
) -> Result<Array<A, D>> {
    let chunks = context.compute(chunks.into_iter().collect::<Vec<_>>())?;
    let first = chunks.first().and_then(|chunk| chunk.shape.split_first());
    let rest = first.map(|(_, rest)| rest.to_vec());
    let rest = rest.ok_or_else(|| Error::other("an array needs a chunk with an axis"))?;
    let mut cuts = vec![0];
    for (number, chunk) in chunks.iter().enumerate() {
        match chunk.shape.split_first() {
            Some((length, lengths)) if lengths == rest => cuts.push(cuts[number] + length),
            _ => {
                let shape = &chunk.shape;
                let message = format!(
                    "chunk {number} has shape {shape:?}, but {rest:?} after the first axis is needed"
                );
                return Err(Error::other(message));
            }
        }
    }
    let shape = [&cuts[chunks.len()..], &rest].concat();
    let mut grid = Grid::whole(&shape);
    grid.0[0] = cuts;
    let leaf = Leaf::memory(&shape, grid.clone(), chunks);
    Array::<A, D>::new(shape, grid, leaf).into_dimensionality()
}
