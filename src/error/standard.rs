//! The standard traits of [`Error`]: messages and causes.

use std::fmt;

use super::{Error, ErrorKind};

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
            // A message often ends with its cause.
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
            ErrorKind::StatusPage { source, .. } | ErrorKind::Threads(source) => Some(source),
            ErrorKind::Closure { source, .. }
            | ErrorKind::Read { source, .. }
            | ErrorKind::Write { source, .. }
            | ErrorKind::Engine { source, .. }
            | ErrorKind::Other { source } => Some(&**source),
            ErrorKind::TooManyAttempts { last, .. } => Some(&**last),
            _ => None,
        }
    }
}
