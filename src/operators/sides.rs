//! Where the operators that bring all records of a key together get those of a partition from: a shuffle, or a bag
//! whose records are in the partition of their key already.

use std::sync::Arc;

use super::records_by_key::group;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::pipeline::Boxed;
use crate::portable::{Loader, Portable, Saver};
use crate::shuffle::{Encode, GroupCursor, GroupOutputs, Grouper, HashPartitioner};
use crate::task::{Partition, Resources, Site, Task};

/// One side of a join, or the only one of a group.
pub(crate) enum Side<E: Encode> {
    /// What a shuffle brought.
    Shuffled {
        shuffle: ShuffleId,
        partitioner: HashPartitioner,
    },
    /// Records that are where their keys belong: each partition is grouped by the task that reads it.
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
    /// The groups of one partition; `None` once the job has ended.
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
                    GroupOutputs::import(*partitioner, false, blocks, task.resources())
                })?;
                Ok(Some(outputs.open(partition, task.resources())?))
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
    let outputs = GroupOutputs::new(partitioner, 1, false);
    let mut grouper = Grouper::new(&outputs, &resources);
    let at = Partition::at(partition);
    let flow = group::<_, E>(parent, at, task, site, &mut grouper, |_| true)?;
    if flow.is_break() {
        return Ok(None);
    }
    grouper.commit()?;
    Ok(Some(outputs.open(partition, &resources)?))
}

/// The same resources, for what does not count as shuffled.
pub(super) fn of_no_shuffle(resources: &Resources) -> Resources {
    Resources {
        progress: Arc::default(),
        ..resources.clone()
    }
}
