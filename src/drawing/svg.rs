//! Writes a drawing as SVG. It fits light and dark pages.

use std::fmt::Write;

use super::graph_drawing::{BoxShape, GraphDrawing};
use super::layout::{DrawingLayout, layout};

/// Width of a letter, height of a line, margin within a box, and space between two levels, in pixels.
const LETTER: f64 = 7.3;
const LINE: f64 = 16.0;
const MARGIN: f64 = 8.0;
const SPACE: f64 = 44.0;

/// Maximum number of letters of a line. Longer ones are cut; the hint has all of them.
const MAX_LETTERS: usize = 40;

const STYLE: &str = "\
<style>
text { font: 12px ui-monospace, monospace; text-anchor: middle; fill: #1a1a1a }
rect { fill: #f4f6fa; stroke: #48506a }
path { fill: none; stroke: #8088a0 }
marker path { fill: #8088a0 }
.dashed { stroke-dasharray: 4 3; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e8e8e8 }
  rect { fill: #262b38; stroke: #8f9ab8 }
}
</style>
<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
<path d=\"M0 0 L8 4 L0 8 z\"/></marker></defs>
";

/// Returns a drawing as an SVG document.
pub(crate) fn svg(drawing: &GraphDrawing) -> String {
    let cut = |line: &String| line.chars().count().min(MAX_LETTERS);
    let letters = |lines: &[String]| lines.iter().map(cut).max().unwrap_or(0);
    let widths = drawing.boxes.iter();
    let widths = widths.map(|drawn| letters(&drawn.lines) as f64 * LETTER + 2.0 * MARGIN);
    let widths: Vec<_> = widths.collect();
    let lines = drawing.boxes.iter().map(|drawn| drawn.lines.len()).max();
    let height = lines.unwrap_or(1) as f64 * LINE + 2.0 * MARGIN;
    let layout = layout(&widths, &drawing.arrows);
    let (all_width, all_height) = (
        layout.width + 2.0 * MARGIN,
        layout.levels as f64 * (height + SPACE) - SPACE + 2.0 * MARGIN,
    );
    let all_height = all_height.max(2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all_width:.0}\" height=\"{all_height:.0}\" \
         viewBox=\"0 0 {all_width:.0} {all_height:.0}\" role=\"img\">\n{STYLE}"
    );
    for path in &layout.paths {
        write_path(&layout, path, height, &mut text);
    }
    for (drawn, placed) in drawing.boxes.iter().zip(&layout.placed) {
        let (x, y) = (placed.x + MARGIN, top(placed.level, height));
        let (left, width) = (x - placed.width / 2.0, placed.width);
        let shape = match drawn.shape {
            BoxShape::Round => " rx=\"8\"",
            BoxShape::Sharp => "",
            BoxShape::Dashed => " class=\"dashed\"",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "<g><title>{}</title><rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"{shape}/>",
            escaped(&drawn.hint)
        );
        let first = y + height / 2.0 - drawn.lines.len() as f64 * LINE / 2.0;
        for (number, line) in drawn.lines.iter().enumerate() {
            let baseline = first + (number as f64 + 0.75) * LINE;
            let line = escaped(&shortened(line));
            let _ = write!(text, "<text x=\"{x:.1}\" y=\"{baseline:.1}\">{line}</text>");
        }
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn top(level: usize, height: f64) -> f64 {
    MARGIN + level as f64 * (height + SPACE)
}

/// Draws an arrow as a smooth curve through the places where it passes levels.
fn write_path(layout: &DrawingLayout, path: &[usize], height: f64, text: &mut String) {
    for (position, pair) in path.windows(2).enumerate() {
        let (from, to) = (&layout.placed[pair[0]], &layout.placed[pair[1]]);
        let (x1, x2) = (from.x + MARGIN, to.x + MARGIN);
        // An arrow passes a level as a vertical line.
        let (y1, y2) = (top(from.level, height) + height, top(to.level, height));
        let middle = f64::midpoint(y1, y2);
        let _ = match position {
            0 => write!(text, "<path d=\"M{x1:.1} {y1:.1}"),
            _ => write!(text, " L{x1:.1} {y1:.1}"),
        };
        let _ = write!(
            text,
            " C{x1:.1} {middle:.1} {x2:.1} {middle:.1} {x2:.1} {y2:.1}"
        );
    }
    text.push_str("\" marker-end=\"url(#arrow)\"/>\n");
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= MAX_LETTERS {
        return line.to_owned();
    }
    let start: String = line.chars().take(MAX_LETTERS - 1).collect();
    format!("{start}…")
}

/// Escapes text for XML, which some control characters cannot be part of.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::graph_drawing::DrawnBox;
    use super::*;

    #[test]
    fn texts_are_escaped_and_cut() {
        let drawn = |text: &str| DrawnBox {
            lines: vec![text.to_owned()],
            hint: text.to_owned(),
            shape: BoxShape::Round,
        };
        let long = "x".repeat(100);
        let drawing = GraphDrawing {
            boxes: vec![drawn("<a & \"b\">\u{1}"), drawn(&long)],
            arrows: vec![(0, 1)],
        };
        let svg = svg(&drawing);
        assert!(svg.contains(">&lt;a &amp; &quot;b&quot;&gt;\u{fffd}</text>"));
        assert!(svg.contains(&format!("<title>{long}</title>")));
        assert!(svg.contains(&format!(">{}…</text>", "x".repeat(39))));
        assert_eq!(svg.matches("<path d=\"M").count(), 2);
    }

    #[test]
    fn an_empty_drawing_is_a_document() {
        let svg = svg(&GraphDrawing::default());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
