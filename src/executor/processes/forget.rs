//! Removes a variable from the environment of this process.
#![expect(
    unsafe_code,
    reason = "code of other languages may read the environment while it changes"
)]

/// Removes the variable, so that processes that this one starts do not inherit it.
pub(super) fn forget_variable(name: &str) {
    // SAFETY: std locks the environment for all accesses through std, on any thread. Code of other languages that reads
    // it concurrently would have to run on a thread that the program started before `init`. The docs of `init` require
    // the call to come first.
    unsafe { std::env::remove_var(name) };
}
