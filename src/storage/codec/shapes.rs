//! Structs, variants, and element types of lists and options that are known to be decoded as they were encoded.
//!
//! `Serialize` and `Deserialize` of a type may disagree for some of its values only. For example, serde's derive counts
//! a skipped variant when it numbers the variants for encoding, but not for decoding. The variants after a skipped one
//! are then decoded as other variants, possibly of the same length. The variants before it are decoded correctly.
//!
//! Checking each record would cost as much as encoding it. Instead, the encoder refuses the first value of each struct
//! and of each variant on this thread, and the first non-empty list and option of each type. The caller then
//! [checks](super::check) the whole record. From then on, everything that it contains is known. A known shape costs one
//! comparison.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use bincode::error::EncodeError;

/// A struct, a variant of an enum, or a non-empty list or option: the names of the type and the variant.
type Name = (&'static str, &'static str, u32);

/// The addresses of a name. A name has several addresses if code that contains it was compiled several times, as the
/// compiler does for generic code in several codegen units.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    type_name: usize,
    variant: usize,
    index: u32,
}

/// Binary logarithm of the size of the table of recent shapes. Two shapes in the same slot cost a search in the set for
/// each record.
const SLOTS_BITS: u32 = 7;

thread_local! {
    /// Known shapes that were encountered recently. This table is separate from the set because a thread-local without
    /// a destructor is faster to access.
    static RECENT: [Cell<Shape>; 1 << SLOTS_BITS] = const {
        [const { Cell::new(Shape { type_name: 0, variant: 0, index: 0 }) }; 1 << SLOTS_BITS]
    };
    static KNOWN: RefCell<BTreeSet<Name>> = const { RefCell::new(BTreeSet::new()) };
    /// Shapes that [`trusting`] has encountered.
    static MET: RefCell<Option<Vec<Name>>> = const { RefCell::new(None) };
}

const UNKNOWN: &str = "a struct or a variant that has not been checked";

/// Returns `true` if a record was refused because it has not been checked yet.
pub(super) fn is_unknown(error: &EncodeError) -> bool {
    matches!(error, EncodeError::Other(reason) if *reason == UNKNOWN)
}

/// Refuses an unknown struct, or an unknown non-empty list or option. `T` is the type that is being encoded.
#[inline]
pub(super) fn meet_whole<T: ?Sized>() -> Result<(), EncodeError> {
    meet_variant::<T>("", u32::MAX)
}

/// Refuses an unknown variant.
#[inline]
pub(super) fn meet_variant<T: ?Sized>(
    variant: &'static str,
    index: u32,
) -> Result<(), EncodeError> {
    let name = (type_name::<T>(), variant, index);
    let shape = Shape::of(name);
    if RECENT.with(|recent| recent[shape.slot()].get() == shape) {
        return Ok(());
    }
    meet(name)
}

#[cold]
#[inline(never)]
fn meet(name: Name) -> Result<(), EncodeError> {
    if KNOWN.with_borrow(|known| known.contains(&name)) {
        let shape = Shape::of(name);
        RECENT.with(|recent| recent[shape.slot()].set(shape));
        return Ok(());
    }
    MET.with_borrow_mut(|met| match met {
        Some(met) => {
            met.push(name);
            Ok(())
        }
        None => Err(EncodeError::Other(UNKNOWN)),
    })
}

/// Calls `encode` and accepts all shapes in it. If it succeeds, these shapes are known afterwards.
pub(super) fn trusting<R, E>(encode: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
    /// Restores the previous state, even if user code panics.
    struct Restore(Option<Vec<Name>>);

    impl Drop for Restore {
        fn drop(&mut self) {
            MET.replace(self.0.take());
        }
    }

    let _restore = Restore(MET.replace(Some(Vec::new())));
    let result = encode()?;
    let met = MET.take().unwrap_or_default();
    KNOWN.with_borrow_mut(|known| known.extend(met));
    Ok(result)
}

impl Shape {
    #[inline(always)]
    fn of((type_name, variant, index): Name) -> Self {
        Self {
            type_name: type_name.as_ptr().addr(),
            variant: variant.as_ptr().addr(),
            index,
        }
    }

    #[inline(always)]
    fn slot(self) -> usize {
        let mixed = self.type_name ^ self.variant.rotate_left(21) ^ self.index as usize;
        (mixed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (64 - SLOTS_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_known_wherever_its_names_are() {
        struct Known;
        let copy = || &*String::from("variant").leak();
        assert!(meet_variant::<Known>(copy(), 3).is_err_and(|error| is_unknown(&error)));
        assert!(trusting(|| meet_variant::<Known>(copy(), 3)).is_ok());
        assert!(meet_variant::<Known>(copy(), 3).is_ok());
        assert!(meet_variant::<Known>(copy(), 4).is_err());
        assert!(meet_variant::<Shape>(copy(), 3).is_err());
    }
}
