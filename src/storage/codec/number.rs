//! Whole numbers as bincode writes them, without its calls: they are most of what goes through a shuffle.
//!
//! ```text
//!  up to 250         the number
//!  up to 2^16 - 1    251, two bytes
//!  up to 2^32 - 1    252, four bytes
//!  up to 2^64 - 1    253, eight bytes
//! ```
//!
//! Of numbers with a sign it is 0, 1, 2, 3, 4 that stand for 0, -1, 1, -2, 2.

const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

/// What is written and read as above. Numbers of one byte are not.
pub(super) trait Number: Sized {
    const BYTES: usize;

    fn to_unsigned(self) -> u64;

    /// The number that has given `unsigned`, which has no more than [`BYTES`](Self::BYTES).
    fn from_unsigned(unsigned: u64) -> Self;
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
        }
    )*};
}

numbers! {
    u16, i16;
    u32, i32;
    u64, i64;
}

/// A number as it is written: the first byte, then so many of the lowest bytes of the number.
#[inline(always)]
pub(super) fn parts(number: impl Number) -> (u8, u64, usize) {
    let number = number.to_unsigned();
    if number < TWO_BYTES.into() {
        return (number as u8, number, 0);
    }
    // Counted, not jumped to: how long a number is can hardly be foreseen.
    let [four, eight] = [number > 0xffff, number > 0xffff_ffff].map(u8::from);
    let more = 2 + 2 * four + 4 * eight;
    (TWO_BYTES + four + eight, number, more.into())
}

/// Takes the number that `bytes` start with; `None`, and nothing is taken, if there is none that is a `T`.
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
