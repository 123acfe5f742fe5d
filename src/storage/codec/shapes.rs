//! Which structs, variants and parts of lists are known to come back as they were written.
//!
//! `Serialize` and `Deserialize` of a type may disagree, and for some of its values only: serde's derive counts a
//! skipped variant when it numbers the variants to be written, but not when it numbers those to be read. So the variants
//! behind a skipped one come back as others, of the same length, and the ones before it come back as themselves.
//!
//! Checking each record would cost as much as the record. Instead, the encoder refuses the first value of each struct
//! and of each variant that this thread meets, and the first list and option of a type that is not empty. The record is
//! then [checked](super::check) as a whole, and what it contains is known from then on. A known one costs a comparison.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use bincode::error::EncodeError;

/// A struct, a variant of an enum, or a list or option with something in it. Names stand for themselves by their address; the same name at two addresses is
/// checked twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    type_name: usize,
    variant: usize,
    index: u32,
}

/// Two shapes that share a slot of the table below cost a search in the set for each record.
const SLOTS_BITS: u32 = 7;

thread_local! {
    /// The known shapes that were met last. Apart from the set, as a thread-local without a destructor is quick to
    /// reach.
    static RECENT: [Cell<Shape>; 1 << SLOTS_BITS] = const {
        [const { Cell::new(Shape { type_name: 0, variant: 0, index: 0 }) }; 1 << SLOTS_BITS]
    };
    static KNOWN: RefCell<BTreeSet<Shape>> = const { RefCell::new(BTreeSet::new()) };
    /// What [`trusting`] has met.
    static MET: RefCell<Option<Vec<Shape>>> = const { RefCell::new(None) };
}

const UNKNOWN: &str = "a struct or a variant that has not been checked";

/// Whether a record was refused since it has to be checked first.
pub(super) fn is_unknown(error: &EncodeError) -> bool {
    matches!(error, EncodeError::Other(reason) if *reason == UNKNOWN)
}

/// Refuses a struct that is not known, or a list or option with something in it. `T` is the type that is being encoded.
#[inline]
pub(super) fn meet_whole<T: ?Sized>() -> Result<(), EncodeError> {
    meet_variant::<T>("", u32::MAX)
}

/// Refuses a variant that is not known.
#[inline]
pub(super) fn meet_variant<T: ?Sized>(
    variant: &'static str,
    index: u32,
) -> Result<(), EncodeError> {
    let shape = Shape {
        type_name: type_name::<T>().as_ptr().addr(),
        variant: variant.as_ptr().addr(),
        index,
    };
    if RECENT.with(|recent| recent[shape.slot()].get() == shape) {
        return Ok(());
    }
    meet(shape)
}

#[cold]
#[inline(never)]
fn meet(shape: Shape) -> Result<(), EncodeError> {
    if KNOWN.with_borrow(|known| known.contains(&shape)) {
        RECENT.with(|recent| recent[shape.slot()].set(shape));
        return Ok(());
    }
    MET.with_borrow_mut(|met| match met {
        Some(met) => {
            met.push(shape);
            Ok(())
        }
        None => Err(EncodeError::Other(UNKNOWN)),
    })
}

/// Calls `encode`, in which any shape is accepted. Those are known afterwards, unless it fails.
pub(super) fn trusting<R, E>(encode: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
    /// Restores what was there before, also if the code of the program panics.
    struct Restore(Option<Vec<Shape>>);

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
    fn slot(self) -> usize {
        let mixed = self.type_name ^ self.variant.rotate_left(21) ^ self.index as usize;
        (mixed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (64 - SLOTS_BITS)
    }
}
