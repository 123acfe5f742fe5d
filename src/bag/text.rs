//! Text: how it is read, and transformations of bags of it.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Bag;
use crate::context::Context;
use crate::error::Result;
use crate::lineage::Node;
use crate::operators::containing::Containing;
use crate::operators::parse_fields::ParseFields;
use crate::operators::read_text::{self, ReadText};
use crate::operators::words::Words;
use crate::pipeline::{Pipeline, Record};
use crate::storage::size::{ByteSize, IntoByteSize, setting_bytes};
use crate::task::Site;
use crate::text::{Delimiter, IntoInputs, InvalidUtf8, Needle, TextOptions, discover, plan};

/// Reads text where the rules of [`read_text`](crate::read_text) will not do.
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
}

impl TextReader {
    /// A reader with the rules of [`read_text`](crate::read_text).
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

    /// The context of the bags that are read; the default one unless set.
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

    /// What ends a record, instead of a line break. Nothing else is taken off the record, unless it is `"\n"`, the default:
    /// then one `\r` before it is, too.
    ///
    /// With a delimiter that can overlap itself, as `"\n\n"` can, large files are read in one partition each.
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

    /// Whether the first record of each file is a header, which is passed over. Unless set it is a record like any other.
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

    /// What happens to text that is not UTF-8: an error, unless set. UTF-16 and UTF-32 are always an error.
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
    /// assert!(error.to_string().ends_with("invalid UTF-8 at byte 6"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn invalid_utf8(mut self, invalid_utf8: InvalidUtf8) -> Self {
        self.options.invalid_utf8 = invalid_utf8;
        self
    }

    /// Maximum length of a record in bytes, without its ending: 64 MiB unless set. A longer one is an error.
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

    /// The size of the partitions that large files are divided into and small ones are packed to, in bytes. Unless set
    /// it is a 256th of the input, but at least 1 MiB and at most 64 MiB.
    ///
    /// A file counts for 16 KiB more than it has, which is about what opening it costs.
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

    /// The records of text files, as a bag of `str`. See [`Context::read_text`].
    ///
    /// # Errors
    ///
    /// As [`Context::read_text`]; and [`InvalidSetting`](crate::ErrorKind::InvalidSetting) for a setting that nothing
    /// can be read with.
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
    pub fn read(mut self, inputs: impl IntoInputs) -> Result<Bag<str, ReadText<str>>> {
        self.set_sizes()?;
        self.options.check_text()?;
        self.read_at::<str>(Site::new("read_text"), inputs)
    }

    /// The records of files as a bag of `[u8]`, which need not be text.
    ///
    /// Compressed files are decoded, formats that cannot be read are refused, and a byte order mark of UTF-8 is dropped, as
    /// by [`read`](TextReader::read). Nothing is checked to be UTF-8.
    ///
    /// # Errors
    ///
    /// As [`read`](TextReader::read).
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
    pub fn read_bytes(mut self, inputs: impl IntoInputs) -> Result<Bag<[u8], ReadText<[u8]>>> {
        self.set_sizes()?;
        self.options.check()?;
        self.options.is_text = false;
        self.read_at::<[u8]>(Site::new("read_bytes"), inputs)
    }

    fn set_sizes(&mut self) -> Result<()> {
        if let Some(size) = self.max_line.take() {
            self.options.max_line_bytes = setting_bytes("max_line_bytes", size)?.saturating_usize();
        }
        if let Some(size) = self.partition.take() {
            self.options.split_bytes = Some(setting_bytes("partition_bytes", size)?.0);
        }
        Ok(())
    }

    fn read_at<T: Record + ?Sized>(
        self,
        site: Site,
        inputs: impl IntoInputs,
    ) -> Result<Bag<T, ReadText<T>>>
    where
        ReadText<T>: Pipeline<Out = T>,
    {
        let files = discover(&inputs.into_inputs())?;
        let bytes = files.iter().map(|file| file.bytes).sum();
        let pipeline = ReadText {
            portions: plan(&files, &self.options)?,
            delimiter: Delimiter::new(&self.options.delimiter),
            options: self.options,
            records: PhantomData,
        };
        let detail = read_text::describe(files.len(), bytes);
        let node = Node::source(site, detail, Pipeline::partitions(&pipeline), Some(bytes));
        Ok(Bag::new(pipeline, node, self.context.unwrap_or_default()))
    }
}

/// Transformations of text. They are narrow: partitions stay as they are, and so does the order.
impl<P: Pipeline<Out = str>> Bag<str, P> {
    /// The words of each record, without copying them.
    ///
    /// A word is a longest run of bytes other than space, tab, line feed, vertical tab, form feed and carriage return.
    /// White space outside of ASCII does not divide words: `split_whitespace` in a
    /// [`flat_map_str`](Bag::flat_map_str) does that, at several times the cost.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "to be\nor  not\tto be").unwrap();
    /// let words = holdall::read_text(&path)?.words();
    /// assert_eq!(words.collect()?, ["to", "be", "or", "not", "to", "be"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn words(self) -> Bag<str, impl Pipeline<Out = str>> {
        self.then(Site::new("words"), |parent| Words { parent })
    }

    /// Makes a value of each record from its fields, which `delimiter` divides.
    ///
    /// `U` says by way of serde what they are. A tuple or a struct has a field for each of its own, in their order and
    /// whatever they are called; those of a tuple within it are as others, so that `((u32, u32), f64)` has three. A field
    /// is read as [`str::parse`] reads its type, white space and all. Besides,
    ///
    /// - an `Option` is `None` where the field is empty;
    /// - `()` is for a field that is not wanted;
    /// - a `Vec` takes all that are left, one at least;
    /// - an enum without data is read by the names of its variants;
    /// - what has `#[serde(default)]` at the end of a struct may be missing.
    ///
    /// A blank line has one field, which is empty. [`TextReader::skip_header`] passes over the names of columns. There are
    /// no quotes: for CSV with delimiters or line ends within fields there are libraries, which can be called in
    /// [`map_partitions`](Bag::map_partitions).
    ///
    /// Right after [`read_text`](crate::read_text) the fields of whole blocks are looked for at once, and whole numbers are
    /// read eight digits at a time: faster than by `split_once` and `parse` in a [`try_map`](Bag::try_map).
    ///
    /// The first record that does not fit ends the job, as in `try_map`: with [`ErrorKind::Closure`](crate::ErrorKind::Closure),
    /// which has the record's place, and a [`FieldsError`](crate::FieldsError). To pass over such records, use the function
    /// [`parse_fields`](crate::parse_fields()) in a [`flat_map`](Bag::flat_map).
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
    /// assert!(error.ends_with(r#"visits.csv byte 6): field 2, "": cannot parse integer from empty string"#));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn parse_fields<U>(self, delimiter: char) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: DeserializeOwned + 'static,
    {
        let site = Site::new("parse_fields");
        self.then(site, |parent| ParseFields {
            parent,
            delimiter,
            site,
            out: PhantomData,
        })
    }
}

/// Transformations of text and bytes: of `str`, `[u8]`, `String`, `Vec<u8>`. They are narrow: partitions stay as they
/// are, and so does the order.
impl<T, P> Bag<T, P>
where
    T: AsRef<[u8]> + for<'a> Record<Peek<'a> = &'a T> + ?Sized,
    P: Pipeline<Out = T>,
{
    /// Keeps the records that `text` is in.
    ///
    /// Right after [`read_text`](crate::read_text) whole blocks are searched, and lines are looked for only around what
    /// is found: several times as fast as [`filter`](Bag::filter) with [`str::contains`] where few lines match. The rest
    /// is read and checked to be UTF-8 all the same.
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
