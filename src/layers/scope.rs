//! The environment of a task of a layer, besides its inputs.

use std::sync::Arc;

use crate::error::Result;
use crate::task::{ReservedMemory, SpillWriter, Task};

/// Memory, files and state of the job, for one of its tasks.
///
/// # Examples
///
/// A task that buffers its numbers, and appends them to a file whenever the budget refuses more memory:
///
/// ```
/// use holdall::Context;
/// use holdall::BoxError;
/// use holdall::extend::{Inputs, Layer, Layers, SpillFile, TaskScope};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Numbers;
///
/// impl Layer for Numbers {
///     type Value = SpillFile;
///
///     fn name(&self) -> &'static str {
///         "numbers"
///     }
///
///     fn tasks(&self) -> usize {
///         3
///     }
///
///     fn run(&self, task: usize, _: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<SpillFile, BoxError> {
///         let (mut buffer, mut memory) = (Vec::new(), scope.reserve());
///         let mut file = scope.create_file()?;
///         for n in 0..50_000 {
///             if !memory.try_grow(8)? {
///                 file.append(&buffer)?;
///                 buffer = Vec::new();
///                 memory.shrink(memory.bytes());
///             }
///             buffer.extend_from_slice(&(n * task).to_le_bytes());
///         }
///         file.append(&buffer)?;
///         Ok(file.finish()?)
///     }
/// }
///
/// let context = Context::builder().threads(1).memory("100KiB").build()?;
/// let mut layers = Layers::new(&context);
/// let numbers = layers.add(Numbers);
/// let files = layers.get(numbers, 0..3)?;
/// let mut number = [0; 8];
/// files[2].read_at(8 * 49_999, &mut number)?;
/// assert_eq!(usize::from_le_bytes(number), 99_998);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Debug)]
pub struct TaskScope<'a>(pub(super) &'a Task<'a>);

impl TaskScope<'_> {
    /// Returns whether the job has ended elsewhere, so that the value is no longer needed. The task may then return
    /// anything.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }

    /// Returns an empty reservation of the memory budget, for data of this task that grows with its input. Values that
    /// the task receives and returns are counted by holdall.
    #[must_use]
    pub fn reserve(&self) -> ReservedMemory {
        let resources = self.0.resources();
        ReservedMemory::new(&resources.budget, Arc::clone(&resources.reclaimer))
    }

    /// Creates a file in the scratch directory of the job.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be created, for example because the disk is full.
    pub fn create_file(&self) -> Result<SpillWriter> {
        SpillWriter::create(&self.0.resources().scratch)
    }

    /// Counts bytes that the task has read from an input file, for the summary of the job.
    pub fn count_bytes(&self, bytes: u64) {
        self.0.count_read(bytes);
    }
}
