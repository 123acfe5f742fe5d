//! Map output of a bag that is grouped, joined or broadcast.

use std::sync::Arc;

use super::broadcast::{self, Broadcast};
use super::key_filter::SharedKeys;
use super::lookup::Lookup;
use super::sent_filter;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::outputs::group_outputs::GroupOutputs;
use crate::task::{MapBlock, MapBlocks, Outputs, Resources};

/// Groups, and what only joins need of them.
#[derive(Debug)]
pub(crate) struct KeyedOutputs {
    pub(crate) groups: GroupOutputs,
    /// Keys for the join filter of the other side.
    pub(crate) keys: SharedKeys,
    broadcast: Broadcast,
}

impl KeyedOutputs {
    /// Creates outputs for `readers` readers of each partition. With `in_memory`, entries that do not fit are an error.
    pub(crate) fn new(
        partitioner: HashPartitioner,
        readers: usize,
        in_memory: bool,
        resources: &Resources,
    ) -> Self {
        GroupOutputs::new(partitioner, readers, in_memory, resources).into()
    }

    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitioner: HashPartitioner,
        blocks: MapBlocks<'_>,
        resources: &Resources,
    ) -> Result<Self> {
        Ok(GroupOutputs::import(partitioner, blocks, resources)?.into())
    }

    /// Imports a broadcast bag into memory.
    pub(crate) fn import_broadcast(blocks: MapBlocks<'_>, resources: &Resources) -> Result<Self> {
        Ok(broadcast::load(blocks, resources)?.into())
    }

    /// Returns the entries of a broadcast bag, indexed by key.
    pub(crate) fn lookup(&self, resources: &Resources) -> Result<Arc<Lookup>> {
        self.broadcast.lookup(&self.groups, resources)
    }
}

impl From<GroupOutputs> for KeyedOutputs {
    fn from(groups: GroupOutputs) -> Self {
        Self {
            groups,
            keys: SharedKeys::default(),
            broadcast: Broadcast::default(),
        }
    }
}

impl Outputs for KeyedOutputs {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        let mut blocks = self.groups.export(shuffle, resources)?;
        if self.keys.is_finished() {
            blocks.push(sent_filter::export(&self.keys, shuffle, resources)?);
        }
        Ok(blocks)
    }
}
