//! Outputs on the file system of their path: what may be there before, and what must not be there afterwards.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::any::AnyFileSystem;
use super::buffered_file::{BufferedFile, failed};
use super::encoder::Compression;
use super::file_systems::FileSystems;
use super::local::{self, LocalFiles};
use super::output::{OutputOptions, PendingOutput, Token};
use super::path::check_local;
use super::retry::retry;
use crate::error::{Error, ErrorContext, ErrorKind, Result, plain};
use crate::storage::output::{MANIFEST, find_other, is_extension, part_names};

/// An output that has been begun, on the file system of its path: a directory of files, which appears whole or not at
/// all. Dropping it aborts it.
///
/// A [`Sink`](crate::Sink) holds it. [`begin`](crate::Sink::begin) passes the [`OutputWriter`] on to the tasks, and
/// [`commit`](crate::Sink::commit) receives the files of the attempts that count. See [outputs](crate#outputs) for the
/// guarantees, which are those of [`write_text`](crate::Bag::write_text).
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use std::path::PathBuf;
///
/// use holdall::files::{FinishedFile, NewOutput, OutputFile, OutputOptions, OutputWriter};
/// use holdall::{Attempt, BoxError, Context, PartitionWriter, Sink};
/// use serde::{Deserialize, Serialize};
///
/// /// Files of 32-bit numbers.
/// struct Numbers(NewOutput);
///
/// impl Sink<u32> for Numbers {
///     type Writer = NumbersWriter;
///     type Output = Vec<PathBuf>;
///
///     fn begin(&mut self, partitions: Option<usize>) -> Result<NumbersWriter, BoxError> {
///         Ok(NumbersWriter(self.0.writer("u32", partitions)?))
///     }
///
///     fn commit(self, files: Vec<FinishedFile>) -> Result<Vec<PathBuf>, BoxError> {
///         Ok(self.0.commit(files)?)
///     }
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct NumbersWriter(OutputWriter);
///
/// impl PartitionWriter<u32> for NumbersWriter {
///     type Open = OutputFile;
///     type Part = FinishedFile;
///
///     fn open(&self, attempt: &Attempt) -> Result<OutputFile, BoxError> {
///         Ok(self.0.create(attempt.partition(), attempt.name())?)
///     }
///
///     fn write(&self, file: &mut OutputFile, number: u32) -> Result<(), BoxError> {
///         Ok(file.write_all(&number.to_le_bytes())?)
///     }
///
///     fn finish(&self, file: OutputFile) -> Result<FinishedFile, BoxError> {
///         Ok(file.finish()?)
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("numbers"); // a path with a scheme works, too
/// let context = Context::default();
/// let output = context.begin_output(&path, &OutputOptions::default())?;
/// let files = context.range_partitioned(0..10_u32, 2).write(Numbers(output))?;
/// assert_eq!(files, [path.join("part-00000.u32"), path.join("part-00001.u32")]);
/// assert_eq!(std::fs::metadata(&files[1])?.len(), 20);
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct NewOutput {
    /// Path as the user has specified it.
    path: PathBuf,
    file_system: AnyFileSystem,
    pending: Box<dyn PendingOutput>,
    /// Files that the output replaces. The local file system replaces them itself.
    replaced: Vec<OldFile>,
    /// Name of the last file of the output to which files are added.
    last: Option<String>,
    compression: Option<Compression>,
}

/// A file that was at the path before.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OldFile {
    /// Path without the scheme.
    path: String,
    /// Name in the directory of the output, or `None` for a file at the path itself.
    name: Option<String>,
}

/// Creates the files of a [`NewOutput`], in tasks. serde sends it to worker processes.
#[derive(Clone, Serialize, Deserialize)]
pub struct OutputWriter {
    #[serde(with = "plain")]
    path: PathBuf,
    file_system: AnyFileSystem,
    token: Token,
    extension: String,
    /// Number of digits in the names of the files.
    digits: usize,
    /// Number of the first file.
    first: u64,
    compression: Option<Compression>,
}

impl NewOutput {
    /// Begins an output at `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if something exists at `path` that may not be replaced, or if the file system fails.
    pub(crate) fn begin(
        file_systems: &FileSystems,
        path: &Path,
        options: &OutputOptions,
    ) -> Result<Self> {
        if options.append && options.overwrite {
            return Err(Error::new(ErrorKind::InvalidSetting {
                setting: "append",
                value: "true".to_owned(),
                expected: "`false` with `overwrite`",
            }));
        }
        let Some((file_system, rest)) = file_systems.find(path)? else {
            let local = check_local(path)?;
            let pending = local::begin(path, local, options)?;
            let names = match options.append {
                true => part_names(local).map_err(|error| Error::io("read", path, error))?,
                false => Vec::new(),
            };
            return Ok(Self {
                path: path.to_owned(),
                file_system: AnyFileSystem::new(LocalFiles),
                pending,
                replaced: Vec::new(),
                last: last_part(path, &names)?,
                compression: options.compression,
            });
        };
        let rest = rest.trim_end_matches('/');
        let may_exist = options.overwrite || options.append;
        let mut replaced = find_replaced(file_system, rest, path, may_exist)?;
        let mut last = None;
        if options.append {
            let names = replaced
                .drain(..)
                .map(|old| old.name.ok_or_else(|| output_exists(path)));
            last = last_part(path, &names.collect::<Result<Vec<_>>>()?)?;
        }
        let pending = file_system.get().begin(rest, options);
        Ok(Self {
            path: path.to_owned(),
            file_system: file_system.clone(),
            pending: pending.map_err(|error| not_created(path, error))?,
            replaced,
            last,
            compression: options.compression,
        })
    }

    /// Returns what tasks need to create files.
    ///
    /// The files are named `part-00000`, `part-00001` and so on, followed by a `.` and `extension`, if that is not empty,
    /// and by the extension of the compression, such as `.gz`. If files are added to an output, the numbers follow those of
    /// its files. The order of the names is that of the partitions. Names have ten digits if there are more than 100,000
    /// `partitions`, or if their number is unknown.
    ///
    /// # Errors
    ///
    /// Returns an error if the output cannot be serialised, if `extension` has other characters than letters, digits
    /// and single `.` between them, or if files with another extension exist in the output to which files are added.
    pub fn writer(&self, extension: &str, partitions: Option<usize>) -> Result<OutputWriter> {
        if !is_extension(extension) && !extension.is_empty() {
            return Err(Error::new(ErrorKind::InvalidSetting {
                setting: "extension",
                value: extension.to_owned(),
                expected: "letters and digits, such as `csv` or `csv.gz`",
            }));
        }
        let compressed = self.compression.map(Compression::extension);
        let words = [extension, compressed.unwrap_or_default()];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let extension = words.join(".");
        let (digits, first) = match &self.last {
            None => (part_digits(partitions), 0),
            Some(last) => {
                let (number, its) = number_of(last).unwrap_or_default();
                if its != extension {
                    return Err(Error::new(ErrorKind::NotAnOutput {
                        path: self.path.clone(),
                        found: self.path.join(last),
                        context: ErrorContext::default(),
                    }));
                }
                (
                    number.len(),
                    number
                        .parse()
                        .map_or(u64::MAX, |n: u64| n.saturating_add(1)),
                )
            }
        };
        let token = self.pending.token();
        Ok(OutputWriter {
            path: self.path.clone(),
            file_system: self.file_system.clone(),
            token: token.map_err(|error| failed("create", &self.path, error))?,
            extension,
            digits,
            first,
            compression: self.compression,
        })
    }

    /// Makes the files visible, and removes those that they replace and that have other names. Returns their paths: the
    /// path of the output, followed by the name of the file.
    ///
    /// `files` has one file for each partition, in order: that of the attempt that counts.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails, or if something has appeared at the path that may not be replaced.
    pub fn commit(self, files: Vec<FinishedFile>) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::with_capacity(files.len());
        let mut names = HashSet::with_capacity(files.len());
        let mut tokens = Vec::with_capacity(files.len());
        for file in files {
            paths.push(self.path.join(&file.name));
            names.insert(file.name);
            tokens.push(file.token);
        }
        let committed = self.pending.commit(tokens);
        committed.map_err(|error| not_created(&self.path, error))?;
        for old in &self.replaced {
            let name = old.name.as_deref();
            if name.is_some_and(|name| names.contains(name)) {
                continue;
            }
            let remove = || self.file_system.get().remove(&old.path);
            match retry(&self.file_system, remove) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let reason =
                        format!("{error}; the new files are beside this one of the old output");
                    let error = io::Error::new(error.kind(), reason);
                    let path = name.map(|name| self.path.join(name));
                    return Err(Error::io(
                        "remove",
                        path.as_ref().unwrap_or(&self.path),
                        error,
                    ));
                }
                _ => {}
            }
        }
        Ok(paths)
    }
}

impl fmt::Debug for NewOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewOutput")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Returns the name of the file of a partition.
pub(crate) fn part_name(partition: u64, digits: usize) -> String {
    format!("part-{partition:0digits$}")
}

/// Returns the number of digits in the names of the files. The order of the names must be the order of the partitions.
/// If their number is unknown, that takes more digits.
pub(crate) fn part_digits(partitions: Option<usize>) -> usize {
    match partitions {
        Some(partitions) if partitions <= 100_000 => 5,
        _ => 10,
    }
}

/// Returns the last of the `names` in an output at `path` to which files are added.
fn last_part(path: &Path, names: &[String]) -> Result<Option<String>> {
    let other = find_other(names.iter().map(String::as_str));
    if let Some(name) = other.or_else(|| {
        names
            .iter()
            .map(String::as_str)
            .find(|name| *name == MANIFEST)
    }) {
        return Err(Error::new(ErrorKind::NotAnOutput {
            path: path.to_owned(),
            found: path.join(name),
            context: ErrorContext::default(),
        }));
    }
    Ok(names.iter().max().cloned())
}

/// Returns the digits and the extension in the name of a part.
fn number_of(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix("part-")?;
    Some(rest.split_once('.').unwrap_or((rest, "")))
}

/// Returns the files at `directory`, which errors call `path`, and below it.
fn find_replaced(
    file_system: &AnyFileSystem,
    directory: &str,
    path: &Path,
    overwrite: bool,
) -> Result<Vec<OldFile>> {
    let listed = retry(file_system, || file_system.get().list(directory));
    let listed = listed.map_err(|error| failed("list", path, error))?;
    let mut replaced = Vec::new();
    for file in listed {
        let name = match file.path.strip_prefix(directory) {
            // All files are below the root.
            Some(below) if directory.is_empty() => Some(below),
            Some("") => None,
            // A store may have an empty file that stands for a directory.
            Some("/") | None => continue,
            Some(below) => match below.strip_prefix('/') {
                Some(name) => Some(name),
                None => continue,
            },
        };
        if !overwrite {
            return Err(output_exists(path));
        }
        let name = name.map(str::to_owned);
        let path = file.path;
        replaced.push(OldFile { path, name });
    }
    let names = replaced
        .iter()
        .filter_map(|file: &OldFile| file.name.as_deref());
    if let Some(name) = find_other(names) {
        return Err(Error::new(ErrorKind::NotAnOutput {
            path: path.to_owned(),
            found: path.join(name),
            context: ErrorContext::default(),
        }));
    }
    replaced.sort();
    Ok(replaced)
}

impl OutputWriter {
    /// Creates the file of a partition. `attempt` is the name of the [attempt](crate::Attempt::name), which consists of
    /// digits and `-`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails.
    pub fn create(&self, partition: usize, attempt: &str) -> Result<OutputFile> {
        self.create_named(self.name_of(partition)?, attempt)
    }

    fn name_of(&self, partition: usize) -> Result<String> {
        let number = self.first.saturating_add(partition as u64);
        let mut name = part_name(number, self.digits);
        if self.first > 0 && name.len() > part_name(0, self.digits).len() {
            // The order of the names would not be that of the partitions.
            let reason = "the output to which it is added has too few digits in its names";
            let reason = io::Error::new(io::ErrorKind::InvalidInput, reason);
            return Err(Error::io("create", &self.path.join(name), reason));
        }
        if !self.extension.is_empty() {
            name.push('.');
            name.push_str(&self.extension);
        }
        Ok(name)
    }

    /// Like [`create`](Self::create), in a directory of the output.
    pub(crate) fn create_in(
        &self,
        directory: &str,
        partition: usize,
        attempt: &str,
    ) -> Result<OutputFile> {
        self.create_named(format!("{directory}/{}", self.name_of(partition)?), attempt)
    }

    /// Creates a file with another name.
    pub(crate) fn create_named(&self, name: String, attempt: &str) -> Result<OutputFile> {
        let path = self.path.join(&name);
        let file = self.file_system.get().create(&self.token, &name, attempt);
        let file = file.map_err(|error| failed("create", &path, error))?;
        Ok(OutputFile {
            name,
            content: BufferedFile::new(file, path, self.compression),
        })
    }
}

impl fmt::Debug for OutputWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A file of a [`NewOutput`] that is being written. Its errors name its path. Dropping it discards it.
#[derive(Debug)]
pub struct OutputFile {
    name: String,
    content: BufferedFile,
}

impl OutputFile {
    /// Completes the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails.
    pub fn finish(self) -> Result<FinishedFile> {
        let (bytes, token) = self.content.finish()?;
        Ok(FinishedFile {
            name: self.name,
            bytes,
            token,
        })
    }
}

impl Write for OutputFile {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

/// A complete file of a [`NewOutput`], which [`commit`](NewOutput::commit) makes visible. serde sends it from the task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FinishedFile {
    name: String,
    bytes: u64,
    token: Token,
}

impl FinishedFile {
    /// Returns the name of the file in the directory of the output.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the size of the file, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

pub(super) fn output_exists(path: &Path) -> Error {
    Error::new(ErrorKind::OutputExists {
        path: path.to_owned(),
        is_appended: false,
        context: ErrorContext::default(),
    })
}

/// Returns the error of an output that could not be begun or committed.
pub(super) fn not_created(path: &Path, error: io::Error) -> Error {
    match failed("create", path, error).into_kind() {
        ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            output_exists(path)
        }
        kind => Error::new(kind),
    }
}
