//! What can go wrong, and where it did.

use std::fmt;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

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

/// A failure, with the place it happened at.
///
/// It is one pointer wide. [`kind`](Error::kind) says what happened; `Display` is a sentence for the user,
/// and [`source`](std::error::Error::source) gives the cause where there is one.
///
/// # Examples
///
/// ```
/// let error = holdall::from_vec(vec!["1", "two"]).try_map(|text| text.parse::<u32>()).collect().unwrap_err();
/// assert!(error.to_string().starts_with("a closure failed in try_map at "));
/// let cause = std::error::Error::source(&error).unwrap();
/// assert_eq!(cause.to_string(), "invalid digit found in string");
/// ```
#[derive(Debug)]
pub struct Error(Box<ErrorKind>);

/// What happened.
///
/// # Examples
///
/// ```
/// use holdall::ErrorKind;
///
/// let error = holdall::range(0..10).map(|n| 100 / n).sum::<u64>().unwrap_err();
/// match error.kind() {
///     ErrorKind::TaskPanicked { place, message } => {
///         assert_eq!(place.operator, Some("map"));
///         assert_eq!(message, "attempt to divide by zero");
///     }
///     other => panic!("{other}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be opened, read or written.
    Io {
        /// What was being done: `"read"`, `"create"`, and so on.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path, directory or pattern names no file.
    NoInput {
        /// The path as it was given.
        pattern: String,
    },
    /// A file name pattern could not be read.
    InvalidPattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text is not UTF-8.
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, counted from the start of the (decompressed) text.
        offset: u64,
    },
    /// A line is longer than the limit.
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Where the line starts, counted in bytes from the start of the (decompressed) text.
        offset: u64,
        /// The limit.
        limit_bytes: usize,
    },
    /// A file has a compressed format that this build cannot read.
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// The name of the format.
        format: &'static str,
    },
    /// The output is there already.
    OutputExists {
        /// The file or directory.
        path: PathBuf,
    },
    /// A setting has a value that cannot be used.
    InvalidSetting {
        /// The setting or environment variable.
        setting: &'static str,
        /// The value as it was given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// A closure panicked.
    TaskPanicked {
        /// Where.
        place: Place,
        /// What the panic said.
        message: String,
    },
    /// A closure returned an error.
    Closure {
        /// Where.
        place: Place,
        /// The error it returned.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Threads could not be started.
    Threads(io::Error),
    /// An action was called from within a closure of a running job.
    NestedJob,
    /// A record cannot be turned into bytes, or not back.
    Codec {
        /// Where.
        place: Place,
        /// The type of the record.
        type_name: &'static str,
        /// What the codec said.
        reason: String,
    },
    /// A file that was spilled to is damaged. It was made again, up to three times, and found damaged again; or records
    /// of it had been handed on by [`iter`](crate::Bag::iter) already.
    CorruptRun {
        /// The file.
        path: PathBuf,
        /// The start of the damaged frame.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// One record is larger than a file of records can carry.
    RecordTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The file system has no room left, or the user's share of it is used up.
    DiskFull {
        /// Where in the job.
        place: Place,
        /// The file.
        path: PathBuf,
        /// What was still to be written to it at that moment.
        needed_bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The scratch files of a job would grow past their limit.
    QuotaExceeded {
        /// Where in the job.
        place: Place,
        /// The file.
        path: PathBuf,
        /// What was to be written to it at that moment.
        needed_bytes: u64,
        /// The limit for all scratch files of the job together.
        quota_bytes: u64,
    },
    /// The memory budget is too small for the job to work at all: a shuffle needs 1 MiB for each thread.
    BudgetTooSmall {
        /// The least that would do.
        needed_bytes: usize,
        /// What there is.
        budget_bytes: usize,
    },
    /// The bag that a `…_broadcast` sends to every task does not fit into half of the memory budget.
    BroadcastTooLarge {
        /// The memory budget, half of which it may take.
        budget_bytes: usize,
    },
    /// The job was stopped by its caller before it was done.
    Cancelled,
}

/// Where in a job something happened; each part as far as it is known.
///
/// `Display` writes all that is known, with a space before it, or nothing.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// std::fs::write(&path, "1\n2\nthree\n").unwrap();
/// let numbers = holdall::read_text(&path)?.try_map(|line| line.parse::<u32>());
/// let error = numbers.collect().unwrap_err();
/// let place = error.place().unwrap();
/// assert_eq!((place.stage, place.partition), (Some(1), Some(0)));
/// assert_eq!((place.path.as_deref(), place.offset), (Some(path.as_path()), Some(4)));
/// assert!(place.to_string().starts_with(" in try_map at "));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The stage, numbered from 1 as in [`explain`](crate::Bag::explain).
    pub stage: Option<usize>,
    /// The method of the bag.
    pub operator: Option<&'static str>,
    /// The line of the program that called that method.
    pub location: Option<&'static Location<'static>>,
    /// The partition.
    pub partition: Option<usize>,
    /// The input file.
    pub path: Option<PathBuf>,
    /// The start of the record in that file, in bytes of the (decompressed) text.
    pub offset: Option<u64>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
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
    /// assert!(matches!(error.kind(), ErrorKind::NoInput { pattern } if pattern == "no/such/*.txt"));
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

    /// Whether the system refused to open, read or write something.
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
        matches!(*self.0, ErrorKind::Io { .. } | ErrorKind::DiskFull { .. })
    }

    /// Where in the job it happened, if it happened in a closure of the program or while its records were written.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = holdall::range(0..10).filter(|n| panic!("{n}")).count().unwrap_err();
    /// let place = error.place().unwrap();
    /// assert_eq!(place.operator, Some("filter"));
    /// assert_eq!(place.location.unwrap().file(), file!());
    /// ```
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match &*self.0 {
            ErrorKind::TaskPanicked { place, .. }
            | ErrorKind::Closure { place, .. }
            | ErrorKind::Codec { place, .. }
            | ErrorKind::DiskFull { place, .. }
            | ErrorKind::QuotaExceeded { place, .. } => Some(place),
            _ => None,
        }
    }

    /// Whether what an earlier stage left is damaged, so that making it again may help.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(*self.0, ErrorKind::CorruptRun { .. })
    }

    /// Names the operator, unless one is named already.
    pub(crate) fn at(
        mut self,
        operator: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        if let Some(place) = self.place_mut().filter(|place| place.operator.is_none()) {
            place.operator = Some(operator);
            place.location = Some(location);
        }
        self
    }

    pub(crate) fn place_mut(&mut self) -> Option<&mut Place> {
        match &mut *self.0 {
            ErrorKind::TaskPanicked { place, .. }
            | ErrorKind::Closure { place, .. }
            | ErrorKind::Codec { place, .. }
            | ErrorKind::DiskFull { place, .. }
            | ErrorKind::QuotaExceeded { place, .. } => Some(place),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ErrorKind {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                operation,
                path,
                source,
            } => write!(f, "cannot {operation} {}: {source}", path.display()),
            Self::NoInput { pattern } => write!(f, "no input file at {pattern}"),
            Self::InvalidPattern { pattern, reason } => {
                write!(f, "invalid file name pattern {pattern}: {reason}")
            }
            Self::InvalidUtf8 { path, offset } => {
                write!(f, "{}: invalid UTF-8 at byte {offset}", path.display())
            }
            Self::LineTooLong {
                path,
                offset,
                limit_bytes,
            } => write!(
                f,
                "{}: the line at byte {offset} is longer than the limit of {limit_bytes} bytes",
                path.display()
            ),
            Self::UnsupportedFormat { path, format } => {
                write!(f, "{}: cannot read {format} files", path.display())
            }
            Self::OutputExists { path } => write!(f, "{} exists already", path.display()),
            Self::InvalidSetting {
                setting,
                value,
                expected,
            } => write!(f, "{setting}: cannot use {value:?}, expected {expected}"),
            Self::TaskPanicked { place, message } => {
                write!(f, "a closure panicked{place}: {message}")
            }
            Self::Closure { place, source } => write!(f, "a closure failed{place}: {source}"),
            Self::Threads(source) => write!(f, "cannot start threads: {source}"),
            Self::NestedJob => f.write_str(
                "an action was called inside a closure of a running job; \
                 run it before, and hand its result to the closure",
            ),
            Self::Codec {
                place,
                type_name,
                reason,
            } => write!(
                f,
                "cannot store records of type {type_name}{place}: {reason}"
            ),
            Self::CorruptRun {
                path,
                offset,
                reason,
            } => write!(
                f,
                "{}: damaged frame at byte {offset}: {reason}",
                path.display()
            ),
            Self::RecordTooLong { bytes, limit_bytes } => write!(
                f,
                "a record of {bytes} bytes is longer than the limit of {limit_bytes} bytes"
            ),
            Self::DiskFull {
                place,
                path,
                needed_bytes,
                source,
            } => write!(
                f,
                "no room on the disk for {needed_bytes} more bytes of {}{place}: {source}",
                path.display()
            ),
            Self::QuotaExceeded {
                place,
                path,
                needed_bytes,
                quota_bytes,
            } => write!(
                f,
                "{needed_bytes} more bytes of {} would exceed the limit of {quota_bytes} bytes for scratch files{place}",
                path.display()
            ),
            Self::BudgetTooSmall {
                needed_bytes,
                budget_bytes,
            } => write!(
                f,
                "the memory budget of {budget_bytes} bytes is too small: this job needs {needed_bytes}"
            ),
            Self::BroadcastTooLarge { budget_bytes } => write!(
                f,
                "the bag to be broadcast does not fit into half of the memory budget of {budget_bytes} bytes; \
                 join without broadcasting it"
            ),
            Self::Cancelled => f.write_str("the job was cancelled"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            ErrorKind::Io { source, .. } | ErrorKind::DiskFull { source, .. } => Some(source),
            ErrorKind::Closure { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// Writes ` in OPERATOR at FILE:LINE:COLUMN (stage S, partition P, FILE byte N)`, or nothing where nothing is known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operator) = self.operator {
            write!(f, " in {operator}")?;
        }
        if let Some(location) = self.location {
            write!(f, " at {location}")?;
        }
        let mut details = Vec::new();
        if let Some(stage) = self.stage {
            details.push(format!("stage {stage}"));
        }
        if let Some(partition) = self.partition {
            details.push(format!("partition {partition}"));
        }
        if let Some(path) = &self.path {
            let offset = self.offset.map(|n| format!(" byte {n}"));
            details.push(format!("{}{}", path.display(), offset.unwrap_or_default()));
        }
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        Ok(())
    }
}
