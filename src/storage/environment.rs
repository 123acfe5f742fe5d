//! Environment variables of this process, unless they cannot be trusted. All of holdall reads its variables here.

use std::ffi::OsString;
use std::path::PathBuf;

use super::system;

/// Returns the value of an environment variable. A variable that is empty counts as unset.
///
/// In a program that runs with privileges that its caller lacks, such as a set-user-id program, every variable counts
/// as unset: the caller sets them.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    if is_privileged() {
        return None;
    }
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns whether this program runs with privileges that its caller lacks.
pub(crate) fn is_privileged() -> bool {
    system::is_privileged()
}

/// Returns the directory for temporary files.
pub(crate) fn temporary_directory() -> PathBuf {
    #[cfg(unix)]
    return variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    #[cfg(not(unix))]
    std::env::temp_dir()
}
