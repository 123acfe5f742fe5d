//! Records of a broadcast join that look up their keys together.

use std::mem;
use std::ops::ControlFlow;

use super::broadcast_joinings::BroadcastJoining;
use crate::error::Result;
use crate::shuffle::{KeyTable, TableProbe};
use crate::task::{Flow, Task};

/// Maximum number of records in a batch. Together, they and the parts of the table that they need fit into the
/// first-level cache.
const BATCH_RECORDS: usize = 64;

/// Buffers records while the parts of the table for their keys are fetched.
///
/// The CPU cannot predict whether a key is in the table. In a batch, the absent keys are removed without a branch.
pub(super) struct LookupBatch<J: BroadcastJoining> {
    records: Vec<(J::Key, J::Value)>,
    probes: Vec<TableProbe>,
    /// Number of records of a full batch. Small at first, for actions that need only a few rows.
    full: usize,
}

impl<J: BroadcastJoining> LookupBatch<J> {
    /// Whether records are buffered at all. Those with memory of their own are not: the memory of all records of a
    /// batch would be in use at once.
    pub(super) const MAY_ADD: bool = !mem::needs_drop::<(J::Key, J::Value)>();

    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            probes: Vec::new(),
            full: 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Adds a record. Returns whether the batch is now full.
    #[inline(always)]
    pub(super) fn add(&mut self, record: (J::Key, J::Value), probe: TableProbe) -> bool {
        self.records.push(record);
        self.probes.push(probe);
        self.records.len() == self.full
    }

    /// Pushes the rows of all records, and empties the batch.
    #[inline(never)]
    pub(super) fn push_rows(
        &mut self,
        table: &KeyTable,
        task: &Task<'_>,
        sink: &mut impl FnMut(J::Out) -> Flow,
    ) -> Result<Flow> {
        self.full = (self.full * 2).min(BATCH_RECORDS);
        let mut kept = 0;
        for at in 0..self.records.len() {
            let probe = self.probes[at];
            self.records.swap(kept, at);
            self.probes[kept] = probe;
            kept += usize::from(table.may_have(probe) | J::KEEPS_MISSING);
        }
        self.records.truncate(kept);
        let mut probes = self.probes.drain(..);
        for (record, probe) in self.records.drain(..).zip(&mut probes) {
            let flow = J::push_fixed(record, table.find(probe), task, sink)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
