//! Paths with a scheme, such as `s3://bucket/key`.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Scheme of local files.
pub(crate) const FILE_SCHEME: &str = "file";

/// Returns whether a text is a scheme: a letter, followed by letters, digits, `+`, `-` and `.`.
pub(crate) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Divides a path into its scheme and the bytes after the `://`. Returns `None` for a path without a scheme.
pub(crate) fn split_scheme(path: &Path) -> Option<(&str, &[u8])> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let end = memchr::memmem::find(bytes, b"://")?;
    let scheme = str::from_utf8(&bytes[..end]).ok()?;
    is_scheme(scheme).then_some((scheme, &bytes[end + 3..]))
}

/// Returns a path on a file system without its scheme. [`FileSystems::find`](super::file_systems::FileSystems::find) has
/// checked that it is UTF-8.
pub(super) fn rest_of(path: &Path) -> &str {
    let rest = split_scheme(path).and_then(|(_, rest)| str::from_utf8(rest).ok());
    rest.unwrap_or_default()
}

/// Returns the path of a local file without its scheme, if it has one.
///
/// No other path begins with `file://`: paths that are found in directories have one separator between two names.
pub(crate) fn local_path(path: &Path) -> &Path {
    match split_scheme(path) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(FILE_SCHEME) => path_of(rest),
        _ => path,
    }
}

/// Returns the path of a local file that the user has specified, without its scheme.
///
/// # Errors
///
/// Returns an error if a scheme is followed by a relative path, because `file://a/b` is the file `/b` of another host.
pub(crate) fn check_local(path: &Path) -> Result<&Path> {
    let local = local_path(path);
    if local == path || local.has_root() {
        return Ok(local);
    }
    let reason = "the path of a local file begins with `/`, as in `file:///data`";
    let source = io::Error::new(io::ErrorKind::InvalidInput, reason);
    Err(Error::io("open", path, source))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).as_ref()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> &Path {
    // A part of a path that is not UTF-8 is no path of a URL, and names nothing.
    str::from_utf8(bytes).unwrap_or_default().as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_what_precedes_the_slashes() {
        let scheme = |path| split_scheme(Path::new(path)).map(|(scheme, _)| scheme);
        for (path, expected) in [
            ("s3://bucket/key", Some("s3")),
            ("a+b-c.d9://", Some("a+b-c.d9")),
            ("file:///x", Some("file")),
            ("a:/b", None),
            ("a:", None),
            ("./a://b", None),
            ("/a://b", None),
            ("://b", None),
            ("3s://b", None),
            ("a b://c", None),
            ("é://c", None),
        ] {
            assert_eq!(scheme(path), expected, "{path}");
        }
    }

    #[test]
    fn the_scheme_of_files_is_dropped() {
        for (path, expected) in [
            ("file:///x/y", "/x/y"),
            ("FILE:///x", "/x"),
            ("/x", "/x"),
            ("files:///x", "files:///x"),
            ("x/file://y", "x/file://y"),
        ] {
            assert_eq!(local_path(Path::new(path)).as_os_str(), expected);
        }
    }
}
