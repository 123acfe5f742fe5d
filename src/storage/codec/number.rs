//! Integers in bincode's format, without calls to bincode: most values in a shuffle are integers.
//!
//! ```text
//!  up to 250         the number
//!  up to 2^16 - 1    251, two bytes
//!  up to 2^32 - 1    252, four bytes
//!  up to 2^64 - 1    253, eight bytes
//! ```
//!
//! Signed integers are zigzag-encoded: 0, 1, 2, 3, 4 stand for 0, -1, 1, -2, 2.

const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

/// An integer in this format. Integers of one byte have another.
pub(super) trait Number: Sized {
    const BYTES: usize;

    fn to_unsigned(self) -> u64;

    /// Returns the number for which [`to_unsigned`](Self::to_unsigned) has returned `unsigned`. It fits into
    /// [`BYTES`](Self::BYTES).
    fn from_unsigned(unsigned: u64) -> Self;

    /// Takes a number of [`BYTES`](Self::BYTES) bytes from the start of `bytes`.
    fn take_fixed(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! take_fixed {
    ($unsigned:ty) => {
        #[inline(always)]
        fn take_fixed(bytes: &mut &[u8]) -> Option<Self> {
            let (number, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Some(Self::from_unsigned(
                <$unsigned>::from_le_bytes(*number).into(),
            ))
        }
    };
}

macro_rules! numbers {
    ($($unsigned:ty, $signed:ty);* $(;)?) => {$(
        impl Number for $unsigned {
            const BYTES: usize = size_of::<Self>();

            #[inline(always)]
            fn to_unsigned(self) -> u64 {
                self.into()
            }

            #[inline(always)]
            fn from_unsigned(unsigned: u64) -> Self {
                unsigned as Self
            }

            take_fixed!($unsigned);
        }

        impl Number for $signed {
            const BYTES: usize = size_of::<Self>();

            #[inline(always)]
            fn to_unsigned(self) -> u64 {
                let number = i64::from(self);
                (number << 1 ^ number >> 63) as u64
            }

            #[inline(always)]
            fn from_unsigned(unsigned: u64) -> Self {
                (unsigned >> 1) as Self ^ -((unsigned & 1) as Self)
            }

            take_fixed!($unsigned);
        }
    )*};
}

numbers! {
    u16, i16;
    u32, i32;
    u64, i64;
}

/// Returns the encoding of a number: the first byte, the unsigned number, and how many of its low bytes follow the
/// first byte.
#[inline(always)]
pub(super) fn parts(number: impl Number) -> (u8, u64, usize) {
    let number = number.to_unsigned();
    if number < TWO_BYTES.into() {
        return (number as u8, number, 0);
    }
    // Branchless, because the length of a number cannot be predicted.
    let (four, eight) = (u8::from(number > 0xffff), u8::from(number > 0xffff_ffff));
    let more = 2 + 2 * four + 4 * eight;
    (TWO_BYTES + four + eight, number, more.into())
}

/// Takes the number at the start of `bytes`. If there is none that fits into a `T`, returns `None` and takes nothing.
#[inline(always)]
pub(super) fn take<T: Number>(bytes: &mut &[u8]) -> Option<T> {
    let (&first, rest) = bytes.split_first()?;
    let (number, rest) = match first {
        ..TWO_BYTES => (u64::from(first), rest),
        TWO_BYTES => {
            let (number, rest) = rest.split_first_chunk()?;
            (u16::from_le_bytes(*number).into(), rest)
        }
        FOUR_BYTES if T::BYTES >= 4 => {
            let (number, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(*number).into(), rest)
        }
        EIGHT_BYTES if T::BYTES >= 8 => {
            let (number, rest) = rest.split_first_chunk()?;
            (u64::from_le_bytes(*number), rest)
        }
        _ => return None,
    };
    *bytes = rest;
    Some(T::from_unsigned(number))
}
