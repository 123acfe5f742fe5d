//! Operators: arithmetic of arrays, and of arrays and numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use ndarray::{DimMax, Dimension};

use crate::array::Array;
use crate::constant::Constant;
use crate::element::Number;
use crate::expr::Expr;
use crate::ops::{Mapped, Minus, Negated, Over, Plus, Times, Zipped};

/// The array that an operator returns for two arrays.
type Combined<A, D, D2, E, E2, F> = Array<A, <D as DimMax<D2>>::Output, Zipped<E, E2, F>>;

macro_rules! operators {
    ($($trait:ident $method:ident $operation:ident;)*) => {
        $(
            operators!(@arrays $trait $method $operation, Array<A, D, E>, Array<A, D2, E2>);
            operators!(@arrays $trait $method $operation, Array<A, D, E>, &Array<A, D2, E2>);
            operators!(@arrays $trait $method $operation, &Array<A, D, E>, Array<A, D2, E2>);
            operators!(@arrays $trait $method $operation, &Array<A, D, E>, &Array<A, D2, E2>);
            operators!(@number $trait $method $operation, Array<A, D, E>);
            operators!(@number $trait $method $operation, &Array<A, D, E>);
        )*
    };
    (@arrays $trait:ident $method:ident $operation:ident, $left:ty, $right:ty) => {
        impl<A, D, D2, E, E2> $trait<$right> for $left
        where
            A: Number,
            D: Dimension + DimMax<D2>,
            D2: Dimension,
            E: Expr<Item = A>,
            E2: Expr<Item = A>,
        {
            type Output = Combined<A, D, D2, E, E2, $operation>;

            fn $method(self, other: $right) -> Self::Output {
                let (a, b): (&Array<A, D, E>, &Array<A, D2, E2>) = (&self, &other);
                a.zipped(b, $operation)
            }
        }
    };
    (@number $trait:ident $method:ident $operation:ident, $left:ty) => {
        impl<A: Number, D: Dimension, E: Expr<Item = A>> $trait<A> for $left {
            type Output = Array<A, D, Zipped<E, Constant<A>, $operation>>;

            fn $method(self, number: A) -> Self::Output {
                let expr = Zipped {
                    of: (self.expr.clone(), Constant(number)),
                    operation: $operation,
                };
                Array::new(self.shape.clone(), self.grid.clone(), expr)
            }
        }
    };
}

operators! {
    Add add Plus;
    Sub sub Minus;
    Mul mul Times;
    Div div Over;
}

macro_rules! left_number {
    ($trait:ident $method:ident $operation:ident: $($number:ident)*) => {
        $(
            impl<D: Dimension, E: Expr<Item = $number>> $trait<&Array<$number, D, E>> for $number {
                type Output = Array<$number, D, Zipped<Constant<$number>, E, $operation>>;

                fn $method(self, array: &Array<$number, D, E>) -> Self::Output {
                    let expr = Zipped {
                        of: (Constant(self), array.expr.clone()),
                        operation: $operation,
                    };
                    Array::new(array.shape.clone(), array.grid.clone(), expr)
                }
            }
        )*
    };
}

left_number!(Add add Plus: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
left_number!(Sub sub Minus: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
left_number!(Mul mul Times: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
left_number!(Div div Over: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

macro_rules! negation {
    ($($array:ty),*) => {
        $(
            impl<A: Number, D: Dimension, E: Expr<Item = A>> Neg for $array {
                type Output = Array<A, D, Mapped<E, Negated>>;

                fn neg(self) -> Self::Output {
                    self.mapped(Negated)
                }
            }
        )*
    };
}

negation!(Array<A, D, E>, &Array<A, D, E>);
