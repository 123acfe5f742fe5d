//! Stores the records of a partition while they are computed.

use std::mem;
use std::sync::Arc;

use super::StorageLevel;
use super::store::{OpenFile, Store, StoreParts};
use crate::error::Result;
use crate::pipeline::{Peek, Storable};
use crate::shuffle::{Content, MapPart, RecordBuffer};
use crate::storage::codec::Sampling;
use crate::storage::memory::Reservation;
use crate::task::StopFlag;

/// Stores the records of one partition as they are computed.
pub(super) struct Keeper<'s> {
    store: &'s Store,
    stop: &'s StopFlag,
    record_buffer: RecordBuffer,
    reservation: Reservation,
    parts: StoreParts,
    /// File for records that do not fit into memory. They are appended to it; other partitions may precede and follow
    /// them.
    file: Option<OpenFile>,
    new_bytes: usize,
    /// Checks some of the records. Otherwise, only the next action would find a record that cannot be deserialised.
    sampling: Sampling,
    /// Whether the memory was not sufficient, and the storage level does not include the disk.
    has_given_up: bool,
}

impl<'s> Keeper<'s> {
    pub(super) fn new(store: &'s Store, stop: &'s StopFlag) -> Self {
        Self {
            store,
            stop,
            record_buffer: RecordBuffer::default(),
            reservation: store.budget.reservation(),
            parts: StoreParts::new(),
            file: None,
            new_bytes: 0,
            sampling: Sampling::default(),
            has_given_up: false,
        }
    }

    #[inline]
    pub(super) fn push<T: Storable + ?Sized>(&mut self, record: Peek<'_, T>) -> Result<()> {
        if self.has_given_up {
            return Ok(());
        }
        self.sampling.check(|| T::check(record))?;
        self.new_bytes += self.record_buffer.push::<T>(record)?;
        if self.new_bytes >= RecordBuffer::ACCOUNT_BYTES {
            self.account()?;
        }
        Ok(())
    }

    #[cold]
    fn account(&mut self) -> Result<()> {
        self.new_bytes = 0;
        let level = self.store.level;
        if level != StorageLevel::Disk
            && self
                .reservation
                .try_resize(self.record_buffer.memory_bytes())
        {
            return Ok(());
        }
        if level == StorageLevel::Memory {
            self.has_given_up = true;
            self.record_buffer = RecordBuffer::default();
            self.reservation.clear();
            return Ok(());
        }
        self.spill()
    }

    fn spill(&mut self) -> Result<()> {
        let mut open = match self.file.take() {
            Some(open) => open,
            None => self.store.take_file()?,
        };
        self.record_buffer.complete();
        let run = self.record_buffer.write_run(&mut open.file, self.stop)?;
        self.record_buffer.clear();
        self.file = Some(open).filter(OpenFile::is_kept);
        self.reservation.clear();
        if let Some(Content::File(last)) = self.parts.last_mut()
            && let Some(longer) = last.followed_by(&run)
        {
            *last = longer;
        } else {
            self.parts.push(Content::File(run));
        }
        Ok(())
    }

    pub(super) fn finish(mut self, index: usize) -> Result<()> {
        self.record_buffer.trim();
        self.account()?;
        if self.has_given_up {
            return Ok(());
        }
        let mut parts = mem::take(&mut self.parts);
        if !self.record_buffer.is_empty() {
            self.reservation.trim();
            let record_buffer = Arc::new(mem::take(&mut self.record_buffer));
            parts.push(Content::Memory(
                record_buffer,
                Arc::new(self.reservation.take()),
            ));
        }
        self.put_file_back();
        self.store.put(index, parts);
        Ok(())
    }

    fn put_file_back(&mut self) {
        if let Some(file) = self.file.take() {
            self.store.put_file(file);
        }
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        self.put_file_back();
    }
}
