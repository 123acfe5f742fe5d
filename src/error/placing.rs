//! Adds to an error where in a job it happened.

use std::panic::Location;

use super::context::{ErrorContext, Site};
use super::{Error, ErrorKind, Result};

/// The context of an [`ErrorKind`] that has one, borrowed as the kind is.
macro_rules! context_of {
    ($kind:expr) => {
        match $kind {
            ErrorKind::NoInput { context, .. }
            | ErrorKind::Io { context, .. }
            | ErrorKind::UnknownScheme { context, .. }
            | ErrorKind::InvalidUtf8 { context, .. }
            | ErrorKind::LineTooLong { context, .. }
            | ErrorKind::InputChanged { context, .. }
            | ErrorKind::InputDiffers { context, .. }
            | ErrorKind::StreamReadTwice { context, .. }
            | ErrorKind::UnsupportedFormat { context, .. }
            | ErrorKind::OutputExists { context, .. }
            | ErrorKind::NotAnOutput { context, .. }
            | ErrorKind::InvalidBag { context, .. }
            | ErrorKind::WrongRecordType { context, .. }
            | ErrorKind::UnsupportedVersion { context, .. }
            | ErrorKind::RecordTooLong { context, .. }
            | ErrorKind::TaskPanicked { context, .. }
            | ErrorKind::Closure { context, .. }
            | ErrorKind::Read { context, .. }
            | ErrorKind::Write { context, .. }
            | ErrorKind::Engine { context, .. }
            | ErrorKind::MissingPartition { context, .. }
            | ErrorKind::Codec { context, .. }
            | ErrorKind::DiskFull { context, .. }
            | ErrorKind::QuotaExceeded { context, .. }
            | ErrorKind::BroadcastTooLarge { context, .. }
            | ErrorKind::CapturingClosure { context }
            | ErrorKind::NotPortable { context, .. }
            | ErrorKind::TooManyAttempts { context, .. }
            | ErrorKind::InvalidGraph { context, .. }
            | ErrorKind::LengthMismatch { context, .. }
            | ErrorKind::DeadlineExceeded { context, .. }
            | ErrorKind::ProgramFailed { context, .. }
            | ErrorKind::NotRepeatable { context } => Some(context),
            _ => None,
        }
    };
}

impl Error {
    /// Returns the location of the error in the job and in your program, if it has one.
    ///
    /// Errors of closures, of sources and of outputs have one, and so have those of reading or writing a file in a job.
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
        context_of!(&*self.0)
    }

    pub(crate) fn context_mut(&mut self) -> Option<&mut ErrorContext> {
        context_of!(&mut *self.0)
    }
}

/// Adds to the error of a result. The compiler makes one function for each type of results, where a closure for
/// `map_err` would be two for each call.
pub(crate) trait PlaceError {
    /// See [`Error::at`].
    fn at(self, site: Site) -> Self;

    /// See [`Error::at_caller`].
    #[track_caller]
    fn at_caller(self) -> Self;

    /// See [`Error::of_stage`].
    fn of_stage(self, number: usize) -> Self;
}

impl<T> PlaceError for Result<T> {
    fn at(self, site: Site) -> Self {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.at(site)),
        }
    }

    #[track_caller]
    fn at_caller(self) -> Self {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.at_caller()),
        }
    }

    fn of_stage(self, number: usize) -> Self {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.of_stage(number)),
        }
    }
}

impl Error {
    /// Sets the operator, unless it is already set.
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

    /// Sets the line that called the surrounding `#[track_caller]` method, unless a line is already set. For methods that
    /// other crates call in methods of other names.
    #[track_caller]
    pub(crate) fn at_caller(mut self) -> Self {
        let location = Location::caller();
        if let Some(context) = self.context_mut() {
            context.location.get_or_insert_with(|| location.into());
        }
        self
    }

    /// Returns whether the error names the file that it is about, so that its context need not repeat it.
    pub(crate) fn names_file(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Io { .. }
                | ErrorKind::InvalidUtf8 { .. }
                | ErrorKind::LineTooLong { .. }
                | ErrorKind::InputChanged { .. }
                | ErrorKind::InputDiffers { .. }
                | ErrorKind::StreamReadTwice { .. }
                | ErrorKind::UnsupportedFormat { .. }
                | ErrorKind::InvalidBag { .. }
        )
    }

    /// Sets the stage of an error that belongs to no single partition.
    pub(crate) fn of_stage(mut self, number: usize) -> Self {
        if let Some(context) = self.context_mut() {
            context.stage = Some(number);
            context.partition = None;
        }
        self
    }

    /// Sets the task of an error, instead of a partition. The first call counts, but the last one for the stage.
    pub(crate) fn of_task(mut self, place: ErrorContext) -> Self {
        let Some(context) = self.context_mut() else {
            return self;
        };
        context.stage = place.stage;
        context.partition = None;
        if context.task.is_none() && context.key.is_none() {
            context.task = place.task;
            context.key = place.key;
            if context.operator.is_none() {
                context.operator = place.operator;
                context.location = place.location;
            }
        }
        self
    }
}
