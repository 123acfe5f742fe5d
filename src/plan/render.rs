//! Formats a plan as text for users.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use itertools::Itertools;

use super::{Plan, input_bytes, narrow_ancestors};
use crate::id::ShuffleId;
use crate::lineage::{Dependency, Node, RecordOrder};

/// Returns the stages of `plan`, with one line for each operator.
pub(crate) fn text(plan: &Plan) -> String {
    let stage_of: HashMap<ShuffleId, usize> = (1..)
        .zip(&plan.map_stages)
        .map(|(number, stage)| (stage.shuffle.id(), number))
        .collect();
    let mut text = String::new();
    for (number, stage) in (1..).zip(&plan.map_stages) {
        let readers = if stage.readers > 1 {
            format!(", read {} times", stage.readers)
        } else {
            String::new()
        };
        let first = stage.shuffle.after().map(|first| first.id());
        let sifted = match first.and_then(|first| stage_of.get(&first)) {
            Some(first) => format!(", without keys that stage {first} has not, if these are few"),
            None => String::new(),
        };
        let end = if stage.shuffle.is_broadcast() {
            format!("broadcast{readers}")
        } else {
            let partitioning = stage.shuffle.partitioning();
            format!("shuffle: {partitioning}{sifted}{readers}")
        };
        render_stage(number, stage.shuffle.parent(), &end, &stage_of, &mut text);
    }
    render_stage(plan.stages(), &plan.result, "result", &stage_of, &mut text);
    text
}

fn render_stage(
    number: usize,
    last: &Arc<Node>,
    end: &str,
    stage_of: &HashMap<ShuffleId, usize>,
    text: &mut String,
) {
    let partitions = last
        .partitions
        .map_or_else(|| "as they come".to_owned(), |n| n.to_string());
    let bytes = input_bytes(last).map_or_else(String::new, |n| format!(", input: {n} bytes"));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "stage {number} (partitions: {partitions}{bytes})");
    for node in narrow_ancestors(last) {
        let _ = writeln!(text, "  {}", line(node, stage_of));
    }
    let _ = writeln!(text, "  -> {end}");
}

fn line(node: &Node, stage_of: &HashMap<ShuffleId, usize>) -> String {
    let from = node
        .dependencies
        .iter()
        .filter_map(|dependency| match dependency {
            Dependency::Shuffle(shuffle) => stage_of.get(&shuffle.id()),
            Dependency::Narrow(_) => None,
        });
    let from = from.map(|stage| format!(" <- stage {stage}")).join(",");
    let detail = if node.detail.is_empty() {
        String::new()
    } else {
        format!(" {}", node.detail)
    };
    let order = match node.order {
        RecordOrder::Source => "order: the source's",
        RecordOrder::Kept => "order: kept",
        RecordOrder::KeptWithinPartitions => "order: kept within each partition",
        RecordOrder::ByHash => "order: by hash of the key",
        RecordOrder::ByKeyWithinPartitions => "order: by key within each partition",
        RecordOrder::ByRange => "order: sorted",
    };
    format!(
        "{}{detail}{from} at {} [{order}]",
        node.site.operator, node.site.location
    )
}
