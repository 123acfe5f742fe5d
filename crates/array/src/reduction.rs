//! Reductions: sums, means, deviations and extremes.
//!
//! The order in which numbers are combined depends on the chunks only. Within a tile, eight sums run side by side;
//! the results of tiles, then of chunks, are combined pair by pair, so rounding errors grow slowly.

use std::fmt::Debug;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::element::{Element, Number};
use crate::expr::{LANES, Tile};

/// Combines elements.
pub(crate) trait Reduction<A: Element>:
    Copy + Send + Sync + Serialize + DeserializeOwned + 'static
{
    /// Partial result of some elements.
    type State: Copy + Debug + Send + Sync + Serialize + DeserializeOwned + 'static;
    /// Type of the result.
    type Out: Element;

    /// Name of the method.
    const NAME: &'static str;

    /// Returns the state of no elements.
    fn none() -> Self::State;

    /// Adds an element.
    fn add(state: Self::State, element: A) -> Self::State;

    /// Adds the elements of another state, which follow.
    fn merge(a: Self::State, b: Self::State) -> Self::State;

    /// Returns the result for `count` elements.
    fn finish(state: Self::State, count: usize) -> Self::Out;

    /// Returns the state of the first elements of a tile.
    fn tile<T: Tile<Item = A>>(tile: &T, length: usize) -> Self::State {
        let mut lanes = [Self::none(); LANES];
        let whole = length - length % LANES;
        for at in (0..whole).step_by(LANES) {
            let packet = tile.packet(at);
            for (lane, element) in lanes.iter_mut().zip(packet) {
                *lane = Self::add(*lane, element);
            }
        }
        let rest = (whole..length).fold(Self::none(), |state, at| Self::add(state, tile.get(at)));
        lanes
            .into_iter()
            .chain([rest])
            .fold(Self::none(), Self::merge)
    }
}

/// The sum of all elements.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sum;

impl<A: Number> Reduction<A> for Sum {
    type State = A::Wide;
    type Out = A::Sum;

    const NAME: &'static str = "sum";

    fn none() -> A::Wide {
        A::Wide::default()
    }

    #[inline(always)]
    fn add(state: A::Wide, element: A) -> A::Wide {
        state.plus(element.widen())
    }

    #[inline(always)]
    fn merge(a: A::Wide, b: A::Wide) -> A::Wide {
        a.plus(b)
    }

    fn finish(state: A::Wide, _: usize) -> A::Sum {
        A::sum_of(state)
    }
}

/// The mean of all elements.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Mean;

impl<A: Number> Reduction<A> for Mean {
    type State = f64;
    type Out = A::Mean;

    const NAME: &'static str = "mean";

    fn none() -> f64 {
        0.0
    }

    #[inline(always)]
    fn add(state: f64, element: A) -> f64 {
        state + element.as_f64()
    }

    #[inline(always)]
    fn merge(a: f64, b: f64) -> f64 {
        a + b
    }

    fn finish(state: f64, count: usize) -> A::Mean {
        A::mean_of(state / count as f64)
    }
}

/// The number of elements, their mean, and the sum of the squares of their differences from it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

/// The variance of all elements, or its square root.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Variance<const ROOT: bool>;

impl<A: Number, const ROOT: bool> Reduction<A> for Variance<ROOT> {
    type State = Moments;
    type Out = A::Mean;

    const NAME: &'static str = if ROOT { "std" } else { "var" };

    fn none() -> Moments {
        Moments {
            count: 0.0,
            mean: 0.0,
            squares: 0.0,
        }
    }

    /// The method of Welford.
    #[inline(always)]
    fn add(state: Moments, element: A) -> Moments {
        let element = element.as_f64();
        let count = state.count + 1.0;
        let difference = element - state.mean;
        let mean = state.mean + difference / count;
        Moments {
            count,
            mean,
            squares: state.squares + difference * (element - mean),
        }
    }

    /// The method of Chan, Golub and LeVeque.
    fn merge(a: Moments, b: Moments) -> Moments {
        if a.count == 0.0 || b.count == 0.0 {
            return if a.count == 0.0 { b } else { a };
        }
        let count = a.count + b.count;
        let difference = b.mean - a.mean;
        Moments {
            count,
            mean: a.mean + difference * (b.count / count),
            squares: a.squares + b.squares + difference * difference * (a.count * b.count / count),
        }
    }

    fn finish(state: Moments, count: usize) -> A::Mean {
        let variance = state.squares / count as f64;
        A::mean_of(if ROOT { variance.sqrt() } else { variance })
    }

    /// First the mean, then the squares: two short loops without a division are faster than one with.
    fn tile<T: Tile<Item = A>>(tile: &T, length: usize) -> Moments {
        if length == 0 {
            return <Self as Reduction<A>>::none();
        }
        let mean = <Mean as Reduction<A>>::tile(tile, length) / length as f64;
        let mut lanes = [0.0; LANES];
        let whole = length - length % LANES;
        for at in (0..whole).step_by(LANES) {
            let packet = tile.packet(at);
            for (lane, element) in lanes.iter_mut().zip(packet) {
                let difference = element.as_f64() - mean;
                *lane += difference * difference;
            }
        }
        let rest = (whole..length).map(|at| (tile.get(at).as_f64() - mean).powi(2));
        Moments {
            count: length as f64,
            mean,
            squares: lanes.iter().sum::<f64>() + rest.sum::<f64>(),
        }
    }
}

/// The least element, or the greatest. NaN if an element is NaN.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Extreme<const GREATEST: bool>;

impl<A: Number, const GREATEST: bool> Reduction<A> for Extreme<GREATEST> {
    type State = A;
    type Out = A;

    const NAME: &'static str = if GREATEST { "max" } else { "min" };

    fn none() -> A {
        if GREATEST { A::LEAST } else { A::GREATEST }
    }

    #[inline(always)]
    fn add(state: A, element: A) -> A {
        let is_better = if GREATEST {
            element > state
        } else {
            element < state
        };
        if is_better || element.is_nan_value() {
            element
        } else {
            state
        }
    }

    #[inline(always)]
    fn merge(a: A, b: A) -> A {
        <Self as Reduction<A>>::add(a, b)
    }

    fn finish(state: A, _: usize) -> A {
        state
    }
}

/// Combines states pair by pair, as a tree over their sequence does, with memory for one state of each level.
pub(crate) struct Pairwise<A, R: Reduction<A>>
where
    A: Element,
{
    /// States of 1, 2, 4 … states, if the binary digit of `count` is set. The last one is the most recent.
    levels: Vec<R::State>,
    count: usize,
    elements: PhantomData<A>,
}

impl<A: Element, R: Reduction<A>> Pairwise<A, R> {
    pub(crate) fn new() -> Self {
        Self {
            levels: Vec::new(),
            count: 0,
            elements: PhantomData,
        }
    }

    pub(crate) fn push(&mut self, mut state: R::State) {
        for _ in 0..self.count.trailing_ones() {
            if let Some(before) = self.levels.pop() {
                state = R::merge(before, state);
            }
        }
        self.levels.push(state);
        self.count += 1;
    }

    pub(crate) fn finish(self) -> R::State {
        let levels = self.levels.into_iter().rev();
        levels
            .reduce(|after, before| R::merge(before, after))
            .unwrap_or_else(R::none)
    }
}
