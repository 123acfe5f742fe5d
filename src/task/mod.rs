//! The context of a running task, its input and its results.

mod block;
mod cancel;
mod context;
mod counter_update;
mod fingerprint;
mod imports;
mod job;
mod map_output;
mod nesting;
mod payload;
mod position;
mod reclaimer;
mod remote;
mod reserved_memory;
mod resources;
mod spill_file;
mod stage;
mod stop;

pub(crate) use block::{FilePart, Files, MapBlock, Outputs, StoredPartition};
pub use cancel::CancelHandle;
pub(crate) use context::{Task, fail_task};
pub(crate) use counter_update::{CounterUpdate, CounterUpdates};
pub(crate) use fingerprint::fingerprint;
pub(crate) use imports::Imports;
pub(crate) use job::JobState;
pub(crate) use map_output::MapBlocks;
pub use map_output::MapOutput;
pub(crate) use nesting::{
    Pullers, add_note, in_task, is_in_task, pullers, pulling_for, take_notes,
};
pub(crate) use position::SourcePosition;
pub(crate) use reclaimer::MemoryReclaimer;
pub use reclaimer::ReclaimMemory;
pub(crate) use remote::{Emit, MakeStage, RemoteStage, load_stage, save_map_side};
pub use reserved_memory::ReservedMemory;
pub(crate) use resources::{Progress, Resources, ThreadTally};
pub use spill_file::{SpillFile, SpillWriter};
pub(crate) use spill_file::{adopted, known, referencing, resolving};
pub(crate) use stage::{MapStage, Partition, PartitionStream, StageCode, StageWorker};
pub(crate) use stop::{Interrupt, STOP_CHECK_RECORDS, StopCheck, StopFlag};

pub(crate) use crate::error::Site;

use std::ops::ControlFlow;

/// `Break` if a pipeline must stop because no more records are needed.
pub(crate) type Flow = ControlFlow<()>;
