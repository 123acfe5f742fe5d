//! The content of a drawing: boxes and arrows.

/// A graph that is drawn.
#[derive(Default)]
pub(crate) struct GraphDrawing {
    pub(crate) boxes: Vec<DrawnBox>,
    /// Arrows between boxes, by their numbers. The second one is below the first.
    pub(crate) arrows: Vec<(usize, usize)>,
}

pub(crate) struct DrawnBox {
    pub(crate) lines: Vec<String>,
    /// Text that appears when the mouse is over the box.
    pub(crate) hint: String,
    pub(crate) shape: BoxShape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxShape {
    /// Work: a box with round corners.
    Round,
    /// Data: a box.
    Sharp,
    /// Something that is only referred to: a dashed box.
    Dashed,
}
