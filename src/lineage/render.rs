//! Formats a lineage as a Graphviz graph.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use super::{Dependency, Node};
use crate::drawing::quoted;

/// Returns the lineage of `node` as a Graphviz graph, from the sources down. Wide dependencies are drawn bold.
pub(crate) fn dot(node: &Arc<Node>) -> String {
    let mut text = String::from("digraph lineage {\n    node [shape=box];\n");
    let mut seen = HashSet::new();
    // Nodes and arrows that remain to be drawn, last first. A node is drawn with all nodes before it.
    let mut to_draw = vec![ToDraw::Node(node)];
    while let Some(next) = to_draw.pop() {
        match next {
            ToDraw::Arrow(arrow) => text.push_str(&arrow),
            ToDraw::Node(node) => {
                if seen.insert(node.id) {
                    draw(node, &mut text);
                    for dependency in node.dependencies.iter().rev() {
                        to_draw.push(ToDraw::Arrow(arrow(dependency, node)));
                        to_draw.push(ToDraw::Node(dependency.parent()));
                    }
                }
            }
        }
    }
    text.push_str("}\n");
    text
}

enum ToDraw<'n> {
    Node(&'n Node),
    Arrow(String),
}

fn draw(node: &Node, text: &mut String) {
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
}

fn arrow(dependency: &Dependency, to: &Node) -> String {
    let style = match dependency {
        Dependency::Narrow(_) => "",
        Dependency::Shuffle(shuffle) if shuffle.is_broadcast() => {
            " [label=\"broadcast\", style=bold]"
        }
        Dependency::Shuffle(_) => " [label=\"shuffle\", style=bold]",
    };
    format!("    n{} -> n{}{style};\n", dependency.parent().id, to.id)
}
