//! Reading text, and transformations of bags of text.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Bag;
use crate::context::Context;
use crate::counter::BadRecords;
use crate::error::{PlaceError, Result};
use crate::files::{IntoInputs, discover};
use crate::lineage::Node;
use crate::operators::containing::Containing;
use crate::operators::parse_fields::ParseFields;
use crate::operators::read_text::{self, ReadText};
use crate::operators::words::Words;
use crate::pipeline::{Pipeline, Record, Text};
use crate::storage::size::{ByteSize, IntoByteSize, setting_bytes};
use crate::task::Site;
use crate::text::{Delimiter, InvalidUtf8, Needle, TextOptions, plan};

/// Reads text with other options than [`read_text`](crate::read_text).
///
/// # Examples
///
/// ```
/// use holdall::{InvalidUtf8, TextReader};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("names");
/// std::fs::write(&path, b"ada;gr\xffce;").unwrap();
/// let names = TextReader::new()
///     .delimiter(";")
///     .invalid_utf8(InvalidUtf8::Replace)
///     .read(&path)?;
/// assert_eq!(names.collect()?, ["ada", "gr\u{fffd}ce"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a reader does nothing until it is given files"]
pub struct TextReader {
    context: Option<Context>,
    options: TextOptions,
    max_line: Option<Result<ByteSize, String>>,
    partition: Option<Result<ByteSize, String>>,
    max_window: Option<Result<ByteSize, String>>,
}

impl TextReader {
    /// Creates a reader with the options of [`read_text`](crate::read_text).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "one\ntwo\n").unwrap();
    /// assert_eq!(holdall::TextReader::new().read(&path)?.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context of the bags. Default: the default context.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, TextReader};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "one\ntwo\n").unwrap();
    /// let context = Context::builder().threads(1).build()?;
    /// let lines = TextReader::new().context(&context).read(&path)?;
    /// assert_eq!(lines.first()?.as_deref(), Some("one"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Sets the text that ends a record, at least one byte. Default: `"\n"`. With the default, a `\r` before the `\n`
    /// also belongs to the ending. With any other delimiter, nothing else is removed from the record.
    ///
    /// If the delimiter can overlap itself, as `"\n\n"` can, each large file is read in one partition.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("paragraphs");
    /// std::fs::write(&path, "one\nstill one\n\ntwo").unwrap();
    /// let paragraphs = holdall::TextReader::new().delimiter("\n\n").read(&path)?;
    /// assert_eq!(paragraphs.collect()?, ["one\nstill one", "two"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn delimiter(mut self, delimiter: impl AsRef<[u8]>) -> Self {
        self.options.delimiter = delimiter.as_ref().to_vec();
        self
    }

    /// Sets whether the first record of each file is a header, which is skipped. Default: `false`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits.csv");
    /// std::fs::write(&path, "user,pages\nada,3\n").unwrap();
    /// let visits = holdall::TextReader::new().skip_header(true).read(&path)?;
    /// assert_eq!(visits.parse_fields::<(String, u32)>(',').values().collect()?, [3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn skip_header(mut self, skip_header: bool) -> Self {
        self.options.skips_header = skip_header;
        self
    }

    /// Sets how text that is not UTF-8 is handled. Default: it is an error. UTF-16 and UTF-32 are always an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{InvalidUtf8, TextReader};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, b"good\nb\xffd\n").unwrap();
    /// let lines = TextReader::new().invalid_utf8(InvalidUtf8::Skip).read(&path)?;
    /// assert_eq!(lines.collect()?, ["good"]);
    /// let error = TextReader::new().read(&path)?.collect().unwrap_err();
    /// assert!(error.to_string().contains("invalid UTF-8 at byte 6 in read_text at "));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn invalid_utf8(mut self, invalid_utf8: InvalidUtf8) -> Self {
        self.options.invalid_utf8 = invalid_utf8;
        self
    }

    /// Sets the maximum length of a record without its ending, in bytes, at least 4. Default: 64 MiB. A longer record is an
    /// error.
    ///
    /// Each thread may hold one record of this length in memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "short\na long line\n").unwrap();
    /// let lines = holdall::TextReader::new().max_line_bytes(8).read(&path)?;
    /// assert!(lines.collect().unwrap_err().to_string().contains("the line at byte 6"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn max_line_bytes(mut self, size: impl IntoByteSize) -> Self {
        self.max_line = Some(size.into_byte_size());
        self
    }

    /// Sets the size of partitions, in bytes. Large files are divided into partitions of this size, and small files are
    /// packed together up to it. Default: a 256th of the input, but at least 1 MiB and at most 64 MiB.
    ///
    /// Each file counts as 16 KiB larger than it is, which is approximately the cost of opening it.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    /// let lines = holdall::TextReader::new().partition_bytes("7B").read(&path)?;
    /// assert_eq!(lines.partitions(), Some(2));
    /// assert_eq!(lines.collect()?, ["one", "two", "three"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn partition_bytes(mut self, size: impl IntoByteSize) -> Self {
        self.partition = Some(size.into_byte_size());
        self
    }

    /// Sets the encoding of files that are not UTF-8, by its label in the Encoding Standard, such as `latin1`,
    /// `windows-1251`, `utf-16` or `shift_jis`. Default: UTF-8. Needs the feature `encodings`.
    ///
    /// The text is converted to UTF-8 before it is divided into records. A byte order mark of UTF-8 or UTF-16 overrides
    /// the label. Bytes that mean nothing in the encoding are treated like invalid UTF-8. Offsets, also those in errors, are
    /// bytes of the converted text. One thread converts a file; if it is large, the others process its records in the
    /// meantime.
    ///
    /// [`read_bytes`](Self::read_bytes) converts nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("names");
    /// std::fs::write(&path, b"Andr\xe9\nZo\xeb\n")?;
    /// let names = holdall::TextReader::new().encoding("latin1").read(&path)?;
    /// assert_eq!(names.collect()?, ["Andr\u{e9}", "Zo\u{eb}"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[cfg(feature = "encodings")]
    pub fn encoding(mut self, label: impl Into<String>) -> Self {
        self.options.encoding = Some(label.into());
        self
    }

    /// Sets the maximum distance that compressed text may refer back, in bytes. Default: 128 MiB, which suffices for all
    /// presets of zstd and xz. Files that refer farther back, such as those of `zstd --long=31`, are an error.
    ///
    /// Each thread that decodes such a file takes as much memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "one\n")?; // or what `zstd --long=31` writes
    /// let lines = holdall::TextReader::new().max_window_bytes("2GiB").read(&path)?;
    /// assert_eq!(lines.count()?, 1);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn max_window_bytes(mut self, size: impl IntoByteSize) -> Self {
        self.max_window = Some(size.into_byte_size());
        self
    }

    /// Adds a dictionary of zstd: the content of a file that `zstd --train` has written. It is used for the files that
    /// name its number.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let dictionary = std::fs::read("messages.dict")?;
    /// let messages = holdall::TextReader::new().zstd_dictionary(dictionary).read("messages/*.zst")?;
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn zstd_dictionary(mut self, dictionary: impl Into<Vec<u8>>) -> Self {
        self.options
            .decoding
            .zstd_dictionaries
            .push(dictionary.into());
        self
    }

    /// Sets that `bad` takes what cannot be read, instead of an error that ends the job. Default: it is an error.
    ///
    /// - **A line that is not UTF-8** is skipped, unless [`invalid_utf8`](Self::invalid_utf8) replaces invalid bytes.
    /// - **A line that is longer than [`max_line_bytes`](Self::max_line_bytes)** is skipped. Its text is not kept.
    /// - **A file that is missing, damaged, unreadable, changed, or in an unsupported format** counts as one bad record.
    ///   The lines before the damage remain, and some of them may be wrong: a checksum tells only at the end of a part
    ///   that it is damaged. If a large file is read in several partitions, each that fails counts.
    ///
    /// An input that names no file, when the bag is created, remains an error, and so does a directory that cannot be
    /// listed. A compressed file is then read by one task, even if it is large, unless it can be [divided in
    /// advance](crate#compression). For pipes and devices, only lines that are not UTF-8 are skipped.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{BadRecords, TextReader};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = |name: &str| dir.path().join(name);
    /// std::fs::write(path("a"), b"good\nb\xffd\n").unwrap();
    /// std::fs::write(path("b"), "lost\n").unwrap();
    /// let bad = BadRecords::new("bad");
    /// let lines = TextReader::new().bad_records(&bad).read([path("a"), path("b")])?;
    /// std::fs::remove_file(path("b")).unwrap();
    /// assert_eq!(lines.collect()?, ["good"]);
    /// assert_eq!(bad.count(), 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn bad_records(mut self, bad: &BadRecords) -> Self {
        self.options.bad = Some(bad.clone());
        self
    }

    /// Returns the records of text files as a bag of `str`. See [`Context::read_text`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Context::read_text`], and [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if a
    /// setting is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("names");
    /// std::fs::write(&path, "ada\0grace\0").unwrap();
    /// let names = holdall::TextReader::new().delimiter("\0").read([&path])?;
    /// assert_eq!(names.collect()?, ["ada", "grace"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read(&self, inputs: impl IntoInputs) -> Result<Bag<str, ReadText<str>>> {
        self.read_named(Site::new("read_text"), inputs)
    }

    pub(super) fn read_named(
        &self,
        site: Site,
        inputs: impl IntoInputs,
    ) -> Result<Bag<str, ReadText<str>>> {
        let options = self.options()?;
        options.check_text()?;
        self.read_at(site, options, inputs)
    }

    /// Returns the records of files as a bag of `[u8]`. They need not be text.
    ///
    /// Like [`read`](TextReader::read), decodes compressed files, refuses unsupported formats, and drops a UTF-8 byte
    /// order mark. Does not check that the records are UTF-8.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`read`](TextReader::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("bytes");
    /// std::fs::write(&path, b"\xff\n\xfe\xfe\n").unwrap();
    /// let lines = holdall::TextReader::new().read_bytes(&path)?;
    /// assert_eq!(lines.map(<[u8]>::len).collect()?, [1, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_bytes(&self, inputs: impl IntoInputs) -> Result<Bag<[u8], ReadText<[u8]>>> {
        let mut options = self.options()?;
        options.check()?;
        options.is_text = false;
        options.encoding = None;
        self.read_at(Site::new("read_bytes"), options, inputs)
    }

    /// Returns the options with the sizes, which may be invalid texts.
    fn options(&self) -> Result<TextOptions> {
        let mut options = self.options.clone();
        if let Some(size) = self.max_line.clone() {
            options.max_line_bytes = setting_bytes("max_line_bytes", size)?.saturating_usize();
        }
        if let Some(size) = self.partition.clone() {
            options.split_bytes = Some(setting_bytes("partition_bytes", size)?.0);
        }
        if let Some(size) = self.max_window.clone() {
            options.decoding.max_window_bytes = setting_bytes("max_window_bytes", size)?.0;
        }
        Ok(options)
    }

    fn read_at<T: Record + ?Sized>(
        &self,
        site: Site,
        mut options: TextOptions,
        inputs: impl IntoInputs,
    ) -> Result<Bag<T, ReadText<T>>>
    where
        ReadText<T>: Pipeline<Out = T>,
    {
        let inputs = inputs.into_inputs();
        let context = self.context.clone().unwrap_or_default();
        let file_systems = context.file_systems();
        let files = discover(&inputs, &file_systems).at(site)?;
        options.file_systems = file_systems.of(&inputs);
        let bytes = files.iter().map(|file| file.bytes).sum();
        let pipeline = ReadText {
            portions: plan(&files, &options).at(site)?,
            delimiter: Delimiter::new(&options.delimiter),
            options,
            records: PhantomData,
            site,
        };
        let detail = read_text::describe(files.len(), bytes);
        let node = Node::source(site, detail, Pipeline::partitions(&pipeline), Some(bytes));
        Ok(Bag::new(pipeline, node, context))
    }
}

/// Transformations of text and bytes: of `str`, `String`, `[u8]` and `Vec<u8>`. Narrow: they keep partitions and order.
impl<T: Text + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the words of each record, without copying them: a bag of `str`, or of `[u8]` if the records are bytes.
    ///
    /// A word is a longest run of bytes other than space, tab, line feed, vertical tab, form feed and carriage return.
    /// Other Unicode white space does not separate words. To split at all white space, call `split_whitespace` in a
    /// [`flat_map_str`](Bag::flat_map_str), which takes several times as long. Bytes need not be UTF-8: all bytes outside
    /// of ASCII are part of a word.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "to be\nor  not\tto be").unwrap();
    /// let words = holdall::read_text(&path)?.words();
    /// assert_eq!(words.collect()?, ["to", "be", "or", "not", "to", "be"]);
    ///
    /// let in_distinct_lines = holdall::read_text(&path)?.distinct().words();
    /// assert_eq!(in_distinct_lines.count()?, 6);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn words(self) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>> {
        self.then(Site::new("words"), |parent| Words { parent })
    }

    /// Parses the fields of each record, which are separated by `delimiter`, into a value.
    ///
    /// The type `U` determines the fields by its serde implementation. A tuple or a struct has one field for each of
    /// its own, in order; the names of a struct's fields are ignored. The elements of a nested tuple are fields too, so
    /// `((u32, u32), f64)` has three. A field is parsed as by [`str::parse`] of its type, including any white space. In
    /// addition,
    ///
    /// - an `Option` is `None` if the field is empty;
    /// - `()` ignores a field;
    /// - a `Vec` takes all remaining fields, at least one;
    /// - an enum without data is parsed from the names of its variants; and
    /// - a field at the end of a struct may be missing if it has `#[serde(default)]`.
    ///
    /// A blank line has one field, which is empty. To skip the names of columns, use [`TextReader::skip_header`].
    /// Quotes are not supported: for CSV with quotes, delimiters or line breaks within fields, use `CsvReader`, which needs
    /// the feature `csv`.
    ///
    /// Directly after [`read_text`](crate::read_text), this method searches whole blocks for the ends of fields, and
    /// parses integers eight digits at a time. This is faster than `split_once` and `parse` in a
    /// [`try_map`](Bag::try_map).
    ///
    /// The first record that cannot be parsed ends the job, as in `try_map`. The error is
    /// [`ErrorKind::Closure`](crate::ErrorKind::Closure), which contains the location of the record and a
    /// [`FieldsError`](crate::FieldsError), or a [`Utf8Error`](std::str::Utf8Error) if the record consists of bytes that
    /// are not UTF-8. To skip such records, use [`parse_fields_or_skip`](Bag::parse_fields_or_skip).
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct Visit {
    ///     user: String,
    ///     pages: Option<u32>,
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits.csv");
    /// std::fs::write(&path, "ada,3\ngrace,\n").unwrap();
    /// let visits = holdall::read_text(&path)?.parse_fields::<Visit>(',').collect()?;
    /// assert_eq!(visits[1], Visit { user: "grace".to_owned(), pages: None });
    ///
    /// let numbers = holdall::read_text(&path)?.parse_fields::<(String, u32)>(',');
    /// let error = numbers.collect().unwrap_err().to_string();
    /// assert!(error.ends_with(r#"visits.csv line 2 byte 6): field 2, "": cannot parse integer from empty string"#));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn parse_fields<U>(self, delimiter: char) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: DeserializeOwned + 'static,
    {
        self.parse_fields_at(Site::new("parse_fields"), delimiter, None)
    }

    pub(super) fn parse_fields_at<U>(
        self,
        site: Site,
        delimiter: char,
        bad: Option<BadRecords>,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U>>
    where
        U: DeserializeOwned + 'static,
    {
        self.then(site, |parent| ParseFields {
            parent,
            delimiter,
            bad,
            site,
            out: PhantomData,
        })
    }

    /// Keeps the records that contain `text`.
    ///
    /// Directly after [`read_text`](crate::read_text), this method searches whole blocks, and finds the ends of lines
    /// only around matches. If few lines match, it is several times as fast as [`filter`](Bag::filter) with
    /// [`str::contains`]. The whole text is still read, and checked to be UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("log");
    /// std::fs::write(&path, "started\nerror: no disk\nended").unwrap();
    /// let errors = holdall::read_text(&path)?.containing("error");
    /// assert_eq!(errors.collect()?, ["error: no disk"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn containing(self, text: impl AsRef<[u8]>) -> Bag<T, impl Pipeline<Out = T>> {
        let needle = Needle::new(text.as_ref());
        let keyed = self.node.keyed;
        self.then(Site::new("containing"), |parent| Containing {
            parent,
            needle,
        })
        .keyed(keyed)
    }
}
