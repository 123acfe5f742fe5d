//! Draws the stages of a job.

use std::collections::BTreeSet;

use crate::drawing::{BoxShape, DrawnBox, GraphDrawing, svg};
use crate::plan::{PlanStage, StageOutput};

/// Maximum number of operators that a box names.
const MAX_OPERATORS: usize = 6;

/// Returns a drawing of the planned stages as an SVG document: a box for each stage, below those that it reads. The
/// boxes are in the order of the plan.
pub(super) fn stage_drawing(plan: &[PlanStage]) -> String {
    let position = |number: usize| plan.iter().position(|stage| stage.number == number);
    let mut arrows = BTreeSet::new();
    for (to, stage) in plan.iter().enumerate() {
        let reads = stage.operators.iter().flat_map(|operator| &operator.reads);
        arrows.extend(reads.filter_map(|from| Some((position(*from)?, to))));
    }
    svg(&GraphDrawing {
        boxes: plan.iter().map(drawn).collect(),
        arrows: arrows.into_iter().collect(),
    })
}

fn drawn(stage: &PlanStage) -> DrawnBox {
    let mut lines = vec![format!("stage {}", stage.number)];
    let operators = stage
        .operators
        .iter()
        .map(|operator| operator.name.to_owned());
    lines.extend(operators);
    // The last operators tell more than the first ones.
    let hidden = lines.len().saturating_sub(1 + MAX_OPERATORS);
    if hidden > 0 {
        lines.splice(2..=hidden + 2, [format!("… {} more …", hidden + 1)]);
    }
    lines.push(match &stage.output {
        StageOutput::Shuffle { partitioning, .. } => format!("→ {partitioning}"),
        StageOutput::Broadcast { .. } => "→ broadcast".to_owned(),
        StageOutput::Result => "→ result".to_owned(),
    });
    DrawnBox {
        lines,
        hint: stage.to_string(),
        shape: BoxShape::Round,
    }
}
