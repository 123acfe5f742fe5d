//! The nodes of a lineage, and what they depend on.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::need::Need;
use crate::error::Result;
use crate::id::{NodeId, ShuffleId, StoreId};
use crate::pipeline::{Link, Linked};
use crate::portable::Saver;
use crate::storage::transfer::Home;
use crate::task::{MapStage, PartitionStream, Resources, Site, StoredPartition};

/// An operator in the lineage of a bag.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) site: Site,
    /// Details that the name of the method does not include: the files, the number of records.
    pub(crate) detail: String,
    /// Number of output partitions, if it is known before they are read.
    pub(crate) partitions: Option<usize>,
    pub(crate) order: RecordOrder,
    /// Number of bytes that a source reads, if it is known.
    pub(crate) input_bytes: Option<u64>,
    /// Whether it reads only some partitions of its parent.
    pub(crate) reads_part: bool,
    /// Number of times that it reads each partition of a parent that is not shuffled.
    pub(crate) narrow_reads: usize,
    /// Number of bytes that all its sources read, if it is known for each of them. A source counts once for each path
    /// that leads to it.
    pub(crate) source_bytes: Option<u64>,
    /// Whether its sources can be read again in another job.
    pub(super) is_repeatable: bool,
    pub(crate) dependencies: Vec<Dependency>,
    /// Stored partitions of this node, if it is persisted.
    pub(crate) stored: Option<Arc<dyn StoredNode>>,
    /// A value that a state of the following operators is made of.
    pub(super) pending: Option<Arc<dyn PendingValue>>,
    /// Whether it or a node before it has one.
    pub(super) has_pending: bool,
    /// Partitioning of its records, if it is by the hash of their keys.
    pub(crate) keyed: Option<Keyed>,
    /// Whether its records ascend in their natural order, over all partitions.
    pub(crate) ascends: bool,
    pub(super) need: Mutex<Need>,
}

/// Partitioning of records by the hash of their keys. The type of the key tells whether the first sides of pairs are
/// hashed, or the records themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    /// Name of the type whose serialised bytes are hashed. Names of types, unlike their ids, can be saved with a bag. Two
    /// types may have the same name, but not a pair and its first side, and no other types have to be told apart.
    pub(crate) key: &'static str,
    pub(crate) partitions: usize,
}

impl Keyed {
    pub(crate) fn by<K: ?Sized + 'static>(partitions: usize) -> Self {
        let key = TypeId::of::<K>();
        // They have equal bytes, and so equal hashes: a bag of text keeps its partitioning when its records become
        // owned.
        let key = if key == TypeId::of::<str>() {
            type_name::<String>()
        } else if key == TypeId::of::<[u8]>() {
            type_name::<Vec<u8>>()
        } else {
            type_name::<K>()
        };
        Self { key, partitions }
    }

    /// Returns whether records are partitioned by keys of type `K`.
    pub(crate) fn is_by<K: ?Sized + 'static>(self) -> bool {
        self == Self::by::<K>(self.partitions)
    }
}

/// Partitions that are stored once they have been computed.
pub(crate) trait StoredNode: Send + Sync {
    /// Returns whether all partitions are stored.
    fn is_complete(&self) -> bool;

    /// Returns whether all partitions are stored. If so, none of them is dropped until [`unpin`](Self::unpin) is
    /// called.
    fn pin_if_complete(&self) -> bool;

    /// Releases one pin.
    fn unpin(&self);

    /// Drops all partitions, once no job relies on them, and takes no further ones.
    fn close(&self);

    /// Returns the number that identifies the store in worker processes.
    fn id(&self) -> StoreId;

    /// Adopts a partition that a worker process has computed.
    fn adopt(&self, stored: &StoredPartition) -> Result<()>;

    /// Removes the partitions that have a part in this file, which is damaged at `offset`. Returns whether there was
    /// one.
    fn forget(&self, file: &Path, offset: u64) -> bool;

    /// Removes the partitions that have a part at this home, which is lost.
    fn forget_home(&self, home: &Home);

    /// Returns the home and the length of each part of a stored partition that has a home.
    fn homes(&self) -> Vec<(usize, Home, u64)>;

    /// Takes out all stored partitions, unless a job relies on them. The caller knows that nothing else can read them.
    fn release(&self) -> Option<Box<dyn Any + Send>>;
}

/// A value that must be known before a job runs that reads the node.
pub(crate) trait PendingValue: Any + Send + Sync {
    fn is_known(&self) -> bool;

    /// Computes `all` values that a job needs, of which this is one, for the action at `site`. `context` is the
    /// `Context` of the job.
    fn resolve(&self, all: &[Arc<dyn PendingValue>], context: &dyn Any, site: Site) -> Result<()>;
}

/// Order of the records that an operator returns, relative to its input.
///
/// [Order and partitions](crate#order-and-partitions) lists it for each method.
///
/// # Examples
///
/// ```
/// use holdall::RecordOrder;
///
/// let plan = holdall::range(0..10).distinct().explain();
/// let order = plan.stages()[1].operators[0].order;
/// assert_eq!(order, RecordOrder::ByHash);
/// assert_eq!(order.to_string(), "by hash of the key");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum RecordOrder {
    /// In the order of the source.
    Source,
    /// In the order of the input.
    Kept,
    /// In the order of the input, within each partition.
    KeptWithinPartitions,
    /// By the hash of the key, then by the bytes of the key.
    ByHash,
    /// By the key, within each partition.
    ByKeyWithinPartitions,
    /// Sorted over all partitions.
    Sorted,
    /// Sorted within each partition.
    SortedWithinPartitions,
    /// Random, but reproducible.
    Random,
}

impl fmt::Display for RecordOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "the source's",
            Self::Kept => "kept",
            Self::KeptWithinPartitions => "kept within each partition",
            Self::ByHash => "by hash of the key",
            Self::ByKeyWithinPartitions => "by key within each partition",
            Self::Sorted => "sorted",
            Self::SortedWithinPartitions => "sorted within each partition",
            Self::Random => "random",
        })
    }
}

/// Input that an operator needs from another.
#[derive(Clone)]
pub(crate) enum Dependency {
    /// One partition at a time.
    Narrow(Link<Node>),
    /// All partitions, shuffled.
    Shuffle(Link<dyn ShuffleDependency>),
}

impl Dependency {
    pub(crate) fn parent(&self) -> &Arc<Node> {
        match self {
            Self::Narrow(parent) => parent,
            Self::Shuffle(shuffle) => shuffle.parent(),
        }
    }
}

/// A wide dependency, and its map side.
pub(crate) trait ShuffleDependency: Linked {
    fn id(&self) -> ShuffleId;

    /// Returns the operator whose output is shuffled.
    fn parent(&self) -> &Arc<Node>;

    /// Describes the rule that assigns records to partitions.
    fn partitioning(&self) -> &'static str {
        "by hash of the key"
    }

    /// Writes the code of the map side and its state, without those of the stages before it.
    fn save(&self, to: &mut Saver) -> Result<()>;

    /// Returns the map side, for `readers` readers of each partition. Its tasks use `resources`.
    fn map_stage(&self, readers: usize, resources: &Resources) -> Box<dyn MapStage + '_>;

    /// Returns the partitions of the map side, if their number is unknown.
    fn stream(&self) -> PartitionStream<'_>;

    /// Returns a shuffle whose output this map side uses if it is there. Its map side should run before this one.
    fn after(&self) -> Option<&Arc<dyn ShuffleDependency>> {
        None
    }

    /// Returns whether each reader gets all records, not only those of its partition.
    fn is_broadcast(&self) -> bool {
        false
    }
}

impl Node {
    /// Returns the dependencies that it needs to compute its output: none if that is stored.
    pub(crate) fn needs(&self) -> &[Dependency] {
        let is_complete = self
            .stored
            .as_ref()
            .is_some_and(|stored| stored.is_complete());
        if is_complete { &[] } else { &self.dependencies }
    }
}
