//! The public description of a plan: stages, their operators, and the shuffles between them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::{JobPlan, input_bytes, narrow_ancestors};
use crate::error::SourceLocation;
use crate::id::ShuffleId;
use crate::lineage::{self, Dependency, Node, RecordOrder, ShuffleDependency};

/// Stages that an action on a bag would run, as returned by [`Bag::explain`](crate::Bag::explain).
///
/// A plan is a snapshot. It does not change if the bag is persisted later. `Display` prints one line per operator, as
/// shown at [`explain`](crate::Bag::explain). A plan serialises to the list of its stages, for example by `serde_json`.
///
/// # Examples
///
/// ```
/// let counts = holdall::range(0..10).map(|n| n % 3).count_by_value();
/// let plan = counts.explain();
/// assert_eq!(plan.stages().len(), 2);
/// let second = &plan.stages()[1];
/// assert_eq!((second.number, second.partitions), (2, Some(64)));
/// assert_eq!(second.operators[0].name, "count_by_value");
/// assert_eq!(second.operators[0].reads, [1]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Plan {
    stages: Vec<PlanStage>,
    #[serde(skip)]
    pub(super) lineage_dot: String,
}

/// A stage of a [`Plan`]: operators that process a partition without a shuffle in between.
///
/// # Examples
///
/// ```
/// let plan = holdall::range(0..1000).filter(|n| n % 2 == 0).explain();
/// let stage = &plan.stages()[0];
/// assert_eq!((stage.partitions, stage.input_bytes), (Some(64), None));
/// let names: Vec<_> = stage.operators.iter().map(|operator| operator.name).collect();
/// assert_eq!(names, ["range", "filter"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanStage {
    /// Number of the stage. The first one is 1.
    pub number: usize,
    /// Number of partitions, or `None` if it is unknown until the source has been read to its end.
    pub partitions: Option<usize>,
    /// Size of the input files, in bytes, if the stage reads files of known size.
    pub input_bytes: Option<u64>,
    /// Operators of the stage, from the sources to the last one.
    pub operators: Vec<PlanOperator>,
    /// Destination of the records.
    pub output: StageOutput,
}

/// An operator of a [`PlanStage`].
///
/// # Examples
///
/// ```
/// use holdall::RecordOrder;
///
/// let plan = holdall::range(0..10).sort().explain();
/// let sort = &plan.stages()[1].operators[0];
/// assert_eq!((sort.name, sort.order), ("sort", RecordOrder::Sorted));
/// assert_eq!(sort.location.file(), file!());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanOperator {
    /// Name of the method of [`Bag`](crate::Bag), or of the function that created the bag.
    pub name: &'static str,
    /// Details that the name does not include, such as the number of files. May be empty.
    pub detail: String,
    /// Line of your program that called the method.
    pub location: SourceLocation,
    /// Number of partitions of the result, or `None` if it is unknown.
    pub partitions: Option<usize>,
    /// Order of the resulting records.
    pub order: RecordOrder,
    /// Numbers of the stages whose shuffled records the operator reads.
    pub reads: Vec<usize>,
}

/// Destination of the records of a [`PlanStage`].
///
/// # Examples
///
/// ```
/// use holdall::StageOutput;
///
/// let plan = holdall::range(0..10).repartition(2).explain();
/// let StageOutput::Shuffle { partitioning, readers, .. } = plan.stages()[0].output else {
///     panic!("the records are shuffled");
/// };
/// assert_eq!((partitioning, readers), ("round-robin", 1));
/// assert_eq!(plan.stages()[1].output, StageOutput::Result);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum StageOutput {
    /// The action.
    Result,
    /// A shuffle, which assigns each record to one partition of the next stage.
    #[non_exhaustive]
    Shuffle {
        /// Rule that assigns records to partitions.
        partitioning: &'static str,
        /// Number of times that the records are read.
        readers: usize,
        /// Number of the stage whose keys decide which records are shuffled, if there is one: keys that it does not
        /// have are dropped if it has few, by tasks that begin after that stage has ended.
        filtered_by: Option<usize>,
    },
    /// A broadcast, which sends all records to every task of the next stage.
    #[non_exhaustive]
    Broadcast {
        /// Number of times that the records are read.
        readers: usize,
    },
}

impl Plan {
    /// Describes the stages that compute `result`.
    pub(crate) fn new(result: &Arc<Node>) -> Self {
        let plan = JobPlan::new(result);
        let numbers: HashMap<ShuffleId, usize> = plan
            .map_stages
            .iter()
            .map(|stage| stage.shuffle.id())
            .zip(1..)
            .collect();
        let map_stages = plan.map_stages.iter().map(|stage| {
            let output = StageOutput::new(&*stage.shuffle, stage.readers, &numbers);
            (stage.shuffle.parent(), output)
        });
        let stages = map_stages.chain([(result, StageOutput::Result)]).zip(1..);
        Self {
            stages: stages
                .map(|((last, output), number)| PlanStage {
                    number,
                    partitions: last.partitions,
                    input_bytes: input_bytes(last),
                    operators: narrow_ancestors(last)
                        .into_iter()
                        .map(|node| PlanOperator::new(node, &numbers))
                        .collect(),
                    output,
                })
                .collect(),
            lineage_dot: lineage::dot(result),
        }
    }

    /// Returns the stages, each after those that it reads. The last one computes the result of the action. Stages that do
    /// not read each other may run at the same time; threads prefer tasks of earlier ones.
    ///
    /// # Examples
    ///
    /// ```
    /// let plan = holdall::range(0..10).distinct().explain();
    /// let partitions: Vec<_> = plan.stages().iter().map(|stage| stage.partitions).collect();
    /// assert_eq!(partitions, [Some(10), Some(64)]);
    /// ```
    #[must_use]
    pub fn stages(&self) -> &[PlanStage] {
        &self.stages
    }
}

impl StageOutput {
    fn new(
        shuffle: &dyn ShuffleDependency,
        readers: usize,
        numbers: &HashMap<ShuffleId, usize>,
    ) -> Self {
        if shuffle.is_broadcast() {
            return Self::Broadcast { readers };
        }
        let filter = shuffle.after().map(|first| first.id());
        Self::Shuffle {
            partitioning: shuffle.partitioning(),
            readers,
            filtered_by: filter.and_then(|filter| numbers.get(&filter).copied()),
        }
    }
}

impl PlanOperator {
    fn new(node: &Node, numbers: &HashMap<ShuffleId, usize>) -> Self {
        let shuffles = node.dependencies.iter();
        let shuffles = shuffles.filter_map(|dependency| match dependency {
            Dependency::Shuffle(shuffle) => numbers.get(&shuffle.id()).copied(),
            Dependency::Narrow(_) => None,
        });
        Self {
            name: node.site.operator,
            detail: node.detail.clone(),
            location: node.site.location,
            partitions: node.partitions,
            order: node.order,
            reads: shuffles.collect(),
        }
    }
}
