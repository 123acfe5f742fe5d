//! The values of one key, to be read more than once.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::shuffle::key::entry;
use crate::shuffle::read::group_stream::GroupCursor;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{Flow, Resources};

/// Memory that a buffer may use whatever the budget says, in bytes.
const FLOOR_BYTES: usize = 64 << 10;

/// Values in memory if they fit, otherwise all of them in a run.
pub(crate) struct ValueBuffer {
    bytes: Vec<u8>,
    reservation: Reservation,
    run: Option<Run>,
    resources: Resources,
}

impl ValueBuffer {
    pub(crate) fn new(resources: &Resources) -> Self {
        Self {
            bytes: Vec::new(),
            reservation: resources.budget.reservation(),
            run: None,
            resources: resources.clone(),
        }
    }

    /// Replaces the buffered values by the unread values of the current group of `values`.
    pub(crate) fn fill(&mut self, values: &mut GroupCursor) -> Result<()> {
        self.bytes.clear();
        self.run = None;
        while values.advance()? {
            let value = values.value();
            if !self.make_room(value.len() + entry::MAX_HEADER_BYTES) {
                return self.spill(values);
            }
            entry::push(&mut self.bytes, 0, value);
        }
        Ok(())
    }

    /// Ensures capacity for `more` bytes. Returns `false` if the budget refuses.
    #[inline]
    fn make_room(&mut self, more: usize) -> bool {
        let needed = self.bytes.len() + more;
        if needed <= self.bytes.capacity() {
            return true;
        }
        let wanted = needed.max(self.bytes.capacity() * 2).max(1024);
        // The old and the new memory briefly exist together.
        let is_granted = self.reservation.try_resize(wanted + self.bytes.capacity());
        if !is_granted && wanted > FLOOR_BYTES {
            return false;
        }
        self.bytes.reserve_exact(wanted - self.bytes.len());
        // Shrinking is never refused.
        !is_granted || self.reservation.try_resize(wanted)
    }

    /// Writes the buffered values, the current value of `values`, and those after it to a run.
    #[cold]
    fn spill(&mut self, values: &mut GroupCursor) -> Result<()> {
        let mut file = RunFile::create(&self.resources.scratch, "values")?;
        let mut run = file.run();
        let mut bytes = &self.bytes[..];
        while !bytes.is_empty() {
            let (_, value, rest) = entry::split_first(bytes);
            run.append(value)?;
            bytes = rest;
        }
        self.bytes = Vec::new();
        self.reservation.clear();
        run.append(values.value())?;
        while values.advance()? {
            run.append(values.value())?;
        }
        self.run = Some(run.finish()?);
        Ok(())
    }

    /// Calls `each` with each value, in order, until it breaks.
    #[inline]
    pub(crate) fn for_each(&self, mut each: impl FnMut(&[u8]) -> Result<Flow>) -> Result<Flow> {
        let mut bytes = &self.bytes[..];
        while !bytes.is_empty() {
            let (_, value, rest) = entry::split_first(bytes);
            if each(value)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            bytes = rest;
        }
        if let Some(run) = &self.run {
            let mut reader = run.reader();
            while let Some(value) = reader.next()? {
                if each(value)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
