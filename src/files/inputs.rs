//! Resolves paths, directories and patterns to the files that they name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file_systems::FileSystems;
use super::input_file::InputFile;
use super::name_pattern::is_pattern;
use super::path::check_local;
use super::walk::{add, add_matches};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// Names input files: a path or a pattern, or several of them.
///
/// Implemented for strings and paths, and for vectors, slices and arrays of anything that is a path. Collect an
/// iterator first: `args().skip(1).collect::<Vec<_>>()`.
///
/// - A path that exists names that file, even if its name has characters of a pattern.
/// - A directory stands for the files in it and in the directories below it. It leaves out pipes, devices, hidden names
///   (which begin with `.`), and the names `_SUCCESS` and `_temporary`, which other systems leave behind. Symbolic
///   links are followed, except hidden ones. A link that leads nowhere, or to a directory that it is in, is an error.
/// - Any other path with `*`, `?` or `[` is a pattern. The table below describes its syntax. The leading parts of a
///   pattern that exist count as names: `run [1]/*.txt` finds the files in a directory `run [1]`. A directory that
///   matches stands for its files.
///
/// | in a pattern | matches |
/// | --- | --- |
/// | `?` | one character of a name |
/// | `*` | any number of characters of a name |
/// | `[a-z]`, `[!a-z]` | one character that is in the set, or that is not |
/// | `[*]`, `[?]`, `[[]` | the character `*`, `?` or `[` itself |
/// | `**` as a whole part | any number of directories, and at the end of a pattern all files below |
///
/// A name that a directory leaves out is matched only by a part that begins with the same `.` or `_`. No part matches
/// `.` or `..`. Links are followed by `**` as they are in a directory, except that a link that leads nowhere is an
/// error only if its name matches. Names need not be UTF-8: a byte that belongs to no character counts as one.
///
/// A path that begins with a scheme, such as `s3://bucket/logs/*.gz`, is found by a [file system](crate::files) of the
/// context, with the same rules. `file:///data/a` is the local file `/data/a`. If a local directory has a name such as
/// `a:`, write `./a:` or a single `/` after it.
///
/// The files of several inputs are read in the order of the inputs. The files of one directory or pattern are read in
/// the order of their paths' bytes, and each once. A file that two inputs name is read twice. An input that names no
/// file is an error, and so is a directory without any.
///
/// Pipes and devices are read to their end, by one thread and 8 MiB at a time, while other threads process the
/// data that has been read. Their content can be read only once: a second reading in the same program, by a second
/// action or by an operator that computes its input twice, is an error
/// ([`StreamReadTwice`](crate::ErrorKind::StreamReadTwice)). To avoid it, call [`persist`](crate::Bag::persist) first.
///
/// # Examples
///
/// ```
/// use holdall::IntoInputs;
///
/// fn lines(inputs: impl IntoInputs) -> holdall::Result<u64> {
///     holdall::read_text(inputs)?.count()
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// std::fs::create_dir("logs").unwrap();
/// std::fs::write("logs/a.log", "one\ntwo\n").unwrap();
/// std::fs::write("logs/b.log", "three\n").unwrap();
/// assert_eq!(lines("logs")?, 3);
/// assert_eq!(lines("logs/a*")?, 2);
/// assert_eq!(lines(["logs/b.log", "logs/*.log"])?, 1 + 3);
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no input files",
    note = "pass a path or a pattern, or a `Vec`, slice or array of them; collect an iterator into a `Vec`"
)]
pub trait IntoInputs: sealed::Sealed {
    /// Returns the paths and patterns, in order.
    #[doc(hidden)]
    fn into_inputs(self) -> Vec<PathBuf>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! one_input {
    ($($type:ty),*) => {$(
        impl sealed::Sealed for $type {}
        impl IntoInputs for $type {
            fn into_inputs(self) -> Vec<PathBuf> {
                vec![self.into()]
            }
        }
    )*};
}

one_input!(
    &str, String, &String, &Path, PathBuf, &PathBuf, &OsStr, OsString, &OsString
);

macro_rules! many_inputs {
    ($([$($generic:tt)*] $type:ty),*) => {$(
        impl<$($generic)*> sealed::Sealed for $type {}
        impl<$($generic)*> IntoInputs for $type {
            fn into_inputs(self) -> Vec<PathBuf> {
                self.iter().map(|path| path.as_ref().to_path_buf()).collect()
            }
        }
    )*};
}

many_inputs!(
    [S: AsRef<Path>] Vec<S>,
    [S: AsRef<Path>] &Vec<S>,
    [S: AsRef<Path>] &[S],
    [S: AsRef<Path>] Box<[S]>,
    [S: AsRef<Path>, const N: usize] [S; N],
    [S: AsRef<Path>, const N: usize] &[S; N]
);

/// Returns the files that `inputs` name, in the order that [`IntoInputs`] describes.
///
/// # Errors
///
/// Returns an error if one of `inputs` names no file or is an invalid pattern, or if a directory cannot be read.
pub(crate) fn discover(inputs: &[PathBuf], file_systems: &FileSystems) -> Result<Vec<InputFile>> {
    let mut files = Vec::new();
    for input in inputs {
        let mut found = match file_systems.list(input)? {
            Some((file_system, listed)) => {
                let file = |info| InputFile::listed(info, file_system);
                listed.into_iter().map(file).collect()
            }
            None => find_local(input)?,
        };
        if found.is_empty() {
            return Err(Error::new(ErrorKind::NoInput {
                pattern: input.display().to_string(),
                context: ErrorContext::default(),
            }));
        }
        found.sort_by(|a: &InputFile, b| bytes_of(&a.path).cmp(bytes_of(&b.path)));
        // `**` matches a directory and the directories in it, each of which stands for its files.
        found.dedup_by(|a, b| a.path == b.path);
        files.extend(found);
    }
    Ok(files)
}

/// Returns the local files that `input` stands for. Their paths have the scheme of `input`, if it has one.
fn find_local(input: &Path) -> Result<Vec<InputFile>> {
    let path = check_local(input)?;
    let has_scheme = path != input;
    let mut found = Vec::new();
    match fs::metadata(path) {
        Ok(metadata) => add(path, &metadata, &mut found)?,
        Err(_) if is_pattern(bytes_of(path)) => add_matches(path, &mut found)?,
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {}
        Err(error) => return Err(Error::io("open", input, error)),
    }
    if has_scheme {
        for file in &mut found {
            let mut path = OsString::from("file://");
            path.push(&*file.path);
            file.path = PathBuf::from(path).into();
        }
    }
    Ok(found)
}

fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
mod tests;
