//! Errors of DataFusion as errors of holdall.

use std::io;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::object_store;
use datafusion::parquet::errors::ParquetError;
use holdall::{BoxError, Error};

/// Returns the cause of an error: that of holdall, if it is one that DataFusion has wrapped.
pub(crate) fn cause(error: DataFusionError) -> BoxError {
    match error {
        DataFusionError::External(cause) => unwrapped(cause),
        DataFusionError::ArrowError(error, backtrace) => match *error {
            ArrowError::ExternalError(cause) => unwrapped(cause),
            ArrowError::IoError(_, error) => unwrapped(error.into()),
            error => DataFusionError::ArrowError(Box::new(error), backtrace).into(),
        },
        DataFusionError::ObjectStore(error) => match *error {
            object_store::Error::Generic { source, .. } => unwrapped(source),
            error => error.into(),
        },
        DataFusionError::ParquetError(error) => match *error {
            ParquetError::External(cause) => unwrapped(cause),
            error => error.into(),
        },
        DataFusionError::IoError(error) => unwrapped(error.into()),
        DataFusionError::Context(_, error) | DataFusionError::Diagnostic(_, error) => cause(*error),
        DataFusionError::Shared(error) => match Arc::try_unwrap(error) {
            Ok(error) => cause(error),
            Err(error) => error.to_string().into(),
        },
        DataFusionError::ExecutionJoin(error) if error.is_panic() => {
            let panic = error.into_panic();
            let message = panic.downcast_ref::<&str>().map(ToString::to_string);
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
            format!("a panic: {}", message.unwrap_or_default()).into()
        }
        error => error.into(),
    }
}

/// Continues with the error that is the cause of another one.
fn unwrapped(cause_of: BoxError) -> BoxError {
    let cause_of = match cause_of.downcast::<DataFusionError>() {
        Ok(error) => return cause(*error),
        Err(other) => other,
    };
    let cause_of = match cause_of.downcast::<ArrowError>() {
        Ok(error) => return cause(DataFusionError::ArrowError(error, None)),
        Err(other) => other,
    };
    let cause_of = match cause_of.downcast::<object_store::Error>() {
        Ok(error) => return cause(DataFusionError::ObjectStore(error)),
        Err(other) => other,
    };
    match cause_of.downcast::<io::Error>() {
        Ok(error) => match error.downcast::<Error>() {
            Ok(error) => error.into(),
            Err(error) => error.into(),
        },
        Err(other) => other,
    }
}

/// Converts an error of planning.
pub(crate) fn invalid(error: DataFusionError) -> Error {
    match cause(error).downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::other(error),
    }
}

/// Adds the name of a file to an error that does not have it.
pub(crate) fn in_file(path: &Path, error: impl Into<BoxError>) -> Error {
    match unwrapped(error.into()).downcast::<Error>() {
        Ok(error) if !matches!(error.kind(), holdall::ErrorKind::Other { .. }) => *error,
        Ok(error) => Error::other(format!("{path:?}: {error}")),
        Err(error) => Error::other(format!("{path:?}: {error}")),
    }
}

/// Wraps an error of holdall for DataFusion.
pub(crate) fn external(error: impl Into<BoxError>) -> DataFusionError {
    DataFusionError::External(error.into())
}
