//! Errors: their kinds, and their location in a job.

mod bytes;
mod context;
mod convert;
mod damage;
mod display;
mod intern;
mod nested;
mod panics;
mod payload;
mod placing;
pub(crate) mod plain;
mod standard;

use std::io;
use std::path::{Path, PathBuf};
// serde assumes that a field of type `&'static str` borrows from the bytes it is read from, but not if the type has
// another name.
use std::primitive::str as Text;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use bytes::format_bytes;
pub(crate) use context::Site;
pub use context::{ErrorContext, SourceLocation};
pub(crate) use intern::intern;
pub(crate) use panics::{caught, panicked};
pub(crate) use placing::PlaceError;

/// Result of the fallible functions of this library.
///
/// # Examples
///
/// ```
/// fn count_lines(path: &str) -> holdall::Result<u64> {
///     holdall::read_text(path)?.count()
/// }
/// assert!(count_lines("no/such/file").is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of your program, as a [`Source`](crate::Source) or a [`Sink`](crate::Sink) returns it. `?` converts other
/// errors to it.
///
/// # Examples
///
/// ```
/// fn parse(text: &str) -> Result<u32, holdall::BoxError> {
///     if text.is_empty() {
///         return Err("the text is empty".into());
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(parse("").unwrap_err().to_string(), "the text is empty");
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Names of the unsupported formats that are text, and can be read as bytes.
pub(crate) const UTF_16: &str = "UTF-16";
pub(crate) const UTF_32: &str = "UTF-32";

/// An error, with its location in the job.
///
/// It has the size of a pointer. [`kind`](Error::kind) returns what happened, `Display` writes a message for the user,
/// and [`source`](std::error::Error::source) returns the cause, if there is one.
///
/// Errors can be serialised, because they may come from another process. Everything is preserved except the types of
/// causes: an error that a closure returned becomes one with the same message. An [`io::Error`] remains one.
///
/// # Examples
///
/// ```
/// let error = holdall::from_vec(vec!["1", "two"]).try_map(|text| text.parse::<u32>()).collect().unwrap_err();
/// assert!(error.to_string().starts_with("a closure failed in try_map at "));
/// let cause = std::error::Error::source(&error).unwrap();
/// assert_eq!(cause.to_string(), "invalid digit found in string");
/// ```
///
/// `Debug` is also readable, because it is what a `main` that returns the error prints: the message, and a line for
/// each cause that the message does not include.
#[derive(Serialize, Deserialize)]
pub struct Error(Box<ErrorKind>);

/// Kind of an error.
///
/// Later versions may add kinds, and fields to a kind, so end a pattern with `..`.
///
/// # Examples
///
/// ```
/// use holdall::ErrorKind;
///
/// let error = holdall::range(0..10).map(|n| 100 / n).sum::<u64>().unwrap_err();
/// match error.kind() {
///     ErrorKind::TaskPanicked { context, message, .. } => {
///         assert_eq!(context.operator, Some("map"));
///         assert_eq!(message, "attempt to divide by zero");
///     }
///     other => panic!("{other}"),
/// }
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be opened, read or written.
    #[non_exhaustive]
    Io {
        /// The failed operation: `"read"`, `"create"`, and so on.
        #[serde(with = "plain")]
        operation: &'static Text,
        /// The file or directory.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Offset in the file at which the operation failed, if it is known.
        offset: Option<u64>,
        /// Error returned by the system.
        #[serde(with = "plain")]
        source: io::Error,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A path begins with a scheme, such as `s3://`, that the context does not know. To add a file system, call
    /// [`ContextBuilder::file_system`](crate::ContextBuilder::file_system).
    #[non_exhaustive]
    UnknownScheme {
        /// The path as you passed it.
        #[serde(with = "plain")]
        path: PathBuf,
        /// The scheme, without the `://`.
        scheme: String,
        /// The schemes that the context knows, in addition to `file`.
        known: Vec<String>,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A path, directory or pattern names no file.
    #[non_exhaustive]
    NoInput {
        /// The path as you passed it.
        pattern: String,
        /// The method that you passed it to.
        context: ErrorContext,
    },
    /// A file name pattern is invalid.
    #[non_exhaustive]
    InvalidPattern {
        /// The pattern as you passed it.
        pattern: String,
        /// Explanation of the error.
        reason: String,
    },
    /// A text is not UTF-8.
    #[non_exhaustive]
    InvalidUtf8 {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Position of the first invalid byte, counted from the start of the (decompressed) text.
        offset: u64,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A line is longer than the limit.
    #[non_exhaustive]
    LineTooLong {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Start of the line, counted in bytes from the start of the (decompressed) text.
        offset: u64,
        /// Maximum length of a line, in bytes.
        limit_bytes: usize,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A file changed between the creation of a bag and its use. Its parts no longer fit together, so lines could be
    /// lost or duplicated. A local file that has only grown is read to its end, and so is any local file that is read in
    /// one part. On a [file system](crate::files) that knows the versions of files, any change is an error.
    #[non_exhaustive]
    InputChanged {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// An input file is not the same on all machines: on the machine of a worker, it does not exist, or has another
    /// length or time of modification than where the bag was created.
    #[non_exhaustive]
    InputDiffers {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Its length where the bag was created, in bytes.
        planned_bytes: u64,
        /// Its length on the machine of the worker, in bytes, or `None` if it does not exist there.
        found_bytes: Option<u64>,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A pipe or device would be read a second time in the same program. Its content can be read only once.
    #[non_exhaustive]
    StreamReadTwice {
        /// The pipe or device.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A file cannot be read as text: an archive such as tar or zip; a file that is compressed by lzma, lzip and others,
    /// or twice; records such as Parquet; or text in UTF-16 or UTF-32. [`read_archives`](crate::read_archives) and other
    /// readers read some of these formats.
    #[non_exhaustive]
    UnsupportedFormat {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Name of the format.
        #[serde(with = "plain")]
        format: &'static Text,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// The output already exists.
    #[non_exhaustive]
    OutputExists {
        /// The file or directory.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Whether files were added to the output, and another job has added files with the same names.
        is_appended: bool,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// The output already exists, and cannot be replaced because it contains other files.
    #[non_exhaustive]
    NotAnOutput {
        /// The directory.
        #[serde(with = "plain")]
        path: PathBuf,
        /// A file in it that does not belong to an output.
        #[serde(with = "plain")]
        found: PathBuf,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A path names no [saved](crate::Bag::save) bag, or a damaged one.
    #[non_exhaustive]
    InvalidBag {
        /// The directory, or a file in it.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Offset of the damage in the file, in bytes, if it is known.
        offset: Option<u64>,
        /// Explanation of the error.
        reason: String,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A [saved](crate::Bag::save) bag has records of another type than it is loaded with.
    #[non_exhaustive]
    WrongRecordType {
        /// The directory.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Serialised form of the records that were saved.
        saved: String,
        /// Serialised form of the type that was requested.
        requested: String,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A bag was [saved](crate::Bag::save) by another version of holdall, in a format that this version cannot read.
    #[non_exhaustive]
    UnsupportedVersion {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Version of the format.
        version: u32,
        /// The latest version that can be read.
        supported: u32,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// A setting has an invalid value.
    #[non_exhaustive]
    InvalidSetting {
        /// The setting or environment variable.
        #[serde(with = "plain")]
        setting: &'static Text,
        /// The value as you passed it.
        value: String,
        /// Description of the valid values.
        #[serde(with = "plain")]
        expected: &'static Text,
    },
    /// A closure panicked.
    #[non_exhaustive]
    TaskPanicked {
        /// Location of the panic.
        context: ErrorContext,
        /// Message of the panic.
        message: String,
    },
    /// A closure returned an error.
    #[non_exhaustive]
    Closure {
        /// Location of the closure.
        context: ErrorContext,
        /// Error returned by the closure.
        #[serde(with = "plain")]
        source: BoxError,
    },
    /// A job has met more bad records than the [limit](crate::BadRecords::limit).
    #[non_exhaustive]
    TooManyBadRecords {
        /// Name of the collection of bad records.
        name: String,
        /// Maximum number of bad records.
        limit: u64,
        /// One of the bad records.
        example: String,
    },
    /// A [`Source`](crate::Source) returned an error.
    #[non_exhaustive]
    Read {
        /// Location of the source, and of the record in its file.
        context: ErrorContext,
        /// Error returned by the source.
        #[serde(with = "plain")]
        source: BoxError,
    },
    /// A [`Sink`](crate::Sink) returned an error.
    #[non_exhaustive]
    Write {
        /// Location of the sink.
        context: ErrorContext,
        /// Error returned by the sink.
        #[serde(with = "plain")]
        source: BoxError,
    },
    /// The engine of an [`EngineJob`](crate::extend::EngineJob), such as a query engine, returned an error.
    #[non_exhaustive]
    Engine {
        /// Location of the action.
        context: ErrorContext,
        /// Error returned by the engine.
        #[serde(with = "plain")]
        source: BoxError,
    },
    /// A bag does not have the partitions that [`select_partitions`](crate::Bag::select_partitions) or
    /// [`zip_partitions`](crate::Bag::zip_partitions) needs. If their number is known in advance, these methods panic
    /// instead.
    #[non_exhaustive]
    MissingPartition {
        /// Location of the method.
        context: ErrorContext,
        /// Explanation of the error.
        reason: String,
    },
    /// The [status page](crate::guide::status) cannot be served.
    #[non_exhaustive]
    StatusPage {
        /// The address as you passed it.
        address: String,
        /// Error returned by the system.
        #[serde(with = "plain")]
        source: io::Error,
    },
    /// Threads could not be started.
    Threads(#[serde(with = "plain")] io::Error),
    /// An action was called inside a closure of a running job, or by an [observer](crate::events::Observer).
    NestedJob,
    /// A record cannot be serialised, or cannot be deserialised.
    #[non_exhaustive]
    Codec {
        /// Location of the operator.
        context: ErrorContext,
        /// The type of the record.
        #[serde(with = "plain")]
        type_name: &'static Text,
        /// Error returned by the codec.
        reason: String,
    },
    /// A spill file is damaged, and could not be recomputed.
    #[non_exhaustive]
    CorruptRun {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Start of the damaged frame, in bytes.
        offset: u64,
        /// Description of the damage.
        #[serde(with = "plain")]
        reason: &'static Text,
    },
    /// The shuffle output of an earlier stage is missing, and could not be recomputed.
    MapOutputLost,
    /// The [home](crate::executor::Home) of shuffled or persisted records cannot be reached, and they could not be
    /// recomputed.
    #[non_exhaustive]
    HomeLost {
        /// The home.
        home: String,
        /// The known reason.
        reason: String,
    },
    /// A record is larger than the limit for records in files.
    #[non_exhaustive]
    RecordTooLong {
        /// Length of the record, in bytes.
        bytes: usize,
        /// Maximum length, in bytes.
        limit_bytes: usize,
        /// Location in the job, or of the method that you called.
        context: ErrorContext,
    },
    /// The disk is full, or the disk quota of the user is exhausted.
    #[non_exhaustive]
    DiskFull {
        /// Location in the job.
        context: ErrorContext,
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Number of bytes that could not be written; 0 if it is unknown.
        needed_bytes: u64,
        /// Error returned by the system.
        #[serde(with = "plain")]
        source: io::Error,
    },
    /// The spill files of a job would exceed its disk quota.
    #[non_exhaustive]
    QuotaExceeded {
        /// Location in the job.
        context: ErrorContext,
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Number of bytes that could not be written.
        needed_bytes: u64,
        /// Maximum total size of the job's spill files, in bytes.
        quota_bytes: u64,
    },
    /// The memory budget is too small for a shuffle, which needs 1 MiB for each thread.
    #[non_exhaustive]
    BudgetTooSmall {
        /// Minimum budget for this job, in bytes.
        needed_bytes: usize,
        /// The budget, in bytes.
        budget_bytes: usize,
    },
    /// What a method sends to every task does not fit into half of the memory budget: the bag of a `…_broadcast`, or the
    /// summaries of partitions that `windows` and `zip_with_index` need, for example.
    #[non_exhaustive]
    BroadcastTooLarge {
        /// Location of the operator.
        context: ErrorContext,
        /// The memory budget, in bytes. Half of it may be used.
        budget_bytes: usize,
    },
    /// The job was stopped by its caller before it was complete.
    Cancelled,
    /// The [deadline](crate#cancellation-and-deadlines) of the job passed before it was complete.
    #[non_exhaustive]
    DeadlineExceeded {
        /// The action, and the stage that was running.
        context: ErrorContext,
        /// Time from the start of the job to the deadline; zero if the deadline passed before.
        elapsed: Duration,
    },
    /// A closure that must be sent to a worker process captures variables, or is a function pointer. Pass state to it
    /// by [`Bag::with`](crate::Bag::with) instead.
    #[non_exhaustive]
    CapturingClosure {
        /// The method that received the closure.
        context: ErrorContext,
    },
    /// Code or state of the program cannot be sent to a worker process.
    #[non_exhaustive]
    NotPortable {
        /// The method that it belongs to.
        context: ErrorContext,
        /// Explanation of the error.
        reason: String,
    },
    /// A worker process ended, or gave no sign of life, before it had finished its task.
    #[non_exhaustive]
    WorkerLost {
        /// Number of the worker.
        worker: usize,
        /// The known reason: `"killed by signal 9"`, `"exited with code 1"`.
        cause: String,
    },
    /// A worker process could not be started.
    #[non_exhaustive]
    WorkerStart {
        /// Explanation of the error.
        reason: String,
    },
    /// The cluster that the context uses cannot run the job.
    #[non_exhaustive]
    Cluster {
        /// The address of the cluster, as in the settings.
        address: String,
        /// Explanation of the error.
        reason: String,
    },
    /// The context uses worker processes, but the program's `main` does not call `holdall::init`.
    NoInit,
    /// A task failed at each attempt. Either its input was damaged, recomputed, and damaged again, or its worker
    /// process was lost each time.
    #[non_exhaustive]
    TooManyAttempts {
        /// Location of the task.
        context: ErrorContext,
        /// Number of attempts.
        attempts: usize,
        /// Error of the last attempt.
        #[serde(deserialize_with = "nested::deserialize")]
        last: Box<Error>,
    },
    /// A bag returned different records when it was recomputed, either by a task that was retried after part of its
    /// result had been used, or by a method that computes the bag twice.
    ///
    /// The input has changed, or a closure does not return the same records each time: it uses the time or random
    /// numbers, for example, or iterates over a `HashMap`.
    #[non_exhaustive]
    NotRepeatable {
        /// The last method of the stage, and the partition.
        context: ErrorContext,
    },
    /// The tasks of a [graph](crate::graph::Graph) or of [layers](crate::extend::Layers) cannot run: a task needs one that
    /// does not exist, tasks need each other in a cycle, or a value has another type than the parameter that it is for.
    #[non_exhaustive]
    InvalidGraph {
        /// The layer and the task, or the key.
        context: ErrorContext,
        /// Description of the error.
        reason: String,
    },
    /// A program that [`pipe`](crate::Bag::pipe) ran has reported an error, or has been killed.
    #[non_exhaustive]
    ProgramFailed {
        /// The method, and the partition.
        context: ErrorContext,
        /// The program, without its arguments.
        program: String,
        /// The exit code, or `None` if a signal has ended the program.
        code: Option<i32>,
        /// Description of the exit status: `"exit status: 1"`, or the signal.
        status: String,
        /// The last 4 KiB of what the program has written to standard error.
        stderr: String,
    },
    /// The bags of a [`zip`](crate::Bag::zip) have different numbers of records.
    #[non_exhaustive]
    LengthMismatch {
        /// The method, and the partition.
        context: ErrorContext,
        /// Number of records of the bag on which the method was called.
        left: u64,
        /// Number of records of the other bag.
        right: u64,
    },
    /// An error of your program; see [`Error::other`].
    #[non_exhaustive]
    Other {
        /// The error.
        #[serde(with = "plain")]
        source: BoxError,
    },
    /// holdall or a custom executor has broken an invariant. The job ends, because its result may be wrong.
    #[non_exhaustive]
    Internal {
        /// Description of the violation.
        reason: String,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }

    /// Creates an [`ErrorKind::Cluster`], for an executor that runs tasks on the cluster at `address`.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = holdall::Error::cluster("ballista://host:50050", "no machine is up");
    /// assert_eq!(error.to_string(), "ballista://host:50050: no machine is up");
    /// ```
    pub fn cluster(address: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cluster {
            address: address.into(),
            reason: reason.into(),
        })
    }

    #[cold]
    pub(crate) fn internal(reason: String) -> Self {
        Self::new(ErrorKind::Internal { reason })
    }

    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::io_at(operation, path, None, source)
    }

    pub(crate) fn io_at(
        operation: &'static str,
        path: &Path,
        offset: Option<u64>,
        source: io::Error,
    ) -> Self {
        Self::new(ErrorKind::Io {
            operation,
            path: path.to_owned(),
            offset,
            source,
            context: ErrorContext::default(),
        })
    }

    /// Returns the kind of the error.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::ErrorKind;
    ///
    /// let error = holdall::read_text("no/such/*.txt").unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::NoInput { pattern, .. } if pattern == "no/such/*.txt"));
    /// ```
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// Returns the kind of the error by value.
    ///
    /// # Examples
    ///
    /// To get the original error that a closure returned:
    ///
    /// ```
    /// use holdall::ErrorKind;
    /// use std::num::ParseIntError;
    ///
    /// let numbers = holdall::from_vec(vec!["1", "two"]).try_map(|text| text.parse::<u32>());
    /// let ErrorKind::Closure { source, .. } = numbers.collect().unwrap_err().into_kind() else {
    ///     panic!("it is the closure that fails");
    /// };
    /// assert!(source.downcast::<ParseIntError>().is_ok());
    /// ```
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        *self.0
    }

    /// Returns whether the system failed to open, read or write something. An [`io::Error`] that your program converted
    /// counts too, and so does one that a [`Source`](crate::Source) or a [`Sink`](crate::Sink) returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("gone");
    /// std::fs::write(&path, "text").unwrap();
    /// let lines = holdall::read_text(&path)?;
    /// std::fs::remove_file(&path).unwrap();
    /// assert!(lines.count().unwrap_err().is_io());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn is_io(&self) -> bool {
        match &*self.0 {
            ErrorKind::Io { .. } | ErrorKind::DiskFull { .. } => true,
            ErrorKind::Read { source, .. }
            | ErrorKind::Write { source, .. }
            | ErrorKind::Engine { source, .. }
            | ErrorKind::Other { source } => source.is::<io::Error>(),
            _ => false,
        }
    }

    /// Returns whether the job was stopped by its caller before it was complete. A job that has exceeded its
    /// [deadline](ErrorKind::DeadlineExceeded) was not.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!holdall::range(0..1).map(|n| 1 / n).count().unwrap_err().is_cancelled());
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.0, ErrorKind::Cancelled)
    }
}
