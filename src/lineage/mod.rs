//! How a bag comes about: described, never executed.

mod render;

pub(crate) use render::dot;

use std::any::TypeId;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::id::{NodeId, ShuffleId, StoreId};
use crate::task::{MapStage, Site, StoredPartition};

/// One operator of a bag's history.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) site: Site,
    /// What the method's name does not say: the files, the number of records.
    pub(crate) detail: String,
    /// How many partitions come out, where that is known before they are read.
    pub(crate) partitions: Option<usize>,
    pub(crate) order: Order,
    /// Bytes that a source reads, where that is known.
    pub(crate) input_bytes: Option<u64>,
    pub(crate) dependencies: Vec<Dependency>,
    /// What has been kept of it, if anything is.
    pub(crate) stored: Option<Arc<dyn Stored>>,
    /// How its pairs are divided among the partitions, if that is by their keys.
    pub(crate) keyed: Option<Keyed>,
}

/// Records divided by the hash of their keys: by that of pairs' first sides, or of the records themselves, as the type
/// of the key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    /// The type whose serialised bytes are hashed.
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
        // Equal bytes, so equal hashes: a bag of text stays divided when its records become owned.
        let owned = owned.iter().find(|(slice, _)| *slice == key);
        let key = owned.map_or(key, |(_, owned)| *owned);
        Self { key, partitions }
    }

    /// Whether it is by keys of type `K`.
    pub(crate) fn is_by<K: ?Sized + 'static>(self) -> bool {
        self == Self::by::<K>(self.partitions)
    }
}

/// Partitions that are kept once they have been computed.
pub(crate) trait Stored: Send + Sync {
    /// Whether all are there.
    fn is_complete(&self) -> bool;

    /// If all are there, nothing of it may go from now on. Says whether that is so.
    fn pin_if_complete(&self) -> bool;

    /// One of those who had it pinned needs it no more.
    fn unpin(&self);

    /// The number by which workers call it.
    fn id(&self) -> StoreId;

    /// Takes over a partition that a worker has computed.
    fn adopt(&self, stored: &StoredPartition) -> Result<()>;

    /// Forgets the partition that is in this file, which is damaged. Says whether there was one.
    fn forget(&self, file: &Path) -> bool;
}

/// How the records that come out stand to those that went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of the source.
    Source,
    /// In the order of what went in.
    Kept,
    /// By the hash of the key.
    ByHash,
    /// Sorted: by ranges of the key, and in each by the key.
    ByRange,
}

/// What an operator needs of another.
#[derive(Clone)]
pub(crate) enum Dependency {
    /// Each partition of it, one at a time.
    Narrow(Arc<Node>),
    /// All partitions of it, divided anew.
    Shuffle(Arc<dyn ShuffleDependency>),
}

/// A wide dependency, and how its map side runs.
pub(crate) trait ShuffleDependency: Send + Sync {
    fn id(&self) -> ShuffleId;

    /// What is shuffled.
    fn parent(&self) -> &Arc<Node>;

    /// What decides which partition a record goes to.
    fn partitioning(&self) -> &'static str {
        "by hash of the key"
    }

    /// The map side, for `readers` readers of each partition.
    fn map_stage(&self, readers: usize) -> Box<dyn MapStage + '_>;

    /// A shuffle whose map side must have run before this one's, which looks at what that has left.
    fn after(&self) -> Option<&Arc<dyn ShuffleDependency>> {
        None
    }

    /// Whether each reader gets all of it, and not the keys of its partition.
    fn is_broadcast(&self) -> bool {
        false
    }
}

impl Node {
    /// An operator that keeps the order of what it depends on.
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

    /// A source.
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

    /// An operator that computes a partition from one partition each of `parents`, and keeps their order.
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

    /// An operator that gives records by the hash of their keys, from such as are divided by it already, and from those
    /// that a shuffle divides.
    pub(crate) fn by_hash(site: Site, keyed: Keyed, dependencies: Vec<Dependency>) -> Arc<Self> {
        Arc::new(Self {
            order: Order::ByHash,
            keyed: Some(keyed),
            ..Self::new(site, Some(keyed.partitions), dependencies)
        })
    }

    /// An operator that keeps what it computes from a partition of `parent` in `stored`.
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

    /// Bytes that all its sources read, if that is known of each of them.
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

    /// What it takes to compute it: nothing, if it has been computed and kept.
    pub(crate) fn needs(&self) -> &[Dependency] {
        let is_complete = self
            .stored
            .as_ref()
            .is_some_and(|stored| stored.is_complete());
        if is_complete { &[] } else { &self.dependencies }
    }

    /// All persisted operators of its history, of earlier stages too.
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

    /// An operator that reads what `dependency` shuffles, by the hash of the key.
    pub(crate) fn shuffled(
        site: Site,
        partitions: usize,
        dependency: Arc<dyn ShuffleDependency>,
    ) -> Arc<Self> {
        Self::shuffled_in_order(site, partitions, dependency, Order::ByHash)
    }

    /// An operator that reads what `dependency` shuffles.
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

    /// An operator that computes a partition from one of `parent` and from all that `dependency` sends to it.
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
