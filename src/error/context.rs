//! Locations of errors, in the job and in your program.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::primitive::str as Text; // see `ErrorKind`
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::plain;

/// Location of an error in a job. Unknown parts are `None`.
///
/// `Display` writes the known parts, preceded by a space, or nothing if all are unknown.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// std::fs::write(&path, "1\n2\nthree\n").unwrap();
/// let numbers = holdall::read_text(&path)?.try_map(|line| line.parse::<u32>());
/// let error = numbers.collect().unwrap_err();
/// let place = error.context().unwrap();
/// assert_eq!((place.stage, place.partition), (Some(1), Some(0)));
/// assert_eq!((place.path.as_deref(), place.offset), (Some(path.as_path()), Some(4)));
/// assert!(place.to_string().starts_with(" in try_map at "));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorContext {
    /// The stage, numbered from 1 as in [`explain`](crate::Bag::explain).
    pub stage: Option<usize>,
    /// The method of the bag.
    #[serde(with = "plain")]
    pub operator: Option<&'static Text>,
    /// The line of your program that called that method.
    pub location: Option<SourceLocation>,
    /// The partition.
    pub partition: Option<usize>,
    /// The task of a [layer](crate::extend::Layer). Its `operator` is the name of the layer, and its `location` the
    /// line that added it.
    pub task: Option<usize>,
    /// The key of a task of a [graph](crate::graph::Graph). Its `location` is the line that created the task.
    pub key: Option<String>,
    /// The input file.
    #[serde(with = "plain")]
    pub path: Option<PathBuf>,
    /// The start of the record in that file, in bytes of the (decompressed) text.
    pub offset: Option<u64>,
    /// The number of the line in that file, counted from 1. It is known for lines of local files, within the first GiB of
    /// the file.
    pub line: Option<u64>,
    /// The number of the record in that file, counted from 1, if its [`Source`](crate::Source) numbers records.
    pub record: Option<u64>,
}

/// Call site of an operator: the method, and the line that called it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) operator: &'static str,
    pub(crate) location: SourceLocation,
}

impl Site {
    /// Returns the site of `operator`, at the line that called the surrounding `#[track_caller]` method.
    #[track_caller]
    pub(crate) fn new(operator: &'static str) -> Self {
        Self {
            operator,
            location: Location::caller().into(),
        }
    }
}

impl From<Site> for ErrorContext {
    fn from(site: Site) -> Self {
        Self {
            operator: Some(site.operator),
            location: Some(site.location),
            ..Self::default()
        }
    }
}

/// A line of your program.
///
/// Has the content of a [`Location`], but may come from another process.
///
/// # Examples
///
/// ```
/// let error = holdall::range(0..10).map(|n| 100 / n).count().unwrap_err();
/// let location = error.context().unwrap().location.unwrap();
/// assert_eq!(location.to_string(), format!("{}:{}:{}", file!(), location.line(), location.column()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Spot", into = "Spot")]
pub struct SourceLocation(&'static Spot);

/// Content of a location. Locations are pointers to it, because operators carry one with each record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Spot {
    #[serde(with = "plain")]
    file: &'static Text,
    line: u32,
    column: u32,
}

impl SourceLocation {
    /// Returns the path of the source file, as it was passed to the compiler.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.0.file
    }

    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// Returns the column, counted from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.0.column
    }
}

impl From<&'static Location<'static>> for SourceLocation {
    fn from(location: &'static Location<'static>) -> Self {
        Self::from(Spot {
            file: location.file(),
            line: location.line(),
            column: location.column(),
        })
    }
}

impl From<Spot> for SourceLocation {
    fn from(spot: Spot) -> Self {
        /// Each location is stored once, so memory is bounded by the number of calls in the program.
        static SPOTS: Mutex<Option<HashSet<&'static Spot>>> = Mutex::new(None);
        let mut spots = SPOTS.lock().unwrap_or_else(PoisonError::into_inner);
        let spots = spots.get_or_insert_default();
        if let Some(spot) = spots.get(&spot) {
            return Self(spot);
        }
        let spot: &'static Spot = Box::leak(Box::new(spot));
        spots.insert(spot);
        Self(spot)
    }
}

impl From<SourceLocation> for Spot {
    fn from(location: SourceLocation) -> Self {
        *location.0
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line(), self.column())
    }
}

impl fmt::Debug for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes ` in OPERATOR at FILE:LINE:COLUMN (stage S, partition P, task T or "KEY", FILE record R line L byte N)`, or nothing
/// if all
/// parts are unknown.
impl fmt::Display for ErrorContext {
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
        if let Some(task) = self.task {
            details.push(format!("task {task}"));
        }
        if let Some(key) = &self.key {
            details.push(format!("task {key:?}"));
        }
        let path = self.path.iter().map(|path| path.display().to_string());
        let record = self.record.iter().map(|n| format!("record {n}"));
        let line = self.line.iter().map(|n| format!("line {n}"));
        let offset = self.offset.iter().map(|n| format!("byte {n}"));
        let origin: Vec<_> = path.chain(record).chain(line).chain(offset).collect();
        if !origin.is_empty() {
            details.push(origin.join(" "));
        }
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        Ok(())
    }
}
