//! Numbers: what sums and statistics can be computed of.

use std::num::Wrapping;
use std::ops::{AddAssign, MulAssign};

use crate::pipeline::Data;

/// A number: an integer type, [`Wrapping`] of one, `f32` or `f64`.
///
/// Sums and products behave as `+` and `*` do on overflow. To sum integers that wrap around, use [`Wrapping`].
///
/// Only this library implements it.
///
/// # Examples
///
/// ```
/// use std::num::Wrapping;
///
/// let sums = holdall::from_vec(vec![('a', u64::MAX), ('a', 3)]).map_values(Wrapping).sum_by_key();
/// assert_eq!(sums.collect()?, [('a', Wrapping(2))]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no number that this library can sum",
    note = "use `reduce_by_key(|a, b| a + b)`, which adds values of any type in the order of the bag"
)]
pub trait Numeric:
    Data + Copy + Sync + PartialOrd + AddAssign + MulAssign + sealed::Sealed
{
    /// Whether the sum is the same in whatever order numbers are added.
    #[doc(hidden)]
    const IS_WHOLE: bool;
    /// The sum of no numbers: of floating-point numbers, -0.0, as in the standard library. 0.0 would change a sum of -0.0.
    #[doc(hidden)]
    const ZERO: Self;
    /// The product of no numbers.
    #[doc(hidden)]
    const ONE: Self;

    /// Returns the nearest floating-point number.
    #[doc(hidden)]
    fn to_f64(self) -> f64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! number {
    ($is_whole:literal, $zero:literal, $one:literal: $($number:ty)*) => {$(
        impl sealed::Sealed for $number {}

        impl Numeric for $number {
            const IS_WHOLE: bool = $is_whole;
            const ZERO: Self = $zero;
            const ONE: Self = $one;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

macro_rules! wrapping {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for Wrapping<$number> {}

        impl Numeric for Wrapping<$number> {
            const IS_WHOLE: bool = true;
            const ZERO: Self = Self(0);
            const ONE: Self = Self(1);

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.0 as f64
            }
        }
    )*};
}

number!(true, 0, 1: u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);
number!(false, -0.0, 1.0: f32 f64);
wrapping!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);
