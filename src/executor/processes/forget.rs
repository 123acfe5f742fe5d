//! Taking a variable out of the environment of this process.
#![expect(
    unsafe_code,
    reason = "code of other languages may read the environment while it changes"
)]

/// Takes the variable away, so that what this process starts does not inherit it.
pub(super) fn forget_variable(name: &str) {
    // SAFETY: std has a lock for all who use the environment through std, on any thread. Code of other languages that
    // reads it meanwhile would have to run on a thread that the program has started before `init`. The docs of `init`
    // ask for it to come first.
    unsafe { std::env::remove_var(name) };
}
