//! CSV: reading and writing.

use std::marker::PhantomData;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Bag, FormatSink, RecordFormat, Written};
use crate::context::Context;
use crate::counter::BadRecords;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::files::{Compression, IntoInputs, OutputFile, OutputOptions};
use crate::operators::csv_records::CsvOptions;
use crate::operators::from_source::FromSource;
use crate::operators::read_csv::ReadCsv;
use crate::pipeline::{Pipeline, Record};
use crate::storage::size::{ByteSize, IntoByteSize, setting_bytes};
use crate::task::Site;
use crate::text::CsvSyntax;

/// The records of CSV files.
type CsvBag<U> = Bag<U, FromSource<ReadCsv<U>>>;

/// Returns the records of CSV files with a header. Short for [`Context::read_csv`] on the default context. Needs the
/// feature `csv`.
///
/// # Errors
///
/// Returns the same errors as [`CsvReader::read`].
///
/// # Examples
///
/// ```no_run
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Visit {
///     user: String,
///     pages: Option<u32>,
/// }
///
/// let visits = holdall::read_csv::<Visit>("visits/*.csv")?;
/// let pages = visits.map(|visit| (visit.user, visit.pages.unwrap_or(0))).sum_by_key();
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn read_csv<U>(inputs: impl IntoInputs) -> Result<CsvBag<U>>
where
    U: DeserializeOwned + 'static,
{
    CsvReader::new().read(inputs)
}

impl Context {
    /// Returns the records of CSV files with a header. Short for [`CsvReader::read`]. Needs the feature `csv`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`CsvReader::read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Visit {
    ///     user: String,
    ///     pages: Option<u32>,
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits.csv");
    /// std::fs::write(&path, "pages,user\n3,ada\n,\"Hopper, Grace\"\n")?;
    /// let visits = holdall::Context::default().read_csv::<Visit>(&path)?;
    /// assert_eq!(visits.map(|visit| visit.user).collect()?, ["ada", "Hopper, Grace"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_csv<U>(&self, inputs: impl IntoInputs) -> Result<CsvBag<U>>
    where
        U: DeserializeOwned + 'static,
    {
        CsvReader::new().context(self).read(inputs)
    }
}

/// Reads CSV: records of fields, which may be in quotes. Needs the feature `csv`.
///
/// The rules are those of RFC 4180 and of the crate [csv](https://docs.rs/csv): a field in quotes may contain delimiters
/// and line ends, and two quotes in it stand for one. A record ends with `\n`, `\r\n`, `\r`, or at the end of the file.
/// Blank lines are skipped. The text is UTF-8; a byte order mark at the start is dropped.
///
/// serde maps each record to a value. With a header, the fields of a struct are found by their names, whatever their
/// order, and a column that the struct does not have is ignored. Without a header, and for a tuple, fields are taken in
/// order. An `Option` is `None` if the field is empty. A value that does not say its type, such as an untagged enum, is a
/// boolean, a number, or a text, whichever the field can be parsed as first.
///
/// # Costs
///
/// Records without quotes are about as fast as with [`parse_fields`](Bag::parse_fields), if each field of the struct has a
/// column. Other columns cost little. The crate csv, which is slower, reads records with quotes, structs with fields that
/// no column has, and values that do not say their type.
///
/// # Partitions
///
/// A large plain file is read in several partitions, and is cut only between records. A line end in quotes ends no
/// record, and whether a byte is in quotes depends on all quotes before it. So the 64 KiB before a cut are read in both
/// ways: as if they began within quotes, and as if they did not. One of them breaks the rules of quotes, mostly within a
/// record or two, and the other one counts. If a field has more than 64 KiB, or if quotes follow no rules, the choice may
/// be wrong. The task before the cut then notices that its last record does not end there, and the job fails; it never
/// returns wrong records. To read such a file, set larger [partitions](Self::partition_bytes), so that it is not cut.
///
/// Small files share a partition. A compressed file is read in one partition. Files are read as
/// they were found: if a file has changed since, even if it has only grown, the job fails with
/// [`InputChanged`](crate::ErrorKind::InputChanged). Pipes and devices cannot be read; use
/// [`read_text`](crate::read_text) for them.
///
/// # Examples
///
/// ```
/// use holdall::CsvReader;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("pairs");
/// std::fs::write(&path, "a;1\n\"b;\nc\";2\n")?;
/// let pairs = CsvReader::new().delimiter(b';').has_headers(false).read::<(String, u32)>(&path)?;
/// assert_eq!(pairs.collect()?, [("a".to_owned(), 1), ("b;\nc".to_owned(), 2)]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a reader does nothing until it is given files"]
pub struct CsvReader {
    context: Option<Context>,
    options: CsvOptions,
    max_record: Option<Result<ByteSize, String>>,
    partition: Option<Result<ByteSize, String>>,
}

impl Default for CsvReader {
    fn default() -> Self {
        Self {
            context: None,
            options: CsvOptions {
                syntax: CsvSyntax {
                    delimiter: b',',
                    quote: Some(b'"'),
                },
                has_headers: true,
                max_record_bytes: 64 << 20,
                split_bytes: None,
                bad: None,
            },
            max_record: None,
            partition: None,
        }
    }
}

impl CsvReader {
    /// Creates a reader of files with a header, with `,` as the delimiter and `"` as the quote.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context of the bags. Default: the default context.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Sets the byte between fields. Default: `b','`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.options.syntax.delimiter = delimiter;
        self
    }

    /// Sets the byte around fields that contain delimiters or line ends. Default: `b'"'`. `None`: quotes have no
    /// meaning.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("sizes.tsv");
    /// std::fs::write(&path, "name\tsize\nscreen\t15\"\n")?;
    /// let sizes = holdall::CsvReader::new().delimiter(b'\t').quote(None).read::<(String, String)>(&path)?;
    /// assert_eq!(sizes.values().collect()?, ["15\""]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn quote(mut self, quote: impl Into<Option<u8>>) -> Self {
        self.options.syntax.quote = quote.into();
        self
    }

    /// Sets whether the first record of each file has the names of the columns. Default: `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits.csv");
    /// std::fs::write(&path, "ada,3\ngrace,2\n")?;
    /// let visits = holdall::CsvReader::new().has_headers(false).read::<(String, u32)>(&path)?;
    /// assert_eq!(visits.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn has_headers(mut self, has_headers: bool) -> Self {
        self.options.has_headers = has_headers;
        self
    }

    /// Sets the maximum length of a record, in bytes. Default: 64 MiB. A longer record is an error. Each thread may hold
    /// one record of this length in memory.
    pub fn max_record_bytes(mut self, size: impl IntoByteSize) -> Self {
        self.max_record = Some(size.into_byte_size());
        self
    }

    /// Sets the size of partitions, in bytes. Default: a 256th of the input, but at least 1 MiB and at most 64 MiB.
    pub fn partition_bytes(mut self, size: impl IntoByteSize) -> Self {
        self.partition = Some(size.into_byte_size());
        self
    }

    /// Sets that `bad` takes the records that cannot be mapped, and the files that cannot be read, instead of an error
    /// that ends the job. Default: it is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{BadRecords, CsvReader};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("pairs.csv");
    /// std::fs::write(&path, "name,count\na,1\nb,x\nc\n")?;
    /// let bad = BadRecords::new("bad records");
    /// let pairs = CsvReader::new().bad_records(&bad).read::<(String, u32)>(&path)?;
    /// assert_eq!(pairs.collect()?, [("a".to_owned(), 1)]);
    /// let reasons: Vec<_> = bad.samples().into_iter().map(|bad| (bad.line.unwrap(), bad.reason)).collect();
    /// let expected = [
    ///     (3, "field 2 (count): invalid digit found in string".to_owned()),
    ///     (4, "the record has 1 fields, and the header 2".to_owned()),
    /// ];
    /// assert_eq!(reasons, expected);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn bad_records(mut self, bad: &BadRecords) -> Self {
        self.options.bad = Some(bad.clone());
        self
    }

    /// Returns the records of CSV files, mapped to values. The order is that of the files and their records.
    ///
    /// The first record that cannot be mapped ends the job. The error is [`ErrorKind::Read`](crate::ErrorKind::Read),
    /// which contains the file, the line and the byte of the record, and a [`CsvError`](crate::CsvError), which names the
    /// field.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Context::find_files`], [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if a
    /// setting is invalid, and [`UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat) if the start of a large file
    /// shows that it is no text.
    #[track_caller]
    pub fn read<U>(&self, inputs: impl IntoInputs) -> Result<CsvBag<U>>
    where
        U: DeserializeOwned + 'static,
    {
        let mut options = self.options.clone();
        if let Some(size) = self.max_record.clone() {
            options.max_record_bytes = setting_bytes("max_record_bytes", size)?.saturating_usize();
        }
        if let Some(size) = self.partition.clone() {
            options.split_bytes = Some(setting_bytes("partition_bytes", size)?.0.max(1));
        }
        check_delimiter(&options.syntax)?;
        let context = self.context.clone().unwrap_or_default();
        let source = ReadCsv {
            files: context.find_files_at(Site::new("read_csv"), inputs)?,
            options,
            records: PhantomData,
        };
        context.from_source(source)
    }
}

/// Returns an error if the delimiter has another meaning, too.
fn check_delimiter(syntax: &CsvSyntax) -> Result<()> {
    let CsvSyntax { delimiter, quote } = *syntax;
    if !matches!(delimiter, b'\n' | b'\r') && quote != Some(delimiter) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidSetting {
        setting: "delimiter",
        value: char::from(delimiter).to_string(),
        expected: "a byte other than the quote and the ends of lines",
    }))
}

/// Writes CSV: a directory with a file for each partition. Needs the feature `csv`.
///
/// Each file has a header with the names of the struct's fields, unless the records are tuples. Read the latter with
/// [`has_headers(false)`](CsvReader::has_headers): otherwise, the first record of each file counts as its header. Fields
/// are quoted if necessary. The directory appears as a whole or not at all, as that of [`write_text`](Bag::write_text),
/// on any file system of the context.
///
/// # Examples
///
/// ```
/// use holdall::{Context, CsvWriter};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Visit {
///     user: String,
///     pages: u32,
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("visits");
/// let visits = holdall::from_vec(vec![Visit { user: "Hopper, Grace".to_owned(), pages: 2 }]);
/// let written = CsvWriter::new().write(&visits, &path)?;
/// assert_eq!(std::fs::read_to_string(&written.files[0])?, "user,pages\n\"Hopper, Grace\",2\n");
/// assert_eq!(Context::default().read_csv::<Visit>(&path)?.count()?, 1);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct CsvWriter {
    format: Csv,
    output: OutputOptions,
}

/// CSV, and the options of its writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Csv {
    delimiter: u8,
    has_headers: bool,
}

impl Default for CsvWriter {
    fn default() -> Self {
        Self {
            format: Csv {
                delimiter: b',',
                has_headers: true,
            },
            output: OutputOptions::default(),
        }
    }
}

impl CsvWriter {
    /// Creates a writer of files with a header, with `,` as the delimiter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the byte between fields. Default: `b','`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.format.delimiter = delimiter;
        self
    }

    /// Sets whether each file begins with the names of the struct's fields. Default: `true`.
    pub fn has_headers(mut self, has_headers: bool) -> Self {
        self.format.has_headers = has_headers;
        self
    }

    /// Sets whether an existing output is replaced, once the new one is complete. Default: `false`. See
    /// [`TextWriter::overwrite`](crate::TextWriter::overwrite).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("squares");
    /// let squares = holdall::range(0_u32..3).map(|n| (n, n * n));
    /// let writer = holdall::CsvWriter::new().overwrite(true);
    /// writer.write(&squares, &path)?;
    /// assert_eq!(writer.write(&squares, &path)?.records, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Compression, CsvWriter};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("squares");
    /// let squares = holdall::range_partitioned(0_u32..3, 1).map(|n| (n, n * n));
    /// let written = CsvWriter::new().compression(Compression::Gzip).write(&squares, &path)?;
    /// assert_eq!(written.files, [path.join("part-00000.csv.gz")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn compression(mut self, compression: Compression) -> Self {
        self.output.compression = Some(compression);
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`. See
    /// [`TextWriter::append`](crate::TextWriter::append).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("squares");
    /// let squares = holdall::range_partitioned(0_u32..3, 1).map(|n| (n, n * n));
    /// let writer = holdall::CsvWriter::new().append(true);
    /// writer.write(&squares, &path)?;
    /// assert_eq!(writer.write(&squares, &path)?.files, [path.join("part-00001.csv")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn append(mut self, append: bool) -> Self {
        self.output.append = append;
        self
    }

    /// Writes the records of a bag. Runs a job. Returns the number of records and bytes, and the files, such as
    /// `part-00000.csv`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_text`], [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if the delimiter
    /// is `"` or the end of a line, and [`ErrorKind::Write`](crate::ErrorKind::Write) if a record cannot be written as CSV,
    /// for example because it contains a map.
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: Serialize + 'static,
        P: Pipeline<Out = T>,
    {
        check_delimiter(&CsvSyntax {
            delimiter: self.format.delimiter,
            quote: Some(b'"'),
        })?;
        let output = bag.context.begin_output(path, &self.output)?;
        let sink = FormatSink::new(output, self.format.clone());
        bag.write(sink.name("write_csv").extension("csv"))
    }
}

impl<T: Serialize + 'static> RecordFormat<T> for Csv {
    type Open = ::csv::Writer<OutputFile>;

    fn open(&self, file: OutputFile) -> Result<::csv::Writer<OutputFile>, BoxError> {
        let mut builder = ::csv::WriterBuilder::new();
        builder
            .delimiter(self.delimiter)
            .has_headers(self.has_headers);
        Ok(builder.from_writer(file))
    }

    #[inline]
    fn write(
        &self,
        file: &mut ::csv::Writer<OutputFile>,
        record: <T as Record>::Peek<'_>,
    ) -> Result<(), BoxError> {
        file.serialize(record).map_err(cause)
    }

    fn finish(&self, file: ::csv::Writer<OutputFile>) -> Result<OutputFile, BoxError> {
        file.into_inner().map_err(|error| error.into_error().into())
    }
}

/// Returns the error of the file, if it has failed.
#[cold]
fn cause(error: ::csv::Error) -> BoxError {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error.into(),
        ::csv::ErrorKind::Serialize(reason) => reason.into(),
        ::csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("the record has {len} fields, and the first one of its file has {expected_len}")
                .into()
        }
        kind => format!("{kind:?}").into(),
    }
}
