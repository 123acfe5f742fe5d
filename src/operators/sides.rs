//! The inputs of groups and joins on the reduce side: a shuffle, or a bag whose records are already in the partition of
//! their key.

use std::sync::Arc;

use super::records_by_key::group;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::pipeline::Boxed;
use crate::portable::{Loader, Portable, Saver};
use crate::shuffle::{
    Encode, GroupCursor, GroupOutputs, Grouper, HashPartitioner, KeyedOutputs, any_key,
};
use crate::task::{Partition, Resources, Site, Task};

/// One side of a join, or the only side of a group.
pub(crate) enum Side<E: Encode> {
    /// The outputs of a shuffle.
    Shuffled {
        shuffle: ShuffleId,
        partitioner: HashPartitioner,
    },
    /// Records that are already in the partition of their key. The task that reads a partition groups its records.
    InPlace {
        parent: Boxed<E::In>,
        partitioner: HashPartitioner,
    },
}

impl<E: Encode> Portable for Side<E> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        match self {
            Self::Shuffled {
                shuffle,
                partitioner,
            } => to.data(&(Some(shuffle), partitioner)),
            Self::InPlace {
                parent,
                partitioner,
            } => {
                to.data(&(None::<ShuffleId>, partitioner))?;
                parent.save(to)
            }
        }
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let (shuffle, partitioner) = from.data()?;
        Ok(match shuffle {
            Some(shuffle) => Self::Shuffled {
                shuffle,
                partitioner,
            },
            None => Self::InPlace {
                parent: Portable::load(from)?,
                partitioner,
            },
        })
    }
}

impl<E: Encode> Side<E> {
    /// Opens the groups of one partition. Returns `None` if the job has ended.
    pub(super) fn open(
        &self,
        partition: usize,
        task: &Task<'_>,
        site: Site,
    ) -> Result<Option<GroupCursor>> {
        match self {
            Self::Shuffled {
                shuffle,
                partitioner,
            } => {
                let outputs = task.map_outputs(*shuffle, |blocks| {
                    KeyedOutputs::import(*partitioner, blocks, task.resources())
                })?;
                Ok(Some(outputs.groups.open(partition, task.resources())?))
            }
            Self::InPlace {
                parent,
                partitioner,
            } => group_in_place::<E>(parent, *partitioner, partition, task, site),
        }
    }
}

fn group_in_place<E: Encode>(
    parent: &Boxed<E::In>,
    partitioner: HashPartitioner,
    partition: usize,
    task: &Task<'_>,
    site: Site,
) -> Result<Option<GroupCursor>> {
    let resources = of_no_shuffle(task.resources());
    let outputs = GroupOutputs::new(partitioner, 1, false, &resources);
    let mut grouper = Grouper::new(&outputs, &resources);
    let at = Partition::at(partition);
    let flow = group::<_, E>(parent, at, task, site, &mut grouper, any_key)?;
    if flow.is_break() {
        return Ok(None);
    }
    grouper.commit()?;
    Ok(Some(outputs.open(partition, &resources)?))
}

/// Returns the same resources, with separate progress counters: records that are not shuffled do not count as shuffled.
pub(super) fn of_no_shuffle(resources: &Resources) -> Resources {
    Resources {
        progress: Arc::default(),
        ..resources.clone()
    }
}
