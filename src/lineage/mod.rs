//! The lineage of a bag: a description of its operators, which is never executed itself.

mod render;

pub(crate) use render::dot;

use std::any::TypeId;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::id::{NodeId, ShuffleId, StoreId};
use crate::task::{MapStage, Site, StoredPartition};

/// An operator in the lineage of a bag.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) site: Site,
    /// Details that the name of the method does not include: the files, the number of records.
    pub(crate) detail: String,
    /// Number of output partitions, if it is known before they are read.
    pub(crate) partitions: Option<usize>,
    pub(crate) order: Order,
    /// Number of bytes that a source reads, if it is known.
    pub(crate) input_bytes: Option<u64>,
    pub(crate) dependencies: Vec<Dependency>,
    /// Stored partitions of this node, if it is persisted.
    pub(crate) stored: Option<Arc<dyn Stored>>,
    /// Partitioning of its records, if it is by the hash of their keys.
    pub(crate) keyed: Option<Keyed>,
}

/// Partitioning of records by the hash of their keys. The type of the key tells whether the first sides of pairs are
/// hashed, or the records themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    /// Type whose serialised bytes are hashed.
    pub(crate) key: TypeId,
    pub(crate) partitions: usize,
}

impl Keyed {
    pub(crate) fn by<K: ?Sized + 'static>(partitions: usize) -> Self {
        let key = TypeId::of::<K>();
        let owned = [
            (TypeId::of::<str>(), TypeId::of::<String>()),
            (TypeId::of::<[u8]>(), TypeId::of::<Vec<u8>>()),
        ];
        // They have equal bytes, and so equal hashes: a bag of text keeps its partitioning when its records become
        // owned.
        let owned = owned.iter().find(|(slice, _)| *slice == key);
        let key = owned.map_or(key, |(_, owned)| *owned);
        Self { key, partitions }
    }

    /// Returns whether records are partitioned by keys of type `K`.
    pub(crate) fn is_by<K: ?Sized + 'static>(self) -> bool {
        self == Self::by::<K>(self.partitions)
    }
}

/// Partitions that are stored once they have been computed.
pub(crate) trait Stored: Send + Sync {
    /// Returns whether all partitions are stored.
    fn is_complete(&self) -> bool;

    /// Returns whether all partitions are stored. If so, none of them is dropped until [`unpin`](Self::unpin) is
    /// called.
    fn pin_if_complete(&self) -> bool;

    /// Releases one pin.
    fn unpin(&self);

    /// Returns the number that identifies the store in worker processes.
    fn id(&self) -> StoreId;

    /// Adopts a partition that a worker process has computed.
    fn adopt(&self, stored: &StoredPartition) -> Result<()>;

    /// Removes the partition that is in this damaged file. Returns whether there was one.
    fn forget(&self, file: &Path) -> bool;
}

/// Order of an operator's output, relative to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of the source.
    Source,
    /// In the order of the input.
    Kept,
    /// By the hash of the key.
    ByHash,
    /// Sorted: by ranges of the key, and in each by the key.
    ByRange,
}

/// Input that an operator needs from another.
#[derive(Clone)]
pub(crate) enum Dependency {
    /// One partition at a time.
    Narrow(Arc<Node>),
    /// All partitions, shuffled.
    Shuffle(Arc<dyn ShuffleDependency>),
}

/// A wide dependency, and its map side.
pub(crate) trait ShuffleDependency: Send + Sync {
    fn id(&self) -> ShuffleId;

    /// Returns the operator whose output is shuffled.
    fn parent(&self) -> &Arc<Node>;

    /// Describes the rule that assigns records to partitions.
    fn partitioning(&self) -> &'static str {
        "by hash of the key"
    }

    /// Returns the map side, for `readers` readers of each partition.
    fn map_stage(&self, readers: usize) -> Box<dyn MapStage + '_>;

    /// Returns a shuffle whose map side must run before this one, because this one uses its output.
    fn after(&self) -> Option<&Arc<dyn ShuffleDependency>> {
        None
    }

    /// Returns whether each reader gets all records, not only those of its partition.
    fn is_broadcast(&self) -> bool {
        false
    }
}

impl Node {
    /// Creates an operator that keeps the order of its input.
    fn new(site: Site, partitions: Option<usize>, dependencies: Vec<Dependency>) -> Self {
        Self {
            id: NodeId::next(),
            site,
            detail: String::new(),
            partitions,
            order: Order::Kept,
            input_bytes: None,
            dependencies,
            stored: None,
            keyed: None,
        }
    }

    /// Creates a source.
    pub(crate) fn source(
        site: Site,
        detail: String,
        partitions: Option<usize>,
        input_bytes: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            detail,
            order: Order::Source,
            input_bytes,
            ..Self::new(site, partitions, Vec::new())
        })
    }

    /// Creates an operator that computes a partition from one partition of each of `parents`, and keeps their order.
    pub(crate) fn narrow(
        site: Site,
        partitions: Option<usize>,
        parents: &[&Arc<Self>],
    ) -> Arc<Self> {
        let narrow = |parent: &&Arc<Self>| Dependency::Narrow(Arc::clone(parent));
        Arc::new(Self::new(
            site,
            partitions,
            parents.iter().map(narrow).collect(),
        ))
    }

    /// Creates an operator with output in the order of the hash of the key. Its dependencies are partitioned by the
    /// hash, or are shuffles by the hash.
    pub(crate) fn by_hash(site: Site, keyed: Keyed, dependencies: Vec<Dependency>) -> Arc<Self> {
        Arc::new(Self {
            order: Order::ByHash,
            keyed: Some(keyed),
            ..Self::new(site, Some(keyed.partitions), dependencies)
        })
    }

    /// Creates an operator that stores the partitions of `parent` in `stored`.
    pub(crate) fn stored(
        site: Site,
        partitions: Option<usize>,
        parent: &Arc<Self>,
        stored: Arc<dyn Stored>,
    ) -> Arc<Self> {
        Arc::new(Self {
            stored: Some(stored),
            ..Self::new(
                site,
                partitions,
                vec![Dependency::Narrow(Arc::clone(parent))],
            )
        })
    }

    /// Returns the number of bytes that all its sources read, if all of them are known.
    pub(crate) fn source_bytes(&self) -> Option<u64> {
        let mut bytes = 0;
        let mut seen = HashSet::from([self.id]);
        let mut to_visit = vec![self];
        while let Some(node) = to_visit.pop() {
            if node.dependencies.is_empty() {
                bytes += node.input_bytes?;
            }
            for dependency in &node.dependencies {
                let parent = match dependency {
                    Dependency::Narrow(parent) => parent,
                    Dependency::Shuffle(shuffle) => shuffle.parent(),
                };
                if seen.insert(parent.id) {
                    to_visit.push(parent);
                }
            }
        }
        Some(bytes)
    }

    /// Returns the dependencies that it needs to compute its output: none if that is stored.
    pub(crate) fn needs(&self) -> &[Dependency] {
        let is_complete = self
            .stored
            .as_ref()
            .is_some_and(|stored| stored.is_complete());
        if is_complete { &[] } else { &self.dependencies }
    }

    /// Returns all persisted operators of its lineage, including those of earlier stages.
    pub(crate) fn stores(self: &Arc<Self>) -> Vec<Arc<dyn Stored>> {
        let mut stores = Vec::new();
        let mut seen = HashSet::new();
        let mut to_visit = vec![Arc::clone(self)];
        while let Some(node) = to_visit.pop() {
            if !seen.insert(node.id) {
                continue;
            }
            stores.extend(node.stored.clone());
            to_visit.extend(node.dependencies.iter().map(|dependency| match dependency {
                Dependency::Narrow(parent) => Arc::clone(parent),
                Dependency::Shuffle(shuffle) => Arc::clone(shuffle.parent()),
            }));
        }
        stores
    }

    /// Creates an operator that reads the output of the shuffle `dependency`, in the order of the hash of the key.
    pub(crate) fn shuffled(
        site: Site,
        partitions: usize,
        dependency: Arc<dyn ShuffleDependency>,
    ) -> Arc<Self> {
        Self::shuffled_in_order(site, partitions, dependency, Order::ByHash)
    }

    /// Creates an operator that reads the output of the shuffle `dependency`.
    pub(crate) fn shuffled_in_order(
        site: Site,
        partitions: usize,
        dependency: Arc<dyn ShuffleDependency>,
        order: Order,
    ) -> Arc<Self> {
        Arc::new(Self {
            order,
            ..Self::new(
                site,
                Some(partitions),
                vec![Dependency::Shuffle(dependency)],
            )
        })
    }

    /// Creates an operator that computes a partition from one partition of `parent` and from all records that
    /// `dependency` broadcasts.
    pub(crate) fn broadcast(
        site: Site,
        partitions: Option<usize>,
        parent: &Arc<Self>,
        dependency: Arc<dyn ShuffleDependency>,
    ) -> Arc<Self> {
        let parent = Dependency::Narrow(Arc::clone(parent));
        Arc::new(Self::new(
            site,
            partitions,
            vec![parent, Dependency::Shuffle(dependency)],
        ))
    }
}
