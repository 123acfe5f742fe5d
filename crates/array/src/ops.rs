//! Element-wise operations.

use std::marker::PhantomData;

use holdall::BoxError;
use holdall::extend::{Function, Needs};
use serde::{Deserialize, Serialize};

use crate::element::{Element, Float, Number};
use crate::expr::{Block, Expr, LANES, Loading, Tile};
use crate::grid::Region;
use crate::lowering::Lowering;
use crate::view::View;

/// An operation on one element.
///
/// Only this crate implements it.
pub trait Unary<A>:
    Clone + Send + Sync + Serialize + serde::de::DeserializeOwned + 'static
{
    /// Type of the result.
    type Out: Element;

    #[doc(hidden)]
    fn apply(&self, a: A) -> Self::Out;
}

/// An operation on two elements.
///
/// Only this crate implements it.
pub trait Binary<A, B>:
    Clone + Send + Sync + Serialize + serde::de::DeserializeOwned + 'static
{
    /// Type of the result.
    type Out: Element;

    #[doc(hidden)]
    fn apply(&self, a: A, b: B) -> Self::Out;
}

impl<A, B: Element, F: Fn(A) -> B + Clone + Send + Sync + 'static> Unary<A> for Function<F> {
    type Out = B;

    #[inline(always)]
    fn apply(&self, a: A) -> B {
        self.get()(a)
    }
}

impl<A, B, C: Element, F: Fn(A, B) -> C + Clone + Send + Sync + 'static> Binary<A, B>
    for Function<F>
{
    type Out = C;

    #[inline(always)]
    fn apply(&self, a: A, b: B) -> C {
        self.get()(a, b)
    }
}

macro_rules! arithmetic {
    ($($(#[$doc:meta])* $name:ident $method:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
            pub struct $name;

            impl<A: Number> Binary<A, A> for $name {
                type Out = A;

                #[inline(always)]
                fn apply(&self, a: A, b: A) -> A {
                    a.$method(b)
                }
            }
        )*
    };
}

arithmetic! {
    /// The sum of two elements.
    Plus plus;
    /// The difference of two elements.
    Minus minus;
    /// The product of two elements.
    Times times;
    /// The quotient of two elements.
    Over over;
}

/// The number zero minus an element.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Negated;

impl<A: Number> Unary<A> for Negated {
    type Out = A;

    #[inline(always)]
    fn apply(&self, a: A) -> A {
        // Unlike the difference from zero, this product is right for zeros of floats.
        a.times(A::of_index(-1))
    }
}

/// The square root of an element.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Root;

impl<A: Float> Unary<A> for Root {
    type Out = A;

    #[inline(always)]
    fn apply(&self, a: A) -> A {
        a.root()
    }
}

/// An element as another type.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Cast<B>(PhantomData<fn() -> B>);

impl<B> Default for Cast<B> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

macro_rules! cast {
    ($from:ident to $($to:ident)*) => {
        $(
            impl Unary<$from> for Cast<$to> {
                type Out = $to;

                #[inline(always)]
                fn apply(&self, a: $from) -> $to {
                    a as $to
                }
            }
        )*
    };
}

cast!(bool to i8 i16 i32 i64 u8 u16 u32 u64);
cast!(i8 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(i16 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(i32 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(i64 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(u8 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(u16 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(u32 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(u64 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(f32 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
cast!(f64 to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

/// A number, counted from a start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Counted<A: Element>(pub(crate) A);

impl<A: Number> Unary<i64> for Counted<A> {
    type Out = A;

    #[inline(always)]
    fn apply(&self, index: i64) -> A {
        self.0.plus(A::of_index(index))
    }
}

/// The result of an operation on each element.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Mapped<E: Expr, F: Unary<E::Item>> {
    pub(crate) of: E,
    pub(crate) operation: F,
}

impl<E: Expr, F: Unary<E::Item>> Expr for Mapped<E, F> {
    type Item = F::Out;
    type Block = MappedBlock<E::Block, F>;

    fn view(&self, view: &View) -> Self {
        Self {
            of: self.of.view(view),
            operation: self.operation.clone(),
        }
    }

    fn needs_tasks(&self) -> bool {
        self.of.needs_tasks()
    }

    fn lower(&mut self, lowering: &mut Lowering) {
        self.of.lower(lowering);
    }

    fn needs(&self, region: &Region, needs: &mut Needs<'_>) {
        self.of.needs(region, needs);
    }

    fn load(&self, region: &Region, loading: &mut Loading<'_>) -> Result<Self::Block, BoxError> {
        Ok(MappedBlock(
            self.of.load(region, loading)?,
            self.operation.clone(),
        ))
    }
}

/// The block of an operand, and the operation.
#[derive(Debug)]
pub struct MappedBlock<B, F>(B, F);

impl<B: Block, F: Unary<B::Item>> Block for MappedBlock<B, F> {
    type Item = F::Out;
    type Tile<'t>
        = MappedTile<'t, B::Tile<'t>, F>
    where
        Self: 't;

    fn is_flat(&self) -> bool {
        self.0.is_flat()
    }

    fn flatten(&mut self, length: usize) {
        self.0.flatten(length);
    }

    fn seek(&mut self, position: &[usize]) {
        self.0.seek(position);
    }

    fn tile(&mut self, start: usize, length: usize) -> Self::Tile<'_> {
        MappedTile(self.0.tile(start, length), &self.1)
    }
}

/// The tile of an operand, and the operation.
#[derive(Debug)]
pub struct MappedTile<'t, T, F>(T, &'t F);

impl<T: Tile, F: Unary<T::Item>> Tile for MappedTile<'_, T, F> {
    type Item = F::Out;

    #[inline(always)]
    fn get(&self, at: usize) -> F::Out {
        self.1.apply(self.0.get(at))
    }

    #[inline(always)]
    fn packet(&self, at: usize) -> [F::Out; LANES] {
        self.0.packet(at).map(|a| self.1.apply(a))
    }
}

/// The results of an operation on the elements of two arrays at the same positions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Zipped<X: Expr, Y: Expr, F: Binary<X::Item, Y::Item>> {
    pub(crate) of: (X, Y),
    pub(crate) operation: F,
}

impl<X: Expr, Y: Expr, F: Binary<X::Item, Y::Item>> Expr for Zipped<X, Y, F> {
    type Item = F::Out;
    type Block = ZippedBlock<X::Block, Y::Block, F>;

    fn view(&self, view: &View) -> Self {
        Self {
            of: (self.of.0.view(view), self.of.1.view(view)),
            operation: self.operation.clone(),
        }
    }

    fn needs_tasks(&self) -> bool {
        self.of.0.needs_tasks() || self.of.1.needs_tasks()
    }

    fn lower(&mut self, lowering: &mut Lowering) {
        self.of.0.lower(lowering);
        self.of.1.lower(lowering);
    }

    fn needs(&self, region: &Region, needs: &mut Needs<'_>) {
        self.of.0.needs(region, needs);
        self.of.1.needs(region, needs);
    }

    fn load(&self, region: &Region, loading: &mut Loading<'_>) -> Result<Self::Block, BoxError> {
        Ok(ZippedBlock {
            of: (
                self.of.0.load(region, loading)?,
                self.of.1.load(region, loading)?,
            ),
            operation: self.operation.clone(),
        })
    }
}

/// The blocks of two operands, and the operation.
#[derive(Debug)]
pub struct ZippedBlock<X, Y, F> {
    of: (X, Y),
    operation: F,
}

impl<X: Block, Y: Block, F: Binary<X::Item, Y::Item>> Block for ZippedBlock<X, Y, F> {
    type Item = F::Out;
    type Tile<'t>
        = ZippedTile<'t, X::Tile<'t>, Y::Tile<'t>, F>
    where
        Self: 't;

    fn is_flat(&self) -> bool {
        self.of.0.is_flat() && self.of.1.is_flat()
    }

    fn flatten(&mut self, length: usize) {
        self.of.0.flatten(length);
        self.of.1.flatten(length);
    }

    fn seek(&mut self, position: &[usize]) {
        self.of.0.seek(position);
        self.of.1.seek(position);
    }

    fn tile(&mut self, start: usize, length: usize) -> Self::Tile<'_> {
        ZippedTile {
            of: (self.of.0.tile(start, length), self.of.1.tile(start, length)),
            operation: &self.operation,
        }
    }
}

/// The tiles of two operands, and the operation.
#[derive(Debug)]
pub struct ZippedTile<'t, X, Y, F> {
    of: (X, Y),
    operation: &'t F,
}

impl<X: Tile, Y: Tile, F: Binary<X::Item, Y::Item>> Tile for ZippedTile<'_, X, Y, F> {
    type Item = F::Out;

    #[inline(always)]
    fn get(&self, at: usize) -> F::Out {
        self.operation.apply(self.of.0.get(at), self.of.1.get(at))
    }

    #[inline(always)]
    fn packet(&self, at: usize) -> [F::Out; LANES] {
        let (a, b) = (self.of.0.packet(at), self.of.1.packet(at));
        std::array::from_fn(|lane| self.operation.apply(a[lane], b[lane]))
    }
}
