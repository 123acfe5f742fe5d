//! A plan as a picture.

use std::fmt::{self, Write};

use itertools::Itertools;

use super::render::Arrow;
use super::{Plan, PlanOperator, PlanStage};

/// Approximate width of a character, and height of a line, in pixels.
const CHAR: usize = 7;
const LINE: usize = 18;
/// Distance between boxes, and around the picture, in pixels.
const MARGIN: usize = 16;

/// The box of a stage, in pixels.
struct Placed<'p> {
    stage: &'p PlanStage,
    lines: Vec<String>,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Plan {
    /// Returns the stages as a picture in SVG, which browsers show: a box for each stage with its operators, and an arrow
    /// for each shuffle or broadcast, from left to right. A dashed arrow leads from a stage to one that it filters by its
    /// keys.
    ///
    /// For plans with many stages, [`stages_dot`](Plan::stages_dot) lets Graphviz find a better layout.
    ///
    /// # Examples
    ///
    /// ```
    /// let svg = holdall::range(0..10).map(|n| n % 3).distinct().explain().stages_svg();
    /// assert!(svg.starts_with("<svg ") && svg.contains(">by hash of the key</text>"));
    /// ```
    #[must_use]
    pub fn stages_svg(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_svg(&mut text);
        text
    }

    fn write_svg(&self, text: &mut String) -> fmt::Result {
        let boxes = self.place();
        let width = boxes.iter().map(|placed| placed.x + placed.width).max();
        let height = boxes.iter().map(|placed| placed.y + placed.height).max();
        let (width, height) = (width.unwrap_or(0) + MARGIN, height.unwrap_or(0) + MARGIN);
        writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"white\"/>"
        )?;
        for placed in &boxes {
            for arrow in self.arrows(placed.stage) {
                write_arrow(text, &boxes[arrow.from - 1], placed, &arrow)?;
            }
            write_box(text, placed)?;
        }
        writeln!(text, "</svg>")
    }

    /// Places each stage to the right of those that it reads.
    fn place(&self) -> Vec<Placed<'_>> {
        let mut columns: Vec<usize> = Vec::new();
        for stage in self.stages() {
            let reads = stage.operators.iter().flat_map(|operator| &operator.reads);
            let column = reads.map(|from| columns[from - 1] + 1).max();
            columns.push(column.unwrap_or(0));
        }
        let labels = self.stages().iter().flat_map(|stage| self.arrows(stage));
        let gap = labels.map(|arrow| arrow.label.len()).max().unwrap_or(0) * CHAR + 2 * MARGIN;
        let mut boxes: Vec<_> = self.stages().iter().map(Placed::new).collect();
        let mut x = MARGIN;
        for column in 0..=columns.iter().copied().max().unwrap_or(0) {
            let (mut y, mut width) = (MARGIN, 0);
            let members = boxes.iter_mut().zip(&columns);
            for (placed, _) in members.filter(|(_, of)| **of == column) {
                (placed.x, placed.y) = (x, y);
                y += placed.height + MARGIN;
                width = width.max(placed.width);
            }
            x += width + gap;
        }
        boxes
    }
}

impl<'p> Placed<'p> {
    fn new(stage: &'p PlanStage) -> Self {
        let title = format!(
            "stage {} (partitions: {})",
            stage.number,
            stage.partitions_text()
        );
        let operators = stage.operators.iter().map(PlanOperator::title);
        let lines: Vec<_> = [title].into_iter().chain(operators).collect();
        let chars = lines.iter().map(|line| line.chars().count()).max();
        Self {
            stage,
            x: 0,
            y: 0,
            width: chars.unwrap_or(0) * CHAR + MARGIN,
            height: lines.len() * LINE + MARGIN / 2,
            lines,
        }
    }
}

fn write_box(text: &mut String, placed: &Placed<'_>) -> fmt::Result {
    let Placed {
        x,
        y,
        width,
        height,
        ..
    } = placed;
    writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"#eef3fa\" stroke=\"#456\"/>"
    )?;
    for (number, line) in placed.lines.iter().enumerate() {
        let (x, y) = (x + MARGIN / 2, y + (number + 1) * LINE - 2);
        let weight = if number == 0 { "bold" } else { "normal" };
        let line = escaped(line);
        writeln!(
            text,
            "<text x=\"{x}\" y=\"{y}\" font-weight=\"{weight}\">{line}</text>"
        )?;
    }
    Ok(())
}

fn write_arrow(
    text: &mut String,
    from: &Placed<'_>,
    to: &Placed<'_>,
    arrow: &Arrow<'_>,
) -> fmt::Result {
    let (x1, y1) = (from.x + from.width, from.y + from.height / 2);
    let (x2, y2) = (to.x, to.y + to.height / 2);
    let (x, y) = (x1.midpoint(x2), y1.min(y2) - 5);
    let dashes = if arrow.is_filter {
        " stroke-dasharray=\"4\""
    } else {
        ""
    };
    let label = escaped(arrow.label);
    writeln!(
        text,
        "<path d=\"M{x1} {y1}C{x} {y1} {x} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#555\"{dashes} \
         marker-end=\"url(#head)\"/>\n\
         <text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#555\">{label}</text>"
    )
}

fn escaped(text: &str) -> String {
    let escape = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => String::from(c),
    };
    text.chars().map(escape).join("")
}
