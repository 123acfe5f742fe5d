//! `collect`, `take` and `first`: return the records unchanged.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::{Error, ErrorContext, ErrorKind, PlaceError as _, Result, caught};
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::portable;
use crate::storage::codec::{self, Sampling};
use crate::task::{Flow, Partition, Site, Task};

/// Approximate size of a chunk of results, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Maximum number of records in a chunk. Records may have no bytes at all.
const CHUNK_RECORDS: usize = 64 << 10;

/// Size of the number of records at the start of a chunk, in bytes.
const HEAD_BYTES: usize = size_of::<u32>();

/// The first records of a partition.
pub(crate) struct Collect<T: ?Sized> {
    site: Site,
    /// Maximum number of records that are needed.
    most: usize,
    records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized] Collect<T> { site: part, most: data, records: part }
}

impl<T: ?Sized> Collect<T> {
    /// Collects all records.
    pub(crate) fn all(site: Site) -> Self {
        Self::most(site, usize::MAX)
    }

    /// Collects the first `most` records. `most` must be at least 1.
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

    fn site(&self) -> Site {
        self.site
    }

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

/// Sends records in chunks. A chunk is the number of its records, followed by the bytes of each.
pub(crate) struct Sending<'s> {
    site: Site,
    task: &'s Task<'s>,
    emit: &'s mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    chunk: Vec<u8>,
    records: usize,
    sampling: Sampling,
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
            chunk: vec![0; HEAD_BYTES],
            records: 0,
            sampling: Sampling::default(),
            is_broken_off: false,
        }
    }

    pub(crate) fn push<R: Data>(&mut self, record: &R) -> Flow {
        // The codec calls `Serialize`, which may be user code.
        let encoded = self.task.call(&self.site, || {
            self.sampling.check(|| codec::check(record))?;
            codec::encode_framed(record, &mut self.chunk)
        });
        if let Err(error) = encoded {
            return self.task.fail_at(self.site, error);
        }
        self.records += 1;
        if self.chunk.len() < CHUNK_BYTES && self.records < CHUNK_RECORDS {
            return ControlFlow::Continue(());
        }
        let flow = self.send();
        let flow = flow.unwrap_or_else(|error| self.task.fail_with(error));
        self.is_broken_off = flow.is_break();
        flow
    }

    fn send(&mut self) -> Result<Flow> {
        let mut chunk = std::mem::replace(&mut self.chunk, vec![0; HEAD_BYTES]);
        // A chunk has at most `CHUNK_RECORDS` records.
        let records = std::mem::take(&mut self.records) as u32;
        chunk[..HEAD_BYTES].copy_from_slice(&records.to_le_bytes());
        (self.emit)(chunk)
    }

    /// Sends the last chunk.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.records > 0 && !self.is_broken_off {
            let _ = self.send()?;
        }
        Ok(())
    }
}

/// Decodes the records of a chunk.
pub(crate) fn receive<R: Data>(chunk: &[u8], site: Site) -> Result<Vec<R>> {
    // Decoding may run user code.
    let records = caught(Some(site), || {
        let (head, mut bytes) = chunk
            .split_first_chunk()
            .ok_or_else(|| disagrees::<R>("its head is missing"))?;
        let mut records = Vec::new();
        for _ in 0..u32::from_le_bytes(*head) {
            records.push(codec::decode_framed(&mut bytes)?);
        }
        if bytes.is_empty() {
            Ok(records)
        } else {
            Err(disagrees::<R>("bytes are left over"))
        }
    });
    records.at(site)
}

#[cold]
fn disagrees<R>(what: &str) -> Error {
    Error::new(ErrorKind::Codec {
        context: ErrorContext::default(),
        type_name: std::any::type_name::<R>(),
        reason: format!("a chunk of results does not match its header: {what}"),
    })
}

/// Computes whether a partition has a record.
pub(crate) struct HasAny {
    pub(crate) site: Site,
}

portable! {
    [] HasAny { site: part }
}

impl<T: Record + ?Sized> Action<T> for HasAny {
    type Part = bool;

    fn site(&self) -> Site {
        self.site
    }

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
