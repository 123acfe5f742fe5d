//! Sources of bags.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Bag, TextReader};
use crate::config::assert_partitions;
use crate::context::Context;
use crate::error::Result;
use crate::files::IntoInputs;
use crate::lineage::{Handle, Node};
use crate::operators;
use crate::operators::from_source::{FromSource, Source};
use crate::operators::range::{Integer, IntegerRange, Range};
use crate::operators::read_text::ReadText;
use crate::pipeline::{Boxed, Data, FlatUnion, Pipeline, Record};
use crate::task::Site;

/// Number of partitions of data in memory, which equals the default number of partitions of a shuffle.
const PARTITIONS: usize = 64;

/// Returns the lines of text files as a bag of `str`. Short for [`Context::read_text`] on the default context.
///
/// # Errors
///
/// Returns the same errors as [`Context::read_text`].
///
/// # Examples
///
/// ```no_run
/// let errors = holdall::read_text("logs/**/*.log.gz")?
///     .filter(|line| line.contains(" 500 "))
///     .count()?;
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn read_text(inputs: impl IntoInputs) -> Result<Bag<str, ReadText<str>>> {
    Context::default().read_text(inputs)
}

/// Returns a bag of the records of a vector. Short for [`Context::from_vec`] on the default context.
///
/// # Examples
///
/// ```
/// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
/// assert_eq!(words.map(str::len).max()?, Some(5));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_vec<T>(records: Vec<T>) -> Bag<T, impl Pipeline<Out = T>>
where
    T: Data + Clone + Sync,
{
    Context::default().from_vec(records)
}

/// Returns the records of a vector as a bag of `partitions` partitions. Short for [`Context::from_vec_partitioned`] on
/// the default context.
///
/// # Panics
///
/// Panics if `partitions` is 0 and there are records, or if it is more than 2^24.
///
/// # Examples
///
/// ```
/// let letters = holdall::from_vec_partitioned(vec!['a', 'b', 'c'], 2);
/// assert_eq!(letters.partitions(), Some(2));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_vec_partitioned<T>(records: Vec<T>, partitions: usize) -> Bag<T, impl Pipeline<Out = T>>
where
    T: Data + Clone + Sync,
{
    Context::default().from_vec_partitioned(records, partitions)
}

/// Returns a bag of the items of an iterator, which is read while the job runs. Short for [`Context::from_iter`] on the
/// default context.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::from_iter(1..).take(3)?, [1, 2, 3]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_iter<I>(records: I) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
where
    I: IntoIterator<IntoIter: Send, Item: Data> + Clone + Send + Sync + 'static,
{
    Context::default().from_iter(records)
}

/// Returns a bag of the items of an iterator that cannot be cloned. Short for [`Context::from_fn`] on the default
/// context.
///
/// # Examples
///
/// ```no_run
/// use std::io::{BufRead, BufReader, stdin};
///
/// let longest = holdall::from_fn(|| BufReader::new(stdin()).lines().map_while(Result::ok))
///     .map(|line| line.len())
///     .max()?;
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_fn<I, F>(make: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
where
    F: Fn() -> I + Send + Sync + 'static,
    I: IntoIterator<IntoIter: Send, Item: Data> + 'static,
{
    Context::default().from_fn(make)
}

/// Returns the records of a [`Source`], which another crate or your program implements. Short for
/// [`Context::from_source`] on the default context.
///
/// # Errors
///
/// Returns the same errors as [`Context::from_source`].
///
/// # Examples
///
/// Slices of a text, without copying them:
///
/// ```
/// use std::ops::ControlFlow;
///
/// use holdall::{BoxError, Reading, Source};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sentences(Vec<String>);
///
/// impl Source for Sentences {
///     type Split = usize;
///     type Item = str;
///
///     fn splits(&self) -> Result<Vec<usize>, BoxError> {
///         Ok((0..self.0.len()).collect())
///     }
///
///     fn read(
///         &self,
///         paragraph: &usize,
///         _reading: &Reading<'_>,
///         emit: impl FnMut(&str) -> ControlFlow<()>,
///     ) -> Result<(), BoxError> {
///         let _ = self.0[*paragraph].split_inclusive(['.', '?']).map(str::trim).try_for_each(emit);
///         Ok(())
///     }
/// }
///
/// let paragraphs = ["Is it a bag? It is.", "It has an order."].map(str::to_owned).to_vec();
/// let sentences = holdall::from_source(Sentences(paragraphs))?;
/// assert_eq!(sentences.collect()?, ["Is it a bag?", "It is.", "It has an order."]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn from_source<S: Source>(source: S) -> Result<Bag<S::Item, FromSource<S>>> {
    Context::default().from_source(source)
}

/// Returns a bag of consecutive integers. Short for [`Context::range`] on the default context.
///
/// # Panics
///
/// Panics if there are 2^128 integers.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::range(0..1_000_000).count()?, 1_000_000);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn range<R: IntegerRange>(numbers: R) -> Bag<R::Number, impl Pipeline<Out = R::Number>> {
    Context::default().range(numbers)
}

/// Returns a bag of consecutive integers, in `partitions` partitions. Short for [`Context::range_partitioned`] on the
/// default context.
///
/// # Panics
///
/// Panics if `partitions` is 0 and there are integers, if it is more than 2^24, or if there are 2^128 integers.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::range_partitioned(0..10, 3).partitions(), Some(3));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn range_partitioned<R: IntegerRange>(
    numbers: R,
    partitions: usize,
) -> Bag<R::Number, impl Pipeline<Out = R::Number>> {
    Context::default().range_partitioned(numbers, partitions)
}

/// Creates a bag in the default context, as [`from_vec`] does.
///
/// # Examples
///
/// ```
/// use holdall::Bag;
///
/// let numbers = Bag::from(vec![1, 2, 3]);
/// assert_eq!(numbers.sum::<i32>()?, 6);
/// # Ok::<(), holdall::Error>(())
/// ```
impl<T: Data + Clone + Sync> From<Vec<T>> for Bag<T> {
    #[track_caller]
    fn from(records: Vec<T>) -> Self {
        from_vec(records).boxed()
    }
}

/// Returns a bag without records or partitions. Short for [`Context::empty`] on the default context.
///
/// # Examples
///
/// ```
/// assert!(holdall::empty::<String>().is_empty()?);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn empty<T: Data + Clone + Sync>() -> Bag<T, impl Pipeline<Out = T>> {
    Context::default().empty()
}

/// Appends any number of bags to each other, as [`union`](Bag::union) does for two. Narrow.
///
/// The partitions are those of the first bag, then those of the second, and so on. Jobs run in the context of the first
/// bag, or in the default context if there is none.
///
/// # Examples
///
/// ```
/// let days = (0..3).map(|day| holdall::range(day * 10..day * 10 + 2));
/// let all = holdall::union_all(days);
/// assert_eq!(all.collect()?, [0, 1, 10, 11, 20, 21]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn union_all<T, P>(bags: impl IntoIterator<Item = Bag<T, P>>) -> Bag<T>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    union_all_at(Site::new("union_all"), bags)
}

pub(crate) fn union_all_at<T, P>(site: Site, bags: impl IntoIterator<Item = Bag<T, P>>) -> Bag<T>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    let mut context = None;
    let mut union = FlatUnion::none();
    let mut nodes = Vec::new();
    for bag in bags {
        context.get_or_insert(bag.context);
        union = union.then(bag.pipeline.erase());
        nodes.push(bag.node);
    }
    let pipeline = Boxed::new(Arc::new(union));
    let node = Node::narrow(
        site,
        pipeline.partitions(),
        &nodes.iter().collect::<Vec<_>>(),
    );
    Bag::new(pipeline, node, context.unwrap_or_default())
}

#[expect(
    clippy::wrong_self_convention,
    reason = "named as the functions at the root, which are these on the default context"
)]
impl Context {
    /// Returns the lines of text files as a bag of `str`.
    ///
    /// `inputs` is a path, or several paths in a vector, slice or array. A path names a file, a directory, which stands
    /// for the files below it, or a pattern such as `logs/**/*.log`. [`IntoInputs`] has the rules, also for hidden
    /// files, links, pipes and devices. The files of a directory or a pattern are sorted by name. A path with a scheme,
    /// such as `s3://bucket/logs`, is read from a [file system](crate#file-systems) that you have added to the context.
    ///
    /// A line ends with `\n` or `\r\n`, which are not part of it, or at the end of the file. Only one `\r` belongs to
    /// the ending, and only before a `\n`. A UTF-8 byte order mark at the start of a file is dropped, but none
    /// elsewhere. Text that is not UTF-8 is an error that names the file and the byte, and so is a line of more than 64
    /// MiB. To change these rules, use a [`TextReader`].
    ///
    /// Damage of a compressed file can be the cause of text that is not UTF-8, or of a line that never ends. Before the
    /// action returns such an error, it decodes up to 1 GiB more of the file. If it finds damage, it returns that instead.
    ///
    /// The content of a file, and not its name, determines whether it is plain or compressed. Files of gzip, zstd,
    /// bzip2, xz, lz4 and snappy result in the same text as with these tools. All optional parts of the formats are
    /// supported: several members, streams or frames, padding, and bytes after the last part if the tool ignores them.
    /// Text that refers farther back than 128 MiB is not decoded, unless you raise the
    /// [limit](TextReader::max_window_bytes). Files in other formats, and text in UTF-16 and UTF-32, cause
    /// [`UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat), if their first 512 bytes identify the format.
    ///
    /// The call itself searches for the files and determines their sizes. An action reads them. Large plain files are
    /// divided into several partitions, and small files share one, by sizes that depend only on the input. So are large
    /// compressed files that tell where their parts begin. Several threads decode and process the other ones; see
    /// [compression](crate#compression). The records are in the order of the files and their lines.
    ///
    /// A file that is read in one partition is read to the end that it has at that time. So is a file that is read in
    /// several partitions, if it has only grown since the bag was created, as logs do. If such a file has changed in
    /// any other way, the job fails with [`InputChanged`](crate::ErrorKind::InputChanged). Changes are detected by the
    /// file's identity, size and time of modification, and then by its first 4 KiB and the last 4 KiB before its old
    /// end.
    ///
    /// # Errors
    ///
    /// Returns [`NoInput`](crate::ErrorKind::NoInput) if a path, directory or pattern stands for no file,
    /// [`InvalidPattern`](crate::ErrorKind::InvalidPattern) if a pattern is invalid,
    /// [`UnknownScheme`](crate::ErrorKind::UnknownScheme) if a path begins with an unknown scheme,
    /// [`Io`](crate::ErrorKind::Io) if a directory or a file cannot be read or no longer exists, and
    /// [`UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat) if the start of a large file shows that its format is
    /// not supported. For smaller files, the action returns that error.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("a.txt", "one\ntwo\n").unwrap();
    /// std::fs::write("b.txt", "three").unwrap();
    /// let lines = holdall::read_text("*.txt")?;
    /// assert_eq!(lines.collect()?, ["one", "two", "three"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_text(&self, inputs: impl IntoInputs) -> Result<Bag<str, ReadText<str>>> {
        TextReader::new().context(self).read(inputs)
    }

    /// Returns a bag of the records of a vector, in up to 64 partitions of nearly equal length.
    ///
    /// Each job works on clones of the records, so that the bag can be used again.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let context = Context::builder().threads(2).build()?;
    /// assert_eq!(context.from_vec(vec![3, 1, 2]).max()?, Some(3));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn from_vec<T>(&self, records: Vec<T>) -> Bag<T, impl Pipeline<Out = T> + use<T>>
    where
        T: Data + Clone + Sync,
    {
        let partitions = records.len().min(PARTITIONS);
        self.from_vec_at(Site::new("from_vec"), records, partitions)
    }

    /// Returns a bag of the records of a vector, in `partitions` partitions of nearly equal length. If there are fewer
    /// records, some partitions are empty.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 and there are records, or if it is more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let context = Context::builder().build()?;
    /// let letters = context.from_vec_partitioned(vec!['a', 'b', 'c'], 2);
    /// let sizes = letters.map_partitions(|letters, emit| {
    ///     let mut size = 0;
    ///     letters.for_each(|_| size += 1);
    ///     emit(size);
    /// });
    /// assert_eq!(sizes.collect()?, [1, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn from_vec_partitioned<T>(
        &self,
        records: Vec<T>,
        partitions: usize,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T>>
    where
        T: Data + Clone + Sync,
    {
        assert_partitions(partitions.max(usize::from(records.is_empty())));
        self.from_vec_at(Site::new("from_vec_partitioned"), records, partitions)
    }

    pub(super) fn from_vec_at<T>(
        &self,
        site: Site,
        records: Vec<T>,
        partitions: usize,
    ) -> Bag<T, operators::from_vec::FromVec<T>>
    where
        T: Data + Clone + Sync,
    {
        let node = Node::source(
            site,
            format!("{} records", records.len()),
            Some(partitions),
            None,
        );
        let records = Arc::new(records);
        let pipeline = operators::from_vec::FromVec {
            records,
            partitions,
            site,
        };
        Bag::new(pipeline, node, self.clone())
    }

    /// Returns a bag of the items of an iterator, which is read while the job runs: while one partition is processed,
    /// the next one is filled. The iterator may be infinite if the action stops early, as [`take`](Bag::take) does.
    ///
    /// Each job reads a clone of `records` from its start. The number of partitions is not known in advance: the first
    /// has 64 records, and each next one has twice as many, up to 1,024. Records without heap memory cannot be long.
    /// For them, a later partition has a 64th of all records before it, up to 16,384 records and 1 MiB.
    ///
    /// # Examples
    ///
    /// ```
    /// let evens = holdall::from_iter((0..).step_by(2));
    /// assert_eq!(evens.take(3)?, [0, 2, 4]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn from_iter<I>(&self, records: I) -> Bag<I::Item, impl Pipeline<Out = I::Item> + use<I>>
    where
        I: IntoIterator<IntoIter: Send, Item: Data> + Clone + Send + Sync + 'static,
    {
        let site = Site::new("from_iter");
        let node = Node::source(site, String::new(), None, None);
        self.from_fn_at(site, node, move || records.clone())
    }

    /// Like [`from_iter`](Context::from_iter), for iterators that cannot be cloned: each job calls `make` once.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// std::thread::spawn(move || (0..10).try_for_each(|n| sender.send(n)));
    /// // A channel can be read only once, so only one job can use it.
    /// let receiver = std::sync::Mutex::new(Some(receiver));
    /// let numbers = holdall::from_fn(move || receiver.lock().unwrap().take().into_iter().flatten());
    /// assert_eq!(numbers.sum::<u64>()?, 45);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn from_fn<I, F>(&self, make: F) -> Bag<I::Item, impl Pipeline<Out = I::Item> + use<I, F>>
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<IntoIter: Send, Item: Data> + 'static,
    {
        let site = Site::new("from_fn");
        self.from_fn_at(site, Node::source_of_one_job(site), make)
    }

    fn from_fn_at<I, F>(
        &self,
        site: Site,
        node: Handle,
        make: F,
    ) -> Bag<I::Item, operators::from_iter::FromIter<F, I>>
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<IntoIter: Send, Item: Data> + 'static,
    {
        let out = PhantomData;
        Bag::new(
            operators::from_iter::FromIter {
                make: Some(make),
                site,
                out,
            },
            node,
            self.clone(),
        )
    }

    /// Returns the records of a [`Source`], which another crate or your program implements, in one partition for each
    /// of its splits.
    ///
    /// A function of your crate that calls this method should be `#[track_caller]`, so that errors name the line of its
    /// caller.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Read`](crate::ErrorKind::Read) if [`Source::splits`] returns an error. If that is already a
    /// [`holdall::Error`](crate::Error), returns it unchanged.
    ///
    /// # Examples
    ///
    /// The bytes of some files, one file in each partition:
    ///
    /// ```
    /// use std::fs;
    /// use std::ops::ControlFlow;
    ///
    /// use holdall::{BoxError, Context, Reading, Source};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Files(Vec<String>);
    ///
    /// impl Source for Files {
    ///     type Split = String;
    ///     type Item = [u8];
    ///
    ///     fn splits(&self) -> Result<Vec<String>, BoxError> {
    ///         Ok(self.0.clone())
    ///     }
    ///
    ///     fn read(
    ///         &self,
    ///         path: &String,
    ///         reading: &Reading<'_>,
    ///         mut emit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ///     ) -> Result<(), BoxError> {
    ///         reading.set_file(path);
    ///         let bytes = fs::read(path)?;
    ///         reading.count_bytes(bytes.len() as u64);
    ///         let _ = emit(&bytes);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("image").to_str().unwrap().to_owned();
    /// fs::write(&path, [1; 500]).unwrap();
    /// let context = Context::builder().threads(2).build()?;
    /// let sizes = context.from_source(Files(vec![path]))?.map(<[u8]>::len);
    /// assert_eq!(sizes.collect()?, [500]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn from_source<S: Source>(&self, source: S) -> Result<Bag<S::Item, FromSource<S>>> {
        let (site, detail) = (Site::new(source.name()), source.detail());
        let pipeline = FromSource::new(source, site)?;
        let partitions = Some(pipeline.splits.len());
        let node = Node::source(site, detail, partitions, pipeline.bytes());
        Ok(Bag::new(pipeline, node, self.clone()))
    }

    /// Returns a bag of consecutive integers, computed where they are used, in up to 64 partitions of nearly equal
    /// length.
    ///
    /// `numbers` is a range such as `0..n` or `0..=n` of any integer type. It may have more than 2^64 integers. Literals
    /// are `i32`, unless something determines another type, such as a suffix: `0..1_000_u64`.
    ///
    /// # Panics
    ///
    /// Panics if there are 2^128 integers, which are all of `u128` or of `i128`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let context = Context::builder().threads(2).build()?;
    /// assert_eq!(context.range(5..8).collect()?, [5, 6, 7]);
    /// assert_eq!(context.range(i64::MIN..=i64::MAX).take(2)?, [i64::MIN, i64::MIN + 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn range<R: IntegerRange>(
        &self,
        numbers: R,
    ) -> Bag<R::Number, impl Pipeline<Out = R::Number> + use<R>> {
        let (start, len) = numbers.start_and_len();
        let partitions = len.min(PARTITIONS as u128) as usize;
        self.range_at(Site::new("range"), start, len, partitions)
    }

    /// Returns a bag of consecutive integers, in `partitions` partitions of nearly equal length. If there are fewer
    /// integers, some partitions are empty. See [`range`](Context::range).
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 and there are integers, if it is more than 2^24, or if there are 2^128 integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let context = Context::builder().build()?;
    /// let numbers = context.range_partitioned(0..10, 100);
    /// assert_eq!(numbers.partitions(), Some(100));
    /// assert_eq!(numbers.count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn range_partitioned<R: IntegerRange>(
        &self,
        numbers: R,
        partitions: usize,
    ) -> Bag<R::Number, impl Pipeline<Out = R::Number> + use<R>> {
        let (start, len) = numbers.start_and_len();
        assert_partitions(partitions.max(usize::from(len == 0)));
        self.range_at(Site::new("range_partitioned"), start, len, partitions)
    }

    fn range_at<N: Integer>(
        &self,
        site: Site,
        start: N,
        len: u128,
        partitions: usize,
    ) -> Bag<N, Range<N>> {
        let node = Node::source(site, format!("{len} numbers"), Some(partitions), None);
        let pipeline = Range {
            start,
            len,
            partitions,
        };
        Bag::new(pipeline, node, self.clone())
    }

    /// Returns a bag without records or partitions.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let context = Context::builder().threads(2).build()?;
    /// assert_eq!(context.empty::<u64>().max()?, None);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn empty<T: Data + Clone + Sync>(&self) -> Bag<T, impl Pipeline<Out = T> + use<T>> {
        self.from_vec_at(Site::new("empty"), Vec::new(), 0)
    }
}
