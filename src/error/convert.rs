//! Conversion of your program's errors to errors of this library, and of these to errors of the system.

use std::io;

use super::{BoxError, Error, ErrorKind};

impl Error {
    /// Wraps an error of your program, so that one function can return it and the errors of this library.
    ///
    /// # Examples
    ///
    /// ```
    /// fn largest(numbers: Vec<u64>) -> holdall::Result<u64> {
    ///     holdall::from_vec(numbers).max()?.ok_or_else(|| holdall::Error::other("there are no numbers"))
    /// }
    /// assert_eq!(largest(vec![3, 5])?, 5);
    /// assert_eq!(largest(Vec::new()).unwrap_err().to_string(), "there are no numbers");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn other(error: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::Other {
            source: error.into(),
        })
    }

    /// Returns an error of this library unchanged, even if it was converted to an [`io::Error`]. Passes all other
    /// errors to `wrap`, including those of [`Error::other`].
    pub(crate) fn of_cause(cause: BoxError, wrap: impl FnOnce(BoxError) -> ErrorKind) -> Self {
        let error = match cause.downcast::<Self>() {
            Ok(error) => *error,
            Err(cause) => match cause.downcast::<io::Error>() {
                Ok(error) => (*error).into(),
                Err(cause) => Self::other(cause),
            },
        };
        match error.into_kind() {
            ErrorKind::Other { source } => Self::new(wrap(source)),
            kind => Self::new(kind),
        }
    }
}

/// Wraps an error as [`Error::other`] does. An [`Error`] that was converted to an [`io::Error`] is unwrapped again.
///
/// # Examples
///
/// ```
/// fn count_lines(list: &str) -> holdall::Result<u64> {
///     let paths = std::fs::read_to_string(list)?;
///     holdall::read_text(paths.lines().collect::<Vec<_>>())?.count()
/// }
/// assert!(count_lines("no/such/file").unwrap_err().is_io());
/// ```
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::other)
    }
}

/// Wraps an error, with the [`io::ErrorKind`] that fits best. An [`io::Error`] that was converted to an [`Error`] is
/// unwrapped again.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// fn count_lines(path: &str) -> io::Result<u64> {
///     Ok(holdall::read_text(path)?.count()?)
/// }
/// assert_eq!(count_lines("no/such/file").unwrap_err().kind(), io::ErrorKind::NotFound);
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.into_kind() {
            ErrorKind::Other { source } => match source.downcast::<io::Error>() {
                Ok(error) => return *error,
                Err(source) => ErrorKind::Other { source },
            },
            kind => kind,
        };
        Self::new(io_kind(&kind), Error::new(kind))
    }
}

fn io_kind(kind: &ErrorKind) -> io::ErrorKind {
    match kind {
        ErrorKind::Io { source, .. }
        | ErrorKind::DiskFull { source, .. }
        | ErrorKind::StatusPage { source, .. }
        | ErrorKind::Threads(source) => source.kind(),
        ErrorKind::Read { source, .. }
        | ErrorKind::Write { source, .. }
        | ErrorKind::Engine { source, .. } => {
            let source = source.downcast_ref::<io::Error>();
            source.map_or(io::ErrorKind::Other, io::Error::kind)
        }
        ErrorKind::NoInput { .. } => io::ErrorKind::NotFound,
        ErrorKind::OutputExists { .. } => io::ErrorKind::AlreadyExists,
        ErrorKind::InvalidUtf8 { .. } => io::ErrorKind::InvalidData,
        ErrorKind::InvalidPattern { .. }
        | ErrorKind::InvalidSetting { .. }
        | ErrorKind::UnknownScheme { .. } => io::ErrorKind::InvalidInput,
        ErrorKind::QuotaExceeded { .. } => io::ErrorKind::QuotaExceeded,
        _ => io::ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_a_conversion_and_back() {
        let error = io::Error::from(Error::from(io::Error::from_raw_os_error(28)));
        assert_eq!(error.raw_os_error(), Some(28));

        let lost = || Error::new(ErrorKind::MapOutputLost);
        let error = Error::from(io::Error::from(lost()));
        assert!(matches!(error.kind(), ErrorKind::MapOutputLost));

        let error = io::Error::from(Error::other("why"));
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(Error::from(error).to_string(), "why");
    }

    #[test]
    fn only_foreign_causes_are_wrapped() {
        let wrapped = |cause: BoxError| {
            let context = crate::error::ErrorContext::default();
            Error::of_cause(cause, |source| ErrorKind::Read { context, source })
        };
        let is_read = |error: &Error| matches!(error.kind(), ErrorKind::Read { .. });
        let lost = || Error::new(ErrorKind::MapOutputLost);
        for ours in [lost().into(), io::Error::from(lost()).into()] {
            assert!(matches!(wrapped(ours).kind(), ErrorKind::MapOutputLost));
        }
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        for foreign in [missing().into(), Error::from(missing()).into()] {
            let error = wrapped(foreign);
            assert!(is_read(&error) && error.is_io(), "{error}");
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
        }
        let error = wrapped("why".into());
        assert!(is_read(&error) && !error.is_io(), "{error}");
        assert_eq!(error.to_string(), "cannot read records: why");
    }

    #[test]
    fn the_kind_of_an_io_error_is_kept() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Error::io("read", "a".as_ref(), denied);
        assert_eq!(
            io::Error::from(error).kind(),
            io::ErrorKind::PermissionDenied
        );
        assert!(Error::from(io::Error::from(io::ErrorKind::NotFound)).is_io());
        assert!(!Error::other("why").is_io());
    }

    #[test]
    fn damage_is_told_after_the_last_attempt_too() {
        let lost = Error::new(ErrorKind::MapOutputLost);
        assert!(lost.is_damage() && lost.is_recoverable());
        let last = Error::new(ErrorKind::TooManyAttempts {
            context: Default::default(),
            attempts: 4,
            last: Box::new(lost),
        });
        assert!(last.is_damage() && !last.is_recoverable());
        let cancelled = Error::new(ErrorKind::Cancelled);
        assert!(cancelled.is_cancelled() && !cancelled.is_damage());
    }
}
