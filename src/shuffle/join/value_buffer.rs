//! The values of one key, to be gone through more than once.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::shuffle::key::entry;
use crate::shuffle::read::group_stream::GroupCursor;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{Flow, Resources};

/// So much is held whatever the budget says.
const FLOOR_BYTES: usize = 64 << 10;

/// Values in memory as far as there is room, and then all of them in a run.
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

    /// Takes the values that are left of the group that `values` is in, in place of those it had.
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

    /// Makes room for `more` bytes, if it may.
    #[inline]
    fn make_room(&mut self, more: usize) -> bool {
        let needed = self.bytes.len() + more;
        if needed <= self.bytes.capacity() {
            return true;
        }
        let wanted = needed.max(self.bytes.capacity() * 2).max(1024);
        // Old and new are there at once for a moment.
        let is_granted = self.reservation.try_resize(wanted + self.bytes.capacity());
        if !is_granted && wanted > FLOOR_BYTES {
            return false;
        }
        self.bytes.reserve_exact(wanted - self.bytes.len());
        // Less is never refused.
        !is_granted || self.reservation.try_resize(wanted)
    }

    /// Writes what is here, the value that `values` is at, and those behind it to a run.
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

    /// Calls `each` with each value, in order, until it breaks off.
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
