//! `persist`: partitions that are kept once they have been computed. Narrow.

mod elsewhere;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::id::StoreId;
use crate::lineage::Stored;
use crate::pipeline::{Boxed, Peek, Pipeline, Record, Ref, Storable};
use crate::portable::{Loader, Portable, Saver};
use crate::shuffle::{Content, InMemory, Spool, replay};
use crate::storage::codec::Sampling;
use crate::storage::memory::{MemoryBudget, Reservation};
use crate::storage::run::{Run, RunFile};
use crate::storage::scratch::Scratch;
use crate::task::{
    FilePart, Flow, Partition, PartitionStream, Relieve, Site, StoredPartition, Task,
};

pub(crate) use elsewhere::StoreElsewhere;

/// Where [`persist`](crate::Bag::persist) keeps records.
///
/// # Examples
///
/// ```
/// use holdall::Persistence;
///
/// // More than memory, and dear to compute.
/// let parsed = holdall::from_vec(vec!["1", "2"]).map(|text| text.parse::<u32>().ok());
/// let parsed = parsed.persist(Persistence::Disk);
/// assert_eq!(parsed.count()?, 2);
/// assert_eq!(parsed.collect()?, [Some(1), Some(2)]); // read back
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Persistence {
    /// In memory as long as there is room; what there is no room for is computed again when it is needed. The
    /// partitions of a bag whose number of partitions is not known go to the disk instead, since they cannot be
    /// computed one by one.
    Memory,
    /// In memory as long as there is room, and then on the disk.
    #[default]
    MemoryThenDisk,
    /// On the disk.
    Disk,
}

/// After how many bytes of records the memory for them is accounted for again.
const ACCOUNT_BYTES: usize = 64 << 10;

/// Where partitions are kept: here, or in another process.
pub(crate) enum Keeping {
    Here(Arc<Store>),
    Elsewhere(StoreElsewhere),
}

/// What has been computed of a bag. It goes when the last bag that needs it does.
pub(crate) struct Store {
    id: StoreId,
    persistence: Persistence,
    budget: MemoryBudget,
    scratch: Scratch,
    partitions: Mutex<HashMap<usize, Vec<Content<Arc<Spool>>>>>,
    /// How many partitions there are, once that is known.
    count: OnceLock<usize>,
    /// How many jobs rely on what is here.
    pins: AtomicUsize,
}

impl Store {
    pub(crate) fn new(
        persistence: Persistence,
        partitions: Option<usize>,
        budget: MemoryBudget,
        scratch: Scratch,
    ) -> Self {
        // What cannot be computed partition by partition must not be lost.
        let persistence = match (persistence, partitions) {
            (Persistence::Memory, None) => Persistence::MemoryThenDisk,
            (persistence, _) => persistence,
        };
        Self {
            id: StoreId::next(),
            persistence,
            budget,
            scratch,
            partitions: Mutex::default(),
            count: partitions.map_or_else(OnceLock::new, OnceLock::from),
            pins: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Vec<Content<Arc<Spool>>>>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there, for workers: all of it in files.
    pub(crate) fn export(&self) -> Result<StoreElsewhere> {
        let mut exported = HashMap::new();
        for (index, parts) in &mut *self.lock() {
            let mut files = Vec::new();
            for part in parts {
                self.move_to_disk(part)?;
                if let Content::File(run) = part {
                    files.push(FilePart::of(run));
                }
            }
            exported.insert(*index, files);
        }
        Ok(StoreElsewhere::new(self.id, exported))
    }

    /// Says whether it was in memory.
    fn move_to_disk(&self, part: &mut Content<Arc<Spool>>) -> Result<bool> {
        if let Content::Memory(spool, _reservation) = part {
            *part = Content::File(self.write(spool)?);
            return Ok(true);
        }
        Ok(false)
    }

    fn write(&self, spool: &Spool) -> Result<Run> {
        let mut file = RunFile::create(&self.scratch, "persist")?;
        spool.write_run(&mut file)
    }
}

impl Stored for Store {
    fn is_complete(&self) -> bool {
        self.count.get() == Some(&self.lock().len())
    }

    fn pin_if_complete(&self) -> bool {
        let partitions = self.lock();
        let is_complete = self.count.get() == Some(&partitions.len());
        if is_complete {
            // While the lock is held, so that nobody drops anything in between.
            self.pins.fetch_add(1, Ordering::SeqCst);
        }
        is_complete
    }

    fn unpin(&self) {
        self.pins.fetch_sub(1, Ordering::SeqCst);
    }

    fn id(&self) -> StoreId {
        self.id
    }

    fn adopt(&self, stored: &StoredPartition) -> Result<()> {
        let part = &stored.part;
        let file = match self.scratch.adopt_into(&part.path, "persist") {
            Ok(file) => file,
            // Then it is computed again.
            Err(error) if error.is_damage() => return Ok(()),
            Err(error) => return Err(error),
        };
        let run = Run::at(file, part.offset, part.bytes, part.records);
        let mut partitions = self.lock();
        if stored.replaces || !partitions.contains_key(&stored.partition) {
            partitions.insert(stored.partition, vec![Content::File(run)]);
        }
        Ok(())
    }

    fn forget(&self, file: &Path) -> bool {
        let mut partitions = self.lock();
        let before = partitions.len();
        let is_in = |part: &Content<_>| matches!(part, Content::File(run) if run.path() == file);
        partitions.retain(|_, parts| !parts.iter().any(is_in));
        partitions.len() < before
    }
}

impl Relieve for Store {
    fn relieve(&self) -> Result<bool> {
        let mut partitions = self.lock();
        let in_memory = |parts: &Vec<Content<Arc<Spool>>>| {
            parts.iter().any(|part| matches!(part, Content::Memory(..)))
        };
        if self.persistence == Persistence::Memory && self.pins.load(Ordering::SeqCst) == 0 {
            let before = partitions.len();
            partitions.retain(|_, parts| !in_memory(parts));
            return Ok(partitions.len() < before);
        }
        let mut is_relieved = false;
        for part in partitions.values_mut().flatten() {
            is_relieved |= self.move_to_disk(part)?;
        }
        Ok(is_relieved)
    }
}

pub(crate) struct Persist<T: Record + ?Sized> {
    pub(crate) parent: Boxed<T>,
    pub(crate) keeping: Keeping,
    pub(crate) site: Site,
}

impl<T: Record + ?Sized> Portable for Persist<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.parent.save(to)?;
        self.site.save(to)?;
        match &self.keeping {
            Keeping::Here(store) => to.data(&store.export()?),
            Keeping::Elsewhere(store) => to.data(store),
        }
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        Ok(Self {
            parent: Portable::load(from)?,
            site: Portable::load(from)?,
            keeping: Keeping::Elsewhere(from.data()?),
        })
    }
}

impl<T: Storable + ?Sized> Pipeline for Persist<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        let Keeping::Here(store) = &self.keeping else {
            return self.parent.stream();
        };
        if store.is_complete() {
            let mut indices = 0..store.count.get().copied().unwrap_or(0);
            return Box::new(move || Ok(indices.next().map(Partition::at)));
        }
        let mut parent = self.parent.stream();
        let mut count = 0;
        Box::new(move || {
            let next = parent()?;
            match next {
                Some(_) => count += 1,
                None => _ = store.count.set(count),
            }
            Ok(next)
        })
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let store = match &self.keeping {
            Keeping::Here(store) => store,
            Keeping::Elsewhere(store) => {
                return store.run(&self.parent, self.site, partition, task, sink);
            }
        };
        let at = |error: Error| error.at(self.site);
        let index = partition.index;
        let stored = store.lock().get(&index).cloned();
        let mut handed_on = 0_u64;
        if let Some(parts) = stored {
            let flow = task.call(&self.site, || {
                replay::<T, _>(parts, |record: Ref<'_, T>| {
                    handed_on += 1;
                    sink(record)
                })
            });
            let is_computable = partition.has_payload() || self.parent.partitions().is_some();
            if !(is_computable && flow.as_ref().is_err_and(Error::is_damage)) {
                return flow.map_err(at);
            }
            // It is computed, as if it had never been here.
            store.lock().remove(&index);
        }
        let mut keeper = Keeper::new(store);
        let flow = self.parent.run(partition, task, &mut |record| {
            // The codec calls `Serialize`, which may be the program's.
            let kept = task.call(&self.site, || keeper.push::<T>(T::peek(&record)));
            match kept {
                Ok(()) if handed_on > 0 => {
                    handed_on -= 1;
                    ControlFlow::Continue(())
                }
                Ok(()) => sink(record),
                Err(error) => task.fail_at(self.site, error),
            }
        })?;
        // A partition that was broken off is not whole.
        if flow.is_continue() && !task.has_failed() && !task.is_stopped() {
            keeper.finish(index).map_err(at)?;
        }
        Ok(flow)
    }
}

/// Keeps the records of one partition as they come.
struct Keeper<'s> {
    store: &'s Store,
    spool: Spool,
    reservation: Reservation,
    parts: Vec<Content<Arc<Spool>>>,
    new_bytes: usize,
    /// Whether a record has been found to come back: else only the next action would find that none does.
    sampling: Sampling,
    /// There was no room, and the disk is not for this.
    has_given_up: bool,
}

impl<'s> Keeper<'s> {
    fn new(store: &'s Store) -> Self {
        Self {
            store,
            spool: Spool::default(),
            reservation: store.budget.reservation(),
            parts: Vec::new(),
            new_bytes: 0,
            sampling: Sampling::default(),
            has_given_up: false,
        }
    }

    #[inline]
    fn push<T: Storable + ?Sized>(&mut self, record: Peek<'_, T>) -> Result<()> {
        if self.has_given_up {
            return Ok(());
        }
        self.sampling.check(|| T::check(record))?;
        self.new_bytes += self.spool.push::<T>(record)?;
        if self.new_bytes >= ACCOUNT_BYTES {
            self.account()?;
        }
        Ok(())
    }

    #[cold]
    fn account(&mut self) -> Result<()> {
        self.new_bytes = 0;
        let persistence = self.store.persistence;
        if persistence != Persistence::Disk
            && self.reservation.try_resize(self.spool.memory_bytes())
        {
            return Ok(());
        }
        if persistence == Persistence::Memory {
            self.has_given_up = true;
            self.spool = Spool::default();
            self.reservation.clear();
            return Ok(());
        }
        self.spill()
    }

    fn spill(&mut self) -> Result<()> {
        let run = self.store.write(&std::mem::take(&mut self.spool))?;
        self.parts.push(Content::File(run));
        self.reservation.clear();
        Ok(())
    }

    fn finish(mut self, index: usize) -> Result<()> {
        self.account()?;
        if self.has_given_up {
            return Ok(());
        }
        if !self.spool.is_empty() {
            self.reservation.trim();
            self.parts.push(Content::Memory(
                Arc::new(self.spool),
                Arc::new(self.reservation),
            ));
        }
        // Two jobs may have computed it at once; what is there already is as good.
        self.store.lock().entry(index).or_insert(self.parts);
        Ok(())
    }
}
