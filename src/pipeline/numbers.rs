//! Copies of numbers in code that is generic over sized types. As in [`owned_bytes`](super::owned_bytes), the compiler
//! removes the type checks.

use std::any::Any;

/// Implements the functions for these types.
macro_rules! numbers {
    ($($number:ty),*) => {
        /// Returns whether `T` is a number, a character or a `bool`.
        #[inline(always)]
        pub(crate) fn is_number<T: 'static>() -> bool {
            let none: Option<T> = None;
            let none: &dyn Any = &none;
            $(none.is::<Option<$number>>())||*
        }

        /// Returns a copy of a number, a character or a `bool`; `None` if `T` is another type.
        #[inline(always)]
        pub(crate) fn copied<T: 'static>(record: &T) -> Option<T> {
            let record: &dyn Any = record;
            let mut copy: Option<T> = None;
            let place: &mut dyn Any = &mut copy;
            $(
                if let (Some(number), Some(place)) = (
                    record.downcast_ref::<$number>(),
                    place.downcast_mut::<Option<$number>>(),
                ) {
                    *place = Some(*number);
                }
            )*
            copy
        }
    };
}

numbers! {
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, char, bool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_copied() {
        assert_eq!(copied(&7_u64), Some(7));
        assert_eq!(copied(&-0.5_f32), Some(-0.5));
        assert_eq!(copied(&'a'), Some('a'));
        assert!(is_number::<i128>() && is_number::<bool>());
        assert_eq!(copied(&"a".to_owned()), None);
        assert_eq!(copied(&(1, 2)), None);
        assert!(!is_number::<Option<u8>>());
    }
}
