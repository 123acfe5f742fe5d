//! Finds the files that directories and patterns stand for.

use std::ffi::OsString;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf, is_separator};

use super::input_file::InputFile;
use super::name_pattern::{NamePattern, is_left_out, is_pattern};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::file::is_missing;

/// Adds the file at `path`, or the files below it if it is a directory.
pub(super) fn add(path: &Path, metadata: &Metadata, found: &mut Vec<InputFile>) -> Result<()> {
    if metadata.is_dir() {
        return add_below(path, found);
    }
    found.push(InputFile::new(path, metadata, true));
    Ok(())
}

/// Adds all regular files below a directory.
fn add_below(root: &Path, found: &mut Vec<InputFile>) -> Result<()> {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in entries_of(&directory)? {
            let (path, entry) = entry?;
            if is_left_out(entry.file_name().as_encoded_bytes()) {
                continue;
            }
            let metadata = entry.metadata();
            let mut metadata = metadata.map_err(|error| Error::io("open", &path, error))?;
            let is_link = metadata.is_symlink();
            if is_link {
                metadata = metadata_at(&path)?;
                if metadata.is_dir() {
                    check_loop(&path, root)?;
                }
            }
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_file() {
                found.push(InputFile::new(&path, &metadata, is_link));
            }
        }
    }
    Ok(())
}

/// Adds the files that match `pattern`, and those below the directories that match it.
pub(super) fn add_matches(pattern: &Path, found: &mut Vec<InputFile>) -> Result<()> {
    let Some((path, parts)) = parse(pattern)? else {
        return Ok(());
    };
    let mut matching = Matching {
        is_for_directories: pattern.to_string_lossy().ends_with(is_separator),
        partial: Vec::new(),
        found,
    };
    matching.push(path, &parts);
    while let Some(partial) = matching.partial.pop() {
        matching.extend(&partial)?;
    }
    Ok(())
}

/// A part of a pattern, between two separators.
enum Part {
    Name(OsString),
    Pattern(NamePattern),
    /// `**`: any number of directories.
    Directories,
}

/// Parses a pattern into its leading parts that exist literally, whatever characters they have, and the remaining
/// parts. Returns `None` if a part that must exist literally does not.
fn parse(pattern: &Path) -> Result<Option<(PathBuf, Vec<Part>)>> {
    let mut components = pattern.components().peekable();
    let mut path = PathBuf::new();
    let mut is_there = true;
    while let Some(component) = components.peek() {
        let next = path.join(component);
        match fs::metadata(&next) {
            Ok(_) => path = next,
            Err(_) if is_pattern(component.as_os_str().as_encoded_bytes()) => break,
            Err(error) if is_missing(&error) => {
                is_there = false;
                break;
            }
            Err(error) => return Err(Error::io("open", &next, error)),
        }
        components.next();
    }
    let parse = |component: Component<'_>| {
        Ok(match component.as_os_str().as_encoded_bytes() {
            b"**" => Part::Directories,
            name if is_pattern(name) => Part::Pattern(NamePattern::parse(name)?),
            _ => Part::Name(component.as_os_str().to_owned()),
        })
    };
    let parts = components.map(parse).collect::<Result<_, &str>>();
    let parts = parts.map_err(|reason| {
        Error::new(ErrorKind::InvalidPattern {
            pattern: pattern.display().to_string(),
            reason: reason.to_owned(),
        })
    })?;
    Ok(is_there.then_some((path, parts)))
}

/// A path that matches the first parts of a pattern.
struct Partial<'p> {
    path: PathBuf,
    /// The remaining parts.
    parts: &'p [Part],
    /// Directory at which the `**` began, if `**` is the next part and has already matched directories.
    root: Option<PathBuf>,
}

/// The state of a match. Partial matches are on an explicit stack, so that deep directories do not overflow the
/// thread's stack.
struct Matching<'p, 'f> {
    is_for_directories: bool,
    partial: Vec<Partial<'p>>,
    found: &'f mut Vec<InputFile>,
}

impl<'p> Matching<'p, '_> {
    fn push(&mut self, path: PathBuf, parts: &'p [Part]) {
        self.partial.push(Partial {
            path,
            parts,
            root: None,
        });
    }

    /// Matches the next part of a partial match.
    fn extend(&mut self, partial: &Partial<'p>) -> Result<()> {
        let path = &partial.path;
        match partial.parts {
            [] => self.add(path),
            [Part::Directories] => match metadata_at(path)?.is_dir() {
                true => add_below(path, self.found),
                false => Ok(()),
            },
            [Part::Name(name), rest @ ..] => {
                let path = path.join(name);
                match fs::symlink_metadata(&path) {
                    Ok(_) => self.push(path, rest),
                    Err(error) if is_missing(&error) => {}
                    Err(error) => return Err(Error::io("open", &path, error)),
                }
                Ok(())
            }
            [Part::Pattern(pattern), rest @ ..] => self.add_names(path, pattern, rest),
            [Part::Directories, rest @ ..] => {
                self.add_directories(partial)?;
                self.push(path.clone(), rest);
                Ok(())
            }
        }
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let metadata = metadata_at(path)?;
        if metadata.is_dir() || !self.is_for_directories {
            add(path, &metadata, self.found)?;
        }
        Ok(())
    }

    /// Adds the names in a directory that match. If parts remain, adds only directories.
    fn add_names(
        &mut self,
        directory: &Path,
        pattern: &NamePattern,
        rest: &'p [Part],
    ) -> Result<()> {
        for entry in entries_of(directory)? {
            let (path, entry) = entry?;
            if pattern.selects(entry.file_name().as_encoded_bytes())
                && (rest.is_empty() || is_directory(&path, &entry, None)?)
            {
                self.push(path, rest);
            }
        }
        Ok(())
    }

    /// Adds the directories in a directory that `**` matches.
    fn add_directories(&mut self, partial: &Partial<'p>) -> Result<()> {
        let root = partial.root.as_ref().unwrap_or(&partial.path);
        for entry in entries_of(&partial.path)? {
            let (path, entry) = entry?;
            let is_left_out = is_left_out(entry.file_name().as_encoded_bytes());
            if !is_left_out && is_directory(&path, &entry, Some(root))? {
                self.partial.push(Partial {
                    path,
                    parts: partial.parts,
                    root: Some(root.clone()),
                });
            }
        }
        Ok(())
    }
}

/// Returns the entries of a directory, or none if `directory` is not one.
fn entries_of(
    directory: &Path,
) -> Result<impl Iterator<Item = Result<(PathBuf, DirEntry)>> + use<'_>> {
    let at_directory = |error| Error::io("read", directory, error);
    let is_here = directory.as_os_str().is_empty();
    let entries = match fs::read_dir(if is_here { Path::new(".") } else { directory }) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        entries => Some(entries.map_err(at_directory)?),
    };
    Ok(entries.into_iter().flatten().map(move |entry| {
        let entry = entry.map_err(at_directory)?;
        Ok((directory.join(entry.file_name()), entry))
    }))
}

/// Returns whether an entry is a directory or a link to one. A link that leads nowhere is not. Returns an error if the
/// link leads to one of the directories from `root` down to it.
fn is_directory(path: &Path, entry: &DirEntry, root: Option<&Path>) -> Result<bool> {
    let at_entry = |error| Error::io("open", path, error);
    let file_type = entry.file_type().map_err(at_entry)?;
    if !file_type.is_symlink() {
        return Ok(file_type.is_dir());
    }
    let is_directory = match fs::metadata(path) {
        Err(error) if is_missing(&error) || is_link_loop(&error) => false,
        metadata => metadata.map_err(at_entry)?.is_dir(),
    };
    if let Some(root) = root.filter(|_| is_directory) {
        check_loop(path, root)?;
    }
    Ok(is_directory)
}

/// Returns an error if the link at `path` leads to one of the directories from `root` down to it.
fn check_loop(path: &Path, root: &Path) -> Result<()> {
    let canonical =
        |path: &Path| fs::canonicalize(path).map_err(|error| Error::io("open", path, error));
    let target = canonical(path)?;
    let depth = root.as_os_str().len();
    for ancestor in path.ancestors().skip(1) {
        let is_here = ancestor.as_os_str().is_empty();
        if canonical(if is_here { Path::new(".") } else { ancestor })? == target {
            let reason = format!(
                "it is a symbolic link to {}, a directory that contains it",
                target.display()
            );
            return Err(Error::io("read", path, io::Error::other(reason)));
        }
        if ancestor.as_os_str().len() <= depth {
            break;
        }
    }
    Ok(())
}

fn metadata_at(path: &Path) -> Result<Metadata> {
    fs::metadata(path).map_err(|error| Error::io("open", path, error))
}

/// Returns whether an error means that links lead to each other.
fn is_link_loop(error: &io::Error) -> bool {
    cfg!(unix) && error.raw_os_error() == Some(libc::ELOOP)
}
