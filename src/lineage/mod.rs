//! How a bag comes about: described, never executed.

mod holds;
mod render;

pub(crate) use holds::Handle;
pub(crate) use render::dot;

use std::any::{Any, TypeId};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::id::{NodeId, ShuffleId, StoreId};
use crate::pipeline::{Link, Linked};
use crate::task::{MapStage, Site, StoredPartition};
use holds::Need;

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
    /// Bytes that all its sources read, if that is known of each. A source counts once for each way that leads to it.
    pub(crate) source_bytes: Option<u64>,
    /// Whether its sources can be read again in another job.
    is_repeatable: bool,
    pub(crate) dependencies: Vec<Dependency>,
    /// What has been kept of it, if anything is.
    pub(crate) stored: Option<Arc<dyn Stored>>,
    /// How its pairs are divided among the partitions, if that is by their keys.
    pub(crate) keyed: Option<Keyed>,
    need: Mutex<Need>,
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

    /// Forgets the partitions of which a part is in this file, which is damaged there. Says whether there was one.
    fn forget(&self, file: &Path, offset: u64) -> bool;

    /// Takes out all that is kept, unless a job relies on it: nothing else can read it any more.
    fn release(&self) -> Option<Box<dyn Any + Send>>;
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
    Narrow(Link<Node>),
    /// All partitions of it, divided anew.
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

/// A dependency of a node that is not made yet. What it depends on stays in use until the node uses it.
#[derive(Clone)]
pub(crate) struct Parent {
    dependency: Dependency,
    _handle: Handle,
}

impl Parent {
    pub(crate) fn narrow(node: &Handle) -> Self {
        Self {
            dependency: Dependency::Narrow(Link::new(Arc::clone(node))),
            _handle: node.clone(),
        }
    }

    pub(crate) fn shuffle(shuffle: Arc<dyn ShuffleDependency>) -> Self {
        Self {
            _handle: Handle::new(Arc::clone(shuffle.parent())),
            dependency: Dependency::Shuffle(Link::new(shuffle)),
        }
    }

    /// The shuffle, if it is one.
    pub(crate) fn as_shuffle(&self) -> Option<&Arc<dyn ShuffleDependency>> {
        match &self.dependency {
            Dependency::Narrow(_) => None,
            Dependency::Shuffle(shuffle) => Some(shuffle),
        }
    }
}

/// A wide dependency, and how its map side runs.
pub(crate) trait ShuffleDependency: Linked {
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
    fn new(site: Site, partitions: Option<usize>, parents: &[Parent]) -> Self {
        let dependencies: Vec<_> = parents
            .iter()
            .map(|parent| parent.dependency.clone())
            .collect();
        let mut sources = dependencies
            .iter()
            .map(|dependency| dependency.parent().source_bytes);
        Self {
            id: NodeId::next(),
            site,
            detail: String::new(),
            partitions,
            order: Order::Kept,
            input_bytes: None,
            source_bytes: sources.try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?))),
            is_repeatable: dependencies
                .iter()
                .all(|dependency| dependency.parent().is_repeatable),
            dependencies,
            stored: None,
            keyed: None,
            need: Mutex::default(),
        }
    }

    /// The node in use, which now holds what it depends on by itself.
    fn instead_of(self, _parents: Vec<Parent>) -> Handle {
        Handle::new(Arc::new(self))
    }

    /// A source.
    pub(crate) fn source(
        site: Site,
        detail: String,
        partitions: Option<usize>,
        input_bytes: Option<u64>,
    ) -> Handle {
        let source = Self {
            detail,
            order: Order::Source,
            input_bytes,
            source_bytes: input_bytes,
            ..Self::new(site, partitions, &[])
        };
        source.instead_of(Vec::new())
    }

    /// A source that the program may be able to give once only.
    pub(crate) fn source_of_one_job(site: Site) -> Handle {
        let source = Self {
            order: Order::Source,
            source_bytes: None,
            is_repeatable: false,
            ..Self::new(site, None, &[])
        };
        source.instead_of(Vec::new())
    }

    /// An operator that computes a partition from one partition each of `parents`, and keeps their order.
    pub(crate) fn narrow(site: Site, partitions: Option<usize>, parents: &[&Handle]) -> Handle {
        let parents: Vec<_> = parents
            .iter()
            .map(|parent| Parent::narrow(parent))
            .collect();
        Self::new(site, partitions, &parents).instead_of(parents)
    }

    /// An operator that gives records by the hash of their keys, from such as are divided by it already, and from those
    /// that a shuffle divides.
    pub(crate) fn by_hash(site: Site, keyed: Keyed, parents: Vec<Parent>) -> Handle {
        let node = Self {
            order: Order::ByHash,
            keyed: Some(keyed),
            ..Self::new(site, Some(keyed.partitions), &parents)
        };
        node.instead_of(parents)
    }

    /// An operator that keeps what it computes from a partition of `parent` in `stored`.
    pub(crate) fn stored(
        site: Site,
        partitions: Option<usize>,
        parent: &Handle,
        stored: Arc<dyn Stored>,
    ) -> Handle {
        let parents = vec![Parent::narrow(parent)];
        let node = Self {
            stored: Some(stored),
            ..Self::new(site, partitions, &parents)
        };
        node.instead_of(parents)
    }

    /// What it takes to compute it: nothing, if it has been computed and kept.
    pub(crate) fn needs(&self) -> &[Dependency] {
        let is_complete = self
            .stored
            .as_ref()
            .is_some_and(|stored| stored.is_complete());
        if is_complete { &[] } else { &self.dependencies }
    }

    /// An operator that reads what `parent` shuffles, by the hash of the key.
    pub(crate) fn shuffled(site: Site, partitions: usize, parent: Parent) -> Handle {
        Self::shuffled_in_order(site, partitions, parent, Order::ByHash)
    }

    /// An operator that reads what `parent` shuffles.
    pub(crate) fn shuffled_in_order(
        site: Site,
        partitions: usize,
        parent: Parent,
        order: Order,
    ) -> Handle {
        let parents = vec![parent];
        let node = Self {
            order,
            ..Self::new(site, Some(partitions), &parents)
        };
        node.instead_of(parents)
    }

    /// An operator that computes a partition from one of `parent` and from all that `broadcast` sends to it.
    pub(crate) fn broadcast(
        site: Site,
        partitions: Option<usize>,
        parent: &Handle,
        broadcast: Parent,
    ) -> Handle {
        let parents = vec![Parent::narrow(parent), broadcast];
        Self::new(site, partitions, &parents).instead_of(parents)
    }
}
