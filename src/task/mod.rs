//! What one running task sees, and what it hands back.

mod block;
mod context;
mod imports;
mod job;
mod nesting;
mod payload;
mod relief;
mod remote;
mod stage;
mod tally;

pub use block::{Block, FilePart};
pub(crate) use block::{Files, Outputs, StoredPartition};
pub(crate) use context::{Task, panicked};
pub(crate) use imports::Imports;
pub(crate) use job::{JobState, Progress, Resources};
pub(crate) use nesting::{in_task, is_in_task};
pub(crate) use relief::{Relief, Relieve};
pub(crate) use remote::{Emit, MapSide, RemoteStage, load_stage, save_map_side};
pub(crate) use stage::{MapStage, Partition, PartitionStream, StageCode, Worker};
pub(crate) use tally::{Tallies, Tally};

use std::ops::ControlFlow;
use std::panic::Location;

use crate::error::{Result, SourceLocation};
use crate::portable::{Loader, Portable, Saver};

/// Whether a pipeline is to go on: `Break` once nobody wants more records.
pub(crate) type Flow = ControlFlow<()>;

/// Where an operator stands in the program: the method, and the line that called it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) operator: &'static str,
    pub(crate) location: SourceLocation,
}

impl Site {
    /// The site of `operator`, called from where the surrounding `#[track_caller]` method was called.
    #[track_caller]
    pub(crate) fn new(operator: &'static str) -> Self {
        Self {
            operator,
            location: Location::caller().into(),
        }
    }
}

impl Portable for Site {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.site(self.operator, self.location)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let (operator, location) = from.site()?;
        Ok(Self { operator, location })
    }
}
