//! Methods that write a bag to files.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::Bag;
use crate::error::Result;
use crate::operators::actions::{WriteText, create};
use crate::pipeline::{Pipeline, Record};
use crate::storage::output::Output;
use crate::task::Site;

pub use crate::operators::actions::WriteLine;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Writes each record as a line of text, into a new directory. Runs a job.
    ///
    /// The directory has a file for each partition, `part-00000`, `part-00001` and so on. If you read the files in the
    /// order of their names, you get the records in order. Each line ends with `\n`; a record that contains `\n`
    /// becomes several lines. [`read_text`](crate::read_text) returns the same records, with three exceptions. A record
    /// that ends with `\r` loses it, because `\r\n` ends a line. U+FEFF at the start of the first record of a file
    /// counts as a byte order mark. A file that begins like one of another format or encoding is refused.
    ///
    /// The directory appears as a whole, once everything is written, or not at all, even if the process is killed or
    /// the power fails. Until then, it has a hidden name in the same parent directory. When this method returns, the
    /// output is on disk, unless you disable that by [`TextWriter::durable`]. See [outputs](crate#outputs), also for an
    /// empty directory at `path`.
    ///
    /// Records are written as `Display` formats them. Pairs do not implement `Display`, so format them by
    /// [`map`](Bag::map), as in `map(|(word, count)| format!("{word}\t{count}"))`. To replace an existing output, use a
    /// [`TextWriter`].
    ///
    /// Returns the number of records and bytes, and the files.
    ///
    /// # Errors
    ///
    /// Returns [`OutputExists`](crate::ErrorKind::OutputExists) if `path` exists and is not an empty directory,
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be written, or the same errors as [`collect`](Bag::collect).
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be written; or as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let path = dir.path().join("squares");
    /// let written = holdall::range(0..1000).map(|n| n * n).write_text(&path)?;
    /// assert_eq!((written.records, written.files.len()), (1000, 64));
    /// assert_eq!(holdall::read_text(&path)?.count()?, 1000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_text<Form>(&self, path: impl AsRef<Path>) -> Result<Written>
    where
        T: WriteLine<Form>,
        Form: 'static,
    {
        TextWriter::new().write(self, path)
    }
}

/// Amounts and files of an output. Returned by [`Bag::write_text`] and [`TextWriter::write`].
///
/// The numbers are exact: the records of a partition count once, even if its task was retried.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("words");
/// let written = holdall::from_vec(vec!["a", "bag"]).write_text(&path)?;
/// assert_eq!((written.records, written.bytes), (2, 6)); // each line ends with `\n`
/// assert_eq!(written.files, [path.join("part-00000"), path.join("part-00001")]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Number of records.
    pub records: u64,
    /// Size of all files together, in bytes.
    pub bytes: u64,
    /// Paths of the files, in the order of the partitions: the path that you passed, followed by the name of the file.
    /// A bag without partitions results in one empty file.
    pub files: Vec<PathBuf>,
}

/// Writes text with other options than [`write_text`](Bag::write_text).
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// holdall::range(0..10).write_text(&path)?;
/// holdall::TextWriter::new().overwrite(true).write(&holdall::range(0..3), &path)?;
/// assert_eq!(holdall::read_text(&path)?.collect()?, ["0", "1", "2"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct TextWriter {
    overwrite: bool,
    /// Whether a power failure may destroy the output.
    is_volatile: bool,
}

impl TextWriter {
    /// Creates a writer with the options of [`write_text`](Bag::write_text).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// holdall::TextWriter::new().write(&holdall::range(0..3), &path)?;
    /// assert_eq!(holdall::read_text(&path)?.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether an existing file or directory is replaced, once the new one is complete. Default: `false`.
    ///
    /// The old output exists until the new one has replaced it, whatever fails in between. A link to a directory stands
    /// for the directory. See [outputs](crate#outputs).
    ///
    /// A directory is replaced only if it was written by `write_text`, and contains only files such as `part-00000`. If
    /// it contains anything else, the error is [`NotAnOutput`](crate::ErrorKind::NotAnOutput), and nothing is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let writer = holdall::TextWriter::new().overwrite(true);
    /// writer.write(&holdall::range(0..9), &path)?;
    /// writer.write(&holdall::range(0..2), &path)?;
    /// assert_eq!(holdall::read_text(&path)?.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Sets whether the output is on disk when [`write`](Self::write) returns. Default: `true`.
    ///
    /// If it is `false`, the system writes the output to disk later, which takes less of your program's time. A power
    /// failure within about a minute may leave only a part of the output, and empty files. The end of the process,
    /// however it ends, does no harm.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// holdall::TextWriter::new().durable(false).write(&holdall::range(0..3), &path)?;
    /// assert_eq!(holdall::read_text(&path)?.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn durable(mut self, durable: bool) -> Self {
        self.is_volatile = !durable;
        self
    }

    /// Writes each record of `bag` as a line of text. Runs a job. Returns the number of records and
    /// bytes, and the files. See [`Bag::write_text`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_text`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let writer = holdall::TextWriter::new();
    /// writer.write(&holdall::range(0..3), &path)?;
    /// let error = writer.write(&holdall::range(0..3), &path).unwrap_err();
    /// assert!(error.to_string().contains("it already exists"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write<T, P, Form>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: WriteLine<Form> + ?Sized,
        Form: 'static,
        P: Pipeline<Out = T>,
    {
        let site = Site::new("write_text");
        let path = path.as_ref();
        let output = Output::create(path, self.overwrite, !self.is_volatile)?;
        let write = WriteText {
            site,
            directory: output.parts(),
            attempts: output.attempts().to_owned(),
            // The order of the names must be the order of the partitions. If the number of partitions is unknown, that
            // takes more digits.
            digits: match bag.pipeline.partitions() {
                Some(partitions) if partitions <= 100_000 => 5,
                _ => 10,
            },
            is_durable: !self.is_volatile,
            form: PhantomData,
        };
        let mut written = Written::default();
        bag.run(&write, |_, (records, bytes)| {
            written.records += records;
            written.bytes += bytes;
            let name = write.name(written.files.len());
            written.files.push(path.join(name));
            ControlFlow::Continue(())
        })?;
        if written.files.is_empty() {
            // Create one file, because a directory without files cannot be read.
            create(&write.path(0))?;
            written.files.push(path.join(write.name(0)));
        }
        output.finish()?;
        Ok(written)
    }
}
