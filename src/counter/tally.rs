//! Additions of a task to counters and to bad records. They take effect once, when the task completes. Also the error of a
//! closure whose caller cannot return it to the task.

use std::cell::RefCell;

use super::bad_records::{BadRecord, BadRecords, RejectUpdate, Rejects};
use crate::error::{Error, Result};

/// Additions of one task, by the id of the counter.
pub(crate) type Counts = Vec<(u64, u64)>;

/// Additions of the task that this thread runs.
struct Tally {
    stage: usize,
    partition: Option<usize>,
    counts: Counts,
    rejects: Vec<Rejects>,
    /// The first error of a closure that was called without the task.
    failure: Option<Error>,
}

thread_local! {
    /// While a nested task runs, they are its additions.
    static TALLY: RefCell<Option<Tally>> = const { RefCell::new(None) };
}

/// Adds `n` to the counter with this id. Returns `false` if this thread runs no task.
pub(super) fn count(id: u64, n: u64) -> bool {
    TALLY.with_borrow_mut(|tally| {
        let Some(Tally { counts, .. }) = tally else {
            return false;
        };
        match counts.iter_mut().find(|(other, _)| *other == id) {
            Some((_, count)) => *count += n,
            None => counts.push((id, n)),
        }
        true
    })
}

/// Stores the error of a closure, unless the task that this thread runs has one already.
pub(crate) fn put_failure(error: Error) {
    let unused = TALLY.with_borrow_mut(|tally| match tally {
        Some(Tally { failure, .. }) if failure.is_none() => failure.replace(error),
        Some(_) => Some(error),
        None => unreachable!("tasks call the closures that may fail"),
    });
    // Dropping it may call code of the user, which may count.
    drop(unused);
}

/// Takes the error that [`put_failure`] has stored for the task that this thread runs.
pub(crate) fn take_failure() -> Option<Error> {
    TALLY.with_borrow_mut(|tally| tally.as_mut()?.failure.take())
}

impl BadRecords {
    /// Skips a record.
    ///
    /// # Errors
    ///
    /// Returns an error if this task has skipped more records than the limit, or if the quarantine cannot be written.
    pub(crate) fn reject(&self, record: BadRecord) -> Result<()> {
        let Some(record) = self.try_reject(record)? else {
            return Ok(());
        };
        // No task runs on this thread.
        let mut rejects = Rejects::new(self, 0, None);
        rejects.add(record)?;
        rejects.finish()?.apply(0, (0, usize::MAX))
    }

    /// Adds a record to those of the task. Returns it if this thread runs no task.
    fn try_reject(&self, record: BadRecord) -> Result<Option<BadRecord>> {
        TALLY.with_borrow_mut(|tally| {
            let Some(Tally {
                stage,
                partition,
                rejects,
                ..
            }) = tally
            else {
                return Ok(Some(record));
            };
            let known = rejects.iter().position(|rejects| rejects.are_of(self));
            let at = known.unwrap_or_else(|| {
                rejects.push(Rejects::new(self, *stage, *partition));
                rejects.len() - 1
            });
            rejects[at].add(record)?;
            Ok(None)
        })
    }
}

/// Collects the additions on this thread separately, until `end` returns them.
pub(crate) struct Tallying {
    /// Additions of the enclosing task, which are restored on drop.
    around: Option<Tally>,
}

impl Tallying {
    /// Begins the additions of a task, which belongs to a partition of a stage, or to no single one.
    pub(crate) fn begin(stage: usize, partition: Option<usize>) -> Self {
        let tally = Tally {
            stage,
            partition,
            counts: Vec::new(),
            rejects: Vec::new(),
            failure: None,
        };
        Self {
            around: TALLY.replace(Some(tally)),
        }
    }

    /// Returns the additions since `begin`.
    ///
    /// # Errors
    ///
    /// Returns an error if a file of bad records cannot be completed.
    pub(crate) fn end(self) -> Result<(Counts, Vec<RejectUpdate>)> {
        let Some(Tally {
            counts, rejects, ..
        }) = TALLY.take()
        else {
            return Ok(Default::default());
        };
        let rejects = rejects.into_iter().map(Rejects::finish);
        Ok((counts, rejects.collect::<Result<_>>()?))
    }
}

impl Drop for Tallying {
    fn drop(&mut self) {
        let tally = TALLY.replace(self.around.take());
        // Dropping an unfinished file calls the file system.
        drop(tally);
    }
}
