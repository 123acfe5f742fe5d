//! Adds to an error where in a job it happened.

use std::panic::Location;

use super::context::{ErrorContext, Site};
use super::{Error, ErrorKind, Result};

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
