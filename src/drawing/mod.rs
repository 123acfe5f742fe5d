//! Drawings of graphs: as SVG, with a layered layout, and labels for Graphviz.
//!
//! The layout is that of Sugiyama et al. (1981): each box is below those that it needs, long arrows pass through the
//! levels in between, and boxes of a level are ordered so that few arrows cross.
//!
//! | file | purpose |
//! | --- | --- |
//! | `graph_drawing` | what is drawn |
//! | `levels` | on which level a box is |
//! | `layout` | the order of the boxes of a level, and their places |
//! | `svg` | the text of the drawing |

mod graph_drawing;
mod layout;
mod levels;
mod svg;

pub(crate) use graph_drawing::{BoxShape, DrawnBox, GraphDrawing};
pub(crate) use svg::svg;

/// Quotes a label for Graphviz.
pub(crate) fn quoted(label: &str) -> String {
    let escaped = label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
