//! The signal that the tasks of a job must end, and its regular check by readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Number of records between two checks of a [`StopFlag`]. Larger values delay the end of a stopped job; smaller ones
/// take time from each record.
pub(crate) const STOP_CHECK_RECORDS: usize = 1024;

/// Signal that the tasks of a job must end. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFlag(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    is_set: AtomicBool,
    /// Flag of the job that this one is a part of.
    whole: Option<StopFlag>,
}

impl StopFlag {
    /// Returns a flag for a part of the job: it also counts as set if `self` is set.
    pub(crate) fn of_part(&self) -> Self {
        Self(Arc::new(Signal {
            is_set: AtomicBool::new(false),
            whole: Some(self.clone()),
        }))
    }

    pub(crate) fn set(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Relaxed) || self.0.whole.as_ref().is_some_and(Self::is_set)
    }

    /// Checks whether a reader or writer may go on.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Cancelled`] if the flag is set. No caller can then mistake the records that were read for
    /// all records.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_set() {
            true => Err(Error::new(ErrorKind::Cancelled)),
            false => Ok(()),
        }
    }

    /// Returns a counter of records that checks this flag at intervals.
    pub(crate) fn checks(&self) -> StopCheck {
        StopCheck {
            flag: self.clone(),
            records_left: STOP_CHECK_RECORDS,
        }
    }
}

/// Counts the records of one reader, and checks a [`StopFlag`] once in [`STOP_CHECK_RECORDS`] records.
#[derive(Debug)]
pub(crate) struct StopCheck {
    flag: StopFlag,
    records_left: usize,
}

impl StopCheck {
    /// Counts one record.
    #[inline(always)]
    pub(crate) fn count(&mut self) -> Result<()> {
        self.count_all(1)
    }

    /// Counts `records` records together.
    #[inline(always)]
    pub(crate) fn count_all(&mut self, records: usize) -> Result<()> {
        self.records_left = self.records_left.saturating_sub(records);
        if self.records_left == 0 {
            return self.check();
        }
        Ok(())
    }

    /// Checks the flag immediately.
    #[cold]
    #[inline(never)]
    pub(crate) fn check(&mut self) -> Result<()> {
        self.records_left = STOP_CHECK_RECORDS;
        self.flag.check()
    }
}
