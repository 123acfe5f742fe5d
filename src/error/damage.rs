//! Errors of damaged and lost records, which may be recomputed.

use super::{Error, ErrorKind};

impl Error {
    /// Returns whether shuffled, spilled or persisted records were damaged or missing, and recomputing them did not
    /// help. The disk or the memory of the machine may be faulty.
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

    /// Returns whether the output of an earlier stage is damaged or lost, so that recomputing it may help.
    pub(crate) fn is_recoverable(&self) -> bool {
        matches!(
            *self.0,
            ErrorKind::CorruptRun { .. } | ErrorKind::MapOutputLost | ErrorKind::HomeLost { .. }
        )
    }
}
