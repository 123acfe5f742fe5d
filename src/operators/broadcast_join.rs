//! `join_broadcast` and related joins with a small bag that is sent to every task.
//!
//! Map side of the small bag: `records_by_key` with one partition, which must fit into memory. The other bag is not
//! shuffled: each of its records looks up its key, and partitions and order are unchanged.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::broadcast_joinings::BroadcastJoining;
use super::lookup_batch::LookupBatch;
use crate::error::{PlaceError as _, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Key, Pipeline, count_erased};
use crate::portable::{Portable, portable};
use crate::shuffle::{KeyTable, KeyedOutputs, Lookup};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

pub(crate) struct BroadcastJoined<P, J> {
    pub(crate) parent: Arc<P>,
    pub(crate) small: ShuffleId,
    pub(crate) site: Site,
    pub(crate) joining: PhantomData<fn(J)>,
}

portable! {
    [P: Portable, J] BroadcastJoined<P, J> { parent: part, site: part, small: data, joining: part }
}

impl<P, J> Pipeline for BroadcastJoined<P, J>
where
    P: Pipeline<Out = (J::Key, J::Value)>,
    J: BroadcastJoining,
{
    type Out = J::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(J::Out) -> Flow,
    {
        let outputs = task.map_outputs(self.small, |blocks| {
            KeyedOutputs::import_broadcast(blocks, task.resources())
        })?;
        let small = outputs.lookup(task.resources()).at(self.site)?;
        // The code that encodes and decodes keys and values may be user code.
        let table =
            small.made(|| task.call(&self.site, || small.table(task.resources(), J::convert)));
        let table = table.at(self.site)?.as_ref();
        let mut rows = Rows::<J> {
            site: self.site,
            batch: LookupBatch::new(),
            table,
            small: &small,
            buffer: Vec::new(),
        };
        let flow = self
            .parent
            .run(partition, task, &mut |record| rows.add(record, task, sink))?;
        match flow {
            ControlFlow::Continue(()) => Ok(rows.push_batch(task, sink)),
            ControlFlow::Break(()) => Ok(flow),
        }
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}

/// Finds the rows of the records of a partition.
struct Rows<'t, J: BroadcastJoining> {
    site: Site,
    batch: LookupBatch<J>,
    table: Option<&'t KeyTable>,
    small: &'t Lookup,
    /// For the bytes of a long key.
    buffer: Vec<u8>,
}

impl<J: BroadcastJoining> Rows<'_, J> {
    /// Pushes the rows of a record, or keeps it in the batch.
    #[inline(always)]
    fn add(
        &mut self,
        record: (J::Key, J::Value),
        task: &Task<'_>,
        sink: &mut impl FnMut(J::Out) -> Flow,
    ) -> Flow {
        let site = self.site;
        let short = match self.table {
            Some(table) => task
                .call(&site, || J::Key::short(&record.0))
                .map(|key| (table, key)),
            None => None,
        };
        if let Some((table, key)) = short
            && LookupBatch::<J>::MAY_ADD
        {
            return match self.batch.add(record, table.probe(key)) {
                true => self.push_batch(task, sink),
                false => ControlFlow::Continue(()),
            };
        }
        if !self.batch.is_empty() {
            self.push_batch(task, sink)?;
        }
        let outcome = task.call(&site, || match short {
            Some((table, key)) => J::push_fixed(record, table.find(table.probe(key)), task, sink),
            None => J::push(record, &mut self.buffer, self.small, task, sink),
        });
        outcome.unwrap_or_else(|error| task.fail_at(site, error))
    }

    fn push_batch(&mut self, task: &Task<'_>, sink: &mut impl FnMut(J::Out) -> Flow) -> Flow {
        let (Some(table), site) = (self.table, self.site) else {
            return ControlFlow::Continue(());
        };
        task.behind_the_source(&mut || {
            let outcome = task.call(&site, || self.batch.push_rows(table, task, sink));
            outcome.unwrap_or_else(|error| task.fail_at(site, error))
        })
    }
}
