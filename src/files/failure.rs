//! Errors of reading a file of a file system, which decoders must not mistake for damage of its content.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

use crate::error::{Error, ErrorContext, ErrorKind};

/// Reason for which a file could not be read. It is inside an [`io::Error`].
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// The file is not the one that was listed.
    Changed,
    /// A call of the file system failed.
    Failed {
        /// Offset of the first byte that could not be read.
        offset: u64,
        attempts: u32,
        source: io::Error,
    },
}

impl ReadFailure {
    /// Returns the failure that an error contains, directly or as a cause: decoders may wrap errors of their input.
    pub(crate) fn find(error: &io::Error) -> Option<&Self> {
        let mut cause: &(dyn StdError + 'static) = error;
        loop {
            if let Some(failure) = cause.downcast_ref() {
                return Some(failure);
            }
            let inner = cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            cause = match inner {
                Some(inner) => inner,
                None => cause.source()?,
            };
        }
    }
}

/// Returns the error of a failed read. `offset` is that of the byte that could not be read, if it is known.
pub(crate) fn read_error(path: &Path, offset: Option<u64>, source: io::Error) -> Error {
    match ReadFailure::find(&source) {
        None => Error::io_at("read", path, offset, source),
        Some(ReadFailure::Changed) => changed(path),
        Some(failure @ ReadFailure::Failed { offset, .. }) => {
            // At the start, it is the file that could not be opened.
            let offset = Some(*offset).filter(|offset| *offset > 0);
            // Without what decoders have wrapped around it.
            let source = io::Error::new(source.kind(), failure.to_string());
            Error::io_at("read", path, offset, source)
        }
    }
}

/// Returns the error for a file that has changed since it was listed or split.
pub(crate) fn changed(path: &Path) -> Error {
    let path = path.to_owned();
    Error::new(ErrorKind::InputChanged {
        path,
        context: ErrorContext::default(),
    })
}

impl From<ReadFailure> for io::Error {
    fn from(failure: ReadFailure) -> Self {
        let kind = match &failure {
            ReadFailure::Changed => io::ErrorKind::Other,
            ReadFailure::Failed { source, .. } => match source.kind() {
                // The standard library repeats interrupted calls without a bound.
                io::ErrorKind::Interrupted => io::ErrorKind::Other,
                kind => kind,
            },
        };
        Self::new(kind, failure)
    }
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the file has changed"),
            Self::Failed {
                source,
                attempts: 1,
                ..
            } => source.fmt(f),
            Self::Failed {
                source, attempts, ..
            } => write!(f, "{source} (attempt {attempts})"),
        }
    }
}

impl StdError for ReadFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_found_below_other_errors() {
        let failure = || io::Error::from(ReadFailure::Changed);
        assert!(ReadFailure::find(&failure()).is_some());
        assert!(ReadFailure::find(&io::Error::other(failure())).is_some());
        assert!(ReadFailure::find(&io::Error::other("damaged")).is_none());
        assert!(ReadFailure::find(&io::Error::from_raw_os_error(5)).is_none());
    }
}
