//! What can go wrong, and where it did.

mod bytes;
mod context;
mod convert;
mod display;
mod intern;
mod nested;
mod panics;
mod payload;
pub(crate) mod plain;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
// serde takes a field that is called `&'static str` for one that borrows from the bytes it is read from.
use std::primitive::str as Text;

use serde::{Deserialize, Serialize};

pub(crate) use bytes::format_bytes;
pub(crate) use context::Site;
pub use context::{ErrorContext, SourceLocation};
pub(crate) use intern::intern;
pub(crate) use panics::{caught, panicked};

/// The result of everything in this library that can fail.
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

/// The names of the unsupported formats that are text, and can be read as bytes.
pub(crate) const UTF_16: &str = "UTF-16";
pub(crate) const UTF_32: &str = "UTF-32";

/// A failure, with the place it happened at.
///
/// It is one pointer wide. [`kind`](Error::kind) says what happened; `Display` is a sentence for the user,
/// and [`source`](std::error::Error::source) gives the cause where there is one.
///
/// It goes through serde, as it must to come from another process: all but the types of causes comes back.
/// An error that a closure returned is one that says the same, then.
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
/// `Debug` is for people, too, since that is what a `main` that returns it prints: the sentence, and a line for each cause
/// that it does not give itself.
#[derive(Serialize, Deserialize)]
pub struct Error(Box<ErrorKind>);

/// What happened.
///
/// Later versions may add kinds, and fields to a kind, so a pattern ends with `..`.
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
        /// What was being done: `"read"`, `"create"`, and so on.
        #[serde(with = "plain")]
        operation: &'static Text,
        /// The file or directory.
        #[serde(with = "plain")]
        path: PathBuf,
        /// What the system said.
        #[serde(with = "plain")]
        source: io::Error,
    },
    /// A path, directory or pattern names no file.
    #[non_exhaustive]
    NoInput {
        /// The path as it was given.
        pattern: String,
    },
    /// A file name pattern could not be read.
    #[non_exhaustive]
    InvalidPattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text is not UTF-8.
    #[non_exhaustive]
    InvalidUtf8 {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// The first byte that is wrong, counted from the start of the (decompressed) text.
        offset: u64,
    },
    /// A line is longer than the limit.
    #[non_exhaustive]
    LineTooLong {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// Where the line starts, counted in bytes from the start of the (decompressed) text.
        offset: u64,
        /// The limit.
        limit_bytes: usize,
    },
    /// A file changed between the creation of a bag and its use. Its parts no longer fit together, and lines could be lost
    /// or come twice. A file that has only grown is read to its end, and so is any file that is read in one part.
    #[non_exhaustive]
    InputChanged {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
    },
    /// A pipe or device was to be read a second time in the same program. It gives its content once.
    #[non_exhaustive]
    StreamReadTwice {
        /// The pipe or device.
        #[serde(with = "plain")]
        path: PathBuf,
    },
    /// A file is in a format that cannot be read: an archive such as tar or zip, compressed by lz4, lzma and others or
    /// twice, records such as Parquet, or text in UTF-16 or UTF-32.
    #[non_exhaustive]
    UnsupportedFormat {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// The name of the format.
        #[serde(with = "plain")]
        format: &'static Text,
    },
    /// The output is there already.
    #[non_exhaustive]
    OutputExists {
        /// The file or directory.
        #[serde(with = "plain")]
        path: PathBuf,
    },
    /// The output is there already, and is not replaced, since something else is in it.
    #[non_exhaustive]
    NotAnOutput {
        /// The directory.
        #[serde(with = "plain")]
        path: PathBuf,
        /// What in it is no part of an output.
        #[serde(with = "plain")]
        found: PathBuf,
    },
    /// A setting has a value that cannot be used.
    #[non_exhaustive]
    InvalidSetting {
        /// The setting or environment variable.
        #[serde(with = "plain")]
        setting: &'static Text,
        /// The value as it was given.
        value: String,
        /// What would do.
        #[serde(with = "plain")]
        expected: &'static Text,
    },
    /// A closure panicked.
    #[non_exhaustive]
    TaskPanicked {
        /// Where.
        context: ErrorContext,
        /// What the panic said.
        message: String,
    },
    /// A closure returned an error.
    #[non_exhaustive]
    Closure {
        /// Where.
        context: ErrorContext,
        /// The error it returned.
        #[serde(with = "plain")]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Threads could not be started.
    Threads(#[serde(with = "plain")] io::Error),
    /// An action was called from within a closure of a running job.
    NestedJob,
    /// A record cannot be turned into bytes, or not back.
    #[non_exhaustive]
    Codec {
        /// Where.
        context: ErrorContext,
        /// The type of the record.
        #[serde(with = "plain")]
        type_name: &'static Text,
        /// What the codec said.
        reason: String,
    },
    /// A file that was spilled to is damaged, and cannot be made again.
    #[non_exhaustive]
    CorruptRun {
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// The start of the damaged frame.
        offset: u64,
        /// What is wrong with it.
        #[serde(with = "plain")]
        reason: &'static Text,
    },
    /// What an earlier stage had left is gone, and cannot be made again.
    MapOutputLost,
    /// One record is larger than a file of records can carry.
    #[non_exhaustive]
    RecordTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The file system has no room left, or the user's share of it is used up.
    #[non_exhaustive]
    DiskFull {
        /// Where in the job.
        context: ErrorContext,
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// What was still to be written to it at that moment; 0 if that is not known.
        needed_bytes: u64,
        /// What the system said.
        #[serde(with = "plain")]
        source: io::Error,
    },
    /// The scratch files of a job would grow past their limit.
    #[non_exhaustive]
    QuotaExceeded {
        /// Where in the job.
        context: ErrorContext,
        /// The file.
        #[serde(with = "plain")]
        path: PathBuf,
        /// What was to be written to it at that moment.
        needed_bytes: u64,
        /// The limit for all scratch files of the job together.
        quota_bytes: u64,
    },
    /// The memory budget is too small for the job to work at all: a shuffle needs 1 MiB for each thread.
    #[non_exhaustive]
    BudgetTooSmall {
        /// The least that would do.
        needed_bytes: usize,
        /// What there is.
        budget_bytes: usize,
    },
    /// The bag that a `…_broadcast` sends to every task does not fit into half of the memory budget.
    #[non_exhaustive]
    BroadcastTooLarge {
        /// The memory budget, half of which it may take.
        budget_bytes: usize,
    },
    /// The job was stopped by its caller before it was done.
    Cancelled,
    /// A closure that would have to be sent to a worker process captures variables, or is a function pointer. Each
    /// method that takes one has a twin that hands it what it needs: see [`Bag::with`](crate::Bag::with).
    #[non_exhaustive]
    CapturingClosure {
        /// The method that it was given to.
        context: ErrorContext,
    },
    /// Code or state of the program cannot be sent to a worker process.
    #[non_exhaustive]
    NotPortable {
        /// The method that it belongs to.
        context: ErrorContext,
        /// Why.
        reason: String,
    },
    /// A worker process ended, or gave no sign of life, before it had done what it was given.
    #[non_exhaustive]
    WorkerLost {
        /// Its number.
        worker: usize,
        /// What is known of why: `"killed by signal 9"`, `"exited with code 1"`.
        cause: String,
    },
    /// A worker process could not be started.
    #[non_exhaustive]
    WorkerStart {
        /// Why.
        reason: String,
    },
    /// Worker processes are asked for, and the program's `main` does not call `holdall::init`.
    NoInit,
    /// A task did not come to its end, however often it was tried: what it reads was found damaged, made again, and found
    /// damaged once more; or its worker process was lost each time.
    #[non_exhaustive]
    TooManyAttempts {
        /// Which.
        context: ErrorContext,
        /// How often it was tried.
        attempts: usize,
        /// What happened the last time.
        #[serde(deserialize_with = "nested::deserialize")]
        last: Box<Error>,
    },
    /// A bag gave other records when it was computed again: by a task that was retried after part of its result had been
    /// used, or by a method that computes the bag twice.
    ///
    /// The input has changed, or a closure does not return the same records each time: it uses the time or random
    /// numbers, for example, or iterates over a `HashMap`.
    #[non_exhaustive]
    NotRepeatable {
        /// The last method of the stage, and the partition.
        context: ErrorContext,
    },
    /// An error of your program: see [`Error::other`].
    #[non_exhaustive]
    Other {
        /// The error.
        #[serde(with = "plain")]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// holdall, or an executor that is not its own, contradicted itself. The job ends, since its result may be wrong.
    #[non_exhaustive]
    Internal {
        /// What was found.
        reason: String,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }

    #[cold]
    pub(crate) fn internal(reason: String) -> Self {
        Self::new(ErrorKind::Internal { reason })
    }

    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::new(ErrorKind::Io {
            operation,
            path: path.to_owned(),
            source,
        })
    }

    /// What happened.
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

    /// What happened, by value.
    ///
    /// # Examples
    ///
    /// An error that a closure returned, as it was:
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

    /// Returns whether the system refused to open, read or write something. An [`io::Error`] that your program converted
    /// counts too.
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
            ErrorKind::Other { source } => source.is::<io::Error>(),
            _ => false,
        }
    }

    /// Returns whether the job was stopped before it was done.
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

    /// Returns whether shuffled, spilled or persisted records were damaged or missing, and computing them again did not
    /// help. The disk or the memory of the machine may be at fault.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!holdall::read_text("no/such/file").unwrap_err().is_damage());
    /// ```
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match &*self.0 {
            ErrorKind::TooManyAttempts { last, .. } => last.is_damage(),
            _ => self.is_recoverable(),
        }
    }

    /// Where in the job it happened, if it happened in a closure of the program or while its records were written.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = holdall::range(0..10).filter(|n| panic!("{n}")).count().unwrap_err();
    /// let place = error.context().unwrap();
    /// assert_eq!(place.operator, Some("filter"));
    /// assert_eq!(place.location.unwrap().file(), file!());
    /// ```
    #[must_use]
    pub fn context(&self) -> Option<&ErrorContext> {
        match &*self.0 {
            ErrorKind::TaskPanicked { context, .. }
            | ErrorKind::Closure { context, .. }
            | ErrorKind::Codec { context, .. }
            | ErrorKind::DiskFull { context, .. }
            | ErrorKind::QuotaExceeded { context, .. }
            | ErrorKind::CapturingClosure { context }
            | ErrorKind::NotPortable { context, .. }
            | ErrorKind::TooManyAttempts { context, .. }
            | ErrorKind::NotRepeatable { context } => Some(context),
            _ => None,
        }
    }

    /// Whether what an earlier stage left is damaged or lost, so that making it again may help.
    pub(crate) fn is_recoverable(&self) -> bool {
        matches!(
            *self.0,
            ErrorKind::CorruptRun { .. } | ErrorKind::MapOutputLost
        )
    }

    /// Names the operator, unless one is named already.
    pub(crate) fn at(mut self, site: Site) -> Self {
        if let Some(context) = self
            .context_mut()
            .filter(|context| context.operator.is_none())
        {
            context.operator = Some(site.operator);
            context.location = Some(site.location);
        }
        self
    }

    /// Puts an error that belongs to no single partition into a stage.
    pub(crate) fn of_stage(mut self, number: usize) -> Self {
        if let Some(context) = self.context_mut() {
            context.stage = Some(number);
            context.partition = None;
        }
        self
    }

    pub(crate) fn context_mut(&mut self) -> Option<&mut ErrorContext> {
        match &mut *self.0 {
            ErrorKind::TaskPanicked { context, .. }
            | ErrorKind::Closure { context, .. }
            | ErrorKind::Codec { context, .. }
            | ErrorKind::DiskFull { context, .. }
            | ErrorKind::QuotaExceeded { context, .. }
            | ErrorKind::CapturingClosure { context }
            | ErrorKind::NotPortable { context, .. }
            | ErrorKind::TooManyAttempts { context, .. }
            | ErrorKind::NotRepeatable { context } => Some(context),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.to_string();
        f.write_str(&said)?;
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            // A sentence often ends with its cause.
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, "\ncaused by: {text}")?;
            }
            said = text;
            next = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            ErrorKind::Io { source, .. } | ErrorKind::DiskFull { source, .. } => Some(source),
            ErrorKind::Threads(source) => Some(source),
            ErrorKind::Closure { source, .. } | ErrorKind::Other { source } => Some(&**source),
            ErrorKind::TooManyAttempts { last, .. } => Some(&**last),
            _ => None,
        }
    }
}
