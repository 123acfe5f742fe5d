//! Plans a lineage into stages: cuts it at each shuffle, and puts parents before children.

mod description;
mod render;
mod svg;

pub use description::{Plan, PlanOperator, PlanStage, StageOutput};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::id::ShuffleId;
use crate::lineage::{Dependency, Handle, Node, ShuffleDependency, StoredNode};

/// Stages of one action, each after those that it reads. The last one computes the result of the action.
pub(crate) struct JobPlan {
    /// Map side of each shuffle, parents first.
    pub(crate) map_stages: Vec<MapStagePlan>,
    /// Positions of the shuffles in `map_stages`.
    positions: HashMap<ShuffleId, usize>,
    pub(crate) result: Handle,
    /// Shuffles that the stage of the result reads.
    pub(crate) result_reads: Vec<ShuffleId>,
    /// Stored partitions that the stages rely on.
    _pins: Vec<Pin>,
}

/// Prevents the partitions of a node from being dropped while a plan relies on them.
struct Pin(Arc<dyn StoredNode>);

impl Pin {
    /// Pins the partitions. Returns `None` unless all of them are stored.
    fn new(stored: &Arc<dyn StoredNode>) -> Option<Self> {
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

impl JobPlan {
    /// Plans the stages that `result` needs. A shuffle that several branches share is one stage.
    pub(crate) fn new(result: &Arc<Node>) -> Self {
        let result = Handle::new(Arc::clone(result));
        let mut builder = Builder::default();
        let result_reads = builder.plan(&result);
        Self {
            map_stages: builder.map_stages,
            positions: builder.positions,
            result,
            result_reads,
            _pins: builder.pins,
        }
    }

    pub(crate) fn stages(&self) -> usize {
        self.map_stages.len() + 1
    }

    /// Returns the position in [`map_stages`](Self::map_stages) of the map side of a shuffle.
    pub(crate) fn position(&self, shuffle: ShuffleId) -> Option<usize> {
        self.positions.get(&shuffle).copied()
    }
}

/// A shuffle, and how often the tasks of one stage read it.
type Read = (Arc<dyn ShuffleDependency>, usize);

#[derive(Default)]
struct Builder {
    map_stages: Vec<MapStagePlan>,
    positions: HashMap<ShuffleId, usize>,
    pins: Vec<Pin>,
}

/// A stage whose inputs are being planned.
struct Open {
    /// Shuffle whose map side this stage is; `None` for the stage of the result.
    shuffle: Option<Arc<dyn ShuffleDependency>>,
    reads: Vec<ShuffleId>,
    /// Stages that must precede it, each with the number of times that it is read. The next one to plan is the last.
    before: Vec<Read>,
}

impl Builder {
    /// Adds the stages that the stage of `result` needs, each after those that it needs itself. Returns the shuffles
    /// that the stage of `result` reads.
    fn plan(&mut self, result: &Arc<Node>) -> Vec<ShuffleId> {
        let mut open = vec![self.open(None, result)];
        while let Some(stage) = open.last_mut() {
            if let Some((shuffle, readers)) = stage.before.last() {
                match self.positions.get(&shuffle.id()) {
                    Some(&index) => {
                        let known = &mut self.map_stages[index].readers;
                        *known = known.saturating_add(*readers);
                        stage.before.pop();
                    }
                    None => {
                        let shuffle = Arc::clone(shuffle);
                        let parent = Arc::clone(shuffle.parent());
                        open.push(self.open(Some(shuffle), &parent));
                    }
                }
                continue;
            }
            let Some(Open { shuffle, reads, .. }) = open.pop() else {
                break;
            };
            let Some(shuffle) = shuffle else {
                return reads;
            };
            self.positions.insert(shuffle.id(), self.map_stages.len());
            self.map_stages.push(MapStagePlan {
                shuffle,
                readers: 0,
                reads,
            });
        }
        Vec::new()
    }

    fn open(&mut self, shuffle: Option<Arc<dyn ShuffleDependency>>, node: &Arc<Node>) -> Open {
        let mut before = self.shuffles_read(node);
        let reads = before.iter().map(|(read, _)| read.id()).collect();
        // A shuffle whose join filter this one uses comes first, but this stage does not read it.
        let first = shuffle.as_ref().and_then(|shuffle| shuffle.after());
        before.reverse();
        before.extend(first.map(|first| (Arc::clone(first), 0)));
        Open {
            shuffle,
            reads,
            before,
        }
    }

    /// Returns the shuffles that one stage reads, each with the number of times that the stage reads each of its
    /// partitions: once for each path, and once for each read of a node on the path.
    fn shuffles_read(&mut self, node: &Arc<Node>) -> Vec<Read> {
        let stage = sources_first(node, |node| {
            let pin = node.stored.as_ref().and_then(Pin::new);
            let needs = if pin.is_some() {
                &[][..]
            } else {
                &node.dependencies
            };
            self.pins.extend(pin);
            needs
        });
        let mut reads: Vec<Read> = Vec::new();
        let mut indices: HashMap<ShuffleId, usize> = HashMap::new();
        let mut ways = HashMap::from([(node.id, 1_usize)]);
        for (node, needs) in stage.into_iter().rev() {
            let to_here = ways[&node.id];
            for dependency in needs {
                let (ways, more) = match dependency {
                    Dependency::Narrow(parent) => {
                        let more = to_here.saturating_mul(node.narrow_reads);
                        (ways.entry(parent.id).or_default(), more)
                    }
                    Dependency::Shuffle(shuffle) => {
                        let index = indices.entry(shuffle.id()).or_insert_with(|| {
                            reads.push((Arc::clone(shuffle), 0));
                            reads.len() - 1
                        });
                        (&mut reads[*index].1, to_here)
                    }
                };
                *ways = ways.saturating_add(more);
            }
        }
        reads
    }
}

/// Returns the number of bytes that the sources of one stage read. Sources of unknown size do not count; if all are
/// unknown, or if only some partitions are read, returns `None`.
pub(crate) fn input_bytes(node: &Arc<Node>) -> Option<u64> {
    let nodes = narrow_ancestors(node);
    if nodes.iter().any(|node| node.reads_part) {
        return None;
    }
    nodes
        .iter()
        .filter_map(|node| node.input_bytes)
        .reduce(|a, b| a + b)
}

/// Returns the operators of one stage, from the sources to `node`, each once.
pub(crate) fn narrow_ancestors(node: &Arc<Node>) -> Vec<&Arc<Node>> {
    let stage = sources_first(node, |node| node.needs());
    stage.into_iter().map(|(node, _)| node).collect()
}

/// Returns the nodes that `node` depends on by narrow dependencies, each once, after those that it needs, and with the
/// dependencies that `needs` returned for it.
fn sources_first<'n>(
    node: &'n Arc<Node>,
    mut needs: impl FnMut(&'n Node) -> &'n [Dependency],
) -> Vec<(&'n Arc<Node>, &'n [Dependency])> {
    let mut nodes = Vec::new();
    let mut seen = HashSet::new();
    // A node with its dependencies waits until these have been visited.
    let mut to_visit = vec![(node, None)];
    while let Some((node, needed)) = to_visit.pop() {
        #[cfg(test)]
        crate::lineage::VISITED.set(crate::lineage::VISITED.get() + 1);
        if let Some(needed) = needed {
            nodes.push((node, needed));
        } else if seen.insert(node.id) {
            let needed = needs(node);
            to_visit.push((node, Some(needed)));
            to_visit.extend(
                needed
                    .iter()
                    .rev()
                    .filter_map(|dependency| match dependency {
                        Dependency::Narrow(parent) => Some((&**parent, None)),
                        Dependency::Shuffle(_) => None,
                    }),
            );
        }
    }
    nodes
}
