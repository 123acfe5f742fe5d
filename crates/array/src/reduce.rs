//! Layers of reductions: one task for each chunk, then a tree over the chunks.

use std::panic::Location;
use std::sync::Arc;

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, LayerId, Needs, TaskScope};
use ndarray::{Axis, Dimension, Ix0};
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::element::{Element, Number};
use crate::expr::{Expr, LANES, Loading, Tile, for_each_row, for_each_tile};
use crate::grid::{Grid, lengths, position, strides};
use crate::lowering::{Located, Lowering, Node};
use crate::reduction::{Extreme, Mean, Pairwise, Reduction, Sum, Variance};

/// Maximum number of results that a task combines. A greater number makes fewer tasks, which wait for more of the others.
const FAN_IN: usize = 16;

/// A reduction of an array along some axes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Reduced<E: Expr, R: Reduction<E::Item>> {
    expr: E,
    grid: Grid,
    /// Whether an axis is reduced.
    axes: Vec<bool>,
    reduction: R,
}

type StateOf<E, R> = <R as Reduction<<E as Expr>::Item>>::State;

impl<E: Expr, R: Reduction<E::Item>> Reduced<E, R> {
    /// Returns the values of the axes that are reduced, or of those that are not.
    fn of_axes<T: Clone>(&self, values: &[T], is_reduced: bool) -> Vec<T> {
        let axes = values.iter().zip(&self.axes);
        let axes = axes.filter(|(_, reduced)| **reduced == is_reduced);
        axes.map(|(value, _)| value.clone()).collect()
    }

    /// Returns the grid of the result.
    fn result_grid(&self) -> Grid {
        Grid(self.of_axes(&self.grid.0, false))
    }

    /// Returns the states of a chunk, in the order of their positions.
    fn states(
        &self,
        block: &mut E::Block,
        region: &[std::ops::Range<usize>],
    ) -> Vec<StateOf<E, R>> {
        let shape = lengths(region);
        let kept = self.of_axes(&shape, false);
        if kept.is_empty() {
            let mut all = Pairwise::<E::Item, R>::new();
            for_each_row(block, region, true, |block, _, length| {
                for_each_tile(block, length, |tile, _, count| {
                    all.push(R::tile(tile, count))
                });
            });
            return vec![all.finish()];
        }
        let mut states = vec![R::none(); kept.iter().product()];
        let mut of_kept = strides(&kept).into_iter();
        let steps = self.axes.iter().map(|reduced| match reduced {
            true => 0,
            false => of_kept.next().unwrap_or_default() as usize,
        });
        let steps: Vec<_> = steps.collect();
        let leading = &shape[..shape.len() - 1];
        let is_last_reduced = self.axes.last() == Some(&true);
        for_each_row(block, region, false, |block, row, length| {
            let position = position(row, leading);
            let place: usize = position
                .iter()
                .zip(&steps)
                .map(|(at, step)| at * step)
                .sum();
            if is_last_reduced {
                let mut all = Pairwise::<E::Item, R>::new();
                for_each_tile(block, length, |tile, _, count| {
                    all.push(R::tile(tile, count))
                });
                states[place] = R::merge(states[place], all.finish());
            } else {
                let states = &mut states[place..place + length];
                for_each_tile(block, length, |tile, start, count| {
                    add_each::<E::Item, R, _>(&mut states[start..start + count], tile);
                });
            }
        });
        states
    }
}

/// Adds each element of a tile to a state of its own.
fn add_each<A: Element, R: Reduction<A>, T: Tile<Item = A>>(states: &mut [R::State], tile: &T) {
    let mut packets = states.chunks_exact_mut(LANES);
    let mut at = 0;
    for states in packets.by_ref() {
        for (state, element) in states.iter_mut().zip(tile.packet(at)) {
            *state = R::add(*state, element);
        }
        at += LANES;
    }
    for state in packets.into_remainder() {
        *state = R::add(*state, tile.get(at));
        at += 1;
    }
}

impl<E: Expr, R: Reduction<E::Item>> Layer for Reduced<E, R> {
    type Value = Vec<StateOf<E, R>>;

    fn name(&self) -> &'static str {
        R::NAME
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
    ) -> Result<Self::Value, BoxError> {
        let region = self.grid.region(task);
        let mut block = self.expr.load(&region, &mut Loading::new(inputs, scope))?;
        Ok(self.states(&mut block, &region))
    }
}

/// Results that a task combines.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Merge<S: 'static> {
    /// The layer that computes them.
    of: LayerId<Vec<S>>,
    /// Numbers of the tasks whose results belong together.
    tasks: Numbering,
    /// Number of results that belong together, and of tasks that combine them.
    counts: (usize, usize),
}

/// Numbers of tasks.
#[derive(Clone, Serialize, Deserialize)]
enum Numbering {
    /// Chunks of a grid with these numbers of chunks along each axis. Those along the reduced axes belong together.
    Chunks(Vec<usize>, Vec<bool>),
    /// Consecutive ones belong together.
    Consecutive,
}

impl<S: Send + Sync + Serialize + serde::de::DeserializeOwned + 'static> Merge<S> {
    fn add_needs(&self, task: usize, needs: &mut Needs<'_>) {
        let (results, groups) = self.counts;
        let (kept, group) = (task / groups, task % groups);
        for result in group * FAN_IN..results.min((group + 1) * FAN_IN) {
            needs.add(self.of, self.tasks.number(kept, result, results));
        }
    }
}

impl Numbering {
    /// Returns the number of a task from the position along the axes that remain, and along those that are reduced.
    fn number(&self, kept: usize, result: usize, results: usize) -> usize {
        let Self::Chunks(counts, axes) = self else {
            return kept * results + result;
        };
        let along = |is_reduced: bool, number: usize| {
            let counts = counts.iter().zip(axes);
            let counts: Vec<_> = counts
                .filter(|(_, reduced)| **reduced == is_reduced)
                .map(|(count, _)| *count)
                .collect();
            position(number, &counts).into_iter()
        };
        let (mut kept, mut reduced) = (along(false, kept), along(true, result));
        let positions = axes.iter().map(|is_reduced| match is_reduced {
            true => reduced.next(),
            false => kept.next(),
        });
        let positions = positions.zip(counts);
        positions.fold(0, |number, (at, count)| {
            number * count + at.unwrap_or_default()
        })
    }
}

/// Combines results of chunks, or of other such tasks.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Combined<A: Element, R: Reduction<A>> {
    /// The grid of the result of the reduction.
    grid: Grid,
    merge: Merge<R::State>,
}

impl<A: Element, R: Reduction<A>> Combined<A, R> {
    fn states(&self, kept: usize, inputs: &Inputs<'_>) -> Vec<R::State> {
        let region = self.grid.region(kept);
        let mut states = vec![R::none(); lengths(&region).iter().product()];
        for input in inputs.iter::<Vec<R::State>>() {
            for (state, other) in states.iter_mut().zip(input) {
                *state = R::merge(*state, *other);
            }
        }
        states
    }
}

impl<A: Element, R: Reduction<A>> Layer for Combined<A, R> {
    type Value = Vec<R::State>;

    fn name(&self) -> &'static str {
        R::NAME
    }

    fn tasks(&self) -> usize {
        self.grid.chunks() * self.merge.counts.1
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.merge.add_needs(task, needs);
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        _: &TaskScope<'_>,
    ) -> Result<Self::Value, BoxError> {
        Ok(self.states(task / self.merge.counts.1, inputs))
    }
}

/// Computes the chunks of the result.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Finished<A: Element, R: Reduction<A>> {
    last: Combined<A, R>,
    /// Number of elements of which each result is computed.
    count: usize,
}

impl<A: Element, R: Reduction<A>> Layer for Finished<A, R> {
    type Value = Chunk<R::Out>;

    fn name(&self) -> &'static str {
        R::NAME
    }

    fn tasks(&self) -> usize {
        self.last.tasks()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.last.needs(task, needs);
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        _: &TaskScope<'_>,
    ) -> Result<Self::Value, BoxError> {
        let states = self.last.states(task, inputs).into_iter();
        let elements = states.map(|state| R::finish(state, self.count));
        let shape = lengths(&self.last.grid.region(task));
        Ok(Chunk::new(shape, elements.collect()))
    }
}

impl<E: Expr, R: Reduction<E::Item>> Node<R::Out> for Located<Reduced<E, R>> {
    fn add(&self, lowering: &mut Lowering) -> LayerId<Chunk<R::Out>> {
        let (reduced, location) = (&self.of, self.location);
        let mut lowered = reduced.clone();
        lowered.expr.lower(lowering);
        let chunks = reduced.grid.counts();
        let mut results = reduced.of_axes(&chunks, true).iter().product();
        let mut of = lowering.add(lowered, location);
        let mut tasks = Numbering::Chunks(chunks, reduced.axes.clone());
        loop {
            let counts = (results, usize::div_ceil(results, FAN_IN).max(1));
            let last = Combined::<E::Item, R> {
                grid: reduced.result_grid(),
                merge: Merge { of, tasks, counts },
            };
            if counts.1 == 1 {
                let lengths = reduced.grid.0.iter().map(|cuts| cuts[cuts.len() - 1]);
                let lengths: Vec<_> = lengths.collect();
                let count = reduced.of_axes(&lengths, true).iter().product();
                return lowering.add(Finished { last, count }, location);
            }
            of = lowering.add(last, location);
            (tasks, results) = (Numbering::Consecutive, counts.1);
        }
    }
}

impl<A: Element, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    #[track_caller]
    fn reduce<D2, R: Reduction<A>>(&self, reduction: R, axes: Vec<bool>) -> Array<R::Out, D2> {
        let reduced = Reduced {
            expr: self.expr.clone(),
            grid: self.grid.clone(),
            axes,
            reduction,
        };
        let (shape, grid) = (reduced.of_axes(&self.shape, false), reduced.result_grid());
        let node = Located {
            of: reduced,
            location: Location::caller(),
        };
        Array::of_node(shape, grid, Arc::new(node))
    }

    fn all_axes(&self) -> Vec<bool> {
        vec![true; self.shape.len()]
    }

    #[track_caller]
    fn one_axis(&self, axis: Axis) -> Vec<bool> {
        let axes = self.shape.len();
        assert!(axis.0 < axes, "there is no axis {} among {axes}", axis.0);
        (0..axes).map(|own| own == axis.0).collect()
    }

    #[track_caller]
    fn extreme<D2, const GREATEST: bool>(&self, axes: Vec<bool>) -> Array<A, D2>
    where
        A: Number,
    {
        let mut reduced = self.shape.iter().zip(&axes);
        let is_empty = reduced.any(|(length, is_reduced)| *is_reduced && *length == 0);
        assert!(!is_empty, "no elements have no least or greatest one");
        self.reduce(Extreme::<GREATEST>, axes)
    }
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident $name_axis:ident: $out:ty = $reduction:expr;)*) => {
        impl<A: Number, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $name(&self) -> Array<$out, Ix0> {
                    self.reduce($reduction, self.all_axes())
                }

                #[doc = concat!("Like [`", stringify!($name), "`](Self::", stringify!($name), "), along one axis, which")]
                /// the result lacks.
                ///
                /// # Panics
                ///
                /// Panics if there is no such axis.
                #[track_caller]
                pub fn $name_axis(&self, axis: Axis) -> Array<$out, D::Smaller> {
                    self.reduce($reduction, self.one_axis(axis))
                }
            )*
        }
    };
}

reductions! {
    /// Returns the sum of all elements. Integers wrap around; those of `f32` are added as `f64`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    /// use holdall_array::{Axis, from_fn};
    ///
    /// let x = from_fn((2, 3), (1, 2), |number| number);
    /// let context = Context::default();
    /// assert_eq!(x.sum().value(&context)?, 15);
    /// assert_eq!(x.sum_axis(Axis(0)).compute(&context)?.to_vec(), [3, 5, 7]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    sum sum_axis: A::Sum = Sum;
    /// Returns the mean of all elements: NaN if there are none.
    mean mean_axis: A::Mean = Mean;
    /// Returns the variance of all elements: the mean of the squares of their differences from the mean.
    var var_axis: A::Mean = Variance::<false>;
    /// Returns the standard deviation of all elements, the square root of their variance.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::arange;
    ///
    /// let deviation = arange(0_i64..5, 2).std().value(&holdall::Context::default())?;
    /// assert_eq!(deviation, 2_f64.sqrt());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    std std_axis: A::Mean = Variance::<true>;
}

impl<A: Number, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    /// Returns the least element: NaN if an element is NaN.
    ///
    /// # Panics
    ///
    /// Panics if there are no elements.
    #[track_caller]
    pub fn min(&self) -> Array<A, Ix0> {
        self.extreme::<_, false>(self.all_axes())
    }

    /// Like [`min`](Self::min), along one axis, which the result lacks.
    ///
    /// # Panics
    ///
    /// Panics if there is no such axis, or if its length is zero.
    #[track_caller]
    pub fn min_axis(&self, axis: Axis) -> Array<A, D::Smaller> {
        self.extreme::<_, false>(self.one_axis(axis))
    }

    /// Returns the greatest element: NaN if an element is NaN.
    ///
    /// # Panics
    ///
    /// Panics if there are no elements.
    #[track_caller]
    pub fn max(&self) -> Array<A, Ix0> {
        self.extreme::<_, true>(self.all_axes())
    }

    /// Like [`max`](Self::max), along one axis, which the result lacks.
    ///
    /// # Panics
    ///
    /// Panics if there is no such axis, or if its length is zero.
    #[track_caller]
    pub fn max_axis(&self, axis: Axis) -> Array<A, D::Smaller> {
        self.extreme::<_, true>(self.one_axis(axis))
    }
}
