//! Formats a lineage as a Graphviz graph.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use super::{Dependency, Node};
use crate::id::NodeId;

/// Returns the lineage of `node` as a Graphviz graph, from the sources down. Wide dependencies are drawn bold.
pub(crate) fn dot(node: &Arc<Node>) -> String {
    let mut text = String::from("digraph lineage {\n    node [shape=box];\n");
    let mut seen = HashSet::new();
    visit(node, &mut seen, &mut text);
    text.push_str("}\n");
    text
}

fn visit(node: &Node, seen: &mut HashSet<NodeId>, text: &mut String) {
    if !seen.insert(node.id) {
        return;
    }
    let partitions = node
        .partitions
        .map_or_else(|| "?".to_owned(), |n| n.to_string());
    let mut label = format!("{}\n{}", node.site.operator, node.site.location);
    if !node.detail.is_empty() {
        label = format!("{label}\n{}", node.detail);
    }
    let label = quoted(&format!("{label}\npartitions: {partitions}"));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "    n{} [label={label}];", node.id);
    for dependency in &node.dependencies {
        let (parent, style) = match dependency {
            Dependency::Narrow(parent) => (parent, ""),
            Dependency::Shuffle(shuffle) if shuffle.is_broadcast() => {
                (shuffle.parent(), " [label=\"broadcast\", style=bold]")
            }
            Dependency::Shuffle(shuffle) => (shuffle.parent(), " [label=\"shuffle\", style=bold]"),
        };
        visit(parent, seen, text);
        let _ = writeln!(text, "    n{} -> n{}{style};", parent.id, node.id);
    }
}

fn quoted(label: &str) -> String {
    let escaped = label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
