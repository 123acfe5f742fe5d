//! The stored partitions of a persisted bag.

use std::any::Any;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::{StorageLevel, StoreElsewhere};
use crate::error::Result;
use crate::id::StoreId;
use crate::lineage::{Node, StoredNode};
use crate::shuffle::{Content, RecordBuffer};
use crate::storage::limits::KeptOpen;
use crate::storage::memory::{MemoryBudget, Reservation};
use crate::storage::run::{Run, RunFile};
use crate::storage::scratch::Scratch;
use crate::storage::transfer::Home;
use crate::task::{FilePart, MemoryReclaimer, ReclaimMemory, StopFlag, StoredPartition};

/// Size at which a file takes no further partitions, in bytes. Its disk space is freed when none of its partitions is
/// stored any more.
const FULL_FILE_BYTES: u64 = 256 << 20;

/// A file that further partitions can be appended to. If it may not be kept open, it is used for one write.
pub(super) struct OpenFile {
    pub(super) file: RunFile,
    kept_open: Option<KeptOpen>,
}

/// The parts of a partition, in order.
pub(super) type StoreParts = Vec<StorePart>;

type StorePart = Content<Arc<RecordBuffer>, Arc<Reservation>>;

/// The stored partitions. They are dropped with the last bag that was made from the persisted one, or when only bags
/// that are persisted themselves can read them: see `lineage::holds`.
pub(crate) struct Store {
    id: StoreId,
    pub(super) level: StorageLevel,
    pub(super) budget: MemoryBudget,
    scratch: Scratch,
    partitions: Mutex<HashMap<usize, StoreParts>>,
    /// Number of partitions, once it is known.
    count: OnceLock<usize>,
    /// Number of jobs that rely on the stored partitions.
    pins: AtomicUsize,
    /// Files below the size limit to which no task is writing: one for each task that has run concurrently.
    files: Mutex<Vec<OpenFile>>,
    /// The node to notify when the store becomes complete or incomplete.
    node: OnceLock<Weak<Node>>,
    /// Whether the store takes no further partitions.
    is_closed: AtomicBool,
    /// The memory reclaimer, and whether it has this store: only if the store has partitions, because a loop may release
    /// the stores of many rounds.
    reclaimer: Arc<MemoryReclaimer>,
    is_reclaimable: AtomicBool,
    this: Weak<Self>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenFile {
    pub(super) fn is_kept(&self) -> bool {
        self.kept_open.is_some()
    }
}

impl Store {
    pub(crate) fn new(
        level: StorageLevel,
        partitions: Option<usize>,
        (budget, scratch, reclaimer): (MemoryBudget, Scratch, Arc<MemoryReclaimer>),
    ) -> Arc<Self> {
        // Partitions that cannot be computed one by one must not be lost.
        let level = match (level, partitions) {
            (StorageLevel::Memory, None) => StorageLevel::MemoryThenDisk,
            (level, _) => level,
        };
        Arc::new_cyclic(|this| Self {
            id: StoreId::next(),
            level,
            budget,
            scratch,
            partitions: Mutex::default(),
            count: partitions.map_or_else(OnceLock::new, OnceLock::from),
            pins: AtomicUsize::new(0),
            files: Mutex::default(),
            node: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            reclaimer,
            is_reclaimable: AtomicBool::new(false),
            this: this.clone(),
        })
    }

    /// Sets the node that the partitions belong to. Called once, before the first job.
    pub(crate) fn bind(&self, node: &Arc<Node>) {
        let _ = self.node.set(Arc::downgrade(node));
    }

    fn changed(&self) {
        if let Some(node) = self.node.get().and_then(Weak::upgrade) {
            node.stored_changed();
        }
    }

    /// Returns the number of partitions, if it is known.
    pub(super) fn count(&self) -> Option<usize> {
        self.count.get().copied()
    }

    /// Sets the number of partitions.
    pub(super) fn set_count(&self, count: usize) {
        let _ = self.count.set(count);
        self.close_if_complete();
    }

    pub(super) fn get(&self, index: usize) -> Option<StoreParts> {
        lock(&self.partitions).get(&index).cloned()
    }

    /// Stores a partition. Two jobs may compute it at the same time; if it is already stored, the stored one is kept.
    pub(super) fn put(&self, index: usize, parts: StoreParts) {
        let mut partitions = lock(&self.partitions);
        // Checked with the lock, so that nothing is stored after `close`.
        if self.is_closed() {
            return;
        }
        partitions.entry(index).or_insert(parts);
        if !self.is_reclaimable.swap(true, Ordering::SeqCst)
            && let Some(this) = self.this.upgrade()
        {
            let holder: Arc<dyn ReclaimMemory> = this;
            self.reclaimer.add(&holder);
        }
        drop(partitions);
        self.close_if_complete();
    }

    /// Returns whether the store takes no further partitions.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    pub(super) fn remove(&self, index: usize) {
        lock(&self.partitions).remove(&index);
        self.changed();
    }

    /// Called after a partition has been added. Once all partitions are stored, no more will be written, so the files
    /// are closed.
    fn close_if_complete(&self) {
        if self.is_complete() {
            lock(&self.files).clear();
            self.changed();
        }
    }

    /// Returns a file to write to. The caller must [put it back](Self::put_file).
    pub(super) fn take_file(&self) -> Result<OpenFile> {
        if let Some(open) = lock(&self.files).pop() {
            return Ok(open);
        }
        Ok(OpenFile {
            file: RunFile::create(&self.scratch, "persist")?,
            kept_open: KeptOpen::try_new(),
        })
    }

    pub(super) fn put_file(&self, open: OpenFile) {
        if open.is_kept() && open.file.bytes() < FULL_FILE_BYTES {
            lock(&self.files).push(open);
        }
    }

    /// Writes all stored partitions to files, and returns the locations for workers.
    pub(crate) fn export(&self) -> Result<StoreElsewhere> {
        let mut exported = HashMap::new();
        for (index, parts) in &mut *lock(&self.partitions) {
            let mut files = Vec::new();
            for part in parts {
                self.move_to_disk(part)?;
                if let Content::File(run) = part {
                    files.push(FilePart::of(run));
                }
            }
            exported.insert(*index, files);
        }
        Ok(StoreElsewhere::new(self.id, exported, self.is_closed()))
    }

    /// Moves a part to a file. Returns whether it was in memory.
    fn move_to_disk(&self, part: &mut StorePart) -> Result<bool> {
        let Content::Memory(record_buffer, _reservation) = part else {
            return Ok(false);
        };
        let mut open = self.take_file()?;
        // Other jobs read it, too, so the end of one job must not interrupt the write.
        let run = record_buffer.write_run(&mut open.file, &StopFlag::default());
        self.put_file(open);
        *part = Content::File(run?);
        Ok(true)
    }
}

impl StoredNode for Store {
    fn is_complete(&self) -> bool {
        self.count.get() == Some(&lock(&self.partitions).len())
    }

    fn pin_if_complete(&self) -> bool {
        let partitions = lock(&self.partitions);
        let is_complete = self.count.get() == Some(&partitions.len());
        if is_complete {
            // Still locked, so that no partition is dropped in between.
            self.pins.fetch_add(1, Ordering::SeqCst);
        }
        is_complete
    }

    fn unpin(&self) {
        if self.pins.fetch_sub(1, Ordering::SeqCst) == 1 {
            if self.is_closed() {
                drop(self.release());
            }
            // The pin may have been the only reason to keep it.
            self.changed();
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        drop(self.release());
        self.changed();
    }

    fn id(&self) -> StoreId {
        self.id
    }

    fn adopt(&self, stored: &StoredPartition) -> Result<()> {
        let part = &stored.part;
        let file = match self.scratch.adopt_into(&part.path, part.end(), "persist") {
            Ok(file) => file,
            // The partition will be computed again.
            Err(error) if error.is_recoverable() => return Ok(()),
            Err(error) => return Err(error),
        };
        let run = Run::at(file, part.offset, part.bytes, part.records);
        let mut partitions = lock(&self.partitions);
        if self.is_closed() {
            return Ok(());
        }
        if stored.replaces || !partitions.contains_key(&stored.partition) {
            partitions.insert(stored.partition, vec![Content::File(run)]);
        }
        drop(partitions);
        self.close_if_complete();
        Ok(())
    }

    fn forget(&self, file: &Path, offset: u64) -> bool {
        let in_file = |part: &StorePart| match part {
            Content::File(run) if run.path() == file => {
                Some(run.offset()..=run.offset() + run.bytes())
            }
            _ => None,
        };
        let mut partitions = lock(&self.partitions);
        let before = partitions.len();
        let is_hit = |part: &StorePart| in_file(part).is_some_and(|range| range.contains(&offset));
        partitions.retain(|_, parts| !parts.iter().any(is_hit));
        if partitions.len() == before || !file.exists() {
            partitions.retain(|_, parts| !parts.iter().any(|part| in_file(part).is_some()));
        }
        let forgets = partitions.len() < before;
        drop(partitions);
        if forgets {
            self.changed();
        }
        forgets
    }

    fn forget_home(&self, home: &Home) {
        let is_there = |part: &StorePart| match part {
            Content::File(run) => run.file().home().is_some_and(|its| its == *home),
            Content::Memory(..) => false,
        };
        let mut partitions = lock(&self.partitions);
        let before = partitions.len();
        partitions.retain(|_, parts| !parts.iter().any(is_there));
        let forgets = partitions.len() < before;
        drop(partitions);
        if forgets {
            self.changed();
        }
    }

    fn homes(&self) -> Vec<(usize, Home, u64)> {
        let mut homes = Vec::new();
        for (index, parts) in &*lock(&self.partitions) {
            for part in parts {
                if let Content::File(run) = part
                    && let Some(home) = run.file().home()
                {
                    homes.push((*index, home, run.bytes()));
                }
            }
        }
        homes
    }

    fn release(&self) -> Option<Box<dyn Any + Send>> {
        let mut partitions = lock(&self.partitions);
        if self.pins.load(Ordering::SeqCst) > 0 || partitions.is_empty() {
            return None;
        }
        if self.is_reclaimable.swap(false, Ordering::SeqCst) {
            self.reclaimer.remove(&self.this);
        }
        let files = std::mem::take(&mut *lock(&self.files));
        Some(Box::new((std::mem::take(&mut *partitions), files)))
    }
}

impl ReclaimMemory for Store {
    fn reclaim(&self) -> Result<bool> {
        let mut partitions = lock(&self.partitions);
        let in_memory =
            |parts: &StoreParts| parts.iter().any(|part| matches!(part, Content::Memory(..)));
        if self.level == StorageLevel::Memory && self.pins.load(Ordering::SeqCst) == 0 {
            let before = partitions.len();
            partitions.retain(|_, parts| !in_memory(parts));
            let drops = partitions.len() < before;
            drop(partitions);
            if drops {
                self.changed();
            }
            return Ok(drops);
        }
        let mut has_reclaimed = false;
        for part in partitions.values_mut().flatten() {
            has_reclaimed |= self.move_to_disk(part)?;
        }
        if self.count.get() == Some(&partitions.len()) {
            lock(&self.files).clear();
        }
        Ok(has_reclaimed)
    }
}
