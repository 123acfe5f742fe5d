//! The lineage of a bag: a description of its operators, which is never executed itself.

mod holds;
mod need;
mod node;
mod render;

pub(crate) use holds::Handle;
#[cfg(test)]
pub(crate) use holds::VISITED;
pub use node::RecordOrder;
pub(crate) use node::{Dependency, Keyed, Node, PendingValue, ShuffleDependency, StoredNode};
pub(crate) use render::dot;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::id::NodeId;
use crate::pipeline::Link;
use crate::task::Site;

/// A dependency of a node that has not been created yet. It keeps its operator in use until the node does.
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

    /// Returns the shuffle, if this is a wide dependency.
    pub(crate) fn as_shuffle(&self) -> Option<&Arc<dyn ShuffleDependency>> {
        match &self.dependency {
            Dependency::Narrow(_) => None,
            Dependency::Shuffle(shuffle) => Some(shuffle),
        }
    }
}

/// Returns all shuffles that `node` is computed from, each once, whether or not persisted partitions follow them.
pub(crate) fn shuffles_before(node: &Arc<Node>) -> Vec<&Arc<dyn ShuffleDependency>> {
    let (mut shuffles, mut seen) = (Vec::new(), HashSet::new());
    let mut to_visit = vec![node];
    while let Some(node) = to_visit.pop() {
        if seen.insert(node.id) {
            for dependency in &node.dependencies {
                if let Dependency::Shuffle(shuffle) = dependency {
                    shuffles.push(&**shuffle);
                }
                to_visit.push(dependency.parent());
            }
        }
    }
    let mut ids = HashSet::new();
    shuffles.retain(|shuffle| ids.insert(shuffle.id()));
    shuffles
}

impl Node {
    /// Creates an operator that keeps the order of its input.
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
            order: RecordOrder::Kept,
            input_bytes: None,
            reads_part: false,
            narrow_reads: 1,
            source_bytes: sources.try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?))),
            is_repeatable: dependencies
                .iter()
                .all(|dependency| dependency.parent().is_repeatable),
            has_pending: dependencies
                .iter()
                .any(|dependency| dependency.parent().has_pending),
            dependencies,
            pending: None,
            stored: None,
            keyed: None,
            ascends: false,
            need: Mutex::default(),
        }
    }

    /// Wraps the node into a handle. From here on, the node itself holds its dependencies.
    fn instead_of(self, _parents: Vec<Parent>) -> Handle {
        Handle::new(Arc::new(self))
    }

    /// Creates a source.
    pub(crate) fn source(
        site: Site,
        detail: String,
        partitions: Option<usize>,
        input_bytes: Option<u64>,
    ) -> Handle {
        let source = Self {
            detail,
            order: RecordOrder::Source,
            input_bytes,
            source_bytes: input_bytes,
            ..Self::new(site, partitions, &[])
        };
        source.instead_of(Vec::new())
    }

    /// Creates a source that may be readable only once.
    pub(crate) fn source_of_one_job(site: Site) -> Handle {
        let source = Self {
            order: RecordOrder::Source,
            source_bytes: None,
            is_repeatable: false,
            ..Self::new(site, None, &[])
        };
        source.instead_of(Vec::new())
    }

    /// Creates an operator that computes a partition from one partition of each of `parents`, and keeps their order.
    pub(crate) fn narrow(site: Site, partitions: Option<usize>, parents: &[&Handle]) -> Handle {
        let parents: Vec<_> = parents
            .iter()
            .map(|parent| Parent::narrow(parent))
            .collect();
        Self::new(site, partitions, &parents).instead_of(parents)
    }

    /// Creates a source whose records are known once a value is.
    pub(crate) fn pending_source(
        site: Site,
        partitions: usize,
        pending: Arc<dyn PendingValue>,
    ) -> Handle {
        let source = Self {
            order: RecordOrder::Source,
            source_bytes: None,
            pending: Some(pending),
            has_pending: true,
            ..Self::new(site, Some(partitions), &[])
        };
        source.instead_of(Vec::new())
    }

    /// Creates an operator that does nothing but need a value before a job runs.
    pub(crate) fn pending(
        site: Site,
        partitions: Option<usize>,
        parent: &Handle,
        pending: Arc<dyn PendingValue>,
    ) -> Handle {
        let parents = vec![Parent::narrow(parent)];
        let node = Self {
            pending: Some(pending),
            has_pending: true,
            keyed: parent.keyed,
            ..Self::new(site, partitions, &parents)
        };
        node.instead_of(parents)
    }

    /// Returns the values that must be known before a job reads this node, and are not. Does not look beyond partitions
    /// that are stored.
    pub(crate) fn pending_values(self: &Arc<Self>) -> Vec<Arc<dyn PendingValue>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut to_visit = vec![self];
        while let Some(node) = to_visit.pop() {
            if !node.has_pending || !seen.insert(node.id) {
                continue;
            }
            let pending = node.pending.iter().filter(|pending| !pending.is_known());
            found.extend(pending.cloned());
            to_visit.extend(node.needs().iter().map(Dependency::parent));
        }
        found
    }

    /// Creates an operator that computes a partition from one partition of `parent`, and reads only some of these.
    pub(crate) fn selection(site: Site, partitions: Option<usize>, parent: &Handle) -> Handle {
        let parents = vec![Parent::narrow(parent)];
        let node = Self {
            reads_part: true,
            source_bytes: None,
            ..Self::new(site, partitions, &parents)
        };
        node.instead_of(parents)
    }

    /// Creates an operator with output in the order of the hash of the key. Its parents are partitioned by the hash, or
    /// are shuffles by the hash.
    pub(crate) fn by_hash(site: Site, keyed: Keyed, parents: Vec<Parent>) -> Handle {
        let node = Self {
            order: RecordOrder::ByHash,
            keyed: Some(keyed),
            ..Self::new(site, Some(keyed.partitions), &parents)
        };
        node.instead_of(parents)
    }

    /// Creates an operator that stores the partitions of `parent` in `stored`.
    pub(crate) fn stored(
        site: Site,
        partitions: Option<usize>,
        parent: &Handle,
        stored: Arc<dyn StoredNode>,
    ) -> Handle {
        let parents = vec![Parent::narrow(parent)];
        let node = Self {
            stored: Some(stored),
            ..Self::new(site, partitions, &parents)
        };
        node.instead_of(parents)
    }

    /// Creates an operator that reads the output of the shuffle `parent`.
    pub(crate) fn shuffled(
        site: Site,
        partitions: usize,
        parent: Parent,
        order: RecordOrder,
    ) -> Handle {
        let parents = vec![parent];
        let node = Self {
            order,
            ..Self::new(site, Some(partitions), &parents)
        };
        node.instead_of(parents)
    }

    /// Creates an operator that computes a partition from one partition of `parent` and from all records that
    /// `broadcast` sends.
    pub(crate) fn broadcast(
        site: Site,
        partitions: Option<usize>,
        parent: &Handle,
        broadcast: Parent,
    ) -> Handle {
        Self::beside(site, partitions, parent, vec![broadcast])
    }

    /// Creates an operator that computes a partition from one partition of `parent` and from `shuffles`, and keeps the
    /// order of `parent`.
    pub(crate) fn beside(
        site: Site,
        partitions: Option<usize>,
        parent: &Handle,
        shuffles: Vec<Parent>,
    ) -> Handle {
        let mut parents = shuffles;
        parents.insert(0, Parent::narrow(parent));
        Self::new(site, partitions, &parents).instead_of(parents)
    }

    /// Creates an operator that computes `reads` partitions from each partition of `parent`, each with a part of the
    /// records that `parts` sends.
    pub(crate) fn product(site: Site, parent: &Handle, reads: usize, parts: Parent) -> Handle {
        let parents = vec![Parent::narrow(parent), parts];
        let partitions = parent.partitions.map(|known| known * reads);
        let node = Self {
            narrow_reads: reads,
            ..Self::new(site, partitions, &parents)
        };
        node.instead_of(parents)
    }
}
