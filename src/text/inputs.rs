//! Paths, directories and patterns to the files they name.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf, is_separator};
use std::sync::Arc;

use glob::MatchOptions;
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, ErrorKind, Result};

/// What names input files: a path or pattern, or several of them.
///
/// Implemented for strings and paths, and for vectors, slices and arrays of whatever is a path.
///
/// - A path that exists is that file, even if it has characters of a pattern in its name.
/// - A directory stands for the files in it and in the directories below, but for those whose names begin with `.`, for
///   `_SUCCESS` and `_temporary`, which other systems leave, and for pipes and devices. Symbolic links are followed; a loop of them is an error.
/// - Otherwise a path with `*`, `?` or `[` is a pattern: `*` and `?` match within one name, `**` any number of
///   directories, `[a-z]` one of several characters. A name that begins with `.` is matched only by a pattern that has
///   the `.` there. A directory that is matched stands for its files.
///
/// Files come in the order of the paths given, those of one directory or pattern in the order of their paths' bytes
/// and each once; a file that is named by two of the paths given is read twice. A path or pattern that names no file
/// is an error, and so is a directory without any.
///
/// Pipes, devices and the files of `/proc` are read as far as they go, each by one task.
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
pub trait IntoInputs: sealed::Sealed {
    /// The paths and patterns, in order.
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

one_input!(&str, String, &String, &Path, PathBuf, &PathBuf);

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
    [S: AsRef<Path>, const N: usize] [S; N],
    [S: AsRef<Path>, const N: usize] &[S; N]
);

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputFile {
    pub(crate) path: Arc<Path>,
    /// Its size when it was found. 0 also for files of `/proc`, which have no size but content.
    pub(crate) bytes: u64,
    /// Not a regular file: its size is not known, and it can be read once only.
    pub(crate) is_stream: bool,
}

/// The files that `inputs` name, in the order that [`IntoInputs`] describes.
///
/// # Errors
///
/// If one of `inputs` names no file, is no good pattern, or a directory cannot be read.
pub(crate) fn discover(inputs: &[PathBuf]) -> Result<Vec<InputFile>> {
    let mut files = Vec::new();
    for input in inputs {
        let mut found = Vec::new();
        match fs::metadata(input) {
            Ok(metadata) => add(input, &metadata, &mut found)?,
            Err(_) if is_pattern(input) => add_matches(input, &mut found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("open", input, error)),
        }
        if found.is_empty() {
            let pattern = input.display().to_string();
            return Err(Error::new(ErrorKind::NoInput { pattern }));
        }
        found.sort_by(|a: &InputFile, b| bytes_of(&a.path).cmp(bytes_of(&b.path)));
        // `**` matches a directory and the directories in it, each of which stands for its files.
        found.dedup_by(|a, b| a.path == b.path);
        files.extend(found);
    }
    Ok(files)
}

fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn is_pattern(path: &Path) -> bool {
    bytes_of(path).iter().any(|byte| b"*?[".contains(byte))
}

fn add(path: &Path, metadata: &Metadata, found: &mut Vec<InputFile>) -> Result<()> {
    if metadata.is_dir() {
        return add_directory(path, found);
    }
    found.push(InputFile {
        path: path.into(),
        bytes: if metadata.is_file() {
            metadata.len()
        } else {
            0
        },
        is_stream: !metadata.is_file(),
    });
    Ok(())
}

fn add_matches(input: &Path, found: &mut Vec<InputFile>) -> Result<()> {
    let invalid = |reason: String| {
        let pattern = input.display().to_string();
        Error::new(ErrorKind::InvalidPattern { pattern, reason })
    };
    let pattern = input
        .to_str()
        .ok_or_else(|| invalid("it is not UTF-8".to_owned()))?;
    // The crate passes over hidden names even where the pattern has the `.`, so it may do so only where none has.
    let names_hidden = input.components().any(|name| {
        let name = Path::new(name.as_os_str());
        bytes_of(name).starts_with(b".") && is_pattern(name)
    });
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: !names_hidden,
    };
    // On its own `**` matches directories only, and not the one it begins in: here it stands for all that is below.
    let pattern = match pattern.strip_suffix("**") {
        Some("") => "**/*".to_owned(),
        Some(parent) if parent.ends_with(is_separator) => format!("{pattern}/*"),
        _ => pattern.to_owned(),
    };
    let paths = glob::glob_with(&pattern, options).map_err(|error| invalid(error.to_string()))?;
    for path in paths {
        let path = path.map_err(|error| {
            let path = error.path().to_path_buf();
            Error::io("read", &path, error.into())
        })?;
        let metadata = fs::metadata(&path).map_err(|error| Error::io("open", &path, error))?;
        add(&path, &metadata, found)?;
    }
    Ok(())
}

fn add_directory(directory: &Path, found: &mut Vec<InputFile>) -> Result<()> {
    let entries = WalkDir::new(directory)
        .follow_links(true)
        .min_depth(1)
        .into_iter();
    for entry in entries.filter_entry(|entry| !is_hidden(entry)) {
        let at_entry = |error: walkdir::Error| {
            let path = error.path().unwrap_or(directory).to_path_buf();
            Error::io("read", &path, error.into())
        };
        let entry = entry.map_err(at_entry)?;
        if entry.file_type().is_file() {
            let metadata = entry.metadata().map_err(at_entry)?;
            add(entry.path(), &metadata, found)?;
        }
    }
    Ok(())
}

/// Not the directory itself, which was asked for by name.
fn is_hidden(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    entry.depth() > 0 && (name.starts_with(b".") || matches!(name, b"_SUCCESS" | b"_temporary"))
}

#[cfg(test)]
mod tests;
