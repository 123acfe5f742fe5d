//! `collect`, `take` and `first`: records as they are.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::portable;
use crate::storage::codec;
use crate::task::{Flow, Partition, Site, Task};

/// So many bytes of records are sent at once, about.
const CHUNK_BYTES: usize = 64 << 10;

/// The first records of a partition.
pub(crate) struct Collect<T: ?Sized> {
    site: Site,
    /// More than this many are not needed.
    most: usize,
    records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized] Collect<T> { site: part, most: data, records: part }
}

impl<T: ?Sized> Collect<T> {
    /// All records.
    pub(crate) fn all(site: Site) -> Self {
        Self::most(site, usize::MAX)
    }

    /// The first `most`, at least one.
    pub(crate) fn most(site: Site, most: usize) -> Self {
        let records = PhantomData;
        Self {
            site,
            most,
            records,
        }
    }
}

impl<T: Record<Owned: Data> + ?Sized> Action<T> for Collect<T> {
    type Part = Vec<T::Owned>;

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = T>,
    {
        let mut records = Vec::new();
        let _ = pipeline.run(partition, task, &mut |record| {
            records.push(T::into_owned(record));
            if records.len() < self.most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(records)
    }

    fn send<P>(
        &self,
        pipeline: &P,
        partition: Partition,
        task: &Task<'_>,
        emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    ) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let mut sending = Sending::new(self.site, task, emit);
        let mut left = self.most;
        let _ = pipeline.run(partition, task, &mut |record| {
            sending.push(&T::into_owned(record))?;
            left -= 1;
            if left > 0 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        sending.finish()
    }

    fn receive(&self, bytes: &[u8]) -> Result<Self::Part> {
        receive(bytes, self.site)
    }
}

/// Records on their way, in chunks.
pub(crate) struct Sending<'s> {
    site: Site,
    task: &'s Task<'s>,
    emit: &'s mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    chunk: Vec<u8>,
    is_checked: bool,
    is_broken_off: bool,
}

impl<'s> Sending<'s> {
    pub(crate) fn new(
        site: Site,
        task: &'s Task<'s>,
        emit: &'s mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    ) -> Self {
        Self {
            site,
            task,
            emit,
            chunk: Vec::new(),
            is_checked: false,
            is_broken_off: false,
        }
    }

    pub(crate) fn push<R: Data>(&mut self, record: &R) -> Flow {
        // The codec calls `Serialize`, which may be the program's.
        let encoded = self.task.call(&self.site, || {
            if !std::mem::replace(&mut self.is_checked, true) {
                codec::check(record)?;
            }
            codec::encode_framed(record, &mut self.chunk)
        });
        if let Err(error) = encoded {
            return self.task.fail_at(self.site, error);
        }
        if self.chunk.len() < CHUNK_BYTES {
            return ControlFlow::Continue(());
        }
        let flow = (self.emit)(std::mem::take(&mut self.chunk));
        let flow = flow.unwrap_or_else(|error| self.task.fail_with(error));
        self.is_broken_off = flow.is_break();
        flow
    }

    /// Sends what is left, unless the partition has failed.
    pub(crate) fn finish(self) -> Result<()> {
        if !self.chunk.is_empty() && !self.is_broken_off && !self.task.has_failed() {
            let _ = (self.emit)(self.chunk)?;
        }
        Ok(())
    }
}

/// The records of a chunk.
pub(crate) fn receive<R: Data>(mut bytes: &[u8], site: Site) -> Result<Vec<R>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let record = codec::decode_framed(&mut bytes);
        records.push(record.map_err(|error| error.at(site))?);
    }
    Ok(records)
}

/// Whether a partition has a record.
pub(crate) struct HasAny {
    pub(crate) site: Site,
}

portable! {
    [] HasAny { site: part }
}

impl<T: Record + ?Sized> Action<T> for HasAny {
    type Part = bool;

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<bool>
    where
        P: Pipeline<Out = T>,
    {
        let mut has_any = false;
        let _ = pipeline.run(partition, task, &mut |_| {
            has_any = true;
            ControlFlow::Break(())
        })?;
        Ok(has_any)
    }

    sent_whole!(T);
}
