//! Deserialises errors within errors, which may come from another process.

use std::cell::Cell;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Maximum number of errors within each other that are read back. holdall itself nests two at most; without a limit, a
/// few kilobytes from another process could overflow the stack.
const MAX_DEPTH: usize = 16;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Reads an error that is part of another.
pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Box<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    /// Counts a level until it is dropped.
    struct Level;

    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }

    DEPTH.set(DEPTH.get() + 1);
    let _level = Level;
    if DEPTH.get() > MAX_DEPTH {
        return Err(D::Error::custom("too many errors within each other"));
    }
    Box::deserialize(from)
}

#[cfg(test)]
mod tests {
    use bincode::config::standard;
    use bincode::serde::{decode_from_slice, encode_to_vec};

    use super::*;
    use crate::error::{Error, ErrorContext, ErrorKind};

    fn nested(depth: usize) -> Vec<u8> {
        let wrap = |last| {
            Error::new(ErrorKind::TooManyAttempts {
                context: ErrorContext::default(),
                attempts: 4,
                last: Box::new(last),
            })
        };
        let one = encode_to_vec(Error::new(ErrorKind::NestedJob), standard()).unwrap();
        let two = encode_to_vec(wrap(Error::new(ErrorKind::NestedJob)), standard()).unwrap();
        let head = two.strip_suffix(&one[..]).unwrap();
        [head.repeat(depth), one].concat()
    }

    #[test]
    fn errors_within_errors_are_read_to_a_limit() {
        for depth in [0, 1, MAX_DEPTH, MAX_DEPTH + 1, 1_000_000] {
            let read = decode_from_slice::<Error, _>(&nested(depth), standard());
            assert_eq!(read.is_ok(), depth <= MAX_DEPTH, "{depth}");
        }
        assert_eq!(DEPTH.get(), 0);
    }
}
