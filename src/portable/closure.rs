//! Recreates closures that have no bytes.
#![expect(
    unsafe_code,
    reason = "a closure that captures nothing has a type and no bytes, and there is no other way to come by a value"
)]

use std::mem;

/// Returns `true` if values of `F` have no bytes and dropping one has no effect.
pub(super) const fn is_portable<F>() -> bool {
    size_of::<F>() == 0 && !mem::needs_drop::<F>()
}

/// Returns a value of `F`, identical to the one that was saved; `None` if values of `F` have bytes or a destructor.
///
/// # Panics
///
/// Panics if `F` is uninhabited. No value of such a type can have been saved.
pub(super) fn revive<F>() -> Option<F> {
    if const { !is_portable::<F>() } {
        return None;
    }
    // SAFETY: `F` has no bytes, so any memory is a valid representation. `F` has values: `zeroed` panics for an
    // uninhabited type. One value was saved, because only the entry of a type that contains `F` leads here, and this is
    // a copy of that value. Copying a value without bytes could violate a guarantee of its type in three ways:
    // - The copy is dropped as well. Excluded: `F` needs no drop.
    // - The copy is used through `&mut` or by value as if it were unique. Excluded: closures of operators are `Fn +
    //   Sync`, so they are called through shared references, on several threads concurrently. The copy is called in the
    //   same way, so no code can distinguish it from the original.
    // - The value is a token, captured by `move`, for something that happened in the driver ("the library is set up"),
    //   and `unsafe` code relies on it. In a worker process, it may not have happened. Rust cannot recognise such a
    //   type. The docs of `init` warn that worker processes do not run the code of `main` that follows it.
    // Within one process, this is sound even for a token, because its guarantee holds for the whole process.
    Some(unsafe { mem::zeroed() })
}
