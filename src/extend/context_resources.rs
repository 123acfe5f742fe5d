//! Memory and scratch files of a context, outside of its jobs.

use std::fmt;
use std::sync::Arc;

use crate::context::Context;
use crate::error::Result;
use crate::storage::memory::MemoryBudget;
use crate::storage::scratch::Scratch;
use crate::task::{MemoryReclaimer, ReclaimMemory, ReservedMemory, SpillWriter};

/// Memory and scratch files of a [`Context`], for data that outlives a job, such as a cache.
///
/// All of them share the memory of the context with its jobs. Each has a scratch directory of its own, with the
/// [disk quota](crate::ContextBuilder::disk_quota) of the context. The directory is created with the first file. It is
/// deleted with the last reference: this value, its clones, and the files.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::extend::ContextResources;
///
/// let directory = tempfile::tempdir().unwrap();
/// let context = Context::builder().spill_directory(directory.path()).build()?;
/// let resources = ContextResources::new(&context);
/// let mut writer = resources.create_file()?;
/// writer.append(b"some text")?;
/// let file = writer.finish()?;
/// drop(resources);
/// let mut text = [0; 4];
/// assert_eq!((file.read_at(5, &mut text)?, &text), (4, b"text"));
/// drop(file);
/// assert_eq!(directory.path().read_dir().unwrap().count(), 0);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone)]
pub struct ContextResources {
    pub(super) budget: MemoryBudget,
    pub(super) scratch: Scratch,
    pub(super) reclaimer: Arc<MemoryReclaimer>,
}

impl ContextResources {
    /// Returns the resources of a context. Creates nothing on disk.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        let (budget, scratch, reclaimer) = context.for_store();
        Self {
            budget,
            scratch,
            reclaimer,
        }
    }

    /// Returns the size of the memory budget, in bytes.
    #[must_use]
    pub fn budget_bytes(&self) -> usize {
        self.budget.limit_bytes()
    }

    /// Returns an empty reservation of the memory budget.
    #[must_use]
    pub fn reserve(&self) -> ReservedMemory {
        ReservedMemory::new(&self.budget, Arc::clone(&self.reclaimer))
    }

    /// Creates a scratch file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be created, for example because the disk is full.
    pub fn create_file(&self) -> Result<SpillWriter> {
        SpillWriter::create(&self.scratch)
    }

    /// Registers a component that holds memory of the budget which it can release. It is asked when the budget would
    /// refuse a request of this process, until it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use holdall::Context;
    /// use holdall::extend::{ContextResources, ReclaimMemory, ReservedMemory};
    ///
    /// struct Cache(Mutex<(Vec<u8>, ReservedMemory)>);
    ///
    /// impl ReclaimMemory for Cache {
    ///     fn reclaim(&self) -> holdall::Result<bool> {
    ///         let Ok(mut cache) = self.0.try_lock() else {
    ///             return Ok(false); // another thread uses it
    ///         };
    ///         let (bytes, memory) = &mut *cache;
    ///         *bytes = Vec::new();
    ///         let held = memory.bytes();
    ///         memory.shrink(held);
    ///         Ok(held > 0)
    ///     }
    /// }
    ///
    /// let context = Context::builder().memory("2MiB").build()?;
    /// let resources = ContextResources::new(&context);
    /// let mut memory = resources.reserve();
    /// assert!(memory.try_grow(1 << 20)?);
    /// let cache: Arc<dyn ReclaimMemory> = Arc::new(Cache(Mutex::new((vec![0; 1 << 20], memory))));
    /// resources.add_reclaimer(&cache);
    ///
    /// let mut other = resources.reserve();
    /// assert!(other.try_grow(2 << 20)?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn add_reclaimer(&self, component: &Arc<dyn ReclaimMemory>) {
        self.reclaimer.add(component);
    }
}

impl fmt::Debug for ContextResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextResources")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
