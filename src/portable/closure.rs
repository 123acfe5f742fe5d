//! Closures without bytes, from nothing.
#![expect(
    unsafe_code,
    reason = "a closure that captures nothing has a type and no bytes, and there is no other way to come by a value"
)]

use std::mem;

/// Whether values of `F` have no bytes, and nothing happens when one goes.
pub(super) const fn is_portable<F>() -> bool {
    size_of::<F>() == 0 && !mem::needs_drop::<F>()
}

/// A value of `F`, if it has no bytes: another like the one that was saved.
///
/// # Panics
///
/// If there are no values of `F`, so that none can have been saved.
pub(super) fn revive<F>() -> Option<F> {
    if !is_portable::<F>() {
        return None;
    }
    // SAFETY: `F` has no bytes, so that any memory is a value as far as bytes go, and there are values: `zeroed` panics
    // for a type without any. One was saved, as it takes an entry of the type that holds it to come here; this is a
    // copy of it. Copying could break a promise of a type without bytes in three ways:
    // - It is dropped once more. Excluded: it needs no drop.
    // - It is used through `&mut` or by value as if it were the only one. Closures of operators are `Fn + Sync`: they
    //   are called through shared references, on several threads at once, and the copy is called in no other way; so
    //   nobody can tell from one value what he could not tell before.
    // - It is a token, captured by `move`, for something that has happened in the first process ("the library is set
    //   up"), and `unsafe` code relies on it. In a worker process that need not have happened. Rust has no way to know
    //   of such a type; the docs of `init` say that what `main` does after it has not happened in worker processes.
    // Within one process this is sound even then, as the token's promise holds for all of it.
    Some(unsafe { mem::zeroed() })
}
