//! `write`: writes each partition in a format that another crate defines.

use std::ops::ControlFlow;

use crate::error::{BoxError, Error, ErrorContext, ErrorKind, Result};
use crate::files::attempt_name;
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::portable;
use crate::task::{Partition, Site, Task};

/// A destination for the records of a bag, for [`Bag::write`](crate::Bag::write).
///
/// Implement it to write a format or to a store. The sink itself stays in the process that runs the action. It prepares
/// the output, and completes it once all partitions are written. Tasks write the partitions with a [`PartitionWriter`],
/// which the sink returns from [`begin`](Sink::begin).
///
/// ```text
///   begin ──> for each partition, in a task:  open ──> write, write, … ──> finish ──> Part ──┐
///                                                                      all Parts, in order   └──> commit
/// ```
///
/// If anything fails, the sink is dropped without a call of [`commit`](Sink::commit): if `begin`, a task or `commit`
/// returns an error or panics, or if the job is stopped. So a sink that must delete unfinished output does that in its
/// `Drop`. If the process is killed, nothing is called. Give unfinished output a name that a later run can recognise,
/// and delete it then.
///
/// # Examples
///
/// Files of 32-bit numbers, one for each partition. They are written to a temporary directory, which is renamed at the
/// end, so that the output appears as a whole.
///
/// ```
/// use std::fs::{self, File};
/// use std::io::{BufWriter, Write};
/// use std::path::{Path, PathBuf};
///
/// use holdall::{Attempt, BoxError, PartitionWriter, Sink};
/// use serde::{Deserialize, Serialize};
///
/// struct Numbers {
///     directory: PathBuf,
///     unfinished: tempfile::TempDir, // deletes itself if it is dropped
/// }
///
/// impl Sink<u32> for Numbers {
///     type Writer = NumbersWriter;
///     type Output = ();
///
///     fn begin(&mut self, _partitions: Option<usize>) -> Result<NumbersWriter, BoxError> {
///         Ok(NumbersWriter { directory: self.unfinished.path().to_owned() })
///     }
///
///     fn commit(self, parts: Vec<PathBuf>) -> Result<(), BoxError> {
///         fs::create_dir(&self.directory)?;
///         for (number, path) in parts.iter().enumerate() {
///             fs::rename(path, self.directory.join(format!("{number:05}")))?;
///         }
///         Ok(())
///     }
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct NumbersWriter {
///     directory: PathBuf,
/// }
///
/// impl PartitionWriter<u32> for NumbersWriter {
///     type Open = (PathBuf, BufWriter<File>);
///     type Part = PathBuf;
///
///     fn open(&self, attempt: &Attempt) -> Result<Self::Open, BoxError> {
///         let path = self.directory.join(attempt.name());
///         let file = BufWriter::new(File::create(&path)?);
///         Ok((path, file))
///     }
///
///     fn write(&self, (_, file): &mut Self::Open, number: u32) -> Result<(), BoxError> {
///         Ok(file.write_all(&number.to_le_bytes())?)
///     }
///
///     fn finish(&self, (path, mut file): Self::Open) -> Result<PathBuf, BoxError> {
///         file.flush()?;
///         Ok(path)
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let directory = dir.path().join("numbers");
/// let unfinished = tempfile::tempdir_in(dir.path()).unwrap();
/// holdall::range_partitioned(0..10_u32, 2).write(Numbers { directory: directory.clone(), unfinished })?;
/// assert_eq!(fs::read(directory.join("00001")).unwrap(), [5, 6, 7, 8, 9].map(u32::to_le_bytes).concat());
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Sink<T: Record + ?Sized>: Sized {
    /// Writes the partitions, in tasks.
    type Writer: PartitionWriter<T>;

    /// The result of the action, such as the paths of the files.
    type Output;

    /// Prepares the output, and returns the writer for the tasks. Called once, before the job.
    ///
    /// `partitions` is the number of partitions, or `None` if it is unknown in advance.
    ///
    /// # Errors
    ///
    /// Returns an error if the output cannot be created, for example because it exists.
    fn begin(&mut self, partitions: Option<usize>) -> Result<Self::Writer, BoxError>;

    /// Completes the output, after all partitions have been written. Called once, with one part for each partition, in
    /// order. A bag without partitions has no part.
    ///
    /// Output of other attempts may remain, see [`PartitionWriter::open`]; it does not belong to the result. The last
    /// [event](crate::events) of the job comes before this call, so the events do not include its errors.
    ///
    /// # Errors
    ///
    /// Returns an error if the output cannot be completed. The action returns it.
    fn commit(
        self,
        parts: Vec<<Self::Writer as PartitionWriter<T>>::Part>,
    ) -> Result<Self::Output, BoxError>;

    /// Returns the name of the method or function that runs the action, for errors and [events](crate::events).
    fn name(&self) -> &'static str {
        "write"
    }
}

/// Writes the partitions of a bag for a [`Sink`], which has an example.
///
/// It is sent to worker processes by serde.
///
/// An error that a method returns ends the job. The action returns it as [`ErrorKind::Write`], with its place and with
/// the error as its source. An error that is already a [`holdall::Error`](crate::Error) is returned as it is.
pub trait PartitionWriter<T: Record + ?Sized>: Data + Sync {
    /// The state of one attempt at a partition, such as an open file. Dropped if the attempt fails. It never leaves its
    /// task.
    type Open;

    /// The description of a partition that has been written, such as the path of its file. Sent to the [`Sink`].
    type Part: Data;

    /// Begins a partition.
    ///
    /// A partition may be attempted several times: because a worker process is lost, or because records that it reads
    /// from an earlier stage are damaged. Attempts may run concurrently, even in different processes, and an attempt
    /// that the job has given up may continue for a while. Therefore each of them needs a file of its own;
    /// [`Attempt::name`] has a name for it. The sink receives the part of one attempt only.
    ///
    /// # Errors
    ///
    /// Returns an error if the partition cannot be created.
    fn open(&self, attempt: &Attempt) -> Result<Self::Open, BoxError>;

    /// Writes a record. Records come in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the record cannot be written.
    fn write(&self, open: &mut Self::Open, record: T::Ref<'_>) -> Result<(), BoxError>;

    /// Completes the partition. Called only if all of its records have been written.
    ///
    /// # Errors
    ///
    /// Returns an error if the partition cannot be completed.
    fn finish(&self, open: Self::Open) -> Result<Self::Part, BoxError>;
}

/// An attempt at writing a partition. A [`PartitionWriter`] receives it.
#[derive(Debug)]
pub struct Attempt {
    partition: usize,
    name: String,
}

impl Attempt {
    fn new(partition: usize) -> Self {
        let name = attempt_name();
        Self { partition, name }
    }

    /// Returns the number of the partition, from 0.
    #[must_use]
    pub fn partition(&self) -> usize {
        self.partition
    }

    /// Returns a name that no other attempt has, neither in this process nor in others. It consists of digits and `-`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Wraps an error of a sink, unless it is an error of this library.
#[cold]
pub(crate) fn write_failed(cause: BoxError, site: Site) -> Error {
    let context = ErrorContext::from(site);
    Error::of_cause(cause, |source| ErrorKind::Write { context, source }).at(site)
}

pub(crate) struct WriteAction<W> {
    pub(crate) site: Site,
    pub(crate) writer: W,
}

portable! {
    [W: Data] WriteAction<W> { site: part, writer: value }
}

impl<T, W> Action<T> for WriteAction<W>
where
    T: Record + ?Sized,
    W: PartitionWriter<T>,
{
    type Part = W::Part;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<W::Part>
    where
        P: Pipeline<Out = T>,
    {
        let (writer, site) = (&self.writer, self.site);
        let failed = |cause| write_failed(cause, site);
        let attempt = Attempt::new(partition.index);
        let mut open = task.call(&site, || writer.open(&attempt)).map_err(failed)?;
        let flow = pipeline.run(partition, task, &mut |record| match task
            .call(&site, || writer.write(&mut open, record))
        {
            Ok(()) => ControlFlow::Continue(()),
            Err(cause) => task.fail_with(failed(cause)),
        })?;
        // Some records may be missing.
        if flow.is_break() || task.has_failed() || task.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled));
        }
        task.call(&site, || writer.finish(open)).map_err(failed)
    }

    sent_whole!(T);
}
