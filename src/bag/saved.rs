//! Bags that are saved in files, which any program can load.

use std::io::Write;
use std::marker::PhantomData;
use std::path::Path;

use super::output::{Sink, Written};
use super::resume::Resumable;
use super::{Bag, Context};
use crate::error::{BoxError, PlaceError as _, Result};
use crate::files::{FinishedFile, NewOutput, OutputOptions, attempt_name, part_digits};
use crate::lineage::Node;
use crate::operators::actions::SaveRecords;
use crate::operators::load::{Saved, open_saved};
use crate::pipeline::{Pipeline, Storable};
use crate::storage::saved::{MANIFEST, Manifest, SavedPart};
use crate::task::Site;

/// Returns a bag that [`save`](Bag::save) or [`checkpoint`](Bag::checkpoint) has written. Short for [`Context::load`] on
/// the default context.
///
/// # Errors
///
/// Returns the same errors as [`Context::load`].
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("squares");
/// holdall::range(0..1000_u64).map(|n| n * n).save(&path)?;
/// let squares = holdall::load::<u64>(&path)?;
/// assert_eq!(squares.max()?, Some(998_001));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn load<T: Storable + ?Sized>(path: impl AsRef<Path>) -> Result<Bag<T, Saved<T>>> {
    Context::default().load(path)
}

impl Context {
    /// Returns a bag that [`save`](Bag::save) or [`checkpoint`](Bag::checkpoint) has written. It has the same records in
    /// the same partitions and order.
    ///
    /// `T` is the type of the saved records, or another type with the same [serialised form](crate#saved-bags). Text
    /// can be loaded as `str`, without a copy, or as `String`.
    ///
    /// If the records were in the partition of their key, they still are: a keyed method of the loaded bag
    /// [does not shuffle them](crate#order-and-partitions).
    ///
    /// The call itself reads only the manifest and the sizes of the files. Each partition is read by a task. A path with
    /// a scheme is read from a [file system](crate#file-systems) of the context.
    ///
    /// # Errors
    ///
    /// Returns [`NoInput`](crate::ErrorKind::NoInput) if there is nothing at `path`,
    /// [`InvalidBag`](crate::ErrorKind::InvalidBag) if it is not a saved bag, or if files are missing or have been cut
    /// short, [`WrongRecordType`](crate::ErrorKind::WrongRecordType) if the records have another type,
    /// [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) if a newer version of holdall has saved them, or
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be read.
    ///
    /// Each part of a file has a checksum. If a file turns out to be damaged while an action reads it, the action returns
    /// [`InvalidBag`](crate::ErrorKind::InvalidBag) with the file and the offset.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("counts");
    /// let context = Context::builder().threads(2).build()?;
    /// let words = context.from_vec(["a", "bag", "of", "a", "kind"].map(str::to_owned).to_vec());
    /// words.count_by_value().save(&path)?;
    ///
    /// let counts = context.load::<(String, u64)>(&path)?;
    /// assert_eq!(counts.clone().sum_by_key().count()?, 4);
    /// assert_eq!(context.last_job().unwrap().stages.len(), 1); // nothing was shuffled
    ///
    /// let error = context.load::<(u64, u64)>(&path).unwrap_err();
    /// assert!(error.to_string().ends_with("its records are of type (string, u64), not (u64; 2)"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn load<T: Storable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<Bag<T, Saved<T>>> {
        self.load_at(Site::new("load"), path.as_ref())
    }

    fn load_at<T: Storable + ?Sized>(&self, site: Site, path: &Path) -> Result<Bag<T, Saved<T>>> {
        let opened = open_saved::<T>(path, &self.file_systems(), site);
        let (pipeline, keyed) = opened.at(site)?;
        let detail = path.display().to_string();
        let partitions = pipeline.partitions();
        let node = Node::source(site, detail, partitions, pipeline.bytes());
        let bag = Bag::new(pipeline, node, self.clone());
        Ok(bag.keyed(keyed))
    }
}

impl<T: Storable + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Writes the records to a new directory, from which [`load`](Context::load) returns the same bag, also in another
    /// program. Runs a job.
    ///
    /// Records of any type that serde can write and read are saved, and text without copying it. They are compressed,
    /// and have checksums. The [format](crate#saved-bags) has a version, which later versions of holdall can read.
    ///
    /// The directory has a file for each partition, and a manifest, `_bag`. It appears as a whole or not at all, as that
    /// of [`write_text`](Bag::write_text) does, also on a [file system](crate#file-systems) of the context. To replace an
    /// existing output, use a [`BagWriter`].
    ///
    /// Returns the number of records and bytes, and the files, without the manifest.
    ///
    /// # Errors
    ///
    /// Returns [`OutputExists`](crate::ErrorKind::OutputExists) if `path` exists and is not an empty directory,
    /// [`Io`](crate::ErrorKind::Io) or [`DiskFull`](crate::ErrorKind::DiskFull) if a file cannot be written,
    /// [`Codec`](crate::ErrorKind::Codec) if serde cannot read a record back, or the same errors as
    /// [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    /// struct Reading {
    ///     station: String,
    ///     celsius: Option<f64>,
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("readings");
    /// let reading = Reading { station: "Kew".to_owned(), celsius: Some(12.5) };
    /// let written = holdall::from_vec(vec![reading.clone()]).save(&path)?;
    /// assert_eq!(written.records, 1);
    /// assert_eq!(holdall::load::<Reading>(&path)?.collect()?, [reading]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Written> {
        BagWriter::new().save(self, path)
    }

    /// Writes the records to a new directory, and returns a bag that reads them from there. Runs a job.
    ///
    /// It is [`save`](Bag::save), followed by [`load`](Context::load) in the same context. The lineage of the returned
    /// bag begins at the files: the earlier stages do not run again, and what they hold, such as
    /// [persisted](Bag::persist) records, is released with the bags that need it. Unlike persisted records, the files
    /// remain until you delete them.
    ///
    /// Use it at intervals in a long loop, or before a step that may fail. The returned bag has the same
    /// partitions and order, and remains partitioned by key.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`save`](Bag::save) and [`load`](Context::load).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("counts");
    /// let counts = holdall::range(0..1000).map(|n| n % 10).count_by_value().checkpoint(&path)?;
    /// assert!(!counts.explain().to_string().contains("range"));
    /// assert_eq!(counts.collect()?.len(), 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<Bag<T, Saved<T>>> {
        BagWriter::new().checkpoint(self, path)
    }
}

/// Saves bags with other options than [`save`](Bag::save) and [`checkpoint`](Bag::checkpoint).
///
/// # Examples
///
/// ```
/// use holdall::BagWriter;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// holdall::range(0..10).save(&path)?;
/// BagWriter::new().overwrite(true).save(&holdall::range(0..3), &path)?;
/// assert_eq!(holdall::load::<i32>(&path)?.collect()?, [0, 1, 2]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct BagWriter {
    overwrite: bool,
    /// Whether a power failure may destroy the output.
    is_volatile: bool,
    /// Text that identifies the run, if a later run may continue it.
    resume: Option<String>,
}

impl BagWriter {
    /// Creates a writer with the options of [`save`](Bag::save).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// holdall::BagWriter::new().save(&holdall::range(0..3), &path)?;
    /// assert_eq!(holdall::load::<i32>(&path)?.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether an existing output is replaced, once the new one is complete. Default: `false`.
    ///
    /// The same rules as for [`TextWriter::overwrite`](crate::TextWriter::overwrite) apply. A bag may be replaced by one
    /// that is computed from it. Bags that were loaded before then return an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let writer = holdall::BagWriter::new().overwrite(true);
    /// let mut numbers = writer.checkpoint(&holdall::range(0..3), &path)?;
    /// for _ in 0..3 {
    ///     numbers = writer.checkpoint(&numbers.map(|n| 2 * n), &path)?;
    /// }
    /// assert_eq!(numbers.collect()?, [0, 8, 16]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Sets whether the output is on disk when the method returns. Default: `true`. See
    /// [`TextWriter::durable`](crate::TextWriter::durable).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// holdall::BagWriter::new().durable(false).save(&holdall::range(0..3), &path)?;
    /// assert_eq!(holdall::load::<i32>(&path)?.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn durable(mut self, durable: bool) -> Self {
        self.is_volatile = !durable;
        self
    }

    /// Sets that partitions remain once they are finished, so that another run of the program after a crash computes only
    /// the others. If the whole output is there, the other run computes nothing. Only for local paths, on Linux.
    ///
    /// Until the output is complete, finished partitions are in a hidden directory beside it, `.NAME.unfinished`. It also
    /// remains if the job fails, for example because the disk is full. A run with another key deletes its content; if you
    /// do not run the program again, delete it yourself. Stages before the last shuffle run again unless all partitions
    /// are finished; use a checkpoint before each costly stage.
    ///
    /// A partition is used only if the run that has written it had the same key. The key is a SHA-256 hash of
    ///
    /// - the executable, so that it differs after any change of the program or its dependencies;
    /// - the operators and closures of the bag, and of all bags that it is computed from, in order;
    /// - the states of the closures ([`with`](Bag::with)), and the records of vectors, serialised;
    /// - the paths, sizes and modification times of the text files that it reads, the splits of a
    ///   [`Source`](crate::Source), and the checksums of a [saved](Bag::save) bag;
    /// - the numbers of partitions, the type of the records, the current directory, and
    /// - `version`.
    ///
    /// Put everything else that the records depend on into `version`: environment variables, files and programs that
    /// closures or [`pipe`](Bag::pipe) use, and parts of an input that the splits of a `Source` do not identify, such as
    /// the time of its last change. If the key of a run differs although nothing has changed, the partitions are computed
    /// again. That is the case if a state is a `HashMap`, for example.
    ///
    /// # Errors
    ///
    /// The action returns [`CapturingClosure`](crate::ErrorKind::CapturingClosure) if a closure captures variables, because
    /// its content is not known, and [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if the number of partitions is
    /// unknown, if the bag reads an iterator, a pipe or a device, or if the path is not local.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::BagWriter;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("squares");
    /// let writer = BagWriter::new().resume("");
    /// for _ in 0..2 {
    ///     // The second time, reads the output of the first.
    ///     let squares = holdall::range(0..1000_u64).with(2).map(|power, n| n.pow(*power));
    ///     assert_eq!(writer.checkpoint(&squares, &path)?.count()?, 1000);
    /// }
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn resume(mut self, version: impl Into<String>) -> Self {
        self.resume = Some(version.into());
        self
    }

    /// Writes the records of `bag`. Runs a job. See [`Bag::save`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::save`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let written = holdall::BagWriter::new().save(&holdall::range(0..3), &path)?;
    /// assert_eq!((written.records, written.files.len()), (3, 3));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn save<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: Storable + ?Sized,
        P: Pipeline<Out = T>,
    {
        self.save_as("save", bag, path.as_ref())
    }

    /// Writes the records of `bag`, and returns a bag that reads them. Runs a job. See [`Bag::checkpoint`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::checkpoint`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let numbers = holdall::BagWriter::new().durable(false).checkpoint(&holdall::range(0..3), &path)?;
    /// assert_eq!(numbers.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn checkpoint<T, P>(
        &self,
        bag: &Bag<T, P>,
        path: impl AsRef<Path>,
    ) -> Result<Bag<T, Saved<T>>>
    where
        T: Storable + ?Sized,
        P: Pipeline<Out = T>,
    {
        let (site, path) = (Site::new("checkpoint"), path.as_ref());
        self.save_as(site.operator, bag, path)?;
        bag.context.load_at(site, path)
    }

    #[track_caller]
    fn save_as<T, P>(&self, name: &'static str, bag: &Bag<T, P>, path: &Path) -> Result<Written>
    where
        T: Storable + ?Sized,
        P: Pipeline<Out = T>,
    {
        let options = OutputOptions::default()
            .overwrite(self.overwrite)
            .durable(!self.is_volatile);
        let manifest = Manifest {
            schema: T::schema(),
            key: bag.node.keyed.map(|keyed| keyed.key.to_owned()),
            digits: part_digits(bag.pipeline.partitions()),
            partitions: Vec::new(),
            run: None,
        };
        if let Some(version) = &self.resume {
            let resumable = Resumable {
                version,
                overwrite: self.overwrite,
                is_durable: !self.is_volatile,
            };
            return resumable.save(Site::new(name), bag, path, manifest);
        }
        bag.write(SaveSink {
            output: bag.context.begin_output(path, &options)?,
            name,
            manifest,
        })
    }
}

/// A directory of files of records. Dropping it deletes what has been written.
struct SaveSink {
    output: NewOutput,
    /// Name of the method.
    name: &'static str,
    /// The manifest, without the partitions.
    manifest: Manifest,
}

impl<T: Storable + ?Sized> Sink<T> for SaveSink {
    type Writer = SaveRecords<T>;
    type Output = Written;

    fn begin(&mut self, partitions: Option<usize>) -> Result<SaveRecords<T>, BoxError> {
        Ok(SaveRecords {
            output: self.output.writer("", partitions)?,
            form: PhantomData,
        })
    }

    fn commit(mut self, parts: Vec<(SavedPart, FinishedFile)>) -> Result<Written, BoxError> {
        let (parts, mut files): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut written = Written {
            records: parts.iter().map(|part| part.records).sum(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
            files: Vec::new(),
        };
        self.manifest.partitions = parts;
        let writer = self.output.writer("", None)?;
        let mut file = writer.create_named(MANIFEST.to_owned(), &attempt_name())?;
        file.write_all(&self.manifest.encode()?)?;
        files.push(file.finish()?);
        written.files = self.output.commit(files)?;
        written.files.pop();
        Ok(written)
    }

    fn name(&self) -> &'static str {
        self.name
    }
}
