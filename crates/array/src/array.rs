//! Lazy arrays.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use std::sync::Arc;

use holdall::extend::Function;
use holdall::{Error, Result};
use ndarray::{Axis, DimMax, Dimension, IntoDimension, SliceArg};

use crate::element::{Element, Float, Number};
use crate::expr::Expr;
use crate::grid::Grid;
use crate::leaf::Leaf;
use crate::lowering::{Chunks, Located, Node};
use crate::ops::{Binary, Cast, Mapped, Root, Unary, Zipped};
use crate::view::View;

/// A lazy array, divided into chunks.
///
/// An operation on arrays describes an array, and computes nothing. [`compute`](Self::compute) and the methods that
/// write run a job: a task for each chunk, which reads what its chunk needs, and computes it in one loop, whatever the
/// number of element-wise operations. `E` is the type of this loop, as the type of an iterator is.
/// [`boxed`](Array::boxed) hides it.
///
/// # Chunks
///
/// A chunk is what a task holds in memory; a few MiB are a good size. The result of an operation on two arrays has the
/// boundaries of both. The chunks determine in which order numbers are combined, so a sum has the same digits on every
/// executor and for any number of threads.
///
/// # Shapes
///
/// Operators broadcast as in NumPy and in ndarray. Shapes are checked when an operation is described. If they do not
/// fit, it panics, as operators of ndarray do.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall_array::{Axis, arange, from_fn};
///
/// let context = Context::builder().threads(2).build()?;
/// let x = arange(0_i64..1_000_000, 30_000);
/// assert_eq!((x + 1).sum().value(&context)?, 500_000_500_000);
///
/// let x = from_fn((3, 4), (2, 2), |number| number as f64);
/// let centred = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
/// assert_eq!(centred.compute(&context)?.row(2).to_vec(), [-1.5, -0.5, 0.5, 1.5]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "an array is not computed until `compute` is called"]
pub struct Array<A: Element, D, E = Leaf<A>> {
    pub(crate) shape: Vec<usize>,
    pub(crate) grid: Grid,
    pub(crate) expr: E,
    dimension: PhantomData<fn() -> (A, D)>,
}

impl<A: Element, D, E: Clone> Clone for Array<A, D, E> {
    fn clone(&self) -> Self {
        Self::new(self.shape.clone(), self.grid.clone(), self.expr.clone())
    }
}

impl<A: Element, D, E> fmt::Debug for Array<A, D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("shape", &self.shape)
            .field("chunks", &self.grid.counts())
            .field("expression", &std::any::type_name::<E>())
            .finish()
    }
}

impl<A: Element, D, E> Array<A, D, E> {
    pub(crate) fn new(shape: Vec<usize>, grid: Grid, expr: E) -> Self {
        Self {
            shape,
            grid,
            expr,
            dimension: PhantomData,
        }
    }

    /// Returns the lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the lengths of the chunks along each axis.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall_array::arange(0..10, 4).chunks(), [[4, 4, 2]]);
    /// ```
    pub fn chunks(&self) -> Vec<Vec<usize>> {
        let lengths = |cuts: &Vec<usize>| cuts.windows(2).map(|cut| cut[1] - cut[0]).collect();
        self.grid.0.iter().map(lengths).collect()
    }
}

impl<A: Element, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    /// Returns the results of a closure for each element.
    ///
    /// On worker processes, the closure must capture nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::arange;
    ///
    /// let odd = arange(0_i64..5, 2).map(|n| n % 2 == 1);
    /// let odd = odd.compute(&holdall::Context::default())?;
    /// assert_eq!(odd.to_vec(), [false, true, false, true, false]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn map<B, F>(&self, function: F) -> Array<B, D, Mapped<E, Function<F>>>
    where
        B: Element,
        F: Fn(A) -> B + Clone + Send + Sync + 'static,
    {
        self.mapped(Function::new(function))
    }

    pub(crate) fn mapped<F: Unary<A>>(&self, operation: F) -> Array<F::Out, D, Mapped<E, F>> {
        let expr = Mapped {
            of: self.expr.clone(),
            operation,
        };
        Array::new(self.shape.clone(), self.grid.clone(), expr)
    }

    /// Returns the results of a closure for the elements of two arrays at the same positions. Shapes are broadcast.
    ///
    /// On worker processes, the closure must capture nothing.
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not fit.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::arange;
    ///
    /// let (a, b) = (arange(0_i64..4, 2), arange(3_i64..7, 3));
    /// let smaller = a.zip(&b, |a, b| (2 * a).min(b)).compute(&holdall::Context::default())?;
    /// assert_eq!(smaller.to_vec(), [0, 2, 4, 6]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[expect(
        clippy::type_complexity,
        reason = "the type of an expression is part of its array"
    )]
    pub fn zip<B, C, D2, E2, F>(
        &self,
        other: &Array<B, D2, E2>,
        function: F,
    ) -> Array<C, <D as DimMax<D2>>::Output, Zipped<E, E2, Function<F>>>
    where
        B: Element,
        C: Element,
        D: DimMax<D2>,
        D2: Dimension,
        E2: Expr<Item = B>,
        F: Fn(A, B) -> C + Clone + Send + Sync + 'static,
    {
        self.zipped(other, Function::new(function))
    }

    pub(crate) fn zipped<B, D2, E2, F>(
        &self,
        other: &Array<B, D2, E2>,
        operation: F,
    ) -> Array<F::Out, <D as DimMax<D2>>::Output, Zipped<E, E2, F>>
    where
        B: Element,
        D: DimMax<D2>,
        D2: Dimension,
        E2: Expr<Item = B>,
        F: Binary<A, B>,
    {
        let shape = broadcast_shape(&self.shape, &other.shape);
        let (a, b) = (self.broadcast_to(&shape), other.broadcast_to(&shape));
        let expr = Zipped {
            of: (a.expr, b.expr),
            operation,
        };
        Array::new(shape, a.grid.refined(&b.grid), expr)
    }

    fn broadcast_to(&self, shape: &[usize]) -> Self {
        if self.shape == shape {
            return self.clone();
        }
        self.viewed(&View::broadcast(&self.shape, shape))
    }

    fn viewed<D2>(&self, view: &View) -> Array<A, D2, E> {
        let grid = view.grid(&self.grid);
        Array::new(view.shape.clone(), grid, self.expr.view(view))
    }

    /// Returns the elements converted to another type, as by `as`.
    ///
    /// # Examples
    ///
    /// ```
    /// let x = holdall_array::arange(0_i64..4, 2).cast::<f64>() / 2.0;
    /// assert_eq!(x.compute(&holdall::Context::default())?.to_vec(), [0.0, 0.5, 1.0, 1.5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn cast<B: Number>(&self) -> Array<B, D, Mapped<E, Cast<B>>>
    where
        Cast<B>: Unary<A, Out = B>,
    {
        self.mapped(Cast::default())
    }

    /// Returns the square roots of the elements.
    pub fn sqrt(&self) -> Array<A, D, Mapped<E, Root>>
    where
        A: Float,
    {
        self.mapped(Root)
    }

    /// Returns a part of the array, selected by the macro `s![]` of ndarray.
    ///
    /// # Panics
    ///
    /// Panics if an index or a range exceeds its axis.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::{from_fn, s};
    ///
    /// let x = from_fn((4, 5), (2, 2), |number| number);
    /// let part = x.slice(s![1..;2, ..;-2]).compute(&holdall::Context::default())?;
    /// assert_eq!(part, ndarray::arr2(&[[9, 7, 5], [19, 17, 15]]));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn slice<I: SliceArg<D>>(&self, slices: I) -> Array<A, I::OutDim, E> {
        self.viewed(&View::sliced(&self.shape, slices.as_ref()))
    }

    /// Returns the array with its axes in the opposite order.
    ///
    /// # Examples
    ///
    /// ```
    /// let x = holdall_array::from_fn((2, 3), (1, 3), |number| number);
    /// let y = x.t().compute(&holdall::Context::default())?;
    /// assert_eq!(y, ndarray::arr2(&[[0, 3], [1, 4], [2, 5]]));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn t(&self) -> Self {
        let order: Vec<_> = (0..self.shape.len()).rev().collect();
        self.viewed(&View::permuted(&self.shape, &order))
    }

    /// Returns the array with its axes in the order that `axes` lists.
    ///
    /// # Panics
    ///
    /// Panics if an axis is missing, or occurs twice.
    ///
    /// # Examples
    ///
    /// ```
    /// let x = holdall_array::from_fn((2, 3, 4), (2, 3, 4), |number| number);
    /// assert_eq!(x.permuted_axes([1, 2, 0]).shape(), [3, 4, 2]);
    /// ```
    pub fn permuted_axes(&self, axes: impl IntoDimension<Dim = D>) -> Self {
        let axes = axes.into_dimension();
        let order = axes.slice();
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(0..self.shape.len()),
            "axes {order:?} are no order of {} axes",
            self.shape.len()
        );
        self.viewed(&View::permuted(&self.shape, order))
    }

    /// Returns the array with another axis, of length 1, before an axis.
    ///
    /// As in NumPy, `&x - &x.mean_axis(Axis(1))` subtracts the means along the last axis. Insert the axis again to
    /// subtract them along the first: `&x - &x.mean_axis(Axis(1)).insert_axis(Axis(1))`.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer axes.
    pub fn insert_axis(&self, axis: Axis) -> Array<A, D::Larger, E> {
        let axes = self.shape.len();
        assert!(
            axis.0 <= axes,
            "no axis {} can be inserted into {axes} axes",
            axis.0
        );
        self.viewed(&View::with_axis(&self.shape, axis.0))
    }

    /// Returns the same array with another type of its number of axes, such as [`IxDyn`](crate::IxDyn).
    ///
    /// # Errors
    ///
    /// Returns an error if the type stands for another number of axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::{Ix2, IxDyn, full};
    ///
    /// let x = full((2, 3), (2, 3), 1.0).into_dimensionality::<IxDyn>()?;
    /// assert_eq!(x.into_dimensionality::<Ix2>()?.shape(), [2, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn into_dimensionality<D2: Dimension>(&self) -> Result<Array<A, D2, E>> {
        let axes = self.shape.len();
        match D2::NDIM {
            Some(expected) if expected != axes => Err(Error::other(format!(
                "an array has {axes} axes, not {expected}"
            ))),
            _ => Ok(Array::new(
                self.shape.clone(),
                self.grid.clone(),
                self.expr.clone(),
            )),
        }
    }

    /// Returns the same array with other chunks. Runs nothing, and moves no data: a task of the new chunks reads
    /// the parts that it needs.
    ///
    /// # Panics
    ///
    /// Panics if the chunks have no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// let x = holdall_array::from_fn((4, 6), (4, 1), |number| number);
    /// assert_eq!(x.rechunk((3, 6)).chunks(), [vec![3, 1], vec![6]]);
    /// ```
    pub fn rechunk(&self, chunk: impl IntoDimension<Dim = D>) -> Self {
        let grid = Grid::regular(&self.shape, chunk.into_dimension().slice());
        Self::new(self.shape.clone(), grid, self.expr.clone())
    }

    /// Returns the same array, with an expression whose type is hidden.
    ///
    /// The chunks of this array become values of tasks of their own: each is computed once in a job, even if several
    /// operations need it, and held until the last of them has run. Use it for an array that is expensive to compute and
    /// needed more than once, for arrays of the same type in the branches of an `if`, and to shorten compile times.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::{Array, Ix1, arange};
    ///
    /// fn progression(is_long: bool) -> Array<i64, Ix1> {
    ///     if is_long { (arange(0_i64..100, 10) * 2).boxed() } else { arange(0_i64..10, 10).boxed() }
    /// }
    /// assert_eq!(progression(true).max().value(&holdall::Context::default())?, 198);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn boxed(&self) -> Array<A, D> {
        let node = Located {
            of: self.all_chunks(),
            location: Location::caller(),
        };
        Array::of_node(self.shape.clone(), self.grid.clone(), Arc::new(node))
    }

    pub(crate) fn all_chunks(&self) -> Chunks<E> {
        Chunks {
            expr: self.expr.clone(),
            grid: self.grid.clone(),
        }
    }
}

impl<A: Element, D> Array<A, D> {
    pub(crate) fn of_node(shape: Vec<usize>, grid: Grid, node: Arc<dyn Node<A>>) -> Self {
        let expr = Leaf::tasks(&shape, grid.clone(), node);
        Self::new(shape, grid, expr)
    }
}

/// Returns the shape of the result of an operation.
///
/// # Panics
///
/// Panics if the shapes do not fit.
fn broadcast_shape(a: &[usize], b: &[usize]) -> Vec<usize> {
    let axes = a.len().max(b.len());
    let length = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(axes) {
        Some(own) => shape[own],
        None => 1,
    };
    let shape = (0..axes).map(|axis| match (length(a, axis), length(b, axis)) {
        (1, length) | (length, 1) => length,
        (a, b) if a == b => a,
        _ => panic!("shapes {a:?} and {b:?} cannot be broadcast together"),
    });
    shape.collect()
}
