//! Numbers, characters and pairs of integers as words of the same order, in code that is generic over sized types.
//!
//! As in [`owned_bytes`](crate::pipeline::owned_bytes), the compiler removes the type checks.

use std::any::Any;
use std::fmt::Debug;

/// A number that stands for a record, and has its order.
pub(crate) trait Word: Copy + Debug + Ord + Send + 'static {
    /// Returns whether each `T` has a word.
    fn is_for<T: 'static>() -> bool;

    /// Returns the word of a record; `None` if `T` has none.
    fn of<T: 'static>(record: &T) -> Option<Self>;

    /// Returns the record that has this word.
    fn record<T: 'static>(self) -> Option<T>;

    /// Returns the upper 64 bits.
    fn top(self) -> u64;

    /// Returns bytes that have the order of the words.
    fn to_bytes(self) -> impl AsRef<[u8]>;

    /// Returns the word that has these bytes.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// A type whose values have the order of unsigned numbers.
trait Ordered: Copy + 'static {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Option<Self>;
}

macro_rules! ordered {
    ($($unsigned:ty, $signed:ty);* $(;)?) => {$(
        impl Ordered for $unsigned {
            #[inline(always)]
            fn to_bits(self) -> u64 {
                self as u64
            }

            #[inline(always)]
            fn from_bits(bits: u64) -> Option<Self> {
                Some(bits as Self)
            }
        }

        impl Ordered for $signed {
            #[inline(always)]
            fn to_bits(self) -> u64 {
                // Negative numbers come first.
                self as u64 ^ 1 << 63
            }

            #[inline(always)]
            fn from_bits(bits: u64) -> Option<Self> {
                Some((bits ^ 1 << 63) as Self)
            }
        }
    )*};
}

ordered! {
    u8, i8;
    u16, i16;
    u32, i32;
    u64, i64;
    usize, isize;
}

impl Ordered for char {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u32::from(self).into()
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        char::from_u32(bits as u32)
    }
}

macro_rules! ordered_floats {
    ($($float:ty, $bits:ty);*) => {$(
        /// In the order of `total_cmp`.
        impl Ordered for $float {
            #[inline(always)]
            fn to_bits(self) -> u64 {
                let bits = <$float>::to_bits(self);
                let sign = 1 << (<$bits>::BITS - 1);
                // The bits of a negative number, without the sign, grow with its distance from zero.
                (if bits & sign == 0 { bits | sign } else { !bits }).into()
            }

            #[inline(always)]
            fn from_bits(bits: u64) -> Option<Self> {
                let sign = 1 << (<$bits>::BITS - 1);
                let bits = <$bits>::try_from(bits).ok()?;
                Some(<$float>::from_bits(if bits & sign == 0 { !bits } else { bits ^ sign }))
            }
        }
    )*};
}

ordered_floats!(f32, u32; f64, u64);

/// Returns `value` as a `T`, if that is its type.
#[inline(always)]
fn cast<T: 'static, U: 'static>(value: Option<U>) -> Option<T> {
    let mut value = value;
    let value: &mut dyn Any = &mut value;
    value.downcast_mut::<Option<T>>()?.take()
}

#[inline(always)]
fn is<T: 'static, U: 'static>() -> bool {
    let none: Option<T> = None;
    (&none as &dyn Any).is::<Option<U>>()
}

/// Implements the methods of [`Word`] that depend on `T`, for the given types. `$bits` and `$value` convert one of
/// their values.
macro_rules! of_types {
    ($visibility:vis [$($type:ty),* $(,)?], $bits:expr, $value:expr) => {
        #[inline(always)]
        $visibility fn is_for<T: 'static>() -> bool {
            $(is::<T, $type>())||*
        }

        #[inline(always)]
        $visibility fn of<T: 'static>(record: &T) -> Option<Self> {
            let record: &dyn Any = record;
            $(
                if let Some(record) = record.downcast_ref::<$type>() {
                    return Some($bits(*record));
                }
            )*
            None
        }

        #[inline(always)]
        $visibility fn record<T: 'static>(self) -> Option<T> {
            $(
                if is::<T, $type>() {
                    let value: Option<$type> = $value(self);
                    return cast(value);
                }
            )*
            None
        }
    };
}

impl Word for u64 {
    of_types! {
        [u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, char],
        Ordered::to_bits,
        Ordered::from_bits
    }

    #[inline(always)]
    fn top(self) -> u64 {
        self
    }

    #[inline(always)]
    fn to_bytes(self) -> impl AsRef<[u8]> {
        self.to_be_bytes()
    }

    #[inline(always)]
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// A number or a character as a word. Floating-point numbers are in the order of `total_cmp`.
///
/// This is not a [`Word`], because equal floating-point numbers may have different words: those of -0.0 and 0.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TotalWord(pub(super) u64);

impl TotalWord {
    of_types! {
        pub(super) [u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, char, f32, f64],
        |number| Self(Ordered::to_bits(number)),
        |word: Self| Ordered::from_bits(word.0)
    }
}

#[inline(always)]
fn both<A: Ordered, B: Ordered>((first, second): (A, B)) -> u128 {
    u128::from(first.to_bits()) << u64::BITS | u128::from(second.to_bits())
}

#[inline(always)]
fn parts<A: Ordered, B: Ordered>(word: u128) -> Option<(A, B)> {
    let first = A::from_bits((word >> u64::BITS) as u64)?;
    Some((first, B::from_bits(word as u64)?))
}

impl Word for u128 {
    of_types! {
        [
            (u64, u64), (u64, u32), (u64, usize), (u64, i64),
            (u32, u64), (u32, u32), (u32, usize), (u32, i64),
            (usize, u64), (usize, u32), (usize, usize), (usize, i64),
            (i64, u64), (i64, u32), (i64, usize), (i64, i64),
            (i32, i32), (i32, u64), (i32, usize), (char, u64),
        ],
        both,
        parts
    }

    #[inline(always)]
    fn top(self) -> u64 {
        (self >> u64::BITS) as u64
    }

    #[inline(always)]
    fn to_bytes(self) -> impl AsRef<[u8]> {
        self.to_be_bytes()
    }

    #[inline(always)]
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_be_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have_the_order<W: Word, T: Copy + Debug + Ord + 'static>(records: &[T]) {
        assert!(W::is_for::<T>());
        for a in records {
            let word = W::of(a).unwrap();
            assert_eq!(word.record(), Some(*a));
            assert_eq!(W::from_bytes(word.to_bytes().as_ref()), Some(word));
            for b in records {
                assert_eq!(a.cmp(b), word.cmp(&W::of(b).unwrap()), "{a:?}, {b:?}");
            }
        }
    }

    #[test]
    fn words_have_the_order_of_their_records() {
        have_the_order::<u64, u8>(&[0, 1, 255]);
        have_the_order::<u64, i16>(&[i16::MIN, -1, 0, 1, i16::MAX]);
        have_the_order::<u64, u64>(&[0, 1, u64::MAX]);
        have_the_order::<u64, i64>(&[i64::MIN, -1, 0, 1, i64::MAX]);
        have_the_order::<u64, char>(&['\0', 'a', 'é', char::MAX]);
        let numbers = [i64::MIN, -1, 0, 7, i64::MAX];
        let pairs = numbers.map(|a| numbers.map(|b| (a, b)));
        have_the_order::<u128, (i64, i64)>(&pairs.concat());
        have_the_order::<u128, (u32, i64)>(&[(0, -1), (0, 0), (1, i64::MIN), (u32::MAX, 3)]);
    }

    #[test]
    fn words_of_floats_have_the_total_order() {
        let floats = [
            -f64::NAN,
            f64::NEG_INFINITY,
            -1.5,
            -0.0,
            0.0,
            1e-320,
            1.5,
            f64::INFINITY,
            f64::NAN,
        ];
        for a in floats {
            let (word, short) = (TotalWord::of(&a), TotalWord::of(&(a as f32)));
            let found: Option<f64> = word.unwrap().record();
            assert_eq!(found.map(f64::to_bits), Some(a.to_bits()));
            let found: Option<f32> = short.unwrap().record();
            assert_eq!(found.map(f32::to_bits), Some((a as f32).to_bits()));
            for b in floats {
                assert_eq!(a.total_cmp(&b), word.cmp(&TotalWord::of(&b)), "{a}, {b}");
                let (order, other) = (
                    (a as f32).total_cmp(&(b as f32)),
                    TotalWord::of(&(b as f32)),
                );
                assert_eq!(order, short.cmp(&other), "{a}, {b}");
            }
        }
    }

    #[test]
    fn other_types_have_none() {
        assert!(!u64::is_for::<f64>() && !u64::is_for::<String>() && !u128::is_for::<u64>());
        assert!(!TotalWord::is_for::<bool>());
        assert_eq!(u64::of(&"a"), None);
        assert_eq!(7_u64.record::<String>(), None);
    }
}
