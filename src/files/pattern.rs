//! Patterns of whole paths, for file systems that are lists of paths.

use std::io;

use super::file::FileInfo;
use super::name_pattern::{NamePattern, is_left_out, is_pattern};
use crate::error::{Error, ErrorKind};

/// A path, a directory or a pattern, and what it selects from a list of files.
///
/// The rules are those of [local files](crate::IntoInputs):
///
/// - A path that exists selects that file, even if it has characters of a pattern.
/// - A directory selects the files below it, except those with a hidden name and the like.
/// - A pattern selects the files that match it, and those below the directories that match it. The leading parts that
///   exist count as names.
///
/// The parts of a path are separated by `/`. A directory exists if there is a file below it. A path that ends with `/`
/// is the marker of a directory in an object store, and is never selected.
///
/// # Examples
///
/// ```
/// use holdall::files::{FileInfo, PathPattern};
///
/// let bucket = ["logs/a.gz", "logs/b.gz", "logs/old/c.gz", "logs/.hidden", "other"];
/// let select = |path: &str| {
///     let pattern = PathPattern::new(path);
///     let listed = bucket.into_iter().filter(|key| key.starts_with(pattern.prefix()));
///     let selected = pattern.select(listed.map(|key| FileInfo::new(key, 0)).collect())?;
///     Ok::<_, std::io::Error>(selected.into_iter().map(|file| file.path).collect::<Vec<_>>())
/// };
/// assert_eq!(select("logs/*.gz")?, ["logs/a.gz", "logs/b.gz"]);
/// assert_eq!(select("logs/**/c*")?, ["logs/old/c.gz"]);
/// assert_eq!(select("logs")?, ["logs/a.gz", "logs/b.gz", "logs/old/c.gz"]);
/// assert_eq!(PathPattern::new("logs/*.gz").prefix(), "logs/");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathPattern {
    path: String,
}

/// A part of a pattern, between two separators.
#[derive(Debug)]
enum PathPart<'p> {
    Name(&'p str),
    Pattern(NamePattern),
    /// `**`: any number of directories.
    Directories,
}

impl PathPattern {
    /// Wraps a path, which need not be a pattern.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the text with which the paths of all selected files begin.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let end = self.path.find(['*', '?', '[']);
        // A directory is named with and without a separator at its end.
        end.map_or(self.path.trim_end_matches('/'), |end| &self.path[..end])
    }

    /// Returns the selected files of a list, in the order of the list. The list must contain all files whose paths begin
    /// with the [`prefix`](Self::prefix). It may contain others.
    ///
    /// # Errors
    ///
    /// Returns an error if the path is an invalid pattern, and the directory or file does not exist.
    pub fn select(&self, mut files: Vec<FileInfo>) -> io::Result<Vec<FileInfo>> {
        files.retain(|file| !file.path.ends_with('/'));
        let name = self.path.trim_end_matches('/');
        let is_for_directories = name.len() < self.path.len();
        if !is_for_directories && files.iter().any(|file| file.path == name) {
            files.retain(|file| file.path == name);
            return Ok(files);
        }
        let Some(parts) = self.parse(name, &files)? else {
            return Ok(Vec::new());
        };
        files.retain(|file| {
            let names: Vec<_> = file.path.split('/').collect();
            is_match(&parts, &names, is_for_directories)
        });
        Ok(files)
    }

    /// Parses the parts after those that exist. Returns `None` if a part that must exist does not.
    fn parse<'p>(
        &self,
        name: &'p str,
        files: &[FileInfo],
    ) -> io::Result<Option<Vec<PathPart<'p>>>> {
        let exists = |path: &str| {
            let is_it = |rest: &str| rest.is_empty() || rest.starts_with('/');
            let mut rests = files.iter().filter_map(|file| file.path.strip_prefix(path));
            rests.any(is_it)
        };
        let mut parts = Vec::new();
        let (mut end, mut is_literal, mut is_there) = (0, true, true);
        for part in name.split('/') {
            end += part.len();
            if is_literal && !exists(&name[..end]) {
                is_literal = false;
                is_there = is_pattern(part.as_bytes());
            }
            end += 1;
            parts.push(match part {
                _ if is_literal || !is_pattern(part.as_bytes()) => PathPart::Name(part),
                "**" => PathPart::Directories,
                _ => PathPart::Pattern(self.parse_name(part)?),
            });
        }
        Ok(is_there.then_some(parts))
    }

    fn parse_name(&self, part: &str) -> io::Result<NamePattern> {
        NamePattern::parse(part.as_bytes()).map_err(|reason| {
            let (pattern, reason) = (self.path.clone(), reason.to_owned());
            Error::new(ErrorKind::InvalidPattern { pattern, reason }).into()
        })
    }
}

/// Returns whether `parts` match the names of a path, or those of a directory that it is in.
fn is_match(parts: &[PathPart<'_>], names: &[&str], is_for_directories: bool) -> bool {
    let are_visible = |names: &[&str]| names.iter().all(|name| !is_left_out(name.as_bytes()));
    match (parts, names) {
        ([], []) => !is_for_directories,
        ([] | [PathPart::Directories], names) => !names.is_empty() && are_visible(names),
        (_, []) => false,
        ([PathPart::Directories, rest @ ..], [name, below @ ..]) => {
            is_match(rest, names, is_for_directories)
                || are_visible(&[name]) && is_match(parts, below, is_for_directories)
        }
        ([PathPart::Name(part), rest @ ..], [name, below @ ..]) => {
            part == name && is_match(rest, below, is_for_directories)
        }
        ([PathPart::Pattern(part), rest @ ..], [name, below @ ..]) => {
            !name.is_empty()
                && part.selects(name.as_bytes())
                && is_match(rest, below, is_for_directories)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(files: &[&str], path: &str) -> io::Result<Vec<String>> {
        let pattern = PathPattern::new(path);
        let listed = files
            .iter()
            .filter(|file| file.starts_with(pattern.prefix()));
        let listed = listed.map(|file| FileInfo::new(*file, 0)).collect();
        let selected = pattern.select(listed)?;
        Ok(selected.into_iter().map(|file| file.path).collect())
    }

    /// The files and inputs of the tests of local files, with what each input selects there.
    #[test]
    fn the_rules_are_those_of_local_files() {
        let files = [
            ".h.txt",
            "[a].txt",
            "a.txt",
            "b.md",
            "b.txt",
            "b[1/x",
            "d/.hidden",
            "d/_SUCCESS",
            "d/_temporary/c",
            "d/a",
            "d/s/_d",
            "s/c.txt",
            "s/t/d.txt",
            "s2/e.txt",
        ];
        for (path, expected) in [
            ("*.txt", &["[a].txt", "a.txt", "b.txt"][..]),
            ("?.md", &["b.md"]),
            ("[!ab].txt", &[]),
            ("[a].txt", &["[a].txt"]),
            ("b[1", &["b[1/x"]),
            ("b[1/*", &["b[1/x"]),
            (
                "**/*.txt",
                &[
                    "[a].txt",
                    "a.txt",
                    "b.txt",
                    "s/c.txt",
                    "s/t/d.txt",
                    "s2/e.txt",
                ],
            ),
            ("s/**", &["s/c.txt", "s/t/d.txt"]),
            ("s/**/**", &["s/c.txt", "s/t/d.txt"]),
            ("s/**/d.txt", &["s/t/d.txt"]),
            ("s", &["s/c.txt", "s/t/d.txt"]),
            ("s/", &["s/c.txt", "s/t/d.txt"]),
            ("s*", &["s/c.txt", "s/t/d.txt", "s2/e.txt"]),
            ("s*/", &["s/c.txt", "s/t/d.txt", "s2/e.txt"]),
            ("*.txt/", &[]),
            ("a.txt/", &[]),
            ("a.txt", &["a.txt"]),
            (".h*", &[".h.txt"]),
            ("d", &["d/a", "d/s/_d"]),
            ("d/_SUCCESS", &["d/_SUCCESS"]),
            ("d/*a*", &["d/a"]),
            ("d/_t*", &["d/_temporary/c"]),
            ("d/_temporary", &["d/_temporary/c"]),
            ("none", &[]),
            ("none/*", &[]),
            ("", &[]),
        ] {
            assert_eq!(select(&files, path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn markers_of_directories_are_no_files() {
        let files = ["d/", "d/a", "e/"];
        assert_eq!(select(&files, "d").unwrap(), ["d/a"]);
        assert_eq!(select(&files, "d/").unwrap(), ["d/a"]);
        assert!(select(&files, "e").unwrap().is_empty());
        assert_eq!(select(&files, "**").unwrap(), ["d/a"]);
    }

    #[test]
    fn a_bad_pattern_is_an_error() {
        for path in ["a***", "[a", "d/[a", "a**b"] {
            let error = Error::from(select(&["a", "d/x"], path).unwrap_err());
            assert!(
                matches!(error.kind(), ErrorKind::InvalidPattern { pattern, .. } if pattern == path),
                "{error}"
            );
        }
        assert!(select(&["[a"], "[a").is_ok());
    }
}
