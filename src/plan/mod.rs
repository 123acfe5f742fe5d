//! Plans a lineage into stages: cuts it at each shuffle, and puts parents before children.

mod render;

pub(crate) use render::text;

use std::collections::HashMap;
use std::sync::Arc;

use itertools::Itertools;

use crate::id::ShuffleId;
use crate::lineage::{Dependency, Node, ShuffleDependency, Stored};

/// Stages of one action, in the order in which they run. The last one computes the result of the action.
pub(crate) struct Plan {
    /// Map side of each shuffle, parents first.
    pub(crate) map_stages: Vec<MapStagePlan>,
    pub(crate) result: Arc<Node>,
    /// Shuffles that the stage of the result reads.
    pub(crate) result_reads: Vec<ShuffleId>,
    /// Stored partitions that the stages rely on.
    _pins: Vec<Pin>,
}

/// Prevents the partitions of a node from being dropped while a plan relies on them.
struct Pin(Arc<dyn Stored>);

impl Pin {
    /// Pins the partitions. Returns `None` unless all of them are stored.
    fn new(stored: &Arc<dyn Stored>) -> Option<Self> {
        stored.pin_if_complete().then(|| Self(Arc::clone(stored)))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.unpin();
    }
}

/// The map side of one shuffle, and the number of its readers.
pub(crate) struct MapStagePlan {
    pub(crate) shuffle: Arc<dyn ShuffleDependency>,
    pub(crate) readers: usize,
    /// Shuffles that this stage reads.
    pub(crate) reads: Vec<ShuffleId>,
}

impl Plan {
    /// Plans the stages that `result` needs. A shuffle that several branches share is one stage.
    pub(crate) fn new(result: &Arc<Node>) -> Self {
        let mut builder = Builder::default();
        let result_reads = builder.visit(result);
        Self {
            map_stages: builder.map_stages,
            result: Arc::clone(result),
            result_reads,
            _pins: builder.pins,
        }
    }

    pub(crate) fn stages(&self) -> usize {
        self.map_stages.len() + 1
    }
}

#[derive(Default)]
struct Builder {
    map_stages: Vec<MapStagePlan>,
    indices: HashMap<ShuffleId, usize>,
    pins: Vec<Pin>,
}

impl Builder {
    /// Adds the stages that the stage of `node` needs, and returns the shuffles that it reads.
    fn visit(&mut self, node: &Arc<Node>) -> Vec<ShuffleId> {
        let shuffles = self.shuffles_read(node);
        let ids = shuffles.iter().map(|shuffle| shuffle.id());
        let ids = ids.unique().collect();
        for shuffle in shuffles {
            let index = self.stage_of(&shuffle);
            self.map_stages[index].readers += 1;
        }
        ids
    }

    /// Returns the index of a shuffle's stage. If there is none yet, adds it and the stages that it needs.
    fn stage_of(&mut self, shuffle: &Arc<dyn ShuffleDependency>) -> usize {
        if let Some(&index) = self.indices.get(&shuffle.id()) {
            return index;
        }
        if let Some(first) = shuffle.after() {
            self.stage_of(first);
        }
        let reads = self.visit(shuffle.parent());
        let index = self.map_stages.len();
        self.indices.insert(shuffle.id(), index);
        self.map_stages.push(MapStagePlan {
            shuffle: Arc::clone(shuffle),
            readers: 0,
            reads,
        });
        index
    }

    /// Returns the shuffles that one stage reads. If two of its branches read the same shuffle, it occurs twice.
    fn shuffles_read(&mut self, node: &Arc<Node>) -> Vec<Arc<dyn ShuffleDependency>> {
        let mut shuffles = Vec::new();
        let mut to_visit = vec![Arc::clone(node)];
        while let Some(node) = to_visit.pop() {
            if let Some(pin) = node.stored.as_ref().and_then(Pin::new) {
                self.pins.push(pin);
                continue;
            }
            for dependency in &node.dependencies {
                match dependency {
                    Dependency::Narrow(parent) => to_visit.push(Arc::clone(parent)),
                    Dependency::Shuffle(shuffle) => shuffles.push(Arc::clone(shuffle)),
                }
            }
        }
        shuffles
    }
}

/// Returns the number of bytes that the sources of one stage read. Sources of unknown size do not count; if all are
/// unknown, returns `None`.
pub(crate) fn input_bytes(node: &Arc<Node>) -> Option<u64> {
    narrow_ancestors(node)
        .iter()
        .filter_map(|node| node.input_bytes)
        .reduce(|a, b| a + b)
}

/// Returns the operators of one stage, from the sources to `node`, each once.
pub(crate) fn narrow_ancestors(node: &Arc<Node>) -> Vec<Arc<Node>> {
    let mut nodes = Vec::new();
    collect_narrow(node, &mut nodes);
    nodes.into_iter().unique_by(|node| node.id).collect()
}

fn collect_narrow(node: &Arc<Node>, nodes: &mut Vec<Arc<Node>>) {
    for dependency in node.needs() {
        if let Dependency::Narrow(parent) = dependency {
            collect_narrow(parent, nodes);
        }
    }
    nodes.push(Arc::clone(node));
}
