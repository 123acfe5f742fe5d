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
/// - A directory stands for the files in it and in the directories below, but for those whose names begin with `.` or
///   `_` (`_SUCCESS`, `.crc`), and for pipes and devices. Symbolic links are followed; a loop of them is an error.
/// - Otherwise a path with `*`, `?` or `[` is a pattern: `*` and `?` match within one name, `**` any number of
///   directories, `[a-z]` one of several characters. A name that begins with `.` is matched only by a pattern that has
///   the `.` there. A directory that is matched stands for its files.
///
/// Files come in the order of the paths given, those of one directory or pattern in the order of their paths' bytes
/// and each once; a file that is named by two of the paths given is read twice. A path or pattern that names no file
/// is an error, and so is a directory without any.
///
/// Pipes, devices and the files of `/proc` are read as far as they go, each by one task.
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
    entry.depth() > 0
        && matches!(
            entry.file_name().as_encoded_bytes().first(),
            Some(b'.' | b'_')
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files, whose content is their name.
    fn directory_of(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        directory
    }

    /// What `inputs`, relative to `directory`, name, relative to it.
    fn names(directory: &tempfile::TempDir, inputs: &[&str]) -> Result<Vec<String>> {
        let inputs: Vec<PathBuf> = inputs
            .iter()
            .map(|input| directory.path().join(input))
            .collect();
        let files = discover(&inputs)?;
        assert!(
            files
                .iter()
                .all(|file| !file.is_stream && file.path.metadata().unwrap().len() == file.bytes)
        );
        let name = |file: &InputFile| {
            file.path
                .strip_prefix(directory.path())
                .unwrap()
                .display()
                .to_string()
        };
        Ok(files.iter().map(name).collect())
    }

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "what is borrowed is what is tested"
    )]
    #[test]
    fn whatever_names_files_is_an_input() {
        fn count(inputs: impl IntoInputs) -> usize {
            inputs.into_inputs().len()
        }
        let path = Path::new("a");
        assert_eq!(
            count("a") + count(String::from("a")) + count(&String::from("a")),
            3
        );
        assert_eq!(
            count(path) + count(path.to_path_buf()) + count(&path.to_path_buf()),
            3
        );
        assert_eq!(
            count(vec!["a", "b"]) + count(&vec![path]) + count(&["a"][..]),
            4
        );
        assert_eq!(count(["a", "b"]) + count(&[String::from("a")]), 3);
    }

    #[test]
    fn order_is_that_given_then_that_of_names() {
        let directory = directory_of(&["b", "a", "d/y", "d/x", "d-1", "c1", "c0"]);
        assert_eq!(names(&directory, &["b", "a"]).unwrap(), ["b", "a"]);
        assert_eq!(
            names(&directory, &["d", "c*", "a"]).unwrap(),
            ["d/x", "d/y", "c0", "c1", "a"]
        );
        assert_eq!(names(&directory, &["d*"]).unwrap(), ["d-1", "d/x", "d/y"]);
        assert_eq!(names(&directory, &["a", "a"]).unwrap(), ["a", "a"]);
    }

    #[test]
    fn hidden_files_of_a_directory_are_passed_over() {
        let directory = directory_of(&[
            "_d/a",
            "_d/_SUCCESS",
            "_d/.a.crc",
            "_d/.git/b",
            "_d/_temporary/c",
            "_d/s/d",
        ]);
        assert_eq!(names(&directory, &["_d"]).unwrap(), ["_d/a", "_d/s/d"]);
        assert_eq!(
            names(&directory, &["_d/_SUCCESS"]).unwrap(),
            ["_d/_SUCCESS"]
        );
        assert_eq!(
            names(&directory, &["_d/*a*"]).unwrap(),
            ["_d/_temporary/c", "_d/a"]
        );
    }

    #[test]
    fn patterns() {
        let directory = directory_of(&["a.txt", "b.txt", "b.md", "s/c.txt", "s/t/d.txt", ".h.txt"]);
        assert_eq!(names(&directory, &["*.txt"]).unwrap(), ["a.txt", "b.txt"]);
        assert_eq!(names(&directory, &["?.md"]).unwrap(), ["b.md"]);
        assert_eq!(names(&directory, &["[!a].txt"]).unwrap(), ["b.txt"]);
        assert_eq!(
            names(&directory, &["**/*.txt"]).unwrap(),
            ["a.txt", "b.txt", "s/c.txt", "s/t/d.txt"]
        );
        assert_eq!(
            names(&directory, &["s/**"]).unwrap(),
            ["s/c.txt", "s/t/d.txt"]
        );
        assert_eq!(names(&directory, &[".h*"]).unwrap(), [".h.txt"]);
    }

    #[test]
    fn a_name_that_exists_is_no_pattern() {
        let directory = directory_of(&["[a].txt", "a.txt", "b[1/x"]);
        assert_eq!(names(&directory, &["[a].txt"]).unwrap(), ["[a].txt"]);
        assert_eq!(names(&directory, &["b[1"]).unwrap(), ["b[1/x"]);
    }

    #[test]
    fn nothing_found_is_an_error() {
        let directory = directory_of(&["a.txt", "d/_hidden"]);
        for input in ["none", "none/a", "*.md", "d", "a.txt*/"] {
            let error = names(&directory, &["a.txt", input]).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::NoInput { pattern } if pattern.ends_with(input)),
                "{input}: {error}"
            );
        }
        assert!(discover(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_bad_pattern_is_an_error() {
        let directory = directory_of(&["a"]);
        for input in ["a***", "[a", "a**b"] {
            let error = names(&directory, &[input]).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::InvalidPattern { .. }),
                "{input}: {error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;

        let directory = directory_of(&["d/a", "e/b"]);
        symlink("../e", directory.path().join("d/link")).unwrap();
        symlink("../e/b", directory.path().join("d/file")).unwrap();
        assert_eq!(
            names(&directory, &["d"]).unwrap(),
            ["d/a", "d/file", "d/link/b"]
        );
        symlink("../d", directory.path().join("e/back")).unwrap();
        let error = names(&directory, &["d"]).unwrap_err();
        assert!(
            error.is_io() && error.to_string().contains("d/link/back"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_a_stream() {
        let files = discover(&["/dev/null".into()]).unwrap();
        assert_eq!((files[0].is_stream, files[0].bytes), (true, 0));
    }
}
