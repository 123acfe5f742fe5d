//! JSON lines: reading and writing.

use std::io::Write;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Bag, FormatSink, RecordFormat, TextReader, Written};
use crate::context::Context;
use crate::counter::BadRecords;
use crate::error::{BoxError, Result};
use crate::files::{Compression, IntoInputs, OutputFile, OutputOptions};
use crate::operators::parse_json::ParseJson;
use crate::operators::read_text::ReadText;
use crate::pipeline::{Pipeline, Record, Text};
use crate::task::Site;

/// Returns the values of JSON lines. Short for [`Context::read_json`] on the default context. Needs the feature `json`.
///
/// # Errors
///
/// Returns the same errors as [`Context::read_json`].
///
/// # Examples
///
/// ```no_run
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Event {
///     user: String,
/// }
///
/// let users = holdall::read_json::<Event>("events/*.jsonl.gz")?.map(|event| event.user).distinct();
/// println!("{} users", users.count()?);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn read_json<U>(inputs: impl IntoInputs) -> Result<Bag<U, ParseJson<ReadText<str>, U>>>
where
    U: DeserializeOwned + 'static,
{
    Context::default().read_json(inputs)
}

impl Context {
    /// Returns the values of JSON lines: files that have a JSON value in each line. Needs the feature `json`.
    ///
    /// The files, their partitions and the order are those of [`read_text`](Context::read_text), and so are compressed
    /// files. serde maps each value to a `U`. Blank lines are skipped. For other options, use a
    /// [`TextReader`] and [`parse_json`](Bag::parse_json).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`read_text`](Context::read_text). An action returns those of
    /// [`parse_json`](Bag::parse_json).
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Visit {
    ///     user: String,
    ///     #[serde(default)]
    ///     pages: u32,
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits.jsonl");
    /// std::fs::write(&path, "{\"user\":\"ada\",\"pages\":3}\n{\"user\":\"grace\"}\n")?;
    /// let visits = holdall::Context::default().read_json::<Visit>(&path)?;
    /// assert_eq!(visits.map(|visit| visit.pages).sum::<u32>()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_json<U>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<Bag<U, ParseJson<ReadText<str>, U>>>
    where
        U: DeserializeOwned + 'static,
    {
        let lines = TextReader::new().context(self);
        let lines = lines.read_named(Site::new("read_json"), inputs)?;
        Ok(lines.parse_json_at(Site::new("read_json"), None))
    }
}

/// Transformations of JSON text. Narrow: they keep partitions and order. They need the feature `json`.
impl<T: Text + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Parses each record as a JSON value, which serde maps to a `U`. Blank records are skipped.
    ///
    /// The first record that cannot be parsed ends the job. The error is
    /// [`ErrorKind::Closure`](crate::ErrorKind::Closure), which contains the location of the record and a
    /// [`JsonError`](crate::JsonError).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("pairs");
    /// std::fs::write(&path, "[\"a\", 1]\n[\"b\", true]\n")?;
    /// let pairs = holdall::read_text(&path)?.parse_json::<(String, u32)>();
    /// let error = pairs.collect().unwrap_err().to_string();
    /// assert!(error.ends_with("line 2 byte 9): invalid type: boolean `true`, expected u32 at column 10"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn parse_json<U>(self) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: DeserializeOwned + 'static,
    {
        self.parse_json_at(Site::new("parse_json"), None)
    }

    /// Like [`parse_json`](Bag::parse_json), but skips the records that cannot be parsed: `bad` counts them, and fails the
    /// job if there are more than its [limit](BadRecords::limit).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::BadRecords;
    ///
    /// let bad = BadRecords::new("not numbers");
    /// let numbers = holdall::from_vec(vec!["1".to_owned(), "{}".to_owned()]).parse_json_or_skip::<u32>(&bad);
    /// assert_eq!(numbers.collect()?, [1]);
    /// assert_eq!(bad.samples()[0].text.as_deref(), Some("{}"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn parse_json_or_skip<U>(
        self,
        bad: &BadRecords,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U>>
    where
        U: DeserializeOwned + 'static,
    {
        self.parse_json_at(Site::new("parse_json_or_skip"), Some(bad.clone()))
    }

    fn parse_json_at<U>(self, site: Site, bad: Option<BadRecords>) -> Bag<U, ParseJson<P, U>>
    where
        U: DeserializeOwned + 'static,
    {
        self.then(site, |parent| ParseJson {
            parent,
            bad,
            site,
            out: PhantomData,
        })
    }
}

impl<T: Serialize + 'static, P: Pipeline<Out = T>> Bag<T, P> {
    /// Writes each record as a JSON value in a line of its own, into a new directory. Runs a job. Needs the feature
    /// `json`.
    ///
    /// The directory has a file for each partition, `part-00000.jsonl` and so on. It appears as a whole or not at all, as
    /// that of [`write_text`](Bag::write_text), on any file system of the context. [`JsonWriter`] has options.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`write_text`](Bag::write_text), and [`ErrorKind::Write`](crate::ErrorKind::Write) if a
    /// record cannot be written as JSON.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let path = dir.path().join("pairs");
    /// let written = holdall::from_vec(vec![("a", 1), ("b", 2)]).write_json(&path)?;
    /// assert_eq!(std::fs::read_to_string(&written.files[0])?, "[\"a\",1]\n");
    /// let back = holdall::Context::default().read_json::<(String, u32)>(&path)?;
    /// assert_eq!(back.values().collect()?, [1, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<Written> {
        JsonWriter::new().write(self, path)
    }
}

/// Writes JSON lines with other options than [`write_json`](Bag::write_json). Needs the feature `json`.
///
/// # Examples
///
/// ```
/// use holdall::{Compression, JsonWriter};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("pairs");
/// let pairs = holdall::from_vec_partitioned(vec![("a", 1), ("b", 2)], 1);
/// let written = JsonWriter::new().compression(Compression::Gzip).write(&pairs, &path)?;
/// assert_eq!(written.files, [path.join("part-00000.jsonl.gz")]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct JsonWriter {
    output: OutputOptions,
}

impl JsonWriter {
    /// Creates a writer with the options of [`write_json`](Bag::write_json).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether an existing output is replaced, once the new one is complete. Default: `false`. See
    /// [`TextWriter::overwrite`](crate::TextWriter::overwrite).
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.output.overwrite = overwrite;
        self
    }

    /// Sets whether the output is on disk when [`write`](Self::write) returns. Default: `true`. See
    /// [`TextWriter::durable`](crate::TextWriter::durable).
    pub fn durable(mut self, durable: bool) -> Self {
        self.output.durable = durable;
        self
    }

    /// Sets the compression of the files. Default: none. See [`TextWriter::compression`](crate::TextWriter::compression).
    pub fn compression(mut self, compression: Compression) -> Self {
        self.output.compression = Some(compression);
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`. See
    /// [`TextWriter::append`](crate::TextWriter::append).
    pub fn append(mut self, append: bool) -> Self {
        self.output.append = append;
        self
    }

    /// Writes the records of `bag` as JSON lines. Runs a job. Returns the number of records and bytes, and the files. See
    /// [`Bag::write_json`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_json`].
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: Serialize + 'static,
        P: Pipeline<Out = T>,
    {
        let output = bag.context.begin_output(path, &self.output)?;
        let sink = FormatSink::new(output, JsonLines);
        bag.write(sink.name("write_json").extension("jsonl"))
    }
}

/// JSON lines.
#[derive(Clone, Serialize, Deserialize)]
struct JsonLines;

impl<T: Serialize + 'static> RecordFormat<T> for JsonLines {
    type Open = OutputFile;

    fn open(&self, file: OutputFile) -> Result<OutputFile, BoxError> {
        Ok(file)
    }

    #[inline]
    fn write(
        &self,
        file: &mut OutputFile,
        record: <T as Record>::Peek<'_>,
    ) -> Result<(), BoxError> {
        serde_json::to_writer(&mut *file, record).map_err(|error| match error.is_io() {
            true => BoxError::from(std::io::Error::from(error)),
            false => error.into(),
        })?;
        Ok(file.write_all(b"\n")?)
    }

    fn finish(&self, file: OutputFile) -> Result<OutputFile, BoxError> {
        Ok(file)
    }
}
