//! Methods that write a bag to files.

use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::Bag;
use crate::error::{BoxError, Error, ErrorKind, Result, caught};
use crate::files::{Compression, FinishedFile, NewOutput, OutputOptions, attempt_name};
use crate::operators::actions::{WriteAction, WriteText, write_failed};
use crate::pipeline::{Pipeline, Plain, Record};
use crate::task::Site;

pub use crate::operators::actions::{Attempt, PartitionWriter, Sink, WriteLine};

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
    /// A path with a scheme, such as `s3://bucket/counts`, is written to a [file system](crate#file-systems) that you have
    /// added to the context. Then what happens if the process is killed depends on the file system.
    ///
    /// Records are written as `Display` formats them. Pairs do not implement `Display`. [`std::fmt::from_fn`] makes a record
    /// that does, and needs no `String`, as `format!` would:
    /// `map(|(word, count)| from_fn(move |f| write!(f, "{word}\t{count}")))`. To replace an existing output, use a
    /// [`TextWriter`].
    ///
    /// Returns the number of records and bytes, and the files.
    ///
    /// # Errors
    ///
    /// Returns [`OutputExists`](crate::ErrorKind::OutputExists) if `path` exists and is not an empty directory,
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be written, or the same errors as [`collect`](Bag::collect).
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

    /// Writes each record as a line of text to `output`, in order, for example to standard output, a socket, or a
    /// compressing writer. Runs a job.
    ///
    /// Lines are formatted on the threads of the job, as by [`write_text`](Bag::write_text), and written on the current
    /// thread while the job runs. Memory is bounded as for [`iter`](Bag::iter). The output is buffered, and flushed at
    /// the end. To write a bag to a file that appears as a whole or not at all, use `write_text`.
    ///
    /// Returns the number of records and bytes.
    ///
    /// # Errors
    ///
    /// Returns the error of `output`, as [`Other`](crate::ErrorKind::Other), or the same errors as
    /// [`iter`](Bag::iter). Some lines may already have been written.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut output = Vec::new();
    /// let written = holdall::range(0..3).map(|n| n * n).write_to(&mut output)?;
    /// assert_eq!(output, b"0\n1\n4\n");
    /// assert_eq!((written.records, written.bytes), (3, 6));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_to<Form>(&self, output: impl Write) -> Result<Written>
    where
        T: WriteLine<Form>,
        Form: 'static,
    {
        let site = Site::new("write_to");
        let line = |record: T::Ref<'_>| {
            let mut line = Vec::new();
            T::write_line(T::peek(&record), &mut line).map(|()| line)
        };
        let lines = self.clone().try_map_at(site, Plain(line));
        let mut output = BufWriter::new(output);
        let mut written = Written::default();
        for line in lines.iter_at(site, true)? {
            let line = line?;
            output.write_all(&line)?;
            written.records += 1;
            written.bytes += line.len() as u64;
        }
        output.flush()?;
        Ok(written)
    }

    /// Writes the records to a [`Sink`], which another crate or your program implements. Runs a job.
    ///
    /// Each partition is written by a task. The sink completes the output once all of them have been written. Returns
    /// what [`Sink::commit`] returns.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Write`](crate::ErrorKind::Write) if the sink returns an error, or the same errors as
    /// [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// Counts the records, without writing them:
    ///
    /// ```
    /// use holdall::{Attempt, BoxError, PartitionWriter, Sink};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Null;
    ///
    /// impl Sink<u64> for Null {
    ///     type Writer = Null;
    ///     type Output = u64;
    ///
    ///     fn begin(&mut self, _partitions: Option<usize>) -> Result<Null, BoxError> {
    ///         Ok(Null)
    ///     }
    ///
    ///     fn commit(self, parts: Vec<u64>) -> Result<u64, BoxError> {
    ///         Ok(parts.iter().sum())
    ///     }
    /// }
    ///
    /// impl PartitionWriter<u64> for Null {
    ///     type Open = u64;
    ///     type Part = u64;
    ///
    ///     fn open(&self, _attempt: &Attempt) -> Result<u64, BoxError> {
    ///         Ok(0)
    ///     }
    ///
    ///     fn write(&self, count: &mut u64, _record: u64) -> Result<(), BoxError> {
    ///         *count += 1;
    ///         Ok(())
    ///     }
    ///
    ///     fn finish(&self, count: u64) -> Result<u64, BoxError> {
    ///         Ok(count)
    ///     }
    /// }
    ///
    /// assert_eq!(holdall::range(0..1000).write(Null)?, 1000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write<S: Sink<T>>(&self, mut sink: S) -> Result<S::Output> {
        let site = Site::new(sink.name());
        let failed = |cause| write_failed(cause, site);
        let partitions = self.pipeline.partitions();
        let writer = caught(Some(site), || sink.begin(partitions).map_err(failed))?;
        let mut parts = Vec::new();
        self.run_whole(&WriteAction { site, writer }, |_, part| {
            parts.push(part);
            ControlFlow::Continue(())
        })?;
        caught(Some(site), || sink.commit(parts).map_err(failed))
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

impl Written {
    /// Commits `output` with files that have these numbers of records, or with an empty file if there are none.
    pub(super) fn commit(output: NewOutput, parts: Vec<(FinishedFile, u64)>) -> Result<Self> {
        let mut written = Self::default();
        let mut files = Vec::with_capacity(parts.len().max(1));
        for (file, records) in parts {
            written.records += records;
            written.bytes += file.bytes();
            files.push(file);
        }
        if files.is_empty() {
            // A directory without files cannot be read.
            let writer = output.writer("", Some(0))?;
            files.push(writer.create(0, &attempt_name())?.finish()?);
        }
        written.files = output.commit(files)?;
        Ok(written)
    }
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
    pub(super) output: OutputOptions,
    /// First line of each file.
    pub(super) header: Option<String>,
    pub(super) is_single_file: bool,
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
        self.output.overwrite = overwrite;
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
        self.output.durable = durable;
        self
    }

    /// Sets the compression of the files. Default: none.
    ///
    /// The names of the files end with the extension of the compression, except that of a [single
    /// file](Self::single_file). Each task compresses its own file, and takes up to 4 MiB more memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Compression, TextWriter};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let writer = TextWriter::new().compression(Compression::Zstd);
    /// let written = writer.write(&holdall::range_partitioned(0..100_000, 2), &path)?;
    /// assert_eq!(written.files[1], path.join("part-00001.zst"));
    /// assert!(written.bytes < 588_890 / 2); // the size of the text
    /// assert_eq!(holdall::read_text(&path)?.count()?, 100_000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn compression(mut self, compression: Compression) -> Self {
        self.output.compression = Some(compression);
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`.
    ///
    /// The numbers of the new files follow those of the existing ones, so the order of the names remains the order of the
    /// records. All new files appear, or none. If nothing exists at the path, a new output is written.
    ///
    /// The existing files must have been written by `write_text` with the same compression; otherwise, the error is
    /// [`NotAnOutput`](crate::ErrorKind::NotAnOutput). If two jobs append at the same time, one of them may fail with
    /// [`OutputExists`](crate::ErrorKind::OutputExists). With [`overwrite`](Self::overwrite), the error is
    /// [`InvalidSetting`](crate::ErrorKind::InvalidSetting).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("log");
    /// let writer = holdall::TextWriter::new().append(true);
    /// writer.write(&holdall::range_partitioned(0..2, 1), &path)?;
    /// let written = writer.write(&holdall::range_partitioned(2..4, 1), &path)?;
    /// assert_eq!(written.files, [path.join("part-00001")]);
    /// assert_eq!(holdall::read_text(&path)?.collect()?, ["0", "1", "2", "3"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn append(mut self, append: bool) -> Self {
        self.output.append = append;
        self
    }

    /// Sets a line that is written at the start of each file. Default: none. It does not count as a record.
    ///
    /// [`TextReader::skip_header`](crate::TextReader::skip_header) reads such files.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits");
    /// let visits = holdall::from_vec(vec!["ada,3", "grace,5"]);
    /// let written = holdall::TextWriter::new().header("user,pages").write(&visits, &path)?;
    /// assert_eq!(written.records, 2);
    /// assert_eq!(std::fs::read_to_string(&written.files[1])?, "user,pages\ngrace,5\n");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn header(mut self, header: impl Into<String>) -> Self {
        self.header = Some(header.into());
        self
    }

    /// Sets whether the records are written to one file at the path, instead of a directory of files. Default: `false`.
    ///
    /// The file appears with all of its content, or not at all. It does not replace a directory, not even with
    /// [`overwrite`](Self::overwrite). Lines are formatted on the threads of the job. The current
    /// thread writes them, and compresses them if a [compression](Self::compression) is set. Memory is bounded as for
    /// [`iter`](Bag::iter). With [`append`](Self::append), the error is
    /// [`InvalidSetting`](crate::ErrorKind::InvalidSetting).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers.txt");
    /// let writer = holdall::TextWriter::new().single_file(true).header("n");
    /// let written = writer.write(&holdall::range(0..3), &path)?;
    /// assert_eq!(written.files, [path.clone()]);
    /// assert_eq!(std::fs::read_to_string(&path)?, "n\n0\n1\n2\n");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn single_file(mut self, single_file: bool) -> Self {
        self.is_single_file = single_file;
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
        let path = path.as_ref();
        if self.is_single_file {
            return self.write_file(bag, path);
        }
        let sink = TextSink {
            output: bag.context.begin_output(path, &self.output)?,
            header: self.header.clone(),
            form: PhantomData,
        };
        bag.write(sink)
    }

    #[track_caller]
    fn write_file<T, P, Form>(&self, bag: &Bag<T, P>, path: &Path) -> Result<Written>
    where
        T: WriteLine<Form> + ?Sized,
        Form: 'static,
        P: Pipeline<Out = T>,
    {
        if self.output.append {
            return Err(Error::new(ErrorKind::InvalidSetting {
                setting: "append",
                value: "true".to_owned(),
                expected: "`false` with `single_file`",
            }));
        }
        let mut file = bag.context.create_file(path, &self.output)?;
        if let Some(header) = &self.header {
            writeln!(file, "{header}")?;
        }
        let written = bag.write_to(&mut file)?;
        Ok(Written {
            bytes: file.commit()?,
            files: vec![path.to_owned()],
            ..written
        })
    }
}

/// A directory of text files. Dropping it deletes what has been written.
struct TextSink<Form> {
    output: NewOutput,
    header: Option<String>,
    form: PhantomData<fn() -> Form>,
}

impl<T: WriteLine<Form> + ?Sized, Form: 'static> Sink<T> for TextSink<Form> {
    type Writer = WriteText<Form>;
    type Output = Written;

    fn begin(&mut self, partitions: Option<usize>) -> Result<WriteText<Form>, BoxError> {
        Ok(WriteText {
            output: self.output.writer("", partitions)?,
            header: self.header.clone(),
            form: PhantomData,
        })
    }

    fn commit(mut self, mut parts: Vec<(FinishedFile, u64)>) -> Result<Written, BoxError> {
        if parts.is_empty() && self.header.is_some() {
            let writer: WriteText<Form> = Sink::<T>::begin(&mut self, Some(0))?;
            parts.push((writer.create(0, &attempt_name())?.finish()?, 0));
        }
        Ok(Written::commit(self.output, parts)?)
    }

    fn name(&self) -> &'static str {
        "write_text"
    }
}
