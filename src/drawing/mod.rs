//! Drawings of graphs: as SVG, with a layered layout, and labels for Graphviz.
//!
//! The layout is that of Sugiyama et al. (1981): each box is below those that it needs, long arrows pass through the
//! levels in between, and boxes of a level are ordered so that few arrows cross.
//!
//! | file | purpose |
//! | --- | --- |
//! | `levels` | on which level a box is |
//! | `layout` | the order of the boxes of a level, and their places |
//! | `svg` | the text of the drawing |

mod layout;
mod levels;
mod svg;

pub(crate) use svg::svg;

/// A graph that is drawn.
#[derive(Default)]
pub(crate) struct Drawing {
    pub(crate) boxes: Vec<DrawnBox>,
    /// Arrows between boxes, by their numbers. The second one is below the first.
    pub(crate) arrows: Vec<(usize, usize)>,
}

pub(crate) struct DrawnBox {
    pub(crate) lines: Vec<String>,
    /// Text that appears when the mouse is over the box.
    pub(crate) hint: String,
    pub(crate) shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Work: a box with round corners.
    Round,
    /// Data: a box.
    Sharp,
    /// Something that is only referred to: a dashed box.
    Dashed,
}

/// Quotes a label for Graphviz.
pub(crate) fn quoted(label: &str) -> String {
    let escaped = label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
